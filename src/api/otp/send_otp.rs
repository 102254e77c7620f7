//! `POST /send-otp`: one OTP, checked in the contract's order.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use nexo_actors::dispatch::Dispatched;

use super::idempotency;
use super::order::{OrderFacts, order};
use crate::api::auth::caller::{authorize, presented_key};
use crate::api::body::{json_text, read_body};
use crate::api::error::ApiError;
use crate::api::state::ApiState;

/// Handles the request.
///
/// # Errors
/// Every refusal; actix-web turns it into the answer.
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
    if let Some(once) = idempotency::request(request.headers(), &key, &body)? {
        return idempotency::answer_once(&once, &key, &body, &state).await;
    }
    let order = order(&key, &body, &state)?;
    drop(body);
    let facts = OrderFacts::of(&order);
    let outcome = state.dispatcher.dispatch(order, None).await;
    let accepted = facts.answer(outcome.unwrap_or(Dispatched::Lost), &state)?;
    Ok(json_text(StatusCode::ACCEPTED, accepted.body()))
}
