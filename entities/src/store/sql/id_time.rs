//! The time in a UUIDv7 (RFC 9562, section 5.7): its first 48 bits, in milliseconds since 1970.

use uuid::Uuid;

/// How far apart the time in a delivery's id and its own may be.
pub(in crate::store) const ID_AHEAD_MS: i64 = 10_000;
/// A delivery is written so long after its id was made, at most.
pub(in crate::store) const WRITTEN_WITHIN_MS: i64 = 30_000;

/// No id of this time or later is smaller.
pub(in crate::store) fn first_id(at_ms: i64) -> Uuid {
    Uuid::from_u128(u128::from(at_ms.max(0).unsigned_abs()) << 80)
}

/// When an id was made.
pub(in crate::store) fn time_of(id: Uuid) -> i64 {
    (id.as_u128() >> 80) as i64
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp};

    use super::*;

    #[test]
    fn an_id_is_bounded_by_the_first_of_its_millisecond() {
        let at_ms = 1_780_000_000_123;
        let at = Timestamp::from_unix(NoContext, 1_780_000_000, 123_000_000);
        for _ in 0..100 {
            let id = Uuid::new_v7(at);
            assert!(first_id(at_ms) <= id && id < first_id(at_ms + 1));
            assert_eq!(time_of(id), at_ms);
        }
    }
}
