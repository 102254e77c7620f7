//! `POST /verifications/{id}/resend`: calls again and reads the same code.

use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::dispatch::OtpOrder;
use nexo_domain::account::api_key::ApiKey;
use nexo_domain::idempotency::Fingerprint;
use nexo_domain::verification::MAX_SENDS;
use nexo_domain::verification::answer::{Sent, SentBody};
use nexo_domain::verification::code::CodeKey;
use nexo_entities::store::ledger::posting::{SendKind, VerificationSend};

use super::start::send;
use super::{caller, closed, of_caller};
use crate::api::auth::caller::presented_key;
use crate::api::auth::keyring::Key;
use crate::api::body::read_body;
use crate::api::error::{ApiError, Error};
use crate::api::otp::idempotency;
use crate::api::otp::order::Request;
use crate::api::state::ApiState;

/// Handles the request. The body is not read as JSON.
///
/// # Errors
/// The first check that fails, or why the call was not accepted.
#[utoipa::path(
    post,
    path = "/api/v1/verifications/{id}/resend",
    operation_id = "resendVerification",
    summary = "Call again and read the same code",
    description = "Another OTP, at its price. The time of the code does not begin again.",
    params(
        ("id" = Uuid, Path, description = "The verification's id. A malformed or foreign one is 404."),
        (
            "Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            pattern = "^[!-~]([ -~]{0,253}[!-~])?$",
            description = "As with `send-otp`."
        )
    ),
    responses(
        (status = 202, description = "The carrier accepted the call.", body = SentBody, headers(("Idempotent-Replayed" = Option<String>, description = "`true` for a replayed answer."))),
        (status = 402, description = "`insufficient_balance`.", body = Error),
        (status = 404, description = "`not_found`: unknown, foreign, malformed, or started by a key of the other kind, live or test.", body = Error),
        (status = 409, description = "`verification_closed`, with `status`. `too_many_sends`: five calls have read the code. `idempotency_conflict`.", body = Error),
        (status = 413, description = "`payload_too_large`.", body = Error),
        (status = 429, description = "`rate_limited`: this phone was called less than 30 s ago. `quota_exceeded`: the test key's OTPs are used up. `no_route`: the carrier throttles; refunded, and the call does not count.", body = Error),
        (status = 501, description = "`verify_not_configured`: the operator has set no secret.", body = Error),
        (status = 502, description = "`no_route`: no carrier accepted the call, which does not count. With `id`, that OTP was refunded; without, the carrier has no gateway and nothing was charged.", body = Error),
        (status = 503, description = "`overloaded`: nothing was spent; if a connection broke midway, the debit is refunded within seconds.", body = Error),
    ),
    security(("api_key" = []))
)]
pub async fn resend(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    if !state.dispatcher.lease.is_valid() {
        presented_key(request.headers())?;
        return Err(ApiError::Overloaded);
    }
    let (key, codes) = caller(&request, &state).await?;
    let body = read_body(&request, payload).await?;
    let order = async || order(&id, &key, codes, &state).await;
    let fingerprint = |api_key: &ApiKey| {
        let route = format!("POST /verifications/{}/resend", id.to_ascii_lowercase());
        Fingerprint::of_route(api_key, &route, &body)
    };
    match idempotency::request(request.headers(), &key, fingerprint)? {
        Some(once) => idempotency::answer_once(&once, &key, order, &state).await,
        None => send(order().await?, &state).await,
    }
}

/// Makes the order for the dispatcher. Whether the code may be sent again is decided by the debit; what is known
/// before is refused here.
async fn order(
    id: &str,
    key: &Key,
    codes: &CodeKey,
    state: &ApiState,
) -> Result<OtpOrder, ApiError> {
    let verification = of_caller(id, key, state).await?;
    if let Some(closed) = closed(&verification) {
        return Err(closed);
    }
    if verification.state.sends >= MAX_SENDS {
        return Err(ApiError::TooManySends);
    }
    // A pending one is never masked.
    let phone = verification.phone.whole().ok_or(ApiError::NotFound)?;
    let request = Request {
        phone,
        code: codes.code(verification.id, verification.code_length),
        language: verification.language,
        repeat: None,
        fields: verification.fields.clone(),
    };
    let mut order = request.order(key, state)?;
    order.verification = Some(VerificationSend {
        sent: Sent {
            id: verification.id,
            phone,
            attempts_left: verification.state.attempts_left(),
            expires_at_ms: verification.state.expires_at_ms,
        },
        kind: SendKind::Resend,
    });
    Ok(order)
}
