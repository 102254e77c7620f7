//! Telling an account that its wallet runs low: the event's bytes.

use uuid::Uuid;

use crate::billing::ledger::Buckets;
use crate::money::Micros;
use crate::timestamp::rfc3339;

/// The event's type.
pub const LOW: &str = "wallet.low";

/// A wallet that has fallen below what its account has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowBalance {
    pub id: Uuid,
    pub held: Buckets,
    pub threshold: Micros,
    /// UTC, in milliseconds since 1970.
    pub at_ms: i64,
}

impl LowBalance {
    /// The exact JSON that is sent and signed.
    pub fn body(&self) -> String {
        format!(
            concat!(
                r#"{{"type":"{}","id":"{}","balance":{},"bonus_credit":{},"free_credit":{},"#,
                r#""total":{},"threshold":{},"created_at":"{}"}}"#
            ),
            LOW,
            self.id,
            self.held.balance,
            self.held.bonus,
            self.held.free,
            self.held.total(),
            self.threshold,
            rfc3339(self.at_ms),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_tells_each_bucket_and_the_threshold() {
        let low = LowBalance {
            id: Uuid::nil(),
            held: Buckets {
                free: Micros::new(22_000),
                bonus: Micros::ZERO,
                balance: Micros::new(978_000),
            },
            threshold: Micros::new(5_000_000),
            at_ms: 1_780_000_000_000,
        };
        assert_eq!(
            low.body(),
            concat!(
                r#"{"type":"wallet.low","id":"00000000-0000-0000-0000-000000000000","#,
                r#""balance":0.978,"bonus_credit":0.000,"free_credit":0.022,"total":1.000,"#,
                r#""threshold":5.000,"created_at":"2026-05-28T20:26:40Z"}"#
            )
        );
    }
}
