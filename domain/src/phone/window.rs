//! One OTP per phone in 30 seconds.
//!
//! | window | claim | answer |
//! |---|---|---|
//! | none, or over at `now` | claimed until `now` + 30 s | granted |
//! | still open | unchanged | refused, with the whole seconds left, 1–30 |

/// How long a phone is left alone after an OTP to it was accepted.
pub const WINDOW_MS: i64 = 30_000;

/// When the window of a claim at `now_ms` is over. Unix milliseconds.
pub fn window_until_ms(now_ms: i64) -> i64 {
    now_ms + WINDOW_MS
}

/// The seconds until `until_ms`, rounded up to whole seconds in 1–30; `None` when it is over.
pub fn retry_after_seconds(until_ms: i64, now_ms: i64) -> Option<u32> {
    let left_ms = until_ms - now_ms;
    (left_ms > 0).then(|| (left_ms + 999).div_euclid(1000).clamp(1, 30) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_down_in_whole_seconds_and_ends_exactly() {
        let until = window_until_ms(1_000_000);
        for (elapsed_ms, left) in [
            (0, Some(30)),
            (1, Some(30)),
            (1_000, Some(29)),
            (29_000, Some(1)),
            (29_999, Some(1)),
            (30_000, None),
            (31_000, None),
        ] {
            assert_eq!(
                retry_after_seconds(until, 1_000_000 + elapsed_ms),
                left,
                "after {elapsed_ms} ms"
            );
        }
    }

    #[test]
    fn a_clock_set_back_never_asks_for_more_than_thirty_seconds() {
        assert_eq!(retry_after_seconds(window_until_ms(1_000_000), 0), Some(30));
    }
}
