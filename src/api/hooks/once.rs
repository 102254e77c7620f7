//! One ring: while a phone's window is held, the same integration, phone and code get the first answer again.
//!
//! | state | this request |
//! |---|---|
//! | the same request in flight in this process | waits for it |
//! | the phone's window is free | rings |
//! | the window is held by the same request | gets its answer, also from another process |
//! | the window is held by another code | 429 |
//! | no answer by the deadline, but the debit is durable, ours or the one waited for | success |
//! | no answer by the deadline, and no durable debit | 503 |
//! | the request that was waited for has failed, and too little time is left for another call | 503 |
//!
//! The stored answer lives as long as the window, so it is read only if the window is held. A failure frees the request,
//! as with an idempotency key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_actors::dispatch::Dispatched;
use nexo_actors::dispatch::inflight::{Entered, StoredResponse};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;

use crate::api::auth::keyring::Key;
use crate::api::error::ApiError;
use crate::api::otp::idempotency::{POLL_INTERVAL, read_stored};
use crate::api::otp::order::{OrderFacts, Request};
use crate::api::state::ApiState;

/// How long before the deadline no call is begun any more: its outcome could not be told.
const MIN_CALL_TIME: Duration = Duration::from_secs(1);

/// How a request succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Ring {
    /// It made the phone ring.
    First,
    /// The phone rang for the same request before.
    Replayed,
}

/// What is stored of the same request.
enum Stored {
    /// Its OTP holds the phone's window, and its answer is a success.
    Answer(StoredResponse),
    /// Nothing.
    Nothing,
    /// Its OTP held the window until a moment ago, when no gateway took the call.
    Released,
}

/// Makes the phone ring, or finds that it rang for the same request.
///
/// # Errors
/// Those of an OTP; [`ApiError::Overloaded`] if there is neither an answer nor a durable debit by the deadline.
pub(super) async fn ring_once(
    request: Arc<IdempotentRequest>,
    key: &Key,
    otp: Request,
    state: &ApiState,
    deadline: Instant,
) -> Result<Ring, ApiError> {
    let carrier = state.routing.carrier(otp.phone).ok_or(ApiError::NoCarrier)?;
    let dispatcher = &state.dispatcher;
    // The OTP of this request that another node's OTP kept from the window.
    let mut lost = None;
    // An older window may end between the read and the debit, and the same request on another node be next.
    let mut may_read_again = true;
    loop {
        let in_flight = match dispatcher.in_flight.enter(&request) {
            Entered::First(in_flight) => in_flight,
            Entered::Duplicate(waiter) => {
                let response = waiter.clone().response();
                match tokio::time::timeout_at(deadline.into(), response).await {
                    Ok(Some(_)) => return Ok(replayed(state)),
                    Ok(None) if Instant::now() < deadline => continue,
                    Err(_) if waiter.is_paid() => return Ok(replayed(state)),
                    Ok(None) | Err(_) => return Err(ApiError::Overloaded),
                }
            }
            Entered::Conflict => return Err(state.internal("two requests have one identity")),
        };
        let is_held = dispatcher.window_holder(carrier, otp.phone).is_some();
        if is_held {
            match stored_answer(&request, (carrier, otp.phone), state, deadline).await? {
                Stored::Answer(response) => {
                    in_flight.complete(response);
                    return Ok(replayed(state));
                }
                Stored::Released => {
                    if let Some(lost) = lost {
                        dispatcher.forget_window(carrier, otp.phone, lost);
                    }
                }
                Stored::Nothing => {}
            }
        }
        if Instant::now() + MIN_CALL_TIME >= deadline {
            return Err(ApiError::Overloaded);
        }
        let order = otp.clone().order(key, state)?;
        let (facts, ours) = (OrderFacts::of(&order), in_flight.waiter());
        let dispatched = dispatcher.dispatch(order, Some(in_flight));
        let dispatched = match tokio::time::timeout_at(deadline.into(), dispatched).await {
            Ok(dispatched) => dispatched.unwrap_or(Dispatched::Lost),
            Err(_) if ours.is_paid() => return Ok(Ring::First),
            Err(_) => return Err(ApiError::Overloaded),
        };
        match dispatched {
            // The window was claimed since it was found free; perhaps by the same request.
            Dispatched::WindowHeld { .. } if !is_held || may_read_again => {
                may_read_again &= !is_held;
                lost = Some(facts.id);
            }
            Dispatched::KeyTaken => {}
            dispatched => return facts.answer(dispatched, state).await.map(|_| Ring::First),
        }
    }
}

/// The answer of the same request whose OTP holds the phone's window. Polls the database while another process may still
/// change it; at the deadline, the durable debit counts as success.
async fn stored_answer(
    request: &IdempotentRequest,
    (carrier, phone): (Carrier, Phone),
    state: &ApiState,
    deadline: Instant,
) -> Result<Stored, ApiError> {
    let mut was_held = false;
    loop {
        let read = tokio::time::timeout_at(deadline.into(), read_stored(request, state)).await;
        let held = match read {
            Ok(read) => read?.and_then(|stored| Some((stored.delivery_id?, stored))),
            Err(_) => return Err(ApiError::Overloaded),
        };
        let holds = |id: DeliveryId| state.dispatcher.window_holder(carrier, phone) == Some(id);
        let held = held.filter(|(id, stored)| stored.holds_window || holds(*id));
        let Some((id, stored)) = held else {
            return Ok(if was_held { Stored::Released } else { Stored::Nothing });
        };
        // This process holds the in-flight entry, so its own saga has already answered with success.
        let is_final = stored.is_final || state.dispatcher.live.contains(id);
        if is_final || Instant::now() + POLL_INTERVAL >= deadline {
            return Ok(Stored::Answer(StoredResponse {
                status: stored.status,
                body: stored.body.into(),
            }));
        }
        was_held = true;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn replayed(state: &ApiState) -> Ring {
    state.replays.increment(1);
    Ring::Replayed
}
