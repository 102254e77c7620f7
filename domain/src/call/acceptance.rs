//! What a customer is told of an OTP that the carrier took.

use crate::billing::ledger::Buckets;
use crate::ids::DeliveryId;
use crate::money::Micros;
use crate::phone::carrier_plan::Carrier;

/// The status of that answer.
pub const ACCEPTED_STATUS: u16 = 202;

/// An accepted OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub id: DeliveryId,
    pub carrier: Carrier,
    pub cost: Micros,
    /// The wallet once this OTP was paid.
    pub after: Buckets,
}

impl Accepted {
    /// The answer's JSON, its keys in the reference's order.
    ///
    /// It is known when the OTP is paid: what is kept for a replay and what is sent are these bytes.
    pub fn body(&self) -> String {
        format!(
            r#"{{"ok":true,"id":"{}","carrier":"{}","status":"sent","cost":{},"balance":{},"total":{}}}"#,
            self.id,
            self.carrier,
            self.cost,
            self.after.balance,
            self.after.total(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_keys_come_in_the_references_order() {
        let accepted = Accepted {
            id: "8f2e1c4d-0000-4000-8000-000000000001".parse().unwrap(),
            carrier: Carrier::named("viettel").unwrap(),
            cost: Micros::new(22_000),
            after: Buckets {
                free: Micros::new(66_000),
                bonus: Micros::new(2_000_000),
                balance: Micros::new(9_978_000),
            },
        };
        assert_eq!(
            accepted.body(),
            concat!(
                r#"{"ok":true,"id":"8f2e1c4d-0000-4000-8000-000000000001","carrier":"viettel","#,
                r#""status":"sent","cost":0.022,"balance":9.978,"total":12.044}"#
            )
        );
    }
}
