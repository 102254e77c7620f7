//! Bloom filters (Bloom, 1970): tell in a few bits per member whether a set may contain a value.
//!
//! They are stored in the database for years. Their meaning must depend on their bytes alone, not
//! on a program or library version, so they are implemented here and hash with SHA-256.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// With these parameters one lookup in 300 is a false positive.
const BITS_PER_MEMBER: usize = 12;
const PROBES: u64 = 8;

/// A hashed member of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Member {
    start: u64,
    step: u64,
}

impl Member {
    /// Hashes the concatenated parts. Only the last part may vary in length.
    pub fn of(parts: &[&[u8]]) -> Member {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        let hash = hash.finalize();
        let word = |from: usize| {
            let bytes = hash.iter().skip(from).take(8);
            bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        Member {
            start: word(0),
            // Odd, so that the probes do not collapse onto few bits.
            step: word(8) | 1,
        }
    }

    fn places(self, bits: u64) -> impl Iterator<Item = (usize, u8)> {
        (0..PROBES).map(move |probe| {
            let place = self.start.wrapping_add(self.step.wrapping_mul(probe)) % bits;
            ((place / 8) as usize, 1 << (place % 8))
        })
    }
}

/// Builds the filter of `members`.
pub(crate) fn filter(members: &HashSet<Member>) -> Vec<u8> {
    let mut filter = vec![0; (members.len() * BITS_PER_MEMBER).div_ceil(8)];
    let bits = filter.len() as u64 * 8;
    for member in members {
        for (byte, bit) in member.places(bits) {
            if let Some(byte) = filter.get_mut(byte) {
                *byte |= bit;
            }
        }
    }
    filter
}

/// Returns whether the set may contain the member. An empty filter contains nothing.
pub(crate) fn may_have(filter: &[u8], member: Member) -> bool {
    let bits = filter.len() as u64 * 8;
    bits > 0
        && member
            .places(bits)
            .all(|(byte, bit)| filter.get(byte).is_some_and(|byte| byte & bit != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u32) -> Member {
        Member::of(&[b"m", &number.to_be_bytes()])
    }

    #[test]
    fn every_member_is_found_and_few_other_values_are() {
        let members: HashSet<Member> = (0..8_000).map(member).collect();
        let filter = filter(&members);
        assert_eq!(filter.len(), 12_000);
        assert!((0..8_000).all(|number| may_have(&filter, member(number))));
        let wrong = (8_000..108_000).filter(|number| may_have(&filter, member(*number))).count();
        assert!(wrong < 600, "{wrong} of 100,000");
    }

    #[test]
    fn an_empty_filter_contains_nothing() {
        assert_eq!(filter(&HashSet::new()), Vec::<u8>::new());
        assert!(!may_have(&[], member(1)));
    }

    #[test]
    fn the_bytes_of_a_filter_are_stable() {
        let filter = filter(&HashSet::from([member(1), member(2)]));
        assert_eq!(filter, [202, 165, 126]);
    }
}
