//! A calendar queue with short slots for many deadlines, most of which are superseded before they are due.
//!
//! A call inserts a deadline a few times a second, and a finished call is kept for half a minute. With a
//! heap each operation costs a cache miss for each level; here inserting and taking touch one slot.

use std::collections::BTreeMap;
use std::time::Instant;

/// The length of a slot: about one turn of a busy thread.
const SLOT_MICROS: u128 = 4_096;

/// Deadlines with their values. A deadline cannot be removed before it is due: the caller ignores it then.
#[derive(Debug)]
pub struct Deadlines<T> {
    /// The start of the first slot: the first deadline that was ever inserted.
    origin: Option<Instant>,
    slots: BTreeMap<u64, Vec<(Instant, T)>>,
    len: usize,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Deadlines { origin: None, slots: BTreeMap::new(), len: 0 }
    }
}

impl<T: Ord> Deadlines<T> {
    /// Inserts a deadline.
    fn insert(&mut self, at: Instant, value: T) {
        let origin = *self.origin.get_or_insert(at);
        let slot = slot(origin, at);
        self.slots.entry(slot).or_default().push((at, value));
        self.len += 1;
    }

    /// Inserts the deadline `due` of a value, unless an earlier one is already in `scheduled`.
    pub fn schedule(&mut self, due: Option<Instant>, scheduled: &mut Option<Instant>, value: T) {
        if let Some(due) = due
            && scheduled.is_none_or(|scheduled| due < scheduled)
        {
            *scheduled = Some(due);
            self.insert(due, value);
        }
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        let (_, first) = self.slots.first_key_value()?;
        first.iter().map(|(at, _)| *at).min()
    }

    /// Removes and returns the deadlines that are due, in order.
    pub fn take_due(&mut self, now: Instant) -> Vec<(Instant, T)> {
        let Some(last) = self.origin.map(|origin| slot(origin, now)) else {
            return Vec::new();
        };
        let mut due = Vec::new();
        while let Some(mut first) = self.slots.first_entry() {
            if *first.key() < last {
                due.append(&mut first.remove());
                continue;
            }
            if *first.key() == last {
                due.extend(first.get_mut().extract_if(.., |(at, _)| *at <= now));
                if first.get().is_empty() {
                    first.remove();
                }
            }
            break;
        }
        self.len -= due.len();
        due.sort_unstable();
        due
    }

    /// The number of deadlines.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// The slot of a time; times before the first slot belong to it.
fn slot(origin: Instant, at: Instant) -> u64 {
    (at.saturating_duration_since(origin).as_micros() / SLOT_MICROS) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_queue_has_nothing_due() {
        let mut deadlines = Deadlines::<u32>::default();
        assert_eq!(deadlines.next(), None);
        assert!(deadlines.take_due(Instant::now()).is_empty());
    }

    #[test]
    fn a_deadline_before_the_first_inserted_one_is_due_first() {
        let later = Instant::now() + Duration::from_secs(5);
        let mut deadlines = Deadlines::default();
        deadlines.insert(later, 1);
        let earlier = later - Duration::from_secs(4);
        deadlines.insert(earlier, 2);
        assert_eq!(deadlines.next(), Some(earlier));
        assert_eq!(deadlines.take_due(earlier), [(earlier, 2)]);
        assert_eq!(deadlines.take_due(later), [(later, 1)]);
        assert_eq!(deadlines.len(), 0);
    }

    proptest! {
        /// Compares with a sorted list, with insertions between the checks.
        #[test]
        fn each_deadline_is_taken_once_in_order_and_never_early(
            rounds in prop::collection::vec(
                (prop::collection::vec(0u64..100_000, 0..20), 0u64..30_000),
                1..40,
            ),
        ) {
            let start = Instant::now();
            let (mut now, mut number) = (start, 0u32);
            let mut deadlines = Deadlines::default();
            let mut sorted: Vec<(Instant, u32)> = Vec::new();
            for (delays, pause) in rounds {
                for micros in delays {
                    let at = now + Duration::from_micros(micros);
                    number += 1;
                    deadlines.insert(at, number);
                    sorted.push((at, number));
                }
                sorted.sort_unstable();
                prop_assert_eq!(deadlines.next(), sorted.first().map(|(at, _)| *at));
                now += Duration::from_micros(pause);
                let due: Vec<_> = sorted.extract_if(.., |(at, _)| *at <= now).collect();
                prop_assert_eq!(deadlines.take_due(now), due);
                prop_assert_eq!(deadlines.len(), sorted.len());
            }
        }
    }
}
