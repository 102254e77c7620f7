//! The timestamp of a UUIDv7 (RFC 9562, section 5.7): its first 48 bits, in milliseconds since
//! 1970.

use uuid::Uuid;

/// Maximum difference between the time in a delivery's id and its recorded time.
pub(crate) const ID_CLOCK_SKEW_MS: i64 = 10_000;
/// Maximum delay between creating a delivery's id and writing the delivery.
pub(crate) const MAX_WRITE_DELAY_MS: i64 = 30_000;

/// Returns the smallest id of this time.
pub(crate) fn min_id_at(at_ms: i64) -> Uuid {
    Uuid::from_u128(u128::from(at_ms.max(0).unsigned_abs()) << 80)
}

/// Returns when an id was created.
pub(crate) fn id_time_ms(id: Uuid) -> i64 {
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
            assert!(min_id_at(at_ms) <= id && id < min_id_at(at_ms + 1));
            assert_eq!(id_time_ms(id), at_ms);
        }
    }
}
