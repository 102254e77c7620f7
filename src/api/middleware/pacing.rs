//! Paces requests that cost a caller nothing: reads, refusals, and replays of an answer.
//!
//! Beyond a rate for each account, the finished answer waits. So a client in a loop becomes slower, whatever it asks
//! for, and the requests of others do not queue behind its requests. Nothing is refused, and an accepted OTP never
//! waits. A request that proves no account counts for its client's network.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use actix_web::HttpMessage;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::web;
use lru::LruCache;
use metrics::{Counter, counter};
use nexo_domain::ids::AccountId;
use parking_lot::Mutex;

use crate::api::auth::caller::client_address;
use crate::api::otp::idempotency::IDEMPOTENT_REPLAYED;
use crate::api::state::ApiState;
use crate::http::limits::network;

/// How much of the rate a caller may use at once, as a time.
const BURST: Duration = Duration::from_secs(1);
/// The longest wait of an answer.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Callers that are remembered. One that is dropped for a newer one may use a whole burst again.
const MAX_CALLERS: usize = 100_000;

/// Whose requests count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    Account(AccountId),
    /// See [`network`].
    Network(IpAddr),
}

/// Marks a request whose answer was paid for.
struct Paid;

/// By when an answer must be sent.
#[derive(Clone, Copy)]
struct Deadline(Instant);

/// Delays the answers of callers that send more than their rate.
pub struct Pacer {
    /// Requests of one caller per second; 0: unlimited.
    per_second: AtomicU32,
    /// When the requests of a caller would have ended at exactly that rate.
    callers: Mutex<LruCache<Caller, Instant>>,
    paced: Counter,
}

impl Pacer {
    pub fn new(per_second: u32) -> Pacer {
        Pacer {
            per_second: AtomicU32::new(per_second),
            callers: Mutex::new(LruCache::unbounded()),
            paced: counter!("nexo_http_requests_paced_total"),
        }
    }

    /// Sets another rate.
    pub fn set_rate(&self, per_second: u32) {
        self.per_second.store(per_second, Ordering::Relaxed);
    }

    /// Counts a request, and returns how long its answer waits.
    fn wait(&self, caller: Caller, now: Instant) -> Duration {
        let per_second = self.per_second.load(Ordering::Relaxed);
        if per_second == 0 {
            return Duration::ZERO;
        }
        let mut callers = self.callers.lock();
        let started = callers.get(&caller).map_or(now, |ended| now.max(*ended));
        let ended = started + Duration::from_secs(1) / per_second;
        // No answer waits longer, so no more is owed.
        callers.put(caller, ended.min(now + BURST + MAX_WAIT));
        if callers.len() > MAX_CALLERS {
            callers.pop_lru();
        }
        ended.saturating_duration_since(now + BURST).min(MAX_WAIT)
    }
}

/// Notes on a request that it proved to be of `account`.
pub fn note_account(request: &impl HttpMessage, account: AccountId) {
    request.extensions_mut().insert(Caller::Account(account));
}

/// Notes on a request that its answer was paid for, although its status does not tell.
pub fn note_paid(request: &impl HttpMessage) {
    request.extensions_mut().insert(Paid);
}

/// Notes on a request by when its answer must be sent: the client gives up then, and would ask again.
pub fn note_deadline(request: &impl HttpMessage, deadline: Instant) {
    request.extensions_mut().insert(Deadline(deadline));
}

/// Waits if the answer is due later.
pub async fn pace<B>(response: &ServiceResponse<B>) {
    let request = response.request();
    let Some(state) = request.app_data::<web::Data<ApiState>>() else {
        return;
    };
    let is_paid = response.status() == StatusCode::ACCEPTED
        && !response.headers().contains_key(IDEMPOTENT_REPLAYED)
        || request.extensions().contains::<Paid>();
    if is_paid || response.status().is_server_error() {
        return;
    }
    let account = request.extensions().get::<Caller>().copied();
    let caller = account.unwrap_or_else(|| {
        Caller::Network(network(client_address(request, &state.trusted_sources)))
    });
    let now = Instant::now();
    let deadline = request.extensions().get::<Deadline>().copied();
    let most = deadline.map_or(MAX_WAIT, |Deadline(at)| at.saturating_duration_since(now));
    let wait = state.pacer.wait(caller, now).min(most);
    if !wait.is_zero() {
        state.pacer.paced.increment(1);
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ONE: Caller = Caller::Account(AccountId(Uuid::from_u128(1)));
    const OTHER: Caller = Caller::Network(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn beyond_a_burst_the_answers_of_one_caller_wait_for_their_rate() {
        let pacer = Pacer::new(100);
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(pacer.wait(ONE, start), Duration::ZERO);
        }
        assert_eq!(pacer.wait(ONE, start), Duration::from_millis(10));
        assert_eq!(pacer.wait(ONE, start), Duration::from_millis(20));
        assert_eq!(pacer.wait(OTHER, start), Duration::ZERO);
        assert_eq!(pacer.wait(ONE, start + Duration::from_millis(30)), Duration::ZERO);
        assert_eq!(pacer.wait(ONE, start + Duration::from_millis(30)), Duration::from_millis(10));
    }

    #[test]
    fn no_answer_waits_longer_than_a_second_and_a_pause_clears_what_is_owed() {
        let pacer = Pacer::new(100);
        let start = Instant::now();
        for _ in 0..10_000 {
            assert!(pacer.wait(ONE, start) <= MAX_WAIT);
        }
        assert_eq!(pacer.wait(ONE, start), MAX_WAIT);
        let later = start + BURST + MAX_WAIT;
        for _ in 0..100 {
            assert_eq!(pacer.wait(ONE, later), Duration::ZERO);
        }
        assert!(!pacer.wait(ONE, later).is_zero());
    }

    #[test]
    fn rate_0_is_unlimited_and_another_rate_applies_at_once() {
        let pacer = Pacer::new(0);
        let now = Instant::now();
        for _ in 0..10_000 {
            assert_eq!(pacer.wait(ONE, now), Duration::ZERO);
        }
        pacer.set_rate(1);
        pacer.wait(ONE, now);
        assert_eq!(pacer.wait(ONE, now), MAX_WAIT);
    }

    #[test]
    fn the_number_of_remembered_callers_is_bounded() {
        let pacer = Pacer::new(1);
        let now = Instant::now();
        for n in 0..MAX_CALLERS as u128 + 10 {
            pacer.wait(Caller::Account(AccountId(Uuid::from_u128(n))), now);
        }
        assert_eq!(pacer.callers.lock().len(), MAX_CALLERS);
    }
}
