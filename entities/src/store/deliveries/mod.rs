//! Reads deliveries and their call attempts.

use std::borrow::Cow;

use nexo_domain::call::outcome::Status;
use nexo_domain::call::steps;
use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, AttemptId, DeliveryId, KeyId, VerificationId};
use nexo_domain::money::Micros;
use nexo_domain::phone::RecordedPhone;
use nexo_domain::phone::carrier_plan::Carrier;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::store::StoreError;
use crate::store::ledger::posting::{CallAttempt, CallQuality};
use crate::store::sql::record;
use crate::store::views::Deliveries;
use crate::tables::deliveries::{call_attempt, delivery};

mod clock_set_back;
pub mod daily_stats;
pub mod filters;
pub mod idempotency;
pub mod pages;
pub mod privacy;
pub mod recovery;
pub mod retention;

/// A stored delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub test: bool,
    /// Whether the built-in sandbox takes the call, so that no phone rings.
    pub sandbox: bool,
    /// Masked after the retention time.
    pub phone: RecordedPhone,
    pub carrier: Carrier,
    pub status: Status,
    pub cost: Micros,
    pub error_code: Option<String>,
    pub carrier_status: Option<String>,
    pub created_at_ms: i64,
    pub completed_at_ms: Option<i64>,
    /// Whether the cost was refunded.
    pub refunded: bool,
    pub fields: CustomerFields,
    /// The verification whose code the call reads, if the gateway made the code.
    pub verification_id: Option<VerificationId>,
    /// Whether the login succeeded, if it is known.
    pub converted: Option<bool>,
}

impl Delivery {
    pub(crate) fn from_row(row: delivery::Model) -> Result<Delivery, StoreError> {
        Ok(Delivery {
            id: DeliveryId(row.id),
            account_id: AccountId(row.account_id),
            key_id: KeyId(row.key_id),
            test: row.test,
            sandbox: row.sandbox,
            phone: record::recorded_phone("deliveries", &row.phone)?,
            carrier: record::carrier("deliveries", &row.carrier)?,
            status: record::status(&row.status)?,
            cost: Micros::new(row.cost_micros),
            error_code: row.error_code,
            carrier_status: row.carrier_status,
            created_at_ms: row.created_at_ms,
            completed_at_ms: row.completed_at_ms,
            refunded: row.refunded,
            fields: record::customer_fields("deliveries", row.reference, row.metadata)?,
            verification_id: row.verification_id.map(VerificationId),
            converted: row.converted,
        })
    }
}

impl Deliveries<'_> {
    /// Returns the delivery if it belongs to the account.
    pub async fn get(
        self,
        account: AccountId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        let row = delivery::Entity::find_by_id(id.0)
            .filter(delivery::Column::AccountId.eq(account.0))
            .one(&self.store.reader)
            .await?;
        row.map(Delivery::from_row).transpose()
    }

    /// Returns the finished legs of a delivery in the order of dialling.
    pub async fn call_attempts(self, delivery: DeliveryId) -> Result<Vec<CallAttempt>, StoreError> {
        let rows = call_attempt::Entity::find()
            .filter(call_attempt::Column::DeliveryId.eq(delivery.0))
            .order_by_asc(call_attempt::Column::Number)
            .all(&self.store.reader)
            .await?;
        rows.into_iter().map(call_attempt).collect()
    }
}

fn call_attempt(row: call_attempt::Model) -> Result<CallAttempt, StoreError> {
    let unreadable = |column| StoreError::unreadable("call_attempts", column);
    let count = |value: Option<i64>, column| {
        let count = value.map(u32::try_from).transpose();
        count.map_err(|_| unreadable(column))
    };
    let round_trip_us = count(row.round_trip_us, "round_trip_us")?;
    let quality = match (
        count(row.loss_ppm, "loss_ppm")?,
        count(row.jitter_us, "jitter_us")?,
        row.mos_hundredths,
    ) {
        (Some(loss_ppm), Some(jitter_us), Some(mos)) => Some(CallQuality {
            loss_ppm,
            jitter_us,
            round_trip_us,
            mos_hundredths: mos.try_into().map_err(|_| unreadable("mos_hundredths"))?,
        }),
        (_, _, _) => None,
    };
    Ok(CallAttempt {
        packets_received: count(row.packets_received, "packets_received")?,
        quality,
        steps: row.steps.as_deref().map(steps::read).unwrap_or_default(),
        id: AttemptId(row.id),
        number: row.number.try_into().map_err(|_| unreadable("number"))?,
        gateway: row.gateway,
        call_id: row.call_id,
        started_at_ms: row.started_at_ms,
        accepted_at_ms: row.accepted_at_ms,
        ringing_at_ms: row.ringing_at_ms,
        answered_at_ms: row.answered_at_ms,
        ended_at_ms: row.ended_at_ms,
        sip_code: row
            .sip_code
            .map(u16::try_from)
            .transpose()
            .map_err(|_| unreadable("sip_code"))?,
        end_reason: Cow::Owned(row.end_reason),
        codec: row.codec.map(Cow::Owned),
        packets_sent: row.packets_sent.try_into().map_err(|_| unreadable("packets_sent"))?,
    })
}
