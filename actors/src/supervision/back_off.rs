//! How long a role waits before its next restart, and when restarts no longer help.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The delay before the first restart. Doubles with each further restart.
pub const MIN_BACK_OFF: Duration = Duration::from_millis(5);
/// The longest delay before a restart, so that an actor is back within a second.
pub const MAX_BACK_OFF: Duration = Duration::from_millis(500);
/// After this time without a restart, the next delay is [`MIN_BACK_OFF`] again.
pub const RESET_AFTER: Duration = Duration::from_secs(10);
/// This many restarts within [`ESCALATION_WINDOW`] escalate.
pub const MAX_RESTARTS: usize = 60;
pub const ESCALATION_WINDOW: Duration = Duration::from_secs(60);

/// The restarts of one role.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    /// Restarts within the escalation window, oldest first.
    restarts: VecDeque<Instant>,
    in_a_row: u32,
}

impl BackOff {
    /// Records a restart that is needed at `now`. Returns the delay before it.
    pub fn record(&mut self, now: Instant) -> Duration {
        let last = self.restarts.back();
        if last.is_none_or(|last| now.duration_since(*last) > RESET_AFTER) {
            self.in_a_row = 0;
        }
        let is_old = |at: &mut Instant| now.duration_since(*at) > ESCALATION_WINDOW;
        while self.restarts.pop_front_if(is_old).is_some() {}
        self.restarts.push_back(now);
        let delay = MIN_BACK_OFF * 2u32.saturating_pow(self.in_a_row.min(16));
        self.in_a_row += 1;
        delay.min(MAX_BACK_OFF)
    }

    /// Whether the role restarts so often that another restart does not help.
    pub fn must_escalate(&self) -> bool {
        self.restarts.len() >= MAX_RESTARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_is_bounded_and_resets() {
        let mut back_off = BackOff::default();
        let now = Instant::now();
        let delays: Vec<_> = (0..10).map(|_| back_off.record(now)).collect();
        assert_eq!(delays[0], MIN_BACK_OFF);
        assert_eq!(delays[1], MIN_BACK_OFF * 2);
        assert_eq!(delays[9], MAX_BACK_OFF);
        let later = now + RESET_AFTER + Duration::from_secs(1);
        assert_eq!(back_off.record(later), MIN_BACK_OFF);
    }

    #[test]
    fn too_many_restarts_escalate_and_old_ones_do_not_count() {
        let mut back_off = BackOff::default();
        let now = Instant::now();
        for _ in 0..MAX_RESTARTS - 1 {
            back_off.record(now);
        }
        assert!(!back_off.must_escalate());
        back_off.record(now);
        assert!(back_off.must_escalate());
        back_off.record(now + ESCALATION_WINDOW + Duration::from_secs(1));
        assert!(!back_off.must_escalate());
    }
}
