//! The answer to an OTP that a carrier accepted.
//!
//! The bytes are known when the OTP is paid: the same text is stored for replays and sent to the customer.

use serde::Serialize;
use utoipa::ToSchema;

use crate::billing::ledger::Buckets;
use crate::call::outcome::Status;
use crate::ids::DeliveryId;
use crate::money::Micros;
use crate::phone::carrier_plan::Carrier;
use crate::verification::answer::Sent;

/// The HTTP status of the response.
pub const ACCEPTED_STATUS: u16 = 202;

/// An accepted OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub id: DeliveryId,
    pub carrier: Carrier,
    pub cost: Micros,
    /// The wallet after the debit.
    pub after: Buckets,
    /// The verification whose code the call reads, if the gateway made the code.
    pub verification: Option<Sent>,
}

/// The carrier accepted the call. Amounts are USD with at least three decimals.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub struct AcceptedBody {
    ok: bool,
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    #[schema(example = "viettel")]
    carrier: Carrier,
    #[schema(example = "sent")]
    status: Status,
    #[schema(example = 0.022)]
    cost: Micros,
    /// The cash balance after this OTP.
    #[schema(example = 9.978)]
    balance: Micros,
    /// Cash, bonus and free credit together.
    #[schema(example = 12.044)]
    total: Micros,
}

impl Accepted {
    /// The JSON of the response, with its keys in the order of the API reference.
    ///
    /// It is known when the OTP is debited. The same bytes are stored for a replay and sent.
    pub fn body(&self) -> String {
        if let Some(sent) = &self.verification {
            return sent.body(self.id, self.carrier, self.cost, self.after);
        }
        let body = AcceptedBody {
            ok: true,
            id: self.id,
            carrier: self.carrier,
            status: Status::Sent,
            cost: self.cost,
            balance: self.after.balance,
            total: self.after.total(),
        };
        serde_json::to_string(&body).expect("plain fields are serializable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Phone;
    use crate::phone::carrier_plan::CarrierPlan;

    #[test]
    fn the_keys_are_in_the_order_of_the_reference() {
        let accepted = Accepted {
            id: "8f2e1c4d-0000-4000-8000-000000000001".parse().unwrap(),
            carrier: Carrier::named("viettel").unwrap(),
            cost: Micros::new(22_000),
            after: Buckets {
                free: Micros::new(66_000),
                bonus: Micros::new(2_000_000),
                balance: Micros::new(9_978_000),
            },
            verification: None,
        };
        assert_eq!(
            accepted.body(),
            concat!(
                r#"{"ok":true,"id":"8f2e1c4d-0000-4000-8000-000000000001","carrier":"viettel","#,
                r#""status":"sent","cost":0.022,"balance":9.978,"total":12.044}"#
            )
        );
        let of_verification = Accepted {
            verification: Some(Sent {
                id: "8f2e1c4d-0000-4000-8000-000000000002".parse().unwrap(),
                phone: Phone::parse("+84981234567", &CarrierPlan::vietnam()).unwrap(),
                attempts_left: 5,
                expires_at_ms: 1_779_703_500_999,
            }),
            ..accepted
        };
        assert_eq!(
            of_verification.body(),
            concat!(
                r#"{"ok":true,"id":"8f2e1c4d-0000-4000-8000-000000000002","status":"pending","#,
                r#""phone":"+84981234567","delivery_id":"8f2e1c4d-0000-4000-8000-000000000001","#,
                r#""carrier":"viettel","cost":0.022,"balance":9.978,"total":12.044,"#,
                r#""attempts_left":5,"expires_at":"2026-05-25T10:05:00Z"}"#
            )
        );
    }
}
