//! Requests with an idempotency key that this process works on (*singleflight*).
//!
//! The first request under a key is in flight until it completes with a response that is stored, or is dropped. A
//! second request waits for the first without a query to the database. The [`InFlight`] belongs to the saga, so a
//! client that disconnects does not let another request pass. If an [`InFlight`] is dropped, for example because
//! its saga died, the key is free again, and the database holds what is known of the first request.
//!
//! Each [`InFlight`] belongs to a request in the API or to a saga. Both are bounded, so this map is bounded too.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use nexo_domain::idempotency::{Fingerprint, IdempotencyKey, IdempotentRequest};
use nexo_domain::ids::KeyId;
use tokio::sync::watch;

/// A stored response, returned to each request with the same key and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    pub status: u16,
    pub body: Arc<str>,
}

/// The requests in flight.
#[derive(Debug, Default)]
pub struct InFlightRequests(DashMap<(KeyId, IdempotencyKey), Slot>);

#[derive(Debug)]
struct Slot {
    fingerprint: Fingerprint,
    progress: watch::Receiver<Progress>,
}

/// How far the first request has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    Running,
    /// Its debit is durable, but no gateway has accepted its call yet.
    Paid,
    Completed(StoredResponse),
}

/// What a request finds under its key.
#[derive(Debug)]
pub enum Entered {
    /// It is the first.
    First(InFlight),
    /// The same request is in flight already.
    Duplicate(Waiter),
    /// A different request uses the key.
    Conflict,
}

/// The first request under its key, until it completes or is dropped.
#[derive(Debug)]
pub struct InFlight {
    requests: Arc<InFlightRequests>,
    request: Arc<IdempotentRequest>,
    progress: watch::Sender<Progress>,
}

/// Waits for the first request under a key.
#[derive(Debug, Clone)]
pub struct Waiter(watch::Receiver<Progress>);

impl InFlightRequests {
    pub fn enter(self: &Arc<Self>, request: &Arc<IdempotentRequest>) -> Entered {
        match self.0.entry((request.key_id, request.key.clone())) {
            Entry::Occupied(held) if held.get().fingerprint != request.fingerprint => {
                Entered::Conflict
            }
            Entry::Occupied(held) => Entered::Duplicate(Waiter(held.get().progress.clone())),
            Entry::Vacant(free) => {
                let (sender, progress) = watch::channel(Progress::Running);
                free.insert(Slot { fingerprint: request.fingerprint, progress });
                Entered::First(InFlight {
                    requests: Arc::clone(self),
                    request: Arc::clone(request),
                    progress: sender,
                })
            }
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl InFlight {
    pub fn request(&self) -> &Arc<IdempotentRequest> {
        &self.request
    }

    /// Another view of the request's progress.
    pub fn waiter(&self) -> Waiter {
        Waiter(self.progress.subscribe())
    }

    /// Records that the request's debit is durable.
    pub fn paid(&self) {
        self.progress.send_replace(Progress::Paid);
    }

    /// Completes the request with its response, which must be stored already.
    pub fn complete(self, response: StoredResponse) {
        self.progress.send_replace(Progress::Completed(response));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // The sender is dropped after this and wakes the waiters. By then the key must be free for one of them.
        let request = &self.request;
        self.requests.0.remove(&(request.key_id, request.key.clone()));
    }
}

impl Waiter {
    /// The response of the first request; `None` when the key is free again.
    pub async fn response(mut self) -> Option<StoredResponse> {
        let completed = |progress: &Progress| matches!(progress, Progress::Completed(_));
        match self.0.wait_for(completed).await.as_deref() {
            Ok(Progress::Completed(response)) => Some(response.clone()),
            Ok(Progress::Running | Progress::Paid) | Err(_) => None,
        }
    }

    /// Whether the request's debit is durable, and the request was not given up since.
    pub fn is_paid(&self) -> bool {
        match &*self.0.borrow() {
            Progress::Running => false,
            Progress::Paid => self.0.has_changed().is_ok(),
            Progress::Completed(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::account::api_key::{ApiKey, KeyMode};
    use nexo_domain::idempotency::Lifetime;
    use uuid::Uuid;

    fn request(key_id: u128, key: &str, body: &[u8]) -> Arc<IdempotentRequest> {
        let random: Vec<u8> = (0..64).map(|n| n * 3).collect();
        let api_key = ApiKey::from_random(KeyMode::Live, &random).unwrap();
        Arc::new(IdempotentRequest {
            key_id: KeyId(Uuid::from_u128(key_id)),
            key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
            fingerprint: Fingerprint::of(&api_key, body),
            lifetime: Lifetime::Day,
        })
    }

    fn first(requests: &Arc<InFlightRequests>, request: &Arc<IdempotentRequest>) -> InFlight {
        match requests.enter(request) {
            Entered::First(first) => first,
            other => panic!("not the first: {other:?}"),
        }
    }

    fn duplicate(requests: &Arc<InFlightRequests>, request: &Arc<IdempotentRequest>) -> Waiter {
        match requests.enter(request) {
            Entered::Duplicate(waiter) => waiter,
            other => panic!("not a duplicate: {other:?}"),
        }
    }

    #[tokio::test]
    async fn duplicates_get_the_response_of_the_first_and_the_key_is_free_again() {
        let requests = Arc::new(InFlightRequests::default());
        let repeated = request(1, "k", b"{}");
        let in_flight = first(&requests, &repeated);
        let waiting = [duplicate(&requests, &repeated), duplicate(&requests, &repeated)];
        let response = StoredResponse { status: 202, body: "ok".into() };
        in_flight.complete(response.clone());
        assert!(requests.is_empty());
        for waiter in waiting {
            assert_eq!(waiter.response().await.as_ref(), Some(&response));
        }
    }

    #[tokio::test]
    async fn waiters_see_that_the_first_has_paid_until_it_is_given_up() {
        let requests = Arc::new(InFlightRequests::default());
        let repeated = request(1, "k", b"{}");
        let in_flight = first(&requests, &repeated);
        let (own, other) = (in_flight.waiter(), duplicate(&requests, &repeated));
        assert!(!own.is_paid() && !other.is_paid());
        in_flight.paid();
        assert!(own.is_paid() && other.is_paid());
        drop(in_flight);
        assert!(!own.is_paid() && !other.is_paid());
        assert_eq!(other.response().await, None);

        let in_flight = first(&requests, &repeated);
        let waiter = in_flight.waiter();
        in_flight.paid();
        in_flight.complete(StoredResponse { status: 202, body: "ok".into() });
        assert!(waiter.is_paid());
    }

    #[tokio::test]
    async fn a_dropped_request_frees_its_key_before_waiters_wake() {
        let requests = Arc::new(InFlightRequests::default());
        let repeated = request(1, "k", b"{}");
        let in_flight = first(&requests, &repeated);
        let waiter = duplicate(&requests, &repeated);
        let next = {
            let (requests, repeated) = (Arc::clone(&requests), Arc::clone(&repeated));
            tokio::spawn(async move {
                assert_eq!(waiter.response().await, None);
                first(&requests, &repeated)
            })
        };
        drop(in_flight);
        drop(next.await.unwrap());
        assert!(requests.is_empty());
    }

    #[test]
    fn a_different_body_is_a_conflict_and_a_different_api_key_or_key_is_not() {
        let requests = Arc::new(InFlightRequests::default());
        let _first = first(&requests, &request(1, "k", b"{}"));
        let other = requests.enter(&request(1, "k", b"{ }"));
        assert!(matches!(other, Entered::Conflict));
        let _others =
            [first(&requests, &request(2, "k", b"{}")), first(&requests, &request(1, "K", b"{}"))];
    }
}
