//! Webhooks: the event's bytes and their signature. Small and pure.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::call::outcome::Status;
use crate::ids::DeliveryId;
use crate::money::Micros;
use crate::phone::Phone;
use crate::phone::carrier_plan::Carrier;
use crate::timestamp::rfc3339;

pub mod target;

/// The most endpoints that an account has active at a time.
pub const MAX_ENDPOINTS: usize = 5;

/// The type of an event that its receiver's owner asked for, to see whether it arrives.
pub const TEST_EVENT: &str = "webhook.test";

/// The exact JSON of a test event: like a terminal one, of an OTP that nobody sent.
pub fn test_body(delivery_id: DeliveryId, at_ms: i64) -> String {
    let at = rfc3339(at_ms);
    format!(
        concat!(
            r#"{{"type":"{}","id":"{}","phone":"+84981234567","carrier":"viettel","#,
            r#""status":"delivered","cost":0.000,"error_code":null,"created_at":"{}","#,
            r#""completed_at":"{}"}}"#
        ),
        TEST_EVENT, delivery_id, at, at,
    )
}

/// The facts that a terminal event tells. Times are UTC, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub delivery_id: DeliveryId,
    pub phone: Phone,
    pub carrier: Carrier,
    pub status: Status,
    pub cost: Micros,
    pub error_code: Option<&'static str>,
    pub created_at_ms: i64,
    pub completed_at_ms: i64,
}

/// The type of a terminal event: `otp.delivered` or `otp.failed`.
pub fn event_type(status: Status) -> &'static str {
    match status {
        Status::Delivered => "otp.delivered",
        Status::Sent | Status::Failed => "otp.failed",
    }
}

impl Event {
    /// The exact JSON that is sent and signed, its keys in the reference's order.
    pub fn body(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let error_code = self.error_code.map_or("null".to_owned(), quoted);
        format!(
            concat!(
                r#"{{"type":"{}","id":"{}","phone":"{}","carrier":{},"status":"{}","cost":{},"#,
                r#""error_code":{},"created_at":"{}","completed_at":"{}"}}"#
            ),
            event_type(self.status),
            self.delivery_id,
            self.phone,
            quoted(self.carrier.name()),
            self.status.as_str(),
            self.cost,
            error_code,
            rfc3339(self.created_at_ms),
            rfc3339(self.completed_at_ms),
        )
    }
}

/// The SHA-256 hex text of an endpoint's secret: what is stored, and the key of the signature.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedSecret(String);

impl HashedSecret {
    /// Hashes a secret as it was shown to the customer, `whsec_…`.
    pub fn of(secret: &str) -> Self {
        Self(hex(&Sha256::digest(secret.as_bytes())))
    }

    /// A hash as it was stored.
    pub fn from_record(hex: String) -> Self {
        Self(hex)
    }

    /// The hash as it is stored.
    pub fn as_record(&self) -> &str {
        &self.0
    }

    /// `sha256=<hex>`, the value of `X-NEXO-Signature` for these bytes.
    pub fn sign(&self, body: &[u8]) -> String {
        format!("sha256={}", hex(&self.hmac(&[body])))
    }

    /// Whether `header` is this secret's signature of these bytes. Takes the same time whatever differs.
    pub fn verify(&self, body: &[u8], header: &str) -> bool {
        let expected = self.sign(body);
        expected.len() == header.len()
            && expected
                .bytes()
                .zip(header.bytes())
                .fold(0, |differs, (a, b)| differs | (a ^ b))
                == 0
    }

    /// The bytes of the Standard Webhooks signature over `id.timestamp.body`, before Base64.
    /// Its key is the same hash text.
    pub fn sign_standard(&self, id: &str, timestamp_seconds: i64, body: &[u8]) -> [u8; 32] {
        let timestamp = timestamp_seconds.to_string();
        self.hmac(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body])
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes())
            .expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for HashedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedSecret(hidden)")
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::carrier_plan::CarrierPlan;

    #[test]
    fn the_published_test_vector_holds() {
        let secret = HashedSecret::of("whsec_test");
        let body = br#"{"type":"otp.delivered"}"#;
        let signature = "sha256=c5b8e55c8c8d101f1d32632ac4d0e05d36ddec49f6bbcae13aae287f1f3477f8";
        assert_eq!(secret.sign(body), signature);
        assert!(secret.verify(body, signature));
    }

    #[test]
    fn a_changed_byte_is_not_verified() {
        let secret = HashedSecret::of("whsec_test");
        let signature = secret.sign(b"{}");
        assert!(!secret.verify(b"{ }", &signature));
        assert!(!secret.verify(b"{}", &signature.replace('=', ":")));
        assert!(!secret.verify(b"{}", ""));
        assert!(!HashedSecret::of("whsec_other").verify(b"{}", &signature));
    }

    #[test]
    fn the_bodys_keys_come_in_the_references_order() {
        let plan = CarrierPlan::vietnam();
        let phone = Phone::parse("+84981234567", &plan).unwrap();
        let event = Event {
            delivery_id: "8f2e1c4d-0000-4000-8000-000000000001".parse().unwrap(),
            phone,
            carrier: phone.carrier(&plan).unwrap(),
            status: Status::Delivered,
            cost: Micros::new(22_000),
            error_code: None,
            created_at_ms: 1_779_703_200_000,
            completed_at_ms: 1_779_703_225_000,
        };
        assert_eq!(
            event.body(),
            concat!(
                r#"{"type":"otp.delivered","id":"8f2e1c4d-0000-4000-8000-000000000001","#,
                r#""phone":"+84981234567","carrier":"viettel","status":"delivered","cost":0.022,"#,
                r#""error_code":null,"created_at":"2026-05-25T10:00:00Z","#,
                r#""completed_at":"2026-05-25T10:00:25Z"}"#
            )
        );
        let failed = Event {
            status: Status::Failed,
            error_code: Some("busy"),
            ..event
        };
        assert!(failed.body().contains(r#""error_code":"busy""#));
        assert!(failed.body().starts_with(r#"{"type":"otp.failed""#));
    }
}
