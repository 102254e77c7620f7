//! The last error of each hop, for the status shown to operators.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sip::message::hop::Hop;

/// More hops than any configuration has. When the map is full, it is cleared: it may hold hops that DNS no
/// longer returns.
const MAX_HOPS: usize = 1024;

/// The last error for each hop whose connections have not worked since.
#[derive(Clone, Debug, Default)]
pub(super) struct LastErrors {
    by_hop: Arc<Mutex<HashMap<Hop, Arc<str>>>>,
}

impl LastErrors {
    pub fn insert(&self, hop: Hop, error: &str) {
        self.with_map(|by_hop| {
            if by_hop.len() >= MAX_HOPS {
                by_hop.clear();
            }
            by_hop.insert(hop, error.into());
        });
    }

    /// Forgets the error: the connection works.
    pub fn remove(&self, hop: Hop) {
        self.with_map(|by_hop| {
            by_hop.remove(&hop);
        });
    }

    pub fn get(&self, hop: Hop) -> Option<Arc<str>> {
        self.with_map(|by_hop| by_hop.get(&hop).cloned())
    }

    fn with_map<T>(&self, act: impl FnOnce(&mut HashMap<Hop, Arc<str>>) -> T) -> T {
        act(&mut self.by_hop.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::hop::Transport;

    fn hop(port: u16) -> Hop {
        Hop { transport: Transport::Tls, address: ([192, 0, 2, 1], port).into() }
    }

    #[test]
    fn the_last_error_is_kept_until_the_connection_works() {
        let errors = LastErrors::default();
        assert_eq!(errors.get(hop(5061)), None);
        errors.insert(hop(5061), "refused");
        errors.insert(hop(5061), "certificate expired");
        errors.insert(hop(5062), "refused");
        assert_eq!(errors.get(hop(5061)).as_deref(), Some("certificate expired"));
        errors.remove(hop(5061));
        assert_eq!(errors.get(hop(5061)), None);
        assert_eq!(errors.get(hop(5062)).as_deref(), Some("refused"));
    }

    #[test]
    fn the_number_of_errors_is_bounded() {
        let errors = LastErrors::default();
        for port in 1..=3000 {
            errors.insert(hop(port), "refused");
        }
        assert!(errors.with_map(|by_hop| by_hop.len()) <= MAX_HOPS);
        assert!(errors.get(hop(3000)).is_some());
    }
}
