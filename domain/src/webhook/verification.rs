//! The events of verifications: their bodies.

use serde::Serialize;

use super::events::EventType;
use crate::customer_fields::{CustomerFields, Metadata, Reference};
use crate::ids::{DeliveryId, VerificationId};
use crate::phone::RecordedPhone;
use crate::timestamp::rfc3339;
use crate::verification::Status;

/// The content of the event of a verification's end. It never contains the code. Times are UTC, in milliseconds since
/// 1970.
#[derive(Debug, Clone)]
pub struct VerificationEvent {
    pub verification_id: VerificationId,
    /// The last call that read the code.
    pub delivery_id: DeliveryId,
    pub phone: RecordedPhone,
    pub status: Status,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
    pub completed_at_ms: i64,
    pub fields: CustomerFields,
}

impl VerificationEvent {
    /// The exact JSON that is sent and signed.
    pub fn body(&self, event: EventType) -> String {
        let body = Body {
            r#type: event.as_str(),
            data: Data {
                id: self.verification_id,
                phone: self.phone.to_string(),
                status: self.status.as_str(),
                delivery_id: self.delivery_id,
                created_at: rfc3339(self.created_at_ms),
                expires_at: rfc3339(self.expires_at_ms),
                completed_at: rfc3339(self.completed_at_ms),
                reference: self.fields.reference.as_ref(),
                metadata: self.fields.metadata.as_ref(),
            },
        };
        serde_json::to_string(&body).expect("plain fields are serializable")
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    data: Data<'a>,
}

/// What the customer did not give is left out.
#[derive(Serialize)]
struct Data<'a> {
    id: VerificationId,
    phone: String,
    status: &'static str,
    delivery_id: DeliveryId,
    created_at: String,
    expires_at: String,
    completed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Phone;
    use crate::phone::carrier_plan::CarrierPlan;

    #[test]
    fn the_body_tells_the_end_and_what_the_customer_gave() {
        let phone = Phone::parse("+84981234567", &CarrierPlan::vietnam()).unwrap();
        let approved = VerificationEvent {
            verification_id: "8f2e1c4d-0000-4000-8000-000000000002".parse().unwrap(),
            delivery_id: "8f2e1c4d-0000-4000-8000-000000000001".parse().unwrap(),
            phone: RecordedPhone::Whole(phone),
            status: Status::Approved,
            created_at_ms: 1_779_703_200_000,
            expires_at_ms: 1_779_703_500_000,
            completed_at_ms: 1_779_703_240_000,
            fields: CustomerFields::default(),
        };
        let event = EventType::VerificationApproved;
        assert_eq!(
            approved.body(event),
            concat!(
                r#"{"type":"verification.approved","data":{"#,
                r#""id":"8f2e1c4d-0000-4000-8000-000000000002","phone":"+84981234567","#,
                r#""status":"approved","delivery_id":"8f2e1c4d-0000-4000-8000-000000000001","#,
                r#""created_at":"2026-05-25T10:00:00Z","expires_at":"2026-05-25T10:05:00Z","#,
                r#""completed_at":"2026-05-25T10:00:40Z"}}"#
            )
        );
        let fields = CustomerFields {
            reference: Reference::parse("order-42"),
            metadata: Metadata::parse(r#"{"z":"1","a":"2"}"#).ok(),
        };
        let given = VerificationEvent { fields, ..approved };
        let end = r#""reference":"order-42","metadata":{"z":"1","a":"2"}}}"#;
        assert!(given.body(event).ends_with(end));
    }
}
