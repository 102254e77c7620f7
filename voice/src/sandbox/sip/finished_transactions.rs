//! The responses of finished transactions, kept to answer retransmitted requests.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::call::TRANSACTION_LIFETIME;

/// Responses by transaction, until no retransmission can arrive any more (RFC 3261 §17.2.2 timer J,
/// RFC 6026 timer L).
#[derive(Default)]
pub(crate) struct FinishedTransactions {
    responses: HashMap<u64, Box<[u8]>>,
    deadlines: VecDeque<(Instant, u64)>,
}

impl FinishedTransactions {
    /// Stores the response to retransmissions of this transaction's request; empty for none.
    pub fn remember(&mut self, transaction: u64, response: &[u8], now: Instant) {
        if self.responses.insert(transaction, response.into()).is_none() {
            let deadline = now + TRANSACTION_LIFETIME;
            self.deadlines.push_back((deadline, transaction));
        }
    }

    pub fn response_to(&self, transaction: u64) -> Option<&[u8]> {
        self.responses.get(&transaction).map(AsRef::as_ref)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    /// Removes expired responses and releases their memory.
    pub fn tick(&mut self, now: Instant) {
        while let Some((_, transaction)) = self.deadlines.pop_front_if(|(at, _)| *at <= now) {
            self.responses.remove(&transaction);
        }
        if self.deadlines.is_empty() {
            *self = FinishedTransactions::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_response_is_kept_for_64_t1_and_then_its_memory_is_released() {
        let now = Instant::now();
        let mut finished = FinishedTransactions::default();
        for transaction in 0..1000 {
            finished.remember(transaction, b"200", now);
        }
        finished.remember(7, b"again", now + Duration::from_secs(1));
        let due = finished.deadline().unwrap();
        assert_eq!(due, now + Duration::from_secs(32));
        finished.tick(due - Duration::from_millis(1));
        assert_eq!(finished.response_to(7), Some(&b"again"[..]));
        finished.tick(due);
        assert_eq!(finished.response_to(7), None);
        assert_eq!(finished.deadline(), None);
        assert_eq!(finished.responses.capacity(), 0);
    }
}
