//! `POST /verifications`: makes a code, calls the phone and reads it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::dispatch::{Dispatched, OtpOrder};
use nexo_domain::account::api_key::ApiKey;
use nexo_domain::customer_fields::{CustomerFields, Metadata, Reference};
use nexo_domain::idempotency::Fingerprint;
use nexo_domain::ids::VerificationId;
use nexo_domain::otp::{Language, MAX_DIGITS, MIN_DIGITS};
use nexo_domain::phone::Phone;
use nexo_domain::verification::answer::{Sent, SentBody};
use nexo_domain::verification::code::{CodeKey, CodeLength};
use nexo_domain::verification::{
    DEFAULT_TTL_SECONDS, MAX_ATTEMPTS, MAX_TTL_SECONDS, MIN_TTL_SECONDS,
};
use nexo_entities::store::ledger::posting::{SendKind, VerificationSend};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller;
use crate::api::auth::caller::presented_key;
use crate::api::auth::keyring::Key;
use crate::api::body::{json_text, read_body};
use crate::api::error::{ApiError, Error};
use crate::api::json;
use crate::api::list::parameters::invalid;
use crate::api::otp::idempotency;
use crate::api::otp::order::{OrderFacts, Request, language, phone, whole_number};
use crate::api::state::ApiState;

/// Distinguishes the fingerprints of this route's bodies.
const ROUTE: &str = "POST /verifications";

/// A request to verify a phone.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct StartVerification<'a> {
    /// A Vietnamese mobile in E.164: `+84` and nine digits. With a live key it rings: try your own phone, not the example.
    #[serde(borrow)]
    #[schema(value_type = Phone, required = true, example = "+84981234567")]
    phone: Option<&'a RawValue>,
    /// The number of digits of the code. Default: 6.
    #[serde(borrow)]
    #[schema(value_type = Option<u8>, minimum = 4, maximum = 8)]
    length: Option<&'a RawValue>,
    /// How long the code is valid. Default: 300.
    #[serde(borrow)]
    #[schema(value_type = Option<u32>, minimum = 60, maximum = 900)]
    ttl_seconds: Option<&'a RawValue>,
    /// The language of the calls: `vi` or `en`. Default: the account's.
    #[serde(borrow)]
    #[schema(value_type = Option<Language>)]
    language: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = Option<Reference>, example = "order-42")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = Option<Metadata>)]
    metadata: Option<&'a RawValue>,
}

/// Handles the request.
///
/// # Errors
/// The first check that fails, or why the call was not accepted.
#[utoipa::path(
    post,
    path = "/api/v1/verifications",
    operation_id = "startVerification",
    summary = "Make a code, call a phone and read it",
    description = "The code is made, kept and checked by the gateway. A new verification cancels the account's pending one for the same phone, once the call is accepted.",
    params((
        "Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$",
        description = "As with `send-otp`."
    )),
    request_body(content = StartVerification, description = "At most 16 KiB."),
    responses(
        (status = 202, description = "The carrier accepted the call.", body = SentBody, headers(("Idempotent-Replayed" = Option<String>, description = "`true` for a replayed answer."))),
        (status = 400, description = "`invalid_request` or `invalid_phone`.", body = Error, headers(("Idempotent-Replayed" = Option<String>, description = "`true` for a replayed answer."))),
        (status = 402, description = "`insufficient_balance`.", body = Error),
        (status = 409, description = "`idempotency_conflict`: the Idempotency-Key was used with another body or route.", body = Error),
        (status = 413, description = "`payload_too_large`.", body = Error),
        (status = 429, description = "`rate_limited`: this phone was called less than 30 s ago. `quota_exceeded`: the test key's OTPs, or the refusals stored under idempotency keys, are used up. `no_route`: the carrier throttles; refunded, and there is no verification.", body = Error),
        (status = 501, description = "`verify_not_configured`: the operator has set no secret.", body = Error),
        (status = 502, description = "`no_route`: no carrier accepted the call; there is no verification. With `id`, that OTP was refunded; without, the carrier has no gateway and nothing was charged.", body = Error),
        (status = 503, description = "`overloaded`: nothing was spent; if a connection broke midway, the debit is refunded within seconds.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn start(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    if !state.dispatcher.lease.is_valid() {
        presented_key(request.headers())?;
        return Err(ApiError::Overloaded);
    }
    let (key, codes) = caller(&request, &state).await?;
    let body = read_body(&request, payload).await?;
    let order = async || order(&key, codes, &body, &state);
    let fingerprint = |api_key: &ApiKey| Fingerprint::of_route(api_key, ROUTE, &body);
    let once = idempotency::request(request.headers(), &key, fingerprint)?;
    let answer = match once {
        Some(once) => idempotency::answer_once(&once, &key, order, &state).await,
        None => send(order().await?, &state).await,
    };
    if answer.as_ref().is_ok_and(is_new) {
        state.verifications.started.increment(1);
    }
    answer
}

/// Whether the answer is not a replay.
fn is_new(answer: &HttpResponse) -> bool {
    answer.status() == StatusCode::ACCEPTED
        && !answer.headers().contains_key(idempotency::IDEMPOTENT_REPLAYED)
}

/// Sends the code, and answers as the API does.
pub(super) async fn send(order: OtpOrder, state: &ApiState) -> Result<HttpResponse, ApiError> {
    let facts = OrderFacts::of(&order);
    let outcome = state.dispatcher.dispatch(order, None).await;
    let accepted = facts.answer(outcome.unwrap_or(Dispatched::Lost), state).await?;
    Ok(json_text(StatusCode::ACCEPTED, accepted.body()))
}

/// Checks the body and makes the order for the dispatcher.
fn order(key: &Key, codes: &CodeKey, body: &[u8], state: &ApiState) -> Result<OtpOrder, ApiError> {
    const NOT_AN_OBJECT: ApiError = ApiError::InvalidRequest(
        "Send a JSON object in UTF-8 with phone and each field once, such as {\"phone\":\"+84981234567\"}.",
    );
    let body: StartVerification = json::object(body).ok_or(NOT_AN_OBJECT)?;
    let lengths = MIN_DIGITS as u32..=MAX_DIGITS as u32;
    let length = whole_number(body.length, "length", lengths)?;
    let length = length.and_then(|digits| CodeLength::new(digits as u8)).unwrap_or_default();
    let ttls = MIN_TTL_SECONDS..=MAX_TTL_SECONDS;
    let ttl_seconds = whole_number(body.ttl_seconds, "ttl_seconds", ttls)?;
    let language = language(body.language)?;
    let fields = CustomerFields::parse(body.reference, body.metadata);
    let fields = fields.map_err(|(name, allowed)| invalid(name, &allowed))?;
    let phone = phone(body.phone, state)?;
    let id = VerificationId(Uuid::now_v7());
    let code = codes.code(id, length);
    let mut order = Request { phone, code, language, repeat: None, fields }.order(key, state)?;
    let ttl_ms = i64::from(ttl_seconds.unwrap_or(DEFAULT_TTL_SECONDS)) * 1_000;
    let expires_at_ms = order.clock.start_ms() + ttl_ms;
    order.verification = Some(VerificationSend {
        sent: Sent { id, phone, attempts_left: MAX_ATTEMPTS, expires_at_ms },
        kind: SendKind::Start { code_length: length, language },
    });
    Ok(order)
}
