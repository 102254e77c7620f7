//! What the API asks the dispatcher for: one OTP.

use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, DeliveryId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_entities::store::ledger::posting::VerificationSend;
use uuid::{NoContext, Timestamp, Uuid};

use crate::clock::RecordClock;

/// One OTP, validated and routed by the API.
#[derive(Debug)]
pub struct OtpOrder {
    pub delivery_id: DeliveryId,
    /// Started when the id was made, so that the delivery is found by the time in its id.
    pub clock: RecordClock,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub test: bool,
    pub phone: Phone,
    pub code: Code,
    pub carrier: Carrier,
    pub cost: Micros,
    pub reading: Reading,
    pub fields: CustomerFields,
    /// The verification whose code the call reads, if the gateway made the code.
    pub verification: Option<VerificationSend>,
}

/// A new delivery's id, and the clock of its records, which starts at the time in the id.
pub fn new_delivery() -> (DeliveryId, RecordClock) {
    let clock = RecordClock::start();
    let ms = clock.start_ms().unsigned_abs();
    let nanos = (ms % 1_000) as u32 * 1_000_000;
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, ms / 1_000, nanos));
    (DeliveryId(id), clock)
}
