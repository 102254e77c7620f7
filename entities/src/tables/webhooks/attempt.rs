//! One POST of one event to one endpoint: the outbox and its history.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub endpoint_id: Uuid,
    pub account_id: Uuid,
    pub delivery_id: Uuid,
    pub event_type: String,
    /// The exact bytes that are sent and signed.
    pub body: String,
    /// `pending`, `sending`, `delivered`, `failed` or `unknown`.
    pub status: String,
    pub replay_of: Option<Uuid>,
    /// The node that sends or sent it.
    pub node: Option<String>,
    pub created_at_ms: i64,
    pub started_at_ms: Option<i64>,
    pub finished_at_ms: Option<i64>,
    pub status_code: Option<i16>,
    pub duration_ms: Option<i64>,
    /// The answer's first KiB.
    pub response_head: Option<String>,
    pub error: Option<String>,
    /// The trace that it is part of, as in a `traceparent` header.
    pub traceparent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
