//! Which names resolved, and which have just failed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::addresses::{Addresses, DnsError};

/// How long a name that no server answered for is not queried again.
const FAILURE_TTL: Duration = Duration::from_secs(5);
/// The most names of each kind. A full set is cleared.
const MAX_NAMES: usize = 8_192;

/// The results of past lookups.
#[derive(Debug, Default)]
pub(super) struct History {
    resolved: HashSet<String>,
    unanswered: HashMap<String, Instant>,
}

impl History {
    /// Whether the last lookup of the name found addresses.
    pub fn is_known(&self, name: &str) -> bool {
        self.resolved.contains(name)
    }

    /// The error of a lookup that no server answered a moment ago. Without it, a name that is used often would always
    /// occupy a lookup.
    pub fn recent_failure(&self, name: &str, now: Instant) -> Option<DnsError> {
        let failed_at = *self.unanswered.get(name)?;
        let is_recent = now.saturating_duration_since(failed_at) < FAILURE_TTL;
        is_recent.then_some(DnsError::NoAnswer)
    }

    /// Records the result of a lookup.
    pub fn record(&mut self, name: &str, addresses: &Addresses, now: Instant) {
        match addresses {
            Ok(_) => {
                self.unanswered.remove(name);
                if self.resolved.len() >= MAX_NAMES {
                    self.resolved.clear();
                }
                self.resolved.insert(name.to_owned());
            }
            Err(DnsError::NoAnswer) => {
                self.resolved.remove(name);
                if self.unanswered.len() >= MAX_NAMES {
                    self.unanswered.clear();
                }
                self.unanswered.insert(name.to_owned(), now);
            }
            Err(DnsError::Unresolved) => {
                self.resolved.remove(name);
            }
            Err(DnsError::Shortage(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nexo_voice::net::shortage::Shortage;

    use super::*;

    #[test]
    fn an_unanswered_name_fails_at_once_for_a_while() {
        let (mut history, now) = (History::default(), Instant::now());
        history.record("dead.example", &Err(DnsError::NoAnswer), now);
        let later = now + FAILURE_TTL - Duration::from_millis(1);
        let failure = history.recent_failure("dead.example", later);
        assert_eq!(failure, Some(DnsError::NoAnswer));
        assert_eq!(history.recent_failure("dead.example", now + FAILURE_TTL), None);
        assert_eq!(history.recent_failure("other.example", now), None);
    }

    #[test]
    fn a_name_is_known_while_its_last_lookup_found_addresses() {
        let (mut history, now) = (History::default(), Instant::now());
        let found: Addresses = Ok(Arc::new([[192, 0, 2, 1].into()]));
        history.record("a.example", &found, now);
        assert!(history.is_known("a.example"));
        history.record("a.example", &Err(Shortage::DnsQueries.into()), now);
        assert!(history.is_known("a.example"));
        history.record("a.example", &Err(DnsError::NoAnswer), now);
        assert!(!history.is_known("a.example"));
        history.record("a.example", &found, now);
        history.record("a.example", &Err(DnsError::Unresolved), now);
        assert!(!history.is_known("a.example"));
    }

    #[test]
    fn the_number_of_remembered_names_is_bounded() {
        let (mut history, now) = (History::default(), Instant::now());
        for n in 0..=2 * MAX_NAMES {
            history.record(&format!("{n}.example"), &Err(DnsError::NoAnswer), now);
        }
        assert!(history.unanswered.len() <= MAX_NAMES);
    }
}
