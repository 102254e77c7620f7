//! `GET /openapi.json`: OpenAPI 3.1, generated from the types and annotations in this file.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};
use uuid::Uuid;

/// Answers with the document.
pub async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(text())
}

/// The document as JSON.
pub fn text() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        Api::openapi()
            .to_json()
            .expect("a document built from static types is serializable")
    })
}

/// An OTP to be called out.
#[derive(ToSchema)]
#[allow(dead_code)]
struct SendOtp {
    /// A Vietnamese mobile in E.164: `+84` and nine digits.
    #[schema(pattern = r"^\+84[0-9]{9}$", example = "+84981234567")]
    phone: String,
    /// The code to be read, 4 to 8 ASCII digits.
    #[schema(pattern = "^[0-9]{4,8}$", example = "482917")]
    code: String,
}

/// The carrier took the call. Amounts are USD with at least three decimals.
#[derive(ToSchema)]
#[allow(dead_code)]
struct Accepted {
    ok: bool,
    id: Uuid,
    #[schema(example = "viettel")]
    carrier: String,
    #[schema(pattern = "^sent$", example = "sent")]
    status: String,
    #[schema(example = 0.022)]
    cost: f64,
    /// The cash balance after this OTP.
    #[schema(example = 9.978)]
    balance: f64,
    /// Cash, bonus and free credit together.
    #[schema(example = 12.044)]
    total: f64,
}

/// One OTP as it stands.
#[derive(ToSchema)]
#[allow(dead_code)]
struct Delivery {
    ok: bool,
    id: Uuid,
    /// E.164; `+8498***4567` once it is older than phones are kept here.
    #[schema(example = "+84981234567")]
    phone: String,
    #[schema(example = "viettel")]
    carrier: String,
    #[schema(pattern = "^(sent|delivered|failed)$", example = "delivered")]
    status: String,
    #[schema(example = 0.022)]
    cost: f64,
    /// `partial_playback`, `busy`, `declined`, `no_answer`, `unreachable`, `invalid_number`,
    /// `carrier_error`, `interrupted` or `no_route`.
    error_code: Option<String>,
    /// What the carrier said; null while `sent`.
    #[schema(example = "success")]
    carrier_status: Option<String>,
    #[schema(format = DateTime, example = "2026-05-25T10:00:00Z")]
    created_at: String,
    /// Null while `sent`.
    #[schema(format = DateTime, example = "2026-05-25T10:00:25Z")]
    completed_at: Option<String>,
}

/// A page of deliveries.
#[derive(ToSchema)]
#[allow(dead_code)]
struct DeliveryList {
    ok: bool,
    deliveries: Vec<ListedDelivery>,
    /// Where the next page starts; null where this is the last one.
    next_cursor: Option<String>,
}

/// One OTP of a list: what `GET /deliveries/{id}` tells of it, without `ok`.
#[derive(ToSchema)]
#[allow(dead_code)]
struct ListedDelivery {
    id: Uuid,
    /// E.164; `+8498***4567` once it is older than phones are kept here.
    #[schema(example = "+84981234567")]
    phone: String,
    #[schema(example = "viettel")]
    carrier: String,
    #[schema(pattern = "^(sent|delivered|failed)$", example = "delivered")]
    status: String,
    #[schema(example = 0.022)]
    cost: f64,
    error_code: Option<String>,
    /// Null while `sent`.
    #[schema(example = "success")]
    carrier_status: Option<String>,
    #[schema(format = DateTime, example = "2026-05-25T10:00:00Z")]
    created_at: String,
    /// Null while `sent`.
    #[schema(format = DateTime, example = "2026-05-25T10:00:25Z")]
    completed_at: Option<String>,
}

/// A page of ledger entries.
#[derive(ToSchema)]
#[allow(dead_code)]
struct LedgerList {
    ok: bool,
    #[schema(example = "USD")]
    currency: String,
    entries: Vec<LedgerEntry>,
    /// Where the next page starts; null where this is the last one.
    next_cursor: Option<String>,
}

/// One signed line of one bucket, in USD. Never changed, never deleted.
#[derive(ToSchema)]
#[allow(dead_code)]
struct LedgerEntry {
    /// The same for the entries that were written together.
    posting_id: Uuid,
    #[schema(
        pattern = "^(debit|refund|deposit|grant|payout|forfeit|correction|commission)$",
        example = "debit"
    )]
    kind: String,
    #[schema(pattern = "^(free|bonus|balance)$", example = "balance")]
    bucket: String,
    /// Less than zero where it left the bucket.
    #[schema(example = -0.022)]
    amount: f64,
    /// What the bucket held after this entry.
    #[schema(example = 9.978)]
    bucket_total: f64,
    /// What the whole wallet held after this entry.
    #[schema(example = 12.044)]
    total: f64,
    /// The OTP of a debit, refund or commission.
    delivery_id: Option<Uuid>,
    /// What a deposit, grant, payout, forfeit or correction is known by.
    reference: Option<String>,
    /// What an operator said of it.
    note: Option<String>,
    #[schema(format = DateTime, example = "2026-05-25T10:00:00Z")]
    created_at: String,
}

/// The wallet's three buckets, in USD. Spent in the order free, bonus, cash.
#[derive(ToSchema)]
#[allow(dead_code)]
struct Balance {
    ok: bool,
    #[schema(example = "USD")]
    currency: String,
    #[schema(example = 9.978)]
    balance: f64,
    #[schema(example = 2.0)]
    bonus_credit: f64,
    #[schema(example = 0.066)]
    free_credit: f64,
    #[schema(example = 12.044)]
    total: f64,
}

/// Why a request was refused.
#[derive(ToSchema)]
#[allow(dead_code)]
struct Error {
    ok: bool,
    /// A stable word for programs.
    #[schema(example = "invalid_phone")]
    error: String,
    /// One sentence for the developer.
    message: String,
    /// With `ip_not_allowed`: the address that the request came from.
    detected_ip: Option<String>,
    /// With `insufficient_balance`: the top-up page.
    deposit_url: Option<String>,
    /// With `insufficient_balance`: the price of this OTP in USD.
    cost: Option<f64>,
    /// With `insufficient_balance`: what the wallet holds in USD.
    total: Option<f64>,
    /// With `rate_limited`, and with `no_route` when the carrier throttles.
    retry_after_seconds: Option<u32>,
    /// With `no_route` after a debit: the refunded OTP.
    id: Option<Uuid>,
    /// With `invalid_request` for a parameter of the query: its name.
    parameter: Option<String>,
}

/// Whether the gateway can take OTPs, and what is wrong when it cannot.
#[derive(ToSchema)]
#[allow(dead_code)]
struct Readiness {
    ok: bool,
    problems: Vec<String>,
}

/// A payment that has come in.
#[derive(ToSchema)]
#[allow(dead_code)]
struct BankNotification {
    /// The bank's own id of it, 1 to 64 ASCII characters; a whole number is taken too.
    #[schema(example = "FT26147000123")]
    transaction_id: String,
    /// In whole units of its currency, more than zero.
    #[schema(example = 260_000)]
    amount: i64,
    /// ISO 4217; VND where it is missing.
    #[schema(example = "VND")]
    currency: Option<String>,
    /// As the payer wrote it, with whatever the bank has added.
    #[schema(example = "MBVCB.123.NX1A2B3C4D5.CT tu 0123")]
    memo: String,
}

/// What became of the payment.
#[derive(ToSchema)]
#[allow(dead_code)]
struct BankNotificationTaken {
    ok: bool,
    #[schema(pattern = "^(credited|kept|refused)$", example = "credited")]
    status: String,
    /// Why it is kept for an operator: `unknown_reference`, `ambiguous`, `wrong_amount`, `reference_used`, `account_closed` or `wrong_currency`.
    reason: Option<String>,
    /// False where it was told before.
    new: bool,
}

/// The process lives.
#[derive(ToSchema)]
#[allow(dead_code)]
struct Alive {
    ok: bool,
}

#[utoipa::path(
    post,
    path = "/api/v1/send-otp",
    operation_id = "sendOtp",
    summary = "Call a phone and read it a code",
    params(
        ("X-Request-Id" = Option<String>, Header, description = "Your own id for this request; 1 to 128 of A-Z a-z 0-9 - _ . :"),
        ("Idempotency-Key" = Option<String>, Header, description = "A key of yours for this OTP; 1 to 255 printable ASCII characters, kept for 24 h for each API key. The same request again gets the first answer again and rings nobody; while the first is under way it waits for it. A 402, 429 or 5xx frees the key.", min_length = 1, max_length = 255),
    ),
    request_body(content = SendOtp, description = "At most 16 KiB."),
    responses(
        (status = 202, description = "The carrier took the call.", body = Accepted, headers(("X-Request-Id" = String, description = "The request's id."), ("Idempotent-Replayed" = Option<String>, description = "`true` when this is the first answer once more."))),
        (status = 400, description = "`invalid_request`, `invalid_phone` or `invalid_code`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Idempotent-Replayed" = Option<String>, description = "`true` when this is the first answer once more."))),
        (status = 401, description = "`missing_auth` or `invalid_key`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 402, description = "`insufficient_balance`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 403, description = "`ip_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
        (status = 409, description = "`idempotency_conflict`: the Idempotency-Key came with another body before.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 413, description = "`payload_too_large`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 429, description = "`rate_limited`: this phone was called less than 30 s ago. `no_route`: the carrier throttles; refunded.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Retry-After" = u32, description = "Seconds."))),
        (status = 500, description = "`internal`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 502, description = "`no_route`: no carrier took the call; with `id`, it was refunded.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 503, description = "`overloaded`: nothing was spent; where a connection broke midway, what was taken is given back within seconds.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Retry-After" = u32, description = "Seconds."))),
    ),
    security(("api_key" = []))
)]
#[allow(dead_code)]
fn send_otp() {}

#[utoipa::path(
    get,
    path = "/api/v1/deliveries/{id}",
    operation_id = "getDelivery",
    summary = "One OTP as it stands",
    params(
        ("id" = String, Path, description = "The id from the 202 answer. A malformed or foreign one is 404."),
        ("X-Request-Id" = Option<String>, Header, description = "Your own id for this request."),
    ),
    responses(
        (status = 200, description = "The delivery.", body = Delivery, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 401, description = "`missing_auth` or `invalid_key`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 403, description = "`ip_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 404, description = "`not_found`: unknown, foreign or malformed.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
        (status = 500, description = "`internal`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 503, description = "`overloaded`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Retry-After" = u32, description = "Seconds."))),
    ),
    security(("api_key" = []))
)]
#[allow(dead_code)]
fn get_delivery() {}

#[utoipa::path(
    get,
    path = "/api/v1/deliveries",
    operation_id = "listDeliveries",
    summary = "The account's OTPs, newest first",
    params(
        ("limit" = Option<u32>, Query, description = "How many, 1 to 200. JSON: 50 where not given. CSV: all that match where not given.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before; with the same other parameters."),
        ("status" = Option<String>, Query, description = "`sent`, `delivered` or `failed`."),
        ("carrier" = Option<String>, Query, description = "`viettel`, `vinaphone`, `mobifone`, `vietnamobile`, `gmobile`, `itel` or `wintel`."),
        ("phone" = Option<String>, Query, description = "E.164, the whole number.", example = "+84981234567"),
        ("from" = Option<String>, Query, description = "RFC 3339 time or date (its midnight in UTC): this one or later.", example = "2026-05-25T00:00:00+07:00"),
        ("to" = Option<String>, Query, description = "RFC 3339 time or date: earlier than this.", example = "2026-05-26"),
        ("Accept" = Option<String>, Header, description = "`application/json` (the default) or `text/csv`, with quality values (RFC 9110)."),
        ("X-Request-Id" = Option<String>, Header, description = "Your own id for this request."),
    ),
    responses(
        (status = 200, description = "A page; as CSV the same rows, a header first, all in one stream unless `limit` is given.", content((DeliveryList = "application/json"), (String = "text/csv")), headers(("X-Request-Id" = String, description = "The request's id."), ("Vary" = String, description = "`Accept`"), ("Link" = Option<String>, description = "The next page with `rel=\"next\"`, where there is one and a page was asked for."), ("Content-Disposition" = Option<String>, description = "Of CSV: its file name."))),
        (status = 400, description = "`invalid_request`: `parameter` is unknown, comes twice, or is not what the message says it may be.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 401, description = "`missing_auth` or `invalid_key`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 403, description = "`ip_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
        (status = 406, description = "`not_acceptable`: `Accept` allows neither JSON nor CSV.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 500, description = "`internal`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 503, description = "`overloaded`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Retry-After" = u32, description = "Seconds."))),
    ),
    security(("api_key" = []))
)]
#[allow(dead_code)]
fn list_deliveries() {}

#[utoipa::path(
    get,
    path = "/api/v1/ledger",
    operation_id = "listLedger",
    summary = "The account's ledger entries, the latest first",
    params(
        ("limit" = Option<u32>, Query, description = "How many, 1 to 200. JSON: 50 where not given. CSV: all that match where not given.", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before; with the same other parameters."),
        ("kind" = Option<String>, Query, description = "`debit`, `refund`, `deposit`, `grant`, `payout`, `forfeit`, `correction` or `commission`."),
        ("bucket" = Option<String>, Query, description = "`free`, `bonus` or `balance`."),
        ("from" = Option<String>, Query, description = "RFC 3339 time or date (its midnight in UTC): this one or later.", example = "2026-05-25T00:00:00+07:00"),
        ("to" = Option<String>, Query, description = "RFC 3339 time or date: earlier than this.", example = "2026-05-26"),
        ("Accept" = Option<String>, Header, description = "`application/json` (the default) or `text/csv`, with quality values (RFC 9110)."),
        ("X-Request-Id" = Option<String>, Header, description = "Your own id for this request."),
    ),
    responses(
        (status = 200, description = "A page; as CSV the same rows, a header first, all in one stream unless `limit` is given.", content((LedgerList = "application/json"), (String = "text/csv")), headers(("X-Request-Id" = String, description = "The request's id."), ("Vary" = String, description = "`Accept`"), ("Link" = Option<String>, description = "The next page with `rel=\"next\"`, where there is one and a page was asked for."), ("Content-Disposition" = Option<String>, description = "Of CSV: its file name."))),
        (status = 400, description = "`invalid_request`: `parameter` is unknown, comes twice, or is not what the message says it may be.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 401, description = "`missing_auth` or `invalid_key`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 403, description = "`ip_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
        (status = 406, description = "`not_acceptable`: `Accept` allows neither JSON nor CSV.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 500, description = "`internal`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 503, description = "`overloaded`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Retry-After" = u32, description = "Seconds."))),
    ),
    security(("api_key" = []))
)]
#[allow(dead_code)]
fn list_ledger() {}

#[utoipa::path(
    get,
    path = "/api/v1/balance",
    operation_id = "getBalance",
    summary = "The wallet",
    params(("X-Request-Id" = Option<String>, Header, description = "Your own id for this request.")),
    responses(
        (status = 200, description = "The wallet.", body = Balance, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 401, description = "`missing_auth` or `invalid_key`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 403, description = "`ip_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
        (status = 500, description = "`internal`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 503, description = "`overloaded`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Retry-After" = u32, description = "Seconds."))),
    ),
    security(("api_key" = []))
)]
#[allow(dead_code)]
fn get_balance() {}

#[utoipa::path(
    post,
    path = "/api/v1/bank-notifications",
    operation_id = "notifyBankPayment",
    summary = "A payment has come in: for the bank, or for who watches the account",
    description = "Where the operator has set a notification secret. Credits the top-up whose reference is in the memo and whose amount is exact, once; everything else is kept for an operator. The same transaction_id is taken once.",
    params(
        ("X-NEXO-Bank-Signature" = String, Header, description = "`sha256=` and the HMAC-SHA256 of the body's bytes in hex, under the notification secret."),
        ("X-Request-Id" = Option<String>, Header, description = "Your own id for this request."),
    ),
    request_body(content = BankNotification, description = "At most 16 KiB."),
    responses(
        (status = 200, description = "Taken, now or before.", body = BankNotificationTaken, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 400, description = "`invalid_request`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 401, description = "`invalid_signature`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 404, description = "`not_found`: no notifications are taken here.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
        (status = 413, description = "`payload_too_large`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 500, description = "`internal`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 503, description = "`overloaded`: nothing was taken, tell it again.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Retry-After" = u32, description = "Seconds."))),
    )
)]
#[allow(dead_code)]
fn notify_bank_payment() {}

#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "getOpenApi",
    summary = "This document",
    responses(
        (status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = serde_json::Value, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
    )
)]
#[allow(dead_code)]
fn get_openapi() {}

#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    summary = "Whether the process lives",
    responses(
        (status = 200, description = "It does.", body = Alive, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
    )
)]
#[allow(dead_code)]
fn healthz() {}

#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    summary = "Whether the gateway can take OTPs",
    responses(
        (status = 200, description = "It can.", body = Readiness, headers(("X-Request-Id" = String, description = "The request's id."))),
        (status = 405, description = "`method_not_allowed`.", body = Error, headers(("X-Request-Id" = String, description = "The request's id."), ("Allow" = String, description = "The methods that this address answers to."))),
        (status = 503, description = "It cannot; `problems` says why.", body = Readiness, headers(("X-Request-Id" = String, description = "The request's id."))),
    )
)]
#[allow(dead_code)]
fn readyz() {}

struct ApiKeyScheme;

impl Modify for ApiKeyScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some("`sk_live_…`, or `sk_test_…` for the sandbox carrier.".into());
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("api_key", SecurityScheme::Http(scheme));
        }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "NEXO ROUTE",
        description = "One HTTP POST makes a Vietnamese mobile ring and a voice read the code."
    ),
    paths(send_otp, list_deliveries, get_delivery, list_ledger, get_balance, notify_bank_payment, get_openapi, healthz, readyz),
    components(schemas(SendOtp, Accepted, DeliveryList, ListedDelivery, Delivery, LedgerList, LedgerEntry, Balance, BankNotification, BankNotificationTaken, Error, Readiness, Alive)),
    modifiers(&ApiKeyScheme)
)]
struct Api;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi_3_1_and_names_every_status_of_send_otp() {
        let text = Api::openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let send_otp = &document["paths"]["/api/v1/send-otp"]["post"]["responses"];
        let statuses: Vec<&str> = send_otp
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        for status in [
            "202", "400", "401", "402", "403", "409", "413", "429", "500", "502", "503",
        ] {
            assert!(statuses.contains(&status), "{status}");
        }
    }

    #[test]
    fn the_document_names_the_idempotency_key_and_how_a_replay_is_known() {
        let text = Api::openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let send_otp = &document["paths"]["/api/v1/send-otp"]["post"];
        let parameters = send_otp["parameters"].as_array().unwrap();
        let key = parameters
            .iter()
            .find(|parameter| parameter["name"] == "Idempotency-Key")
            .unwrap();
        assert_eq!(key["in"], "header");
        assert_eq!(key["required"], false);
        assert_eq!(key["schema"]["maxLength"], 255);
        for status in ["202", "400"] {
            let headers = &send_otp["responses"][status]["headers"];
            assert!(headers["Idempotent-Replayed"].is_object(), "{status}");
        }
        assert!(send_otp["responses"]["409"].is_object());
    }

    #[test]
    fn each_list_names_its_parameters_statuses_and_forms() {
        let text = Api::openapi().to_json().unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let lists = [
            (
                "/api/v1/deliveries",
                vec![
                    "limit", "cursor", "status", "carrier", "phone", "from", "to",
                ],
            ),
            (
                "/api/v1/ledger",
                vec!["limit", "cursor", "kind", "bucket", "from", "to"],
            ),
        ];
        for (path, parameters) in lists {
            let list = &document["paths"][path]["get"];
            let told = list["parameters"].as_array().unwrap();
            let in_query = told.iter().filter(|p| p["in"] == "query");
            let names: Vec<&str> = in_query.map(|p| p["name"].as_str().unwrap()).collect();
            assert_eq!(names, parameters);
            let statuses = list["responses"].as_object().unwrap();
            for status in ["200", "400", "401", "403", "405", "406", "500", "503"] {
                assert!(statuses.contains_key(status), "{path} {status}");
                assert!(!statuses[status]["headers"]["X-Request-Id"].is_null());
            }
            let forms = statuses["200"]["content"].as_object().unwrap();
            assert!(forms.contains_key("application/json") && forms.contains_key("text/csv"));
        }
    }
}
