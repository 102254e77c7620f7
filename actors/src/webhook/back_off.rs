//! When webhooks are tried again after a shortage of this host.
//!
//! A shortage of descriptors or memory delays all webhooks. Other shortages, such as no local address for an IPv6
//! target, delay only the endpoint that met them, so that one endpoint cannot delay others.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nexo_domain::ids::EndpointId;
use nexo_voice::net::shortage::Shortage;

/// The first delay. Each further shortage doubles it.
const MIN_DELAY: Duration = Duration::from_millis(500);
const MAX_GENERAL_DELAY: Duration = Duration::from_secs(10);
const MAX_ENDPOINT_DELAY: Duration = Duration::from_secs(300);
/// The most endpoints with a delay. If there are more, all may send.
const MAX_ENDPOINTS: usize = 10_000;

/// A delay that has begun.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    delay: Duration,
}

/// The delays of all endpoints.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    general: Option<Pause>,
    endpoints: HashMap<EndpointId, Pause>,
}

impl BackOff {
    /// Records that an attempt was not sent.
    pub fn failed(&mut self, endpoint: EndpointId, shortage: Shortage, now: Instant) {
        if shortage.is_general() {
            self.general = Some(next(self.general, MAX_GENERAL_DELAY, now));
            return;
        }
        if self.endpoints.len() >= MAX_ENDPOINTS {
            self.endpoints.clear();
        }
        let before = self.endpoints.get(&endpoint).copied();
        let pause = next(before, MAX_ENDPOINT_DELAY, now);
        self.endpoints.insert(endpoint, pause);
    }

    /// Records that an attempt was sent, or failed for a reason of its endpoint.
    pub fn succeeded(&mut self, endpoint: EndpointId) {
        self.general = None;
        self.endpoints.remove(&endpoint);
    }

    /// Whether anything may be sent.
    pub fn may_send(&self, now: Instant) -> bool {
        self.general.is_none_or(|pause| pause.until <= now)
    }

    /// The endpoints to which nothing may be sent.
    pub fn waiting_endpoints(&self, now: Instant) -> impl Iterator<Item = EndpointId> {
        let waiting = self.endpoints.iter();
        waiting.filter(move |(_, pause)| pause.until > now).map(|(endpoint, _)| *endpoint)
    }
}

/// The pause after `before`. Attempts that were in progress when a pause began do not lengthen it.
fn next(before: Option<Pause>, max: Duration, now: Instant) -> Pause {
    match before {
        Some(pause) if pause.until > now => pause,
        before => {
            let delay = before.map_or(MIN_DELAY, |pause| (pause.delay * 2).min(max));
            let until = now + delay;
            Pause { until, delay }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: u128) -> EndpointId {
        EndpointId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_shortage_of_descriptors_delays_all_endpoints_for_longer_each_time() {
        let (mut back_off, mut now) = (BackOff::default(), Instant::now());
        assert!(back_off.may_send(now));
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            for n in 0..50 {
                back_off.failed(endpoint(n), Shortage::Descriptors, now);
            }
            let pause = back_off.general.unwrap();
            let delay = pause.until - now;
            assert!(delay >= last && delay <= MAX_GENERAL_DELAY, "{delay:?}");
            assert!(!back_off.may_send(pause.until - Duration::from_millis(1)));
            assert!(back_off.may_send(pause.until));
            (last, now) = (delay, pause.until);
        }
        assert_eq!(last, MAX_GENERAL_DELAY);
        back_off.succeeded(endpoint(1));
        assert!(back_off.may_send(now));
        assert_eq!(back_off.waiting_endpoints(now).count(), 0);
    }

    #[test]
    fn a_shortage_of_ports_delays_only_the_endpoint_that_met_it() {
        let (mut back_off, now) = (BackOff::default(), Instant::now());
        back_off.failed(endpoint(1), Shortage::Ports, now);
        assert!(back_off.may_send(now));
        let waiting: Vec<_> = back_off.waiting_endpoints(now).collect();
        assert_eq!(waiting, [endpoint(1)]);
        assert_eq!(back_off.waiting_endpoints(now + MIN_DELAY).count(), 0);
    }
}
