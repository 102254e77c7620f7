//! Requests with an idempotency key that are under way in this process.
//!
//! The first under its key is in flight until it has landed: in an answer that is kept, or in one that
//! frees the key. A second waits for it without asking the database. A flight goes with whatever works
//! on the request, so a customer who hangs up on us lets nobody pass: it is the saga that lands it. One
//! that is dropped, as when its saga dies, has freed the key; what is to be known then is in the
//! database.
//!
//! Each flight belongs to a request at the edge or to a saga, which are bounded; so are the flights.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use nexo_domain::idempotency::{Fingerprint, IdempotencyKey, IdempotentRequest};
use nexo_domain::ids::KeyId;
use tokio::sync::watch;

/// An answer that is kept, to be given to each request with the same key and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    pub status: u16,
    pub body: Arc<str>,
}

/// The requests in flight.
#[derive(Debug, Default)]
pub struct Flights(DashMap<(KeyId, IdempotencyKey), Airborne>);

#[derive(Debug)]
struct Airborne {
    fingerprint: Fingerprint,
    landing: watch::Receiver<Option<Landed>>,
}

/// A request's turn under its key.
#[derive(Debug)]
pub enum Turn {
    /// It is the first: the answer is its to find.
    First(Flight),
    /// The same request is in flight.
    Behind(Landing),
    /// Another request has the key.
    Conflict,
}

/// The first request under its key, until it lands or is dropped.
#[derive(Debug)]
pub struct Flight {
    flights: Arc<Flights>,
    request: Arc<IdempotentRequest>,
    lands: watch::Sender<Option<Landed>>,
}

/// The end of somebody else's flight.
#[derive(Debug)]
pub struct Landing(watch::Receiver<Option<Landed>>);

impl Flights {
    pub fn enter(self: &Arc<Self>, request: &Arc<IdempotentRequest>) -> Turn {
        match self.0.entry((request.key_id, request.key.clone())) {
            Entry::Occupied(held) if held.get().fingerprint != request.fingerprint => {
                Turn::Conflict
            }
            Entry::Occupied(held) => Turn::Behind(Landing(held.get().landing.clone())),
            Entry::Vacant(free) => {
                let (lands, landing) = watch::channel(None);
                free.insert(Airborne {
                    fingerprint: request.fingerprint,
                    landing,
                });
                Turn::First(Flight {
                    flights: Arc::clone(self),
                    request: Arc::clone(request),
                    lands,
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

impl Flight {
    pub fn request(&self) -> &Arc<IdempotentRequest> {
        &self.request
    }

    /// It has its answer, which is kept already.
    pub fn land(self, landed: Landed) {
        self.lands.send_replace(Some(landed));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Before those who wait are woken, which dropping the sender does: one of them is next.
        let request = &self.request;
        self.flights
            .0
            .remove(&(request.key_id, request.key.clone()));
    }
}

impl Landing {
    /// What it landed in; `None` when the key is free again.
    pub async fn landed(mut self) -> Option<Landed> {
        match self.0.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone(),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::account::api_key::{ApiKey, KeyMode};
    use uuid::Uuid;

    fn request(key_id: u128, key: &str, body: &[u8]) -> Arc<IdempotentRequest> {
        let random: Vec<u8> = (0..64).map(|n| n * 3).collect();
        let api_key = ApiKey::from_random(KeyMode::Live, &random).unwrap();
        Arc::new(IdempotentRequest {
            key_id: KeyId(Uuid::from_u128(key_id)),
            key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
            fingerprint: Fingerprint::of(&api_key, body),
        })
    }

    fn first(flights: &Arc<Flights>, request: &Arc<IdempotentRequest>) -> Flight {
        match flights.enter(request) {
            Turn::First(flight) => flight,
            other => panic!("not the first: {other:?}"),
        }
    }

    fn behind(flights: &Arc<Flights>, request: &Arc<IdempotentRequest>) -> Landing {
        match flights.enter(request) {
            Turn::Behind(landing) => landing,
            other => panic!("not behind: {other:?}"),
        }
    }

    #[tokio::test]
    async fn those_behind_get_the_firsts_answer_and_the_key_leaves_the_map() {
        let flights = Arc::new(Flights::default());
        let asked = request(1, "k", b"{}");
        let flight = first(&flights, &asked);
        let waiting = [behind(&flights, &asked), behind(&flights, &asked)];
        let answer = Landed {
            status: 202,
            body: "ok".into(),
        };
        flight.land(answer.clone());
        assert!(flights.is_empty());
        for landing in waiting {
            assert_eq!(landing.landed().await.as_ref(), Some(&answer));
        }
    }

    #[tokio::test]
    async fn a_dropped_flight_frees_its_key_before_anybody_hears_of_it() {
        let flights = Arc::new(Flights::default());
        let asked = request(1, "k", b"{}");
        let flight = first(&flights, &asked);
        let landing = behind(&flights, &asked);
        let next = {
            let (flights, asked) = (Arc::clone(&flights), Arc::clone(&asked));
            tokio::spawn(async move {
                assert_eq!(landing.landed().await, None);
                first(&flights, &asked)
            })
        };
        drop(flight);
        drop(next.await.unwrap());
        assert!(flights.is_empty());
    }

    #[test]
    fn another_body_is_a_conflict_and_another_api_key_or_key_is_not() {
        let flights = Arc::new(Flights::default());
        let _flight = first(&flights, &request(1, "k", b"{}"));
        let other = flights.enter(&request(1, "k", b"{ }"));
        assert!(matches!(other, Turn::Conflict));
        let _others = [
            first(&flights, &request(2, "k", b"{}")),
            first(&flights, &request(1, "K", b"{}")),
        ];
    }
}
