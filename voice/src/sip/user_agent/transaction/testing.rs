//! Helpers of the transactions' tests.

use std::time::Instant;

/// The times of all deadlines, in milliseconds after `start`.
pub fn times(mut deadline: impl FnMut() -> Option<Instant>, start: Instant) -> Vec<u128> {
    let mut times = Vec::new();
    while let Some(at) = deadline() {
        times.push((at - start).as_millis());
    }
    times
}
