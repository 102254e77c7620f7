//! Admission to a carrier: its phone windows, channels and call rate.
//!
//! The carrier's actor fills these tables from the database and sweeps them. Sagas claim in them without a message
//! to the actor. All times are milliseconds of the boot clock, so that setting the wall clock neither prolongs nor ends
//! a claim.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;

/// The most concurrent test calls to a carrier's numbers.
pub const MAX_TEST_CHANNELS: u32 = 10_000;

/// Whether a call belongs to a live or a test key. An OTP of a test key must not hold a real phone's window.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Realm {
    Live,
    Test,
}

impl Realm {
    pub fn of(test: bool) -> Realm {
        if test { Realm::Test } else { Realm::Live }
    }
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    delivery_id: DeliveryId,
    until_ms: i64,
}

/// The admission tables of a carrier.
#[derive(Debug)]
pub struct Admission {
    windows: DashMap<(Realm, Phone), Claim>,
    channels_limit: AtomicU32,
    channels_used: AtomicU32,
    /// Test calls go to the sandbox carrier and use no channel of the trunk.
    test_channels_used: AtomicU32,
    calls_per_second: ArcSwapOption<DefaultDirectRateLimiter>,
}

/// The result of a claim.
#[derive(Debug)]
pub enum Admitted {
    /// The window and a channel are claimed.
    Granted(Channel),
    /// The phone's window is held until this time.
    WindowHeld { until_ms: i64 },
    /// No channel is free, or the call rate is too high.
    Full,
}

/// A channel of the trunk, freed on drop.
#[derive(Debug)]
pub struct Channel(Arc<Admission>, Realm);

impl Drop for Channel {
    fn drop(&mut self) {
        self.0.used(self.1).fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admission {
    /// Tables without claims. `calls_per_second` of `None` is unlimited.
    pub fn new(channels: u32, calls_per_second: Option<NonZeroU32>) -> Arc<Self> {
        let limiter = calls_per_second.map(|rate| Arc::new(limiter(rate)));
        Arc::new(Self {
            windows: DashMap::new(),
            channels_limit: AtomicU32::new(channels),
            channels_used: AtomicU32::new(0),
            test_channels_used: AtomicU32::new(0),
            calls_per_second: ArcSwapOption::new(limiter),
        })
    }

    /// Sets other limits. Channels in use stay in use, even above a lower limit.
    pub fn set_limits(&self, channels: u32, calls_per_second: Option<NonZeroU32>) {
        self.channels_limit.store(channels, Ordering::Relaxed);
        self.calls_per_second.store(calls_per_second.map(|rate| Arc::new(limiter(rate))));
    }

    /// Claims the phone's window and a channel, or neither.
    pub fn claim(
        self: &Arc<Self>,
        realm: Realm,
        phone: Phone,
        delivery_id: DeliveryId,
        now_ms: i64,
        until_ms: i64,
    ) -> Admitted {
        let entry = self.windows.entry((realm, phone));
        if let Entry::Occupied(held) = &entry
            && held.get().until_ms > now_ms
        {
            return Admitted::WindowHeld { until_ms: held.get().until_ms };
        }
        let Some(channel) = self.take_channel(realm) else {
            return Admitted::Full;
        };
        entry.insert(Claim { delivery_id, until_ms });
        Admitted::Granted(channel)
    }

    /// Until when the phone's window is held, without claiming it.
    pub fn held_until(&self, realm: Realm, phone: Phone, now_ms: i64) -> Option<i64> {
        let held = self.windows.get(&(realm, phone))?;
        (held.until_ms > now_ms).then_some(held.until_ms)
    }

    /// The delivery that holds the phone's window now. A window that another node claimed has the id of an OTP of this
    /// node that lost it.
    pub fn holder(&self, realm: Realm, phone: Phone, now_ms: i64) -> Option<DeliveryId> {
        let held = self.windows.get(&(realm, phone))?;
        (held.until_ms > now_ms).then_some(held.delivery_id)
    }

    fn used(&self, realm: Realm) -> &AtomicU32 {
        match realm {
            Realm::Live => &self.channels_used,
            Realm::Test => &self.test_channels_used,
        }
    }

    fn take_channel(self: &Arc<Self>, realm: Realm) -> Option<Channel> {
        let limit = match realm {
            Realm::Live => self.channels_limit.load(Ordering::Relaxed),
            Realm::Test => MAX_TEST_CHANNELS,
        };
        self.used(realm)
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                (used < limit).then_some(used + 1)
            })
            .ok()?;
        let channel = Channel(Arc::clone(self), realm);
        let limiter = self.calls_per_second.load();
        let too_fast = realm == Realm::Live
            && limiter.as_ref().is_some_and(|limiter| limiter.check().is_err());
        (!too_fast).then_some(channel)
    }

    /// Releases the window, if this delivery still holds it.
    pub fn release(&self, realm: Realm, phone: Phone, delivery_id: DeliveryId) {
        self.windows.remove_if(&(realm, phone), |_, claim| claim.delivery_id == delivery_id);
    }

    /// Adds a window from the database: of another node, or from before a restart. A claim that ends later is kept.
    pub fn hold(&self, realm: Realm, phone: Phone, delivery_id: DeliveryId, until_ms: i64) {
        let claim = Claim { delivery_id, until_ms };
        self.windows
            .entry((realm, phone))
            .and_modify(|held| {
                if held.until_ms < until_ms {
                    *held = claim;
                }
            })
            .or_insert(claim);
    }

    /// Removes the windows that are over.
    pub fn sweep(&self, now_ms: i64) {
        self.windows.retain(|_, claim| claim.until_ms > now_ms);
    }

    pub fn channels_used(&self) -> u32 {
        self.channels_used.load(Ordering::Relaxed)
    }

    pub fn channels_limit(&self) -> u32 {
        self.channels_limit.load(Ordering::Relaxed)
    }

    /// The number of windows, including those not yet swept.
    pub fn windows(&self) -> usize {
        self.windows.len()
    }
}

fn limiter(calls_per_second: NonZeroU32) -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(calls_per_second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexo_domain::phone::carrier_plan::CarrierPlan;
    use nexo_domain::phone::window::window_until_ms;
    use uuid::Uuid;

    fn phone() -> Phone {
        Phone::parse("+84981234567", &CarrierPlan::vietnam()).unwrap()
    }

    fn id() -> DeliveryId {
        DeliveryId(Uuid::new_v4())
    }

    fn claim(admission: &Arc<Admission>, id: DeliveryId, now_ms: i64) -> Admitted {
        admission.claim(Realm::Live, phone(), id, now_ms, window_until_ms(now_ms))
    }

    #[test]
    fn one_of_many_concurrent_claims_is_granted() {
        let admission = Admission::new(1000, None);
        let granted: usize = std::thread::scope(|scope| {
            let claims: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..100)
                            .filter(|_| matches!(claim(&admission, id(), 5), Admitted::Granted(_)))
                            .count()
                    })
                })
                .collect();
            claims.into_iter().map(|c| c.join().unwrap()).sum()
        });
        assert_eq!(granted, 1);
        assert_eq!(admission.channels_used(), 0);
    }

    #[test]
    fn a_window_is_free_when_it_is_over_and_not_before() {
        let admission = Admission::new(10, None);
        assert!(matches!(claim(&admission, id(), 0), Admitted::Granted(_)));
        assert!(matches!(
            claim(&admission, id(), 29_999),
            Admitted::WindowHeld { until_ms: 30_000 }
        ));
        assert!(matches!(claim(&admission, id(), 30_000), Admitted::Granted(_)));
    }

    #[test]
    fn a_test_call_leaves_the_live_window_and_the_live_channels_free() {
        let admission = Admission::new(1, NonZeroU32::new(1));
        let tested = admission.claim(Realm::Test, phone(), id(), 0, 30_000);
        assert!(matches!(tested, Admitted::Granted(_)));
        assert_eq!(admission.channels_used(), 0);
        assert!(matches!(claim(&admission, id(), 0), Admitted::Granted(_)));
    }

    #[test]
    fn the_holder_of_a_window_is_known_until_the_window_is_over() {
        let admission = Admission::new(10, None);
        let mine = id();
        assert_eq!(admission.holder(Realm::Live, phone(), 0), None);
        let _channel = claim(&admission, mine, 0);
        assert_eq!(admission.holder(Realm::Live, phone(), 29_999), Some(mine));
        assert_eq!(admission.holder(Realm::Live, phone(), 30_000), None);
        assert_eq!(admission.holder(Realm::Test, phone(), 0), None);
    }

    #[test]
    fn a_full_trunk_claims_no_window_and_a_dropped_channel_is_free() {
        let admission = Admission::new(1, None);
        let Admitted::Granted(channel) = claim(&admission, id(), 0) else {
            panic!("the first call has a channel");
        };
        assert!(matches!(claim(&admission, id(), 30_000), Admitted::Full));
        drop(channel);
        assert!(matches!(claim(&admission, id(), 30_001), Admitted::Granted(_)));
    }

    #[test]
    fn calls_faster_than_the_limit_are_refused_without_keeping_a_channel() {
        let admission = Admission::new(10, NonZeroU32::new(1));
        assert!(matches!(claim(&admission, id(), 0), Admitted::Granted(_)));
        assert!(matches!(claim(&admission, id(), 40_000), Admitted::Full));
        assert_eq!(admission.channels_used(), 0);
    }

    #[test]
    fn new_limits_apply_to_new_calls_only() {
        let admission = Admission::new(2, None);
        let Admitted::Granted(first) = claim(&admission, id(), 0) else {
            panic!("the first call has a channel");
        };
        admission.set_limits(1, None);
        assert_eq!(admission.channels_used(), 1);
        assert!(matches!(claim(&admission, id(), 30_000), Admitted::Full));
        drop(first);
        assert!(matches!(claim(&admission, id(), 30_001), Admitted::Granted(_)));
        admission.set_limits(10, NonZeroU32::new(1));
        assert!(matches!(claim(&admission, id(), 90_000), Admitted::Granted(_)));
        assert!(matches!(claim(&admission, id(), 150_000), Admitted::Full));
    }

    #[test]
    fn only_the_delivery_that_holds_a_window_releases_it() {
        let admission = Admission::new(10, None);
        let (mine, other) = (id(), id());
        let _channel = claim(&admission, mine, 0);
        admission.release(Realm::Live, phone(), other);
        assert!(matches!(claim(&admission, other, 1), Admitted::WindowHeld { .. }));
        admission.release(Realm::Live, phone(), mine);
        assert!(matches!(claim(&admission, other, 1), Admitted::Granted(_)));
    }

    #[test]
    fn a_window_from_the_database_never_shortens_a_claim_and_old_windows_are_swept() {
        let admission = Admission::new(10, None);
        let _channel = claim(&admission, id(), 0);
        admission.hold(Realm::Live, phone(), id(), 10);
        assert!(matches!(claim(&admission, id(), 20), Admitted::WindowHeld { until_ms: 30_000 }));
        admission.sweep(30_000);
        assert_eq!(admission.windows(), 0);
    }
}
