//! What the API asks the dispatcher for: one OTP.

use nexo_domain::ids::{AccountId, DeliveryId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;

/// One OTP, validated and routed by the API.
#[derive(Debug)]
pub struct OtpOrder {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub test: bool,
    pub phone: Phone,
    pub code: Code,
    pub carrier: Carrier,
    pub cost: Micros,
    pub reading: Reading,
}
