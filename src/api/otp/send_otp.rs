//! `POST /send-otp`: one OTP, checked in the documented order.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::dispatch::Dispatched;
use nexo_domain::account::api_key::ApiKey;
use nexo_domain::call::acceptance::{Accepted, AcceptedBody};
use nexo_domain::idempotency::Fingerprint;
use zeroize::Zeroizing;

use super::idempotency;
use super::order::{OrderFacts, SendOtp, order};
use crate::api::auth::caller::{authorize, presented_key};
use crate::api::auth::keyring::Key;
use crate::api::body::{json_text, read_body};
use crate::api::error::{ApiError, Error};
use crate::api::state::ApiState;

/// Handles the request.
///
/// # Errors
/// The first check that fails.
#[utoipa::path(
    post,
    path = "/api/v1/send-otp",
    operation_id = "sendOtp",
    summary = "Call a phone and read it a code",
    params((
        "Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$",
        description = "Your key for this OTP; 1 to 255 printable ASCII characters, kept for 24 h per API key. A repeated request gets the first answer again and rings no phone; while the first is in flight, it waits for it. A 402, 429 or 5xx frees the key."
    )),
    request_body(content = SendOtp, description = "At most 16 KiB."),
    responses(
        (status = 202, description = "The carrier accepted the call.", body = AcceptedBody, headers(("Idempotent-Replayed" = Option<String>, description = "`true` for a replayed answer."))),
        (status = 400, description = "`invalid_request`, `invalid_phone` or `invalid_code`.", body = Error, headers(("Idempotent-Replayed" = Option<String>, description = "`true` for a replayed answer."))),
        (status = 402, description = "`insufficient_balance`.", body = Error),
        (status = 409, description = "`idempotency_conflict`: the Idempotency-Key was used with another body.", body = Error),
        (status = 413, description = "`payload_too_large`.", body = Error),
        (status = 429, description = "`rate_limited`: this phone was called less than 30 s ago. `quota_exceeded`: the test key's OTPs, or the refusals stored under idempotency keys, are used up. `no_route`: the carrier throttles; refunded.", body = Error),
        (status = 502, description = "`no_route`: no carrier accepted the call; with `id`, it was refunded; without, the carrier has no gateway and nothing was charged.", body = Error),
        (status = 503, description = "`overloaded`: nothing was spent; if a connection broke midway, the debit is refunded within seconds.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn send_otp(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    // Without a lease the database may be unreachable, so the key cannot be verified either. A missing or
    // malformed key needs no database.
    if !state.dispatcher.lease.is_valid() {
        presented_key(request.headers())?;
        return Err(ApiError::Overloaded);
    }
    let key = authorize(&request, &state).await?;
    let body = read_body(&request, payload).await?;
    let fingerprint = |api_key: &ApiKey| Fingerprint::of(api_key, &body);
    if let Some(once) = idempotency::request(request.headers(), &key, fingerprint)? {
        let order = async || order(&key, &body, &state);
        return idempotency::answer_once(&once, &key, order, &state).await;
    }
    let accepted = send(&key, body, &state).await?;
    Ok(json_text(StatusCode::ACCEPTED, accepted.body()))
}

/// Checks the body of a request that may use `key`, and calls the phone.
///
/// # Errors
/// The first check that fails, or why the call was not accepted.
pub async fn send(
    key: &Key,
    body: Zeroizing<Vec<u8>>,
    state: &ApiState,
) -> Result<Accepted, ApiError> {
    if !state.dispatcher.lease.is_valid() {
        return Err(ApiError::Overloaded);
    }
    let order = order(key, &body, state)?;
    drop(body);
    let facts = OrderFacts::of(&order);
    let outcome = state.dispatcher.dispatch(order, None).await;
    facts.answer(outcome.unwrap_or(Dispatched::Lost), state).await
}
