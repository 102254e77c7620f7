//! Many deadlines, most of which are overtaken before they come: a calendar of short slots.
//!
//! A call notes a deadline a few times a second, and a finished one is kept for half a minute. A heap of
//! all of them costs a cache miss for each of its levels each time; here noting and taking touch one slot.

use std::collections::BTreeMap;
use std::time::Instant;

/// The length of a slot: what is due within one turn of a busy thread.
const SLOT_MICROS: u128 = 4_096;

/// Deadlines, and what each is for. One that is of no use any more stays until its time; who takes it
/// has to know.
#[derive(Debug)]
pub struct Deadlines<T> {
    /// Where the first slot begins: at the first deadline that was ever noted.
    origin: Option<Instant>,
    slots: BTreeMap<u64, Vec<(Instant, T)>>,
    len: usize,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Deadlines {
            origin: None,
            slots: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<T: Ord> Deadlines<T> {
    pub fn note(&mut self, at: Instant, what: T) {
        let origin = *self.origin.get_or_insert(at);
        let slot = slot(origin, at);
        self.slots.entry(slot).or_default().push((at, what));
        self.len += 1;
    }

    /// The earliest of all.
    pub fn next(&self) -> Option<Instant> {
        let (_, first) = self.slots.first_key_value()?;
        first.iter().map(|(at, _)| *at).min()
    }

    /// Takes out those that have come, in their order.
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

    /// How many are noted.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// What is before the first slot belongs to it.
fn slot(origin: Instant, at: Instant) -> u64 {
    (at.saturating_duration_since(origin).as_micros() / SLOT_MICROS) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_calendar_has_nothing_due() {
        let mut deadlines = Deadlines::<u32>::default();
        assert_eq!(deadlines.next(), None);
        assert!(deadlines.take_due(Instant::now()).is_empty());
    }

    #[test]
    fn one_noted_for_an_earlier_time_than_the_first_comes_before_it() {
        let later = Instant::now() + Duration::from_secs(5);
        let mut deadlines = Deadlines::default();
        deadlines.note(later, 1);
        let earlier = later - Duration::from_secs(4);
        deadlines.note(earlier, 2);
        assert_eq!(deadlines.next(), Some(earlier));
        assert_eq!(deadlines.take_due(earlier), [(earlier, 2)]);
        assert_eq!(deadlines.take_due(later), [(later, 1)]);
        assert_eq!(deadlines.len(), 0);
    }

    proptest! {
        /// As a sorted list would give them, whatever is noted between two looks.
        #[test]
        fn each_comes_once_in_order_and_never_early(
            rounds in prop::collection::vec(
                (prop::collection::vec(0u64..100_000, 0..20), 0u64..30_000),
                1..40,
            ),
        ) {
            let start = Instant::now();
            let (mut now, mut number) = (start, 0u32);
            let mut deadlines = Deadlines::default();
            let mut sorted: Vec<(Instant, u32)> = Vec::new();
            for (noted, pause) in rounds {
                for micros in noted {
                    let at = now + Duration::from_micros(micros);
                    number += 1;
                    deadlines.note(at, number);
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
