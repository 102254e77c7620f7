//! `Idempotency-Key` on `POST /send-otp`: the same request has one answer, and rings once.
//!
//! | who has the key | this request |
//! |---|---|
//! | nobody | takes its turn: what it is answered is kept, unless that frees the key |
//! | the same request, in flight in this process | waits for its landing |
//! | the same request, in flight in another process | looks into the database until it is decided |
//! | the same request, answered | is answered the same |
//! | another body | 409 |
//!
//! A 5xx, a 429 and a 402 free the key; so does a key or account that was closed meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use nexo_actors::clock;
use nexo_actors::dispatch::Dispatched;
use nexo_actors::dispatch::inflight::{Flight, Landed, Turn};
use nexo_domain::idempotency::{Fingerprint, IdempotencyKey, IdempotentRequest};
use nexo_entities::store::ledger::posting::Keep;

use super::send_otp::{Facts, check, json};
use crate::api::Edge;
use crate::api::auth::caller::given_key;
use crate::api::auth::keyring::Key;
use crate::api::error::ApiError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Between two looks at what another process is about to answer.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The request as its header names it; `None` without one.
pub fn asked(
    headers: &HeaderMap,
    key: &Key,
    body: &[u8],
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
        fingerprint: Fingerprint::of(&given_key(headers)?, body),
    })))
}

/// Answers as the same request was answered before, or as the first of its kind.
pub async fn answer_once(
    asked: &Arc<IdempotentRequest>,
    key: &Key,
    body: &[u8],
    edge: &Edge,
) -> Result<HttpResponse, ApiError> {
    let give_up = Instant::now() + edge.desk.answers_within();
    loop {
        let flight = match edge.desk.flights.enter(asked) {
            Turn::First(flight) => flight,
            Turn::Conflict => return Err(ApiError::IdempotencyConflict),
            Turn::Behind(landing) => {
                let landed = tokio::time::timeout_at(give_up.into(), landing.landed()).await;
                match landed.map_err(|_| ApiError::Overloaded)? {
                    Some(landed) => return replayed(&landed, edge),
                    None => continue,
                }
            }
        };
        if let Some(kept) = decided(asked, edge, give_up).await? {
            flight.land(kept.clone());
            return replayed(&kept, edge);
        }
        if let Some(answer) = first_answer(flight, key, body, edge).await? {
            return Ok(answer);
        }
        if Instant::now() >= give_up {
            return Err(ApiError::Overloaded);
        }
    }
}

/// What is kept for this request, once it stands. The database is asked, for as long as another process
/// may yet decide otherwise.
async fn decided(
    asked: &IdempotentRequest,
    edge: &Edge,
    give_up: Instant,
) -> Result<Option<Landed>, ApiError> {
    loop {
        let kept = edge.store.kept_answer(asked, clock::unix_ms());
        let kept = edge.read("a kept answer", kept).await?;
        let Some(kept) = kept else {
            return Ok(None);
        };
        if kept.fingerprint != asked.fingerprint {
            return Err(ApiError::IdempotencyConflict);
        }
        // Its flight is ours, so the saga of this process that works on it has landed it: by a 202.
        let is_ours = kept
            .delivery_id
            .is_some_and(|id| edge.desk.live.contains(id));
        if kept.stands || is_ours {
            return Ok(Some(Landed {
                status: kept.status,
                body: kept.body.into(),
            }));
        }
        if Instant::now() >= give_up {
            return Err(ApiError::Overloaded);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Takes the key's turn. `None` when another process was faster: there is something to be found now.
async fn first_answer(
    flight: Flight,
    key: &Key,
    body: &[u8],
    edge: &Edge,
) -> Result<Option<HttpResponse>, ApiError> {
    let order = match check(key, body, edge) {
        Ok(order) => order,
        Err(refused) if refused.status() == StatusCode::BAD_REQUEST => {
            return keep_refusal(flight, key, refused, edge).await;
        }
        Err(refused) => return Err(refused),
    };
    let (facts, asked) = (Facts::of(&order), Arc::clone(flight.request()));
    let dispatched = edge.desk.dispatch(order, Some(flight)).await;
    let dispatched = dispatched.unwrap_or(Dispatched::Lost);
    if dispatched == Dispatched::KeyTaken || is_by_the_same(&dispatched, &asked, edge).await {
        return Ok(None);
    }
    let accepted = facts.told(dispatched, edge)?;
    Ok(Some(json(StatusCode::ACCEPTED, accepted.body())))
}

/// Whether the phone's window is closed by this very request, which another process has just accepted.
async fn is_by_the_same(dispatched: &Dispatched, asked: &IdempotentRequest, edge: &Edge) -> bool {
    let kept = match dispatched {
        Dispatched::WindowClosed { .. } => edge.store.kept_answer(asked, clock::unix_ms()),
        _ => return false,
    };
    matches!(edge.read("a kept answer", kept).await, Ok(Some(_)))
}

/// Keeps what is wrong with the request, and answers it.
async fn keep_refusal(
    flight: Flight,
    key: &Key,
    refused: ApiError,
    edge: &Edge,
) -> Result<Option<HttpResponse>, ApiError> {
    let landed = Landed {
        status: refused.status().as_u16(),
        body: refused.body().into(),
    };
    let keep = Keep::Refused {
        request: Arc::clone(flight.request()),
        status: landed.status,
        body: landed.body.to_string(),
        at_ms: clock::unix_ms(),
    };
    match edge.desk.keep(key.account_id, keep).await {
        Some(true) => {
            flight.land(landed);
            Ok(Some(refused.response()))
        }
        Some(false) => Ok(None),
        None => Err(ApiError::Overloaded),
    }
}

/// The same answer once more: status, type and body to the last byte.
fn replayed(landed: &Landed, edge: &Edge) -> Result<HttpResponse, ApiError> {
    let status = StatusCode::from_u16(landed.status)
        .map_err(|_| edge.internal("a kept answer has no HTTP status"))?;
    edge.replays.increment(1);
    let mut answer = json(status, landed.body.to_string());
    answer
        .headers_mut()
        .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    Ok(answer)
}
