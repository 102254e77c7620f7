//! What finished transactions leave behind: enough to answer a repeated request, and a deadline.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::call::TRANSACTION_LIFETIME;

/// Answers to requests of finished transactions, by transaction, until no repetition can come any
/// more (RFC 3261 §17.2.2 timer J, RFC 6026 timer L).
#[derive(Default)]
pub(in crate::sandbox) struct Bygones {
    answers: HashMap<u64, Box<[u8]>>,
    deadlines: VecDeque<(Instant, u64)>,
}

impl Bygones {
    /// Remembers what repetitions of this transaction's request are answered with; empty for
    /// nothing.
    pub fn remember(&mut self, transaction: u64, answer: &[u8], now: Instant) {
        if self.answers.insert(transaction, answer.into()).is_none() {
            let deadline = now + TRANSACTION_LIFETIME;
            self.deadlines.push_back((deadline, transaction));
        }
    }

    pub fn answer_to(&self, transaction: u64) -> Option<&[u8]> {
        self.answers.get(&transaction).map(AsRef::as_ref)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    /// Forgets what is due, and its memory with it.
    pub fn tick(&mut self, now: Instant) {
        while let Some((_, transaction)) = self.deadlines.pop_front_if(|(at, _)| *at <= now) {
            self.answers.remove(&transaction);
        }
        if self.deadlines.is_empty() {
            *self = Bygones::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_is_kept_for_64_t1_and_then_its_memory_is_given_back() {
        let now = Instant::now();
        let mut bygones = Bygones::default();
        for transaction in 0..1000 {
            bygones.remember(transaction, b"200", now);
        }
        bygones.remember(7, b"again", now + Duration::from_secs(1));
        let due = bygones.deadline().unwrap();
        assert_eq!(due, now + Duration::from_secs(32));
        bygones.tick(due - Duration::from_millis(1));
        assert_eq!(bygones.answer_to(7), Some(&b"again"[..]));
        bygones.tick(due);
        assert_eq!(bygones.answer_to(7), None);
        assert_eq!(bygones.deadline(), None);
        assert_eq!(bygones.answers.capacity(), 0);
    }
}
