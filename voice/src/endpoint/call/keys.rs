//! The keys that a callee presses, each counted once.
//!
//! One press may be heard several times: as a telephone-event, as a tone that its gateway did not
//! remove from the audio, and as an INFO that the gateway sends at the release.

use std::time::{Duration, Instant};

use crate::rtp::wire::telephone_event::{DtmfKey, KeySource};

/// The same key from the same source within this time is one press: some senders give each packet of
/// an event a timestamp of its own.
const SAME_SOURCE_WITHIN: Duration = Duration::from_millis(300);
/// The same key from another source, this long after the press ended, is the same press.
const OTHER_SOURCE_WITHIN: Duration = Duration::from_millis(800);
/// How many presses are remembered. More do not fit into these times.
const REMEMBERED: usize = 8;
/// A longer press is an error of the sender.
const LONGEST_PRESS: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
struct Press {
    key: DtmfKey,
    /// The last time that it was known to last.
    ended: Instant,
    /// When each source reported it last.
    heard: [Option<Instant>; 3],
}

/// The last presses of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyPresses {
    /// The oldest first.
    presses: Vec<Press>,
}

impl KeyPresses {
    /// Takes a key that has been held for `held` so far. Returns whether the press is a new one.
    pub fn press(&mut self, key: DtmfKey, source: KeySource, held: Duration, now: Instant) -> bool {
        let began = now.checked_sub(held.min(LONGEST_PRESS)).unwrap_or(now);
        let known = self.presses.iter_mut().find(|press| {
            press.key == key
                && match press.heard[source as usize] {
                    Some(at) => now.saturating_duration_since(at) < SAME_SOURCE_WITHIN,
                    None => began <= press.ended + OTHER_SOURCE_WITHIN,
                }
        });
        if let Some(press) = known {
            press.heard[source as usize] = Some(now);
            return false;
        }
        if self.presses.len() == REMEMBERED {
            self.presses.remove(0);
        }
        let mut press = Press { key, ended: now, heard: [None; 3] };
        press.heard[source as usize] = Some(now);
        self.presses.push(press);
        true
    }

    /// Takes the release of a key.
    pub fn release(&mut self, key: DtmfKey, source: KeySource, now: Instant) {
        let mut presses = self.presses.iter_mut().rev();
        let press =
            presses.find(|press| press.key == key && press.heard[source as usize].is_some());
        if let Some(press) = press {
            press.ended = press.ended.max(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeySource::{Event, Info, Tone};

    /// Counts the presses of the key 5, each with its time in ms.
    fn count(reported: &[(KeySource, u64)]) -> usize {
        let (start, mut keys) = (Instant::now(), KeyPresses::default());
        let key = DtmfKey::from_char('5').unwrap();
        let at = |ms| start + Duration::from_millis(ms);
        let mut is_new =
            |(source, ms): &&(KeySource, u64)| keys.press(key, *source, Duration::ZERO, at(*ms));
        reported.iter().filter(|reported| is_new(reported)).count()
    }

    #[test]
    fn a_press_that_several_sources_report_counts_once() {
        assert_eq!(count(&[(Event, 0), (Tone, 40), (Info, 150)]), 1);
        assert_eq!(count(&[(Tone, 0), (Event, 90)]), 1, "the begin of a tone got through");
        assert_eq!(count(&[(Info, 0), (Event, 200)]), 1);
        assert_eq!(count(&[(Event, 0), (Info, 700)]), 1, "the INFO was repeated");
    }

    #[test]
    fn two_presses_a_second_apart_count_twice() {
        for source in [Event, Tone, Info] {
            assert_eq!(count(&[(source, 0), (source, 1000)]), 2);
        }
        let both = [(Event, 0), (Info, 150), (Event, 1000), (Info, 1150)];
        assert_eq!(count(&both), 2);
        let late = [(Event, 0), (Event, 500), (Info, 520), (Info, 900)];
        assert_eq!(count(&late), 2);
        assert_eq!(count(&[(Event, 0), (Tone, 1000)]), 2);
    }

    #[test]
    fn an_event_whose_timestamp_changes_with_each_packet_is_one_press() {
        let packets: Vec<(KeySource, u64)> = (0..40).map(|n| (Event, n * 50)).collect();
        assert_eq!(count(&packets), 1);
    }

    #[test]
    fn an_info_at_the_release_of_a_held_key_is_the_same_press() {
        let (start, key) = (Instant::now(), DtmfKey::from_char('#').unwrap());
        let at = |ms| start + Duration::from_millis(ms);
        let mut keys = KeyPresses::default();
        assert!(keys.press(key, Event, Duration::ZERO, at(0)));
        keys.release(key, Event, at(3000));
        assert!(!keys.press(key, Info, Duration::ZERO, at(3100)));
        let mut keys = KeyPresses::default();
        assert!(keys.press(key, Tone, Duration::ZERO, at(0)));
        let held = Duration::from_millis(2900);
        assert!(!keys.press(key, Info, held, at(3000)), "the INFO gives the duration");
        assert!(keys.press(key, Info, Duration::MAX, at(60_000)), "no key is held for so long");
    }

    #[test]
    fn different_keys_are_different_presses_and_the_memory_is_bounded() {
        let (start, mut keys) = (Instant::now(), KeyPresses::default());
        for round in 0..3 {
            for code in 0..16 {
                let key = DtmfKey::from_code(code).unwrap();
                let now = start + Duration::from_secs(round);
                assert!(keys.press(key, Event, Duration::ZERO, now));
            }
        }
        assert_eq!(keys.presses.len(), REMEMBERED);
    }
}
