//! One ring: the identity of a request by its phone and code.
//!
//! Auth servers repeat a request when they are in doubt, with a new id. So a request is the same as another one if it
//! asks the same integration to read the same code to the same phone while the phone's window is held.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::idempotency::{Fingerprint, IdempotencyKey, IdempotentRequest, Lifetime};
use crate::ids::{IntegrationId, KeyId};
use crate::otp::Code;
use crate::phone::Phone;

/// The request of a hook.
///
/// Its key is stored, and a code has at most 8 digits. So it is an HMAC under a `key` that is not in the database:
/// a reader of the database cannot try all codes. Another code is another key, which finds the phone's window held.
pub fn request(
    key: &[u8],
    integration: IntegrationId,
    phone: Phone,
    code: &Code,
) -> IdempotentRequest {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(b"hook");
    mac.update(integration.0.as_bytes());
    mac.update(&phone.number().to_be_bytes());
    mac.update(code.digits());
    let identity: [u8; 32] = mac.finalize().into_bytes().into();
    let text = format!("hook:{}", hex::encode(identity));
    IdempotentRequest {
        key_id: KeyId(integration.0),
        key: IdempotencyKey::parse(text.as_bytes()).expect("hexadecimal digits"),
        fingerprint: Fingerprint::from_record(identity),
        lifetime: Lifetime::PhoneWindow,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::phone::carrier_plan::CarrierPlan;

    #[test]
    fn a_request_is_the_same_by_integration_phone_and_code_under_one_key() {
        let plan = CarrierPlan::vietnam();
        let phone = |text| Phone::parse(text, &plan).unwrap();
        let code = |text| Code::parse(text).unwrap();
        let of = |key: &[u8], id: u128, number, digits| {
            request(key, IntegrationId(Uuid::from_u128(id)), phone(number), &code(digits))
        };
        let first = of(b"key", 1, "+84981234567", "482917");
        assert_eq!(first, of(b"key", 1, "+84981234567", "482917"));
        for other in [
            of(b"kez", 1, "+84981234567", "482917"),
            of(b"key", 2, "+84981234567", "482917"),
            of(b"key", 1, "+84981234568", "482917"),
            of(b"key", 1, "+84981234567", "482918"),
            of(b"key", 1, "+84981234567", "0482917"),
        ] {
            assert_ne!(first.key, other.key);
            assert_ne!(first.fingerprint, other.fingerprint);
        }
        assert!(!first.key.as_str().contains("482917"));
        assert_eq!(first.lifetime, Lifetime::PhoneWindow);
    }
}
