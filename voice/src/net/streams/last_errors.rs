//! Why connections failed, for whoever has to mend it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sip::message::hop::Hop;

/// More places than any configuration has; places that DNS has given up are forgotten with all others.
const MOST_KEPT: usize = 1024;

/// The last failure of each connection that has not worked since.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles {
    by_hop: Arc<Mutex<HashMap<Hop, Arc<str>>>>,
}

impl Troubles {
    pub fn note(&self, hop: Hop, why: &str) {
        self.change(|by_hop| {
            if by_hop.len() >= MOST_KEPT {
                by_hop.clear();
            }
            by_hop.insert(hop, why.into());
        });
    }

    /// A message came: the connection works.
    pub fn are_over(&self, hop: Hop) {
        self.change(|by_hop| {
            by_hop.remove(&hop);
        });
    }

    pub fn with(&self, hop: Hop) -> Option<Arc<str>> {
        self.change(|by_hop| by_hop.get(&hop).cloned())
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<Hop, Arc<str>>) -> T) -> T {
        change(&mut self.by_hop.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::hop::Transport;

    fn hop(port: u16) -> Hop {
        Hop {
            transport: Transport::Tls,
            address: ([192, 0, 2, 1], port).into(),
        }
    }

    #[test]
    fn the_last_failure_is_known_until_the_connection_works() {
        let troubles = Troubles::default();
        assert_eq!(troubles.with(hop(5061)), None);
        troubles.note(hop(5061), "refused");
        troubles.note(hop(5061), "another's certificate");
        troubles.note(hop(5062), "refused");
        assert_eq!(
            troubles.with(hop(5061)).as_deref(),
            Some("another's certificate")
        );
        troubles.are_over(hop(5061));
        assert_eq!(troubles.with(hop(5061)), None);
        assert_eq!(troubles.with(hop(5062)).as_deref(), Some("refused"));
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let troubles = Troubles::default();
        for port in 1..=3000 {
            troubles.note(hop(port), "refused");
        }
        assert!(troubles.change(|by_hop| by_hop.len()) <= MOST_KEPT);
        assert!(troubles.with(hop(3000)).is_some());
    }
}
