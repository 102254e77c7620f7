//! The index of a packet (RFC 3711 §3.3.1), and the window that detects replayed packets (§3.3.2).

/// Half of the sequence numbers.
const HALF: u16 = 1 << 15;
/// An SRTP index has 48 bits: a 32-bit rollover counter and the sequence number.
const INDEX_COUNT: u64 = 1 << 48;
/// How far below the highest index a packet is still accepted.
const WINDOW: u64 = u64::BITS as u64;

/// Returns the index of a sequence number: the candidate nearest to the highest index so far. The
/// first packet of a source has rollover counter 0. `None` after the last index.
pub(super) fn packet_index(highest: Option<u64>, sequence: u16) -> Option<u64> {
    let Some(highest) = highest else {
        return Some(u64::from(sequence));
    };
    let (rollover, last) = (highest >> 16, highest as u16);
    let rollover = if last < HALF {
        if sequence > HALF && sequence - HALF > last {
            // There is no rollover below 0: the sequence number jumped forward.
            rollover.saturating_sub(1)
        } else {
            rollover
        }
    } else if last - HALF > sequence {
        rollover + 1
    } else {
        rollover
    };
    let index = rollover << 16 | u64::from(sequence);
    (index < INDEX_COUNT).then_some(index)
}

/// The recently seen indices.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayWindow {
    highest: Option<u64>,
    /// Bit n stands for the index n below the highest.
    seen: u64,
}

impl ReplayWindow {
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Marks an index as seen. Returns `None` and marks nothing if it was seen before or is below
    /// the window.
    #[must_use]
    pub fn mark(&mut self, index: u64) -> Option<()> {
        match self.highest {
            Some(highest) if index <= highest => {
                let behind = highest - index;
                if behind >= WINDOW || self.seen >> behind & 1 != 0 {
                    return None;
                }
                self.seen |= 1 << behind;
            }
            earlier => {
                let ahead = earlier.map_or(WINDOW, |highest| index - highest);
                let kept = if ahead < WINDOW { self.seen << ahead } else { 0 };
                self.seen = kept | 1;
                self.highest = Some(index);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_index_is_the_candidate_nearest_to_the_highest() {
        const ROLLOVER: u64 = 1 << 16;
        for (highest, sequence, index) in [
            (None, 0, 0),
            (None, 65_535, 65_535),
            (Some(5), 6, 6),
            (Some(5), 4, 4),
            (Some(65_535), 0, ROLLOVER),
            (Some(65_535), 65_534, 65_534),
            (Some(65_535), 32_766, ROLLOVER + 32_766),
            (Some(65_535), 32_767, 32_767),
            (Some(ROLLOVER), 65_535, 65_535),
            (Some(ROLLOVER), 32_768, ROLLOVER + 32_768),
            (Some(ROLLOVER), 32_769, 32_769),
            (Some(7 * ROLLOVER + 40_000), 7_000, 8 * ROLLOVER + 7_000),
            (Some(7 * ROLLOVER + 40_000), 8_000, 7 * ROLLOVER + 8_000),
            (Some(7 * ROLLOVER + 100), 65_000, 6 * ROLLOVER + 65_000),
        ] {
            assert_eq!(packet_index(highest, sequence), Some(index), "{highest:?}");
        }
    }

    #[test]
    fn a_jump_before_the_first_rollover_is_forward() {
        assert_eq!(packet_index(Some(5), 65_000), Some(65_000));
    }

    #[test]
    fn there_is_no_index_after_the_last() {
        assert_eq!(packet_index(Some(INDEX_COUNT - 2), 65_535), Some(INDEX_COUNT - 1));
        assert_eq!(packet_index(Some(INDEX_COUNT - 1), 0), None);
    }

    proptest! {
        #[test]
        fn an_index_within_half_of_the_highest_is_found(
            highest in 65_536u64..INDEX_COUNT - 32_768, distance in -32_767i64..32_768,
        ) {
            let index = highest.wrapping_add_signed(distance);
            prop_assert_eq!(packet_index(Some(highest), index as u16), Some(index));
        }

        #[test]
        fn an_index_is_accepted_once_and_only_within_the_window(
            indices in proptest::collection::vec(0u64..300, 1..200), base in 0u64..1 << 47,
        ) {
            let (mut window, mut seen) = (ReplayWindow::default(), HashSet::new());
            let mut highest = 0;
            for index in indices.into_iter().map(|index| base + index) {
                let in_window = index + WINDOW > highest;
                let is_new = in_window && seen.insert(index);
                prop_assert_eq!(window.mark(index).is_some(), is_new);
                highest = highest.max(index);
                prop_assert_eq!(window.highest(), Some(highest));
            }
        }
    }
}
