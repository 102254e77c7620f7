//! `Idempotency-Key` on requests that send a code: repeated requests get one answer and ring the phone once.
//!
//! | state of the key | this request |
//! |---|---|
//! | unused | runs; its answer is stored, unless the answer frees the key |
//! | same request in flight in this process | waits for it |
//! | same request in flight in another process | polls the database until that one has an outcome |
//! | same request, answered | gets the stored answer |
//! | used with another body | 409 |
//!
//! A 5xx, a 429 and a 402 free the key; so does an API key or account that is revoked or closed in the meantime.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use nexo_actors::clock;
use nexo_actors::dispatch::inflight::{Entered, InFlight, StoredResponse};
use nexo_actors::dispatch::{Dispatched, OtpOrder};
use nexo_domain::account::api_key::ApiKey;
use nexo_domain::account::quota::QuotaKind;
use nexo_domain::idempotency::{Fingerprint, IdempotencyKey, IdempotentRequest, Lifetime};
use nexo_entities::store::deliveries::idempotency::IdempotentAnswer;
use nexo_entities::store::ledger::posting::IdempotencyWrite;

use super::order::OrderFacts;
use crate::api::auth::caller::presented_key;
use crate::api::auth::keyring::Key;
use crate::api::body::json_text;
use crate::api::error::ApiError;
use crate::api::state::ApiState;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// How often the database is polled for the outcome in another process.
pub(in crate::api) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The request's idempotency key and its `fingerprint`; `None` without the header.
///
/// # Errors
/// [`ApiError::InvalidRequest`] for a malformed or repeated header.
pub fn request(
    headers: &HeaderMap,
    key: &Key,
    fingerprint: impl FnOnce(&ApiKey) -> Fingerprint,
) -> Result<Option<Arc<IdempotentRequest>>, ApiError> {
    const MALFORMED: ApiError = ApiError::InvalidRequest(
        "Send one Idempotency-Key of 1 to 255 printable ASCII characters, or none.",
    );
    let mut values = headers.get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(MALFORMED);
    }
    let idempotency_key = IdempotencyKey::parse(value.as_bytes()).map_err(|_| MALFORMED)?;
    Ok(Some(Arc::new(IdempotentRequest {
        key_id: key.key_id,
        key: idempotency_key,
        fingerprint: fingerprint(&presented_key(headers)?),
        lifetime: Lifetime::Day,
    })))
}

/// Replays the stored answer of the same request, or runs the request as the first one: sends the OTP that `order`
/// makes.
///
/// # Errors
/// Those of the request itself, [`ApiError::IdempotencyConflict`] for another body, and
/// [`ApiError::Overloaded`] if the other request has no outcome in time.
pub async fn answer_once(
    request: &Arc<IdempotentRequest>,
    key: &Key,
    order: impl AsyncFn() -> Result<OtpOrder, ApiError>,
    state: &ApiState,
) -> Result<HttpResponse, ApiError> {
    let give_up = Instant::now() + state.dispatcher.answer_timeout();
    loop {
        let in_flight = match state.dispatcher.in_flight.enter(request) {
            Entered::First(in_flight) => in_flight,
            Entered::Conflict => return Err(ApiError::IdempotencyConflict),
            Entered::Duplicate(waiter) => {
                let response = tokio::time::timeout_at(give_up.into(), waiter.response()).await;
                match response.map_err(|_| ApiError::Overloaded)? {
                    Some(response) => return replayed(&response, state),
                    None => continue,
                }
            }
        };
        if let Some(stored) = stored_answer(request, state, give_up).await? {
            in_flight.complete(stored.clone());
            return replayed(&stored, state);
        }
        if let Some(answer) = first_answer(in_flight, key, &order, state).await? {
            return Ok(answer);
        }
        if Instant::now() >= give_up {
            return Err(ApiError::Overloaded);
        }
    }
}

/// The stored answer once it is final; `None` without one. Polls the database while another process may still
/// change it.
async fn stored_answer(
    request: &IdempotentRequest,
    state: &ApiState,
    give_up: Instant,
) -> Result<Option<StoredResponse>, ApiError> {
    loop {
        let Some(stored) = read_stored(request, state).await? else {
            return Ok(None);
        };
        if stored.fingerprint != request.fingerprint {
            return Err(ApiError::IdempotencyConflict);
        }
        // This process holds the in-flight entry, so its own saga has already answered with a 202.
        let is_ours = stored.delivery_id.is_some_and(|id| state.dispatcher.live.contains(id));
        if stored.is_final || is_ours {
            return Ok(Some(StoredResponse { status: stored.status, body: stored.body.into() }));
        }
        if Instant::now() >= give_up {
            return Err(ApiError::Overloaded);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Reads what is stored for the request now.
///
/// # Errors
/// Those of the database.
pub(in crate::api) async fn read_stored(
    request: &IdempotentRequest,
    state: &ApiState,
) -> Result<Option<IdempotentAnswer>, ApiError> {
    let window_now_ms = state.dispatcher.lease.window_clock().now_ms();
    let deliveries = state.store.deliveries();
    let stored = deliveries.idempotent_answer(request, clock::unix_ms(), window_now_ms);
    state.read("a stored answer", stored).await
}

/// Runs the request as the first with its key. `None` if another process was faster and has stored an answer.
async fn first_answer(
    in_flight: InFlight,
    key: &Key,
    order: &impl AsyncFn() -> Result<OtpOrder, ApiError>,
    state: &ApiState,
) -> Result<Option<HttpResponse>, ApiError> {
    let order = match order().await {
        Ok(order) => order,
        Err(refused) if refused.status() == StatusCode::BAD_REQUEST => {
            return store_refusal(in_flight, key, refused, state).await;
        }
        Err(refused) => return Err(refused),
    };
    let (facts, request) = (OrderFacts::of(&order), Arc::clone(in_flight.request()));
    let dispatched = state.dispatcher.dispatch(order, Some(in_flight)).await;
    let dispatched = dispatched.unwrap_or(Dispatched::Lost);
    if dispatched == Dispatched::KeyTaken || is_same_request(&dispatched, &request, state).await {
        return Ok(None);
    }
    let accepted = facts.answer(dispatched, state).await?;
    Ok(Some(json_text(StatusCode::ACCEPTED, accepted.body())))
}

/// Whether the same request, just accepted by another process, is what closed the phone's window.
async fn is_same_request(
    dispatched: &Dispatched,
    request: &IdempotentRequest,
    state: &ApiState,
) -> bool {
    match dispatched {
        Dispatched::WindowHeld { .. } => {
            matches!(read_stored(request, state).await, Ok(Some(_)))
        }
        _ => false,
    }
}

/// Stores a 400 under the key and answers with it.
async fn store_refusal(
    in_flight: InFlight,
    key: &Key,
    refused: ApiError,
    state: &ApiState,
) -> Result<Option<HttpResponse>, ApiError> {
    let taken = state.quotas.take_in_memory(QuotaKind::StoredRefusals, key.account_id);
    taken.map_err(ApiError::QuotaExceeded)?;
    let response =
        StoredResponse { status: refused.status().as_u16(), body: refused.body().into() };
    let keep = IdempotencyWrite::Refused {
        request: Arc::clone(in_flight.request()),
        status: response.status,
        body: response.body.to_string(),
        at_ms: clock::unix_ms(),
    };
    match state.dispatcher.store_response(key.account_id, keep).await {
        Some(true) => {
            in_flight.complete(response);
            Ok(Some(refused.response()))
        }
        Some(false) => Ok(None),
        None => Err(ApiError::Overloaded),
    }
}

/// The stored answer again: the same status, type and body bytes.
fn replayed(response: &StoredResponse, state: &ApiState) -> Result<HttpResponse, ApiError> {
    let status = StatusCode::from_u16(response.status)
        .map_err(|_| state.internal("a stored answer has no valid HTTP status"))?;
    state.replays.increment(1);
    let mut answer = json_text(status, response.body.to_string());
    answer.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    Ok(answer)
}
