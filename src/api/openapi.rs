//! `GET /openapi.json`: OpenAPI 3.1, generated from the handlers' annotations and the types they serialize.
//!
//! [`StandardResponses`] adds what every operation has in common.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::body::json_text;
use super::error::Error;
use super::health::{self, Alive, Readiness};
use super::hooks::{self, HookAnswer};
use super::otp::order::SendOtp;
use super::otp::send_otp;
use super::resources::bank_notifications::{self, BankNotification, BankNotificationTaken};
use super::resources::deliveries::{self, DeliveryList};
use super::resources::delivery_and_balance::{self, Balance, Delivery, ListedDelivery};
use super::resources::ledger::{self, LedgerEntry, LedgerList};
use super::verifications::cancel::{self, VerificationCanceled};
use super::verifications::check::{self, CheckCode, CodeChecked};
use super::verifications::read::{
    self, CodeCall, ListedVerification, Verification, VerificationList,
};
use super::verifications::resend;
use super::verifications::start::{self, StartVerification};
use nexo_domain::call::acceptance::AcceptedBody;
use nexo_domain::integration::Kind;
use nexo_domain::timestamp::TimeOrDate;
use nexo_domain::verification::answer::SentBody;

/// Answers with the document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "getOpenApi",
    summary = "This document",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = serde_json::Value)),
)]
pub async fn document() -> HttpResponse {
    json_text(StatusCode::OK, text().to_owned())
}

/// The document as JSON.
pub fn text() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let document = Api::openapi().to_json();
        let document = document.expect("a document built from static types is serializable");
        // An empty parameter counts as absent; utoipa has no field for it.
        const IN_QUERY: &str = r#""in":"query","#;
        document.replace(IN_QUERY, &format!(r#"{IN_QUERY}"allowEmptyValue":true,"#))
    })
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "NEXO ROUTE",
        description = "One HTTP POST makes a Vietnamese mobile ring and a voice read the code."
    ),
    paths(
        send_otp::send_otp,
        hooks::hook,
        deliveries::list,
        delivery_and_balance::delivery,
        ledger::list,
        delivery_and_balance::balance,
        start::start,
        read::list,
        read::verification,
        check::check,
        resend::resend,
        cancel::cancel,
        bank_notifications::notify,
        document,
        health::healthz,
        health::readyz
    ),
    components(schemas(
        SendOtp,
        AcceptedBody,
        HookAnswer,
        Kind,
        DeliveryList,
        ListedDelivery,
        Delivery,
        LedgerList,
        LedgerEntry,
        Balance,
        StartVerification,
        SentBody,
        CheckCode,
        CodeChecked,
        VerificationCanceled,
        Verification,
        ListedVerification,
        VerificationList,
        CodeCall,
        BankNotification,
        BankNotificationTaken,
        Error,
        Readiness,
        Alive,
        TimeOrDate
    )),
    modifiers(&ApiKeyScheme, &StandardResponses)
)]
struct Api;

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description =
            Some("`sk_live_…`, or `sk_test_…` for the sandbox carrier: no phone rings.".into());
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
        }
    }
}

/// Adds the responses and headers that the middleware, the router and authentication give to every operation.
struct StandardResponses;

impl Modify for StandardResponses {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let is_api = path.starts_with("/api/v1/");
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                complete(operation, is_api);
            }
        }
    }
}

fn complete(operation: &mut Operation, is_api: bool) {
    let authenticated = operation.security.is_some();
    let mut common = vec![
        ("400", "`invalid_request`."),
        ("405", "`method_not_allowed`."),
        ("408", "`request_timeout`: the head of the request did not arrive in time."),
        ("431", "`headers_too_large`: the head of the request is too large."),
    ];
    if authenticated {
        common.push(("401", "`missing_auth` or `invalid_key`."));
        common.push(("403", "`account_suspended` or `ip_not_allowed`."));
    }
    if is_api {
        common.push(("500", "`internal`."));
        common.push(("503", "`overloaded`."));
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(RefOr::T(request_id_parameter()));
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in common {
        let response = responses.entry(status.to_owned());
        response.or_insert_with(|| RefOr::T(error(description)));
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut add = |name: &str, description: &str, kind: Type| {
            let header = HeaderBuilder::new()
                .schema(Some(Object::with_type(SchemaType::from(kind))))
                .description(Some(description))
                .build();
            response.headers.insert(name.to_owned(), header.into());
        };
        add("X-Request-Id", "The request's id.", Type::String);
        add("Cache-Control", "`no-store`", Type::String);
        add("X-Content-Type-Options", "`nosniff`", Type::String);
        match status.as_str() {
            "401" if authenticated => add("WWW-Authenticate", "`Bearer`", Type::String),
            "405" => add("Allow", "The allowed methods.", Type::String),
            "429" => add("Retry-After", "Seconds.", Type::Integer),
            "503" if is_api => add("Retry-After", "Seconds.", Type::Integer),
            _ => {}
        }
    }
}

fn error(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

fn request_id_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("X-Request-Id")
        .parameter_in(ParameterIn::Header)
        .required(utoipa::openapi::Required::False)
        .description(Some("Your own id for this request; 1 to 128 of A-Z a-z 0-9 - _ . :"))
        .schema(Some(Schema::from(Object::with_type(Type::String))))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::billing::deposit::HoldReason;
    use nexo_domain::billing::ledger::{Bucket, EntryKind};
    use nexo_domain::call::outcome::{ERROR_CODES, Status};
    use nexo_domain::phone::carrier_plan::{Carrier, CarrierPlan};
    use serde_json::{Value, json};

    #[test]
    fn the_document_is_openapi_3_1_and_names_every_status_of_send_otp() {
        let text = Api::openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let send_otp = &document["paths"]["/api/v1/send-otp"]["post"]["responses"];
        let statuses: Vec<&str> =
            send_otp.as_object().unwrap().keys().map(String::as_str).collect();
        for status in ["202", "400", "401", "402", "403", "409", "413", "429", "500", "502", "503"]
        {
            assert!(statuses.contains(&status), "{status}");
        }
    }

    #[test]
    fn the_document_names_the_idempotency_key_and_the_replay_header() {
        let text = Api::openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let send_otp = &document["paths"]["/api/v1/send-otp"]["post"];
        let parameters = send_otp["parameters"].as_array().unwrap();
        let key =
            parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key").unwrap();
        assert_eq!(key["in"], "header");
        assert_eq!(key["required"], false);
        assert_eq!(key["schema"]["maxLength"], 255);
        for status in ["202", "400"] {
            let headers = &send_otp["responses"][status]["headers"];
            assert!(headers["Idempotent-Replayed"].is_object(), "{status}");
        }
        assert!(send_otp["responses"]["409"].is_object());
    }

    /// The schema behind references and behind "or null".
    fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let found = document.pointer(reference.trim_start_matches('#'));
            return resolved(document, found.expect(reference));
        }
        let either = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
        match either {
            [value, null] | [null, value] if null["type"] == "null" => resolved(document, value),
            _ => schema,
        }
    }

    #[test]
    fn words_are_described_by_the_tables_of_the_code() {
        let document: Value = serde_json::from_str(text()).unwrap();
        let words = |words: &[&str]| json!(words);
        let carriers: Vec<&str> = Carrier::all().map(Carrier::name).collect();
        for (field, expected) in [
            ("Delivery/status", words(&Status::ALL.map(Status::as_str))),
            ("Delivery/carrier", words(&carriers)),
            ("Delivery/error_code", words(&ERROR_CODES)),
            ("Accepted/status", words(&Status::ALL.map(Status::as_str))),
            ("Accepted/carrier", words(&carriers)),
            ("LedgerEntry/kind", words(&EntryKind::ALL.map(EntryKind::as_str))),
            ("LedgerEntry/bucket", words(&Bucket::ALL.map(Bucket::as_str))),
            ("BankNotificationTaken/reason", words(&HoldReason::ALL.map(HoldReason::as_str))),
            ("BankNotificationTaken/status", words(&["credited", "kept", "refused"])),
            ("SendOtp/language", words(&["vi", "en"])),
        ] {
            assert_eq!(property(&document, field)["enum"], expected, "{field}");
        }
        let codes = property(&document, "Error/error")["enum"].as_array().unwrap();
        for code in ["invalid_phone", "rate_limited", "no_route", "internal"] {
            assert!(codes.contains(&json!(code)), "{codes:?}");
        }
        for (list, parameter, expected) in [
            ("deliveries", "status", words(&Status::ALL.map(Status::as_str))),
            ("deliveries", "carrier", words(&carriers)),
            ("ledger", "kind", words(&EntryKind::ALL.map(EntryKind::as_str))),
            ("ledger", "bucket", words(&Bucket::ALL.map(Bucket::as_str))),
        ] {
            let parameter = parameter_of(&document, list, parameter);
            assert_eq!(parameter["allowEmptyValue"], true);
            let schema = resolved(&document, &parameter["schema"]);
            assert_eq!(schema["enum"], expected, "{parameter}");
        }
    }

    #[test]
    fn times_ids_phones_and_amounts_have_formats() {
        let document: Value = serde_json::from_str(text()).unwrap();
        for (field, format) in [
            ("Delivery/id", "uuid"),
            ("Delivery/cost", "decimal"),
            ("Delivery/created_at", "date-time"),
            ("Delivery/completed_at", "date-time"),
            ("Accepted/id", "uuid"),
            ("Accepted/total", "decimal"),
            ("Balance/free_credit", "decimal"),
            ("LedgerEntry/posting_id", "uuid"),
            ("LedgerEntry/delivery_id", "uuid"),
            ("LedgerEntry/amount", "decimal"),
            ("LedgerEntry/created_at", "date-time"),
        ] {
            assert_eq!(property(&document, field)["format"], format, "{field}");
        }
        for field in ["SendOtp/phone", "SendOtp/code", "Delivery/phone"] {
            let pattern = property(&document, field)["pattern"].as_str();
            assert!(pattern.unwrap().starts_with('^'), "{field}");
        }
        let phone = property(&document, "SendOtp/phone")["pattern"].as_str();
        let ranges = CarrierPlan::vietnam().prefixes().count();
        assert_eq!(phone.unwrap().matches('|').count() + 1, ranges);
        for time in ["from", "to"] {
            let parameter = parameter_of(&document, "ledger", time);
            let schema = resolved(&document, &parameter["schema"]);
            let formats = json!([schema["oneOf"][0]["format"], schema["oneOf"][1]["format"]]);
            assert_eq!(formats, json!(["date-time", "date"]), "{parameter}");
        }
    }

    /// The schema of a field, such as `Delivery/status`.
    fn property<'d>(document: &'d Value, field: &str) -> &'d Value {
        let (schema, name) = field.split_once('/').unwrap();
        let schema = &document["components"]["schemas"][schema];
        let parts = schema["allOf"].as_array().into_iter().flatten();
        let mut parts = parts.map(|part| resolved(document, part)).chain([schema]);
        let found = parts.find_map(|part| part["properties"].get(name));
        let found = found.unwrap_or_else(|| panic!("{field}: {schema:#}"));
        resolved(document, found)
    }

    fn parameter_of<'d>(document: &'d Value, list: &str, name: &str) -> &'d Value {
        let list = &document["paths"][format!("/api/v1/{list}")]["get"]["parameters"];
        let found = list.as_array().unwrap().iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {list}"))
    }

    #[test]
    fn each_list_names_its_parameters_statuses_and_formats() {
        let text = Api::openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let lists = [
            (
                "/api/v1/deliveries",
                vec!["limit", "cursor", "status", "carrier", "phone", "reference", "from", "to"],
            ),
            (
                "/api/v1/verifications",
                vec!["limit", "cursor", "status", "phone", "reference", "from", "to"],
            ),
            ("/api/v1/ledger", vec!["limit", "cursor", "kind", "bucket", "from", "to"]),
        ];
        for (path, expected) in lists {
            let list = &document["paths"][path]["get"];
            let parameters = list["parameters"].as_array().unwrap();
            let in_query = parameters.iter().filter(|p| p["in"] == "query");
            let names: Vec<&str> = in_query.map(|p| p["name"].as_str().unwrap()).collect();
            assert_eq!(names, expected);
            let statuses = list["responses"].as_object().unwrap();
            for status in ["200", "400", "401", "403", "405", "406", "500", "503"] {
                assert!(statuses.contains_key(status), "{path} {status}");
                assert!(!statuses[status]["headers"]["X-Request-Id"].is_null());
            }
            let formats = statuses["200"]["content"].as_object().unwrap();
            assert!(formats.contains_key("application/json") && formats.contains_key("text/csv"));
        }
    }
}
