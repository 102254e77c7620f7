//! Call detail records: one finished leg on one gateway.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "call_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub delivery_id: Uuid,
    /// From 1, in the order of dialling.
    pub number: i16,
    pub gateway: String,
    /// SIP's Call-ID.
    pub call_id: String,
    pub started_at_ms: i64,
    pub accepted_at_ms: Option<i64>,
    pub ringing_at_ms: Option<i64>,
    pub answered_at_ms: Option<i64>,
    pub ended_at_ms: i64,
    pub sip_code: Option<i16>,
    pub end_reason: String,
    pub codec: Option<String>,
    pub packets_sent: i64,
    pub packets_received: Option<i64>,
    pub loss_ppm: Option<i64>,
    pub jitter_us: Option<i64>,
    pub round_trip_us: Option<i64>,
    pub mos_hundredths: Option<i64>,
    /// As the domain's `call_steps` writes them.
    pub steps: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
