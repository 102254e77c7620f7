//! The API reference: public at `/docs`, and with the member's own key at `/dashboard/docs`.

use actix_web::web;
use maud::{Markup, html};
use nexo_domain::ids::AccountId;
use nexo_domain::otp::Language;

use super::docs_examples;
use super::key::masked;
use super::openapi_document::parameters;
use super::openapi_page::prose;
use super::sandbox_numbers::endings;
use super::webhooks::receiver_examples;
use crate::api::error::ApiError;
use crate::dashboard::components::*;
use crate::dashboard::locale::Locale;
use crate::dashboard::texts::developer::{docs as texts, test_otp};
use crate::dashboard::texts::{Text, Translate};
use crate::dashboard::web::*;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("").get(show));
}

pub fn member_routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/docs").get(show_member));
}

async fn show(visitor: Visitor, site: Site) -> PageResult {
    let keys = match &visitor.signed_in {
        Some((_, account)) => {
            let refused = |error| PageError::new(ErrorKind::TooManyReads(error), visitor.locale);
            let _turn = site.read_limits.read(account.id).await.map_err(refused)?;
            own_keys(&site, account.id).await?
        }
        None => OwnKeys::default(),
    };
    let body = reference(visitor.locale, &site, &keys);
    Ok(public_page(&visitor, texts::TITLE, body))
}

async fn show_member(member: Member, site: Site) -> PageResult {
    let l = member.locale();
    let keys = own_keys(&site, member.id()).await?;
    let body = reference(l, &site, &keys);
    Ok(Page::new(NavItem::Docs, l.t(texts::TITLE), body).respond(&member))
}

/// The reader's keys, masked.
#[derive(Default)]
struct OwnKeys {
    /// The newest active key. A test key comes before live keys, because the examples name a number that may be
    /// somebody's.
    preferred: Option<String>,
    /// The newest active test key.
    test: Option<String>,
}

async fn own_keys(site: &SiteState, account: AccountId) -> Result<OwnKeys, PageError> {
    let mut keys = site.store.accounts().keys(Some(account)).await?;
    keys.retain(|key| key.revoked_at_ms.is_none());
    keys.sort_by_key(|key| (!key.test, std::cmp::Reverse(key.created_at_ms)));
    let test = keys.iter().find(|key| key.test);
    Ok(OwnKeys { preferred: keys.first().map(masked), test: test.map(masked) })
}

const SECTIONS: [(&str, Text); 12] = [
    ("quickstart", texts::QUICKSTART),
    ("examples", texts::EXAMPLES),
    ("authentication", texts::AUTH),
    ("send", texts::SEND),
    ("check", texts::CHECK),
    ("wallet", texts::BALANCE),
    ("webhooks", texts::WEBHOOKS),
    ("allowlist", texts::ALLOWLIST),
    ("referrals", texts::REFERRALS),
    ("errors", texts::ERRORS),
    ("limits", texts::LIMITS),
    ("sandbox", texts::SANDBOX),
];

/// The operations whose parameters the page lists.
const SEND: (&str, &str) = ("/api/v1/send-otp", "post");
const LIST: (&str, &str) = ("/api/v1/deliveries", "get");

fn method(method: &str, path: &str) -> Markup {
    html! { p { span.method { (method) } code { (path) } } }
}

fn reference(l: Locale, site: &SiteState, keys: &OwnKeys) -> Markup {
    let test_key = keys.test.as_deref();
    let base = site.public_url.link("/api/v1");
    html! {
        (page_head(l.t(texts::TITLE), Some(l.t(texts::LEAD)), html! {}))
        div.docs {
            nav aria-label=(l.t(texts::CONTENTS)) {
                ol {
                    @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (l.t(name)) } } }
                    li { a href="/docs/openapi" { (l.t(texts::OPENAPI)) } }
                }
            }
            div {
                p { (l.t(texts::BASE)) ": " code { (base) } }
                p {
                    @match &keys.preferred {
                        Some(key) => { (l.t_with(texts::YOUR_KEY, &[("key", &key)])) },
                        None => { (l.t(texts::NO_KEY)) },
                    }
                }
                (introduction(l, site, &base, test_key))
                (requests(l, &base))
                (rules(l))
                (tables(l))
            }
        }
    }
}

fn introduction(l: Locale, site: &SiteState, base: &str, test_key: Option<&str>) -> Markup {
    let free = site.free_otps();
    html! {
        section #quickstart {
            h2 { (l.t(texts::QUICKSTART)) }
            ol {
                li { a href="/auth/sign-up" { (l.t_with(texts::QUICKSTART_1, &[("count", &free)])) } }
                li { a href="/dashboard/api-keys" { (l.t(texts::QUICKSTART_2)) } }
                li { (l.t(texts::QUICKSTART_3)) }
            }
            (code_block(l, &docs_examples::key_variable(test_key)))
            (docs_examples::send_otp(l, base))
        }
        section #authentication {
            h2 { (l.t(texts::AUTH)) }
            p { (l.t(texts::AUTH_1)) }
            p { (l.t(texts::AUTH_2)) }
        }
    }
}

fn requests(l: Locale, base: &str) -> Markup {
    html! {
        section #send {
            h2 { (l.t(texts::SEND)) }
            (method("POST", "/api/v1/send-otp"))
            p { (l.t(texts::SEND_TEXT)) }
            (parameter_table(l, SEND))
            (code_block(l, "{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"carrier\": \"viettel\",\n  \"status\": \"sent\",\n  \"cost\": 0.022,\n  \"balance\": 9.978,\n  \"total\": 12.044\n}"))
            p { (l.t(texts::IDEMPOTENCY)) }
        }
        section #check {
            h2 { (l.t(texts::CHECK)) }
            (method("GET", "/api/v1/deliveries/{id}"))
            p { (l.t(texts::CHECK_TEXT)) }
            (code_block(l, &format!("curl {base}/deliveries/8f2e1c4d-… \\\n  -H \"Authorization: Bearer $NEXO_KEY\"")))
            (code_block(l, "{\n  \"ok\": true,\n  \"id\": \"8f2e1c4d-…\",\n  \"phone\": \"+84981234567\",\n  \"carrier\": \"viettel\",\n  \"status\": \"delivered\",\n  \"cost\": 0.022,\n  \"error_code\": null,\n  \"carrier_status\": \"success\",\n  \"created_at\": \"2026-05-25T10:00:00Z\",\n  \"completed_at\": \"2026-05-25T10:00:25Z\"\n}"))
            (method("GET", "/api/v1/deliveries"))
            p { (l.t(texts::LIST_TEXT)) }
            (parameter_table(l, LIST))
        }
        section #wallet {
            h2 { (l.t(texts::BALANCE)) }
            (method("GET", "/api/v1/balance"))
            p { (l.t(texts::BALANCE_TEXT)) }
            (code_block(l, "{\n  \"ok\": true,\n  \"currency\": \"USD\",\n  \"balance\": 9.978,\n  \"bonus_credit\": 2.000,\n  \"free_credit\": 0.066,\n  \"total\": 12.044\n}"))
        }
        section #webhooks {
            h2 { (l.t(texts::WEBHOOKS)) }
            p { (l.t(texts::WEBHOOKS_TEXT)) }
            (code_block(l, "POST https://your-app.example/webhooks/nexo\nContent-Type: application/json\nUser-Agent: NEXO-ROUTE/1.0\nX-NEXO-Signature: sha256=<hex>\nX-NEXO-Event-Type: otp.delivered\nX-NEXO-Delivery-Id: <uuid>\n\n{\"type\":\"otp.delivered\",\"id\":\"8f2e1c4d-…\",\"phone\":\"+84981234567\",\"carrier\":\"viettel\",\n \"status\":\"delivered\",\"cost\":0.022,\"error_code\":null,\n \"created_at\":\"2026-05-25T10:00:00Z\",\"completed_at\":\"2026-05-25T10:00:25Z\"}"))
            p { (l.t(texts::WEBHOOKS_SIGN)) }
            (receiver_examples::snippets(l, None))
        }
    }
}

/// The parameters of an operation, from the OpenAPI document.
fn parameter_table(l: Locale, (path, method): (&str, &str)) -> Markup {
    let columns =
        [Head(texts::PARAMETER), Left(texts::PLACE), Left(texts::REQUIRED), Left(texts::MEANING)];
    let parameters = parameters(path, method).into_iter();
    let rows = parameters.filter(|one| one.name != "X-Request-Id").map(|parameter| {
        let required = if parameter.is_required { texts::YES } else { texts::NO };
        let vietnamese = || texts::vietnamese_parameter(parameter.name);
        let meaning = match l.language {
            Language::En => None,
            Language::Vi => vietnamese(),
        };
        [
            html! { code { (parameter.name) } },
            html! { (l.t(place_name(parameter.place))) },
            html! { (l.t(required)) },
            prose(meaning.unwrap_or(parameter.description)),
        ]
    });
    table(l, texts::PARAMETERS, columns, rows)
}

fn place_name(place: &str) -> Text {
    match place {
        "body" => texts::IN_BODY,
        "header" => texts::IN_HEADER,
        "path" => texts::IN_PATH,
        _ => texts::IN_QUERY,
    }
}

/// The status, code and meaning of each error, from the API's own list.
fn documented_errors() -> Vec<(u16, &'static str, Text)> {
    let mut errors: Vec<_> = ApiError::one_of_each()
        .iter()
        .filter_map(|error| Some((error.status().as_u16(), error.code(), meaning(error)?)))
        .collect();
    errors.sort_by_key(|(status, ..)| *status);
    errors.dedup();
    errors
}

/// What an error means to a customer; `None` for errors that customers do not get.
fn meaning(error: &ApiError) -> Option<Text> {
    Some(match error {
        ApiError::MissingAuth => texts::E_AUTH,
        ApiError::UnprovenHook(scheme) if scheme.is_signature() => texts::E_SIGNATURE,
        ApiError::InvalidKey | ApiError::UnprovenHook(_) => texts::E_KEY,
        ApiError::InvalidSignature => return None,
        ApiError::AccountSuspended => texts::E_SUSPENDED,
        ApiError::IpNotAllowed { .. } => texts::E_IP,
        ApiError::InvalidRequest(_) | ApiError::InvalidParameter { .. } => texts::E_BODY,
        ApiError::PayloadTooLarge => texts::E_LARGE,
        ApiError::PhoneMissing | ApiError::InvalidPhone(_) | ApiError::HookPhoneMissing => {
            texts::E_PHONE
        }
        ApiError::InvalidCode | ApiError::HookCode(_) => texts::E_CODE,
        ApiError::InsufficientBalance { .. } => texts::E_FUNDS,
        ApiError::RateLimited { .. } => texts::E_WINDOW,
        ApiError::Throttled { .. } => texts::E_THROTTLED,
        ApiError::QuotaExceeded(_) => texts::E_QUOTA,
        ApiError::NoCarrier | ApiError::NoRoute { .. } => texts::E_ROUTE,
        ApiError::Overloaded | ApiError::InDoubt => texts::E_OVERLOADED,
        ApiError::TooManyRequests(_) => texts::E_TOO_MANY,
        ApiError::IdempotencyConflict => texts::E_CONFLICT,
        ApiError::VerificationClosed { .. } => texts::E_VERIFICATION_CLOSED,
        ApiError::TooManySends => texts::E_TOO_MANY_SENDS,
        ApiError::VerifyNotConfigured => texts::E_NOT_CONFIGURED,
        ApiError::NotFound => texts::E_NOT_FOUND,
        ApiError::NotAcceptable => texts::E_ACCEPT,
        ApiError::MethodNotAllowed { .. } => texts::E_METHOD,
        ApiError::RequestTimeout => texts::E_TIMEOUT,
        ApiError::HeadersTooLarge => texts::E_HEADERS,
        ApiError::Internal => texts::E_INTERNAL,
    })
}

fn rules(l: Locale) -> Markup {
    html! {
        section #allowlist {
            h2 { (l.t(texts::ALLOWLIST)) }
            p { (l.t(texts::ALLOWLIST_TEXT)) }
        }
        section #referrals {
            h2 { (l.t(texts::REFERRALS)) }
            p { (l.t(texts::REFERRALS_TEXT)) }
        }
    }
}

fn tables(l: Locale) -> Markup {
    html! {
        section #errors {
            h2 { (l.t(texts::ERRORS)) }
            p { (l.t(texts::ERRORS_TEXT)) }
            (table(l, texts::ERRORS, [
                Left(texts::STATUS), Head(texts::ERROR), Left(texts::MEANING),
            ], documented_errors().into_iter().map(|(status, error, meaning)| [
                html! { (status) }, html! { code { (error) } }, html! { (l.t(meaning)) },
            ])))
        }
        section #limits {
            h2 { (l.t(texts::LIMITS)) }
            ul {
                li { (l.t(texts::LIMIT_PHONE)) }
                li { (l.t(texts::LIMIT_KEYS)) }
                li { (l.t(texts::LIMIT_BURST)) }
            }
        }
        section #sandbox {
            h2 { (l.t(texts::SANDBOX)) }
            p { (l.t(texts::SANDBOX_TEXT)) }
            (table(l, texts::SANDBOX, [Head(texts::ENDS_IN), Left(texts::MEANING)],
                endings().map(|(digits, meaning)| [html! { (digits) }, html! { (l.t(meaning)) }])))
            p { a.button.second href="/dashboard/test-otp" { (l.t(test_otp::TITLE)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openapi;

    #[test]
    fn every_error_of_the_openapi_document_is_explained() {
        let errors = documented_errors();
        let words: Vec<&str> = openapi::text().split('`').skip(1).step_by(2).collect();
        let codes: Vec<&str> = ApiError::one_of_each().iter().map(ApiError::code).collect();
        for code in words.into_iter().filter(|word| codes.contains(word)) {
            let is_explained = errors.iter().any(|(_, known, _)| *known == code);
            assert!(is_explained || code == "invalid_signature", "{code}");
        }
        assert!(errors.is_sorted_by_key(|(status, ..)| *status));
    }

    #[test]
    fn every_parameter_is_explained_in_both_languages() {
        for (path, method) in [SEND, LIST] {
            let parameters = parameters(path, method);
            assert!(parameters.len() > 2, "{path}");
            for parameter in parameters.iter().filter(|one| one.name != "X-Request-Id") {
                assert!(!parameter.description.is_empty(), "{parameter:?}");
                assert!(texts::vietnamese_parameter(parameter.name).is_some(), "{parameter:?}");
            }
        }
    }
}
