//! The answer to a request that sends the code of a verification.

use serde::Serialize;
use utoipa::ToSchema;

use super::Status;
use crate::billing::ledger::Buckets;
use crate::ids::{DeliveryId, VerificationId};
use crate::money::Micros;
use crate::phone::Phone;
use crate::phone::carrier_plan::Carrier;
use crate::timestamp::rfc3339;

/// What the answer says about the verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub id: VerificationId,
    pub phone: Phone,
    pub attempts_left: u8,
    pub expires_at_ms: i64,
}

/// The carrier accepted the call. Amounts are USD with at least three decimals.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VerificationSent)]
pub struct SentBody {
    ok: bool,
    #[schema(value_type = Uuid)]
    id: VerificationId,
    #[schema(example = "pending")]
    status: Status,
    #[schema(value_type = Phone, example = "+84981234567")]
    phone: String,
    /// The call, as `GET /deliveries/{id}` shows it.
    #[schema(value_type = Uuid)]
    delivery_id: DeliveryId,
    #[schema(example = "viettel")]
    carrier: Carrier,
    #[schema(example = 0.022)]
    cost: Micros,
    /// The cash balance after this call.
    #[schema(example = 9.978)]
    balance: Micros,
    /// Cash, bonus and free credit together.
    #[schema(example = 12.044)]
    total: Micros,
    /// How many wrong codes are left.
    #[schema(example = 5, minimum = 1, maximum = 5)]
    attempts_left: u8,
    /// From then on no code is accepted.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl Sent {
    /// The JSON of the response, with its keys in the order of the API reference.
    pub fn body(
        &self,
        delivery_id: DeliveryId,
        carrier: Carrier,
        cost: Micros,
        after: Buckets,
    ) -> String {
        let body = SentBody {
            ok: true,
            id: self.id,
            status: Status::Pending,
            phone: self.phone.to_string(),
            delivery_id,
            carrier,
            cost,
            balance: after.balance,
            total: after.total(),
            attempts_left: self.attempts_left,
            expires_at: rfc3339(self.expires_at_ms),
        };
        serde_json::to_string(&body).expect("plain fields are serializable")
    }
}
