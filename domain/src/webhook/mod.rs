//! Webhooks: the bytes of an event, and their signature.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::call::outcome::Status;
use crate::customer_fields::{CustomerFields, Metadata, Reference};
use crate::ids::DeliveryId;
use crate::money::Micros;
use crate::phone::Phone;
use crate::phone::carrier_plan::Carrier;
use crate::timestamp::rfc3339;

pub mod events;
pub mod target;
pub mod verification;

use events::EventType;

/// The most active endpoints of an account.
pub const MAX_ENDPOINTS: usize = 5;

/// The type of a test event, which the customer requests to test the endpoint.
pub const TEST_EVENT: &str = "webhook.test";

/// The exact JSON of a test event: a delivered OTP that was never sent.
pub fn test_body(delivery_id: DeliveryId, at_ms: i64) -> String {
    Body {
        r#type: TEST_EVENT,
        id: delivery_id,
        phone: "+84981234567".to_owned(),
        carrier: "viettel",
        status: Status::Delivered.as_str(),
        cost: Micros::ZERO,
        error_code: None,
        created_at: rfc3339(at_ms),
        completed_at: rfc3339(at_ms),
        reference: None,
        metadata: None,
    }
    .text()
}

/// The content of a final event. Times are UTC, in milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Event {
    pub delivery_id: DeliveryId,
    pub phone: Phone,
    pub carrier: Carrier,
    pub status: Status,
    pub cost: Micros,
    pub error_code: Option<&'static str>,
    pub created_at_ms: i64,
    pub completed_at_ms: i64,
    pub fields: CustomerFields,
}

impl Event {
    /// The exact JSON that is sent and signed, with its keys in the order of the API reference.
    pub fn body(&self) -> String {
        Body {
            r#type: EventType::of_otp(self.status).as_str(),
            id: self.delivery_id,
            phone: self.phone.to_string(),
            carrier: self.carrier.name(),
            status: self.status.as_str(),
            cost: self.cost,
            error_code: self.error_code,
            created_at: rfc3339(self.created_at_ms),
            completed_at: rfc3339(self.completed_at_ms),
            reference: self.fields.reference.as_ref(),
            metadata: self.fields.metadata.as_ref(),
        }
        .text()
    }
}

/// The body of an event about one OTP. What the customer did not give is left out.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    id: DeliveryId,
    phone: String,
    carrier: &'static str,
    status: &'static str,
    cost: Micros,
    error_code: Option<&'static str>,
    created_at: String,
    completed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
}

impl Body<'_> {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("plain fields are serializable")
    }
}

/// The SHA-256 of an endpoint's secret, as hex text. It is stored, and is the key of the signature.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedSecret(String);

impl HashedSecret {
    /// Hashes a secret in the form that is shown to the customer, `whsec_…`.
    pub fn of(secret: &str) -> Self {
        Self(hex::encode(Sha256::digest(secret.as_bytes())))
    }

    /// A hash as it is stored.
    pub fn from_record(hex: String) -> Self {
        Self(hex)
    }

    /// The hash as it is stored.
    pub fn as_record(&self) -> &str {
        &self.0
    }

    /// `sha256=<hex>`, the value of `X-NEXO-Signature` for these bytes.
    pub fn sign(&self, body: &[u8]) -> String {
        let signature = self.mac(&[body]).finalize().into_bytes();
        format!("sha256={}", hex::encode(signature))
    }

    /// Whether `header` is this secret's signature of these bytes. Runs in constant time.
    pub fn verify(&self, body: &[u8], header: &str) -> bool {
        let expected = self.sign(body);
        expected.as_bytes().ct_eq(header.as_bytes()).into()
    }

    /// The bytes of the Standard Webhooks signature over `id.timestamp.body`, before Base64. The key is the hash text
    /// too.
    pub fn sign_standard(&self, id: &str, timestamp_seconds: i64, body: &[u8]) -> [u8; 32] {
        let timestamp = timestamp_seconds.to_string();
        let mac = self.mac(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
        mac.finalize().into_bytes().into()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes())
            .expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for HashedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedSecret(hidden)")
    }
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
    fn the_keys_of_the_body_are_in_the_order_of_the_reference() {
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
            fields: CustomerFields::default(),
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
        let failed = Event { status: Status::Failed, error_code: Some("busy"), ..event };
        assert!(failed.body().contains(r#""error_code":"busy""#));
        assert!(failed.body().starts_with(r#"{"type":"otp.failed""#));
        let fields = CustomerFields {
            reference: Reference::parse("order-42"),
            metadata: Metadata::parse(r#"{"z":"1","a":"2"}"#).ok(),
        };
        let body = Event { fields, ..failed }.body();
        let end = r#""completed_at":"2026-05-25T10:00:25Z","reference":"order-42","metadata":{"z":"1","a":"2"}}"#;
        assert!(body.ends_with(end), "{body}");
    }
}
