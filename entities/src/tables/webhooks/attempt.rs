//! Webhook attempts, one per POST: the outbox and its history.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::SimpleExpr;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub endpoint_id: Uuid,
    pub account_id: Uuid,
    /// For the end of a verification, its last call.
    pub delivery_id: Uuid,
    pub event_type: String,
    /// The exact bytes to send and sign.
    pub body: String,
    /// `pending`, `sending`, `delivered`, `failed` or `unknown`.
    pub status: String,
    pub replay_of: Option<Uuid>,
    /// The sending node.
    pub node: Option<String>,
    pub created_at_ms: i64,
    pub started_at_ms: Option<i64>,
    pub finished_at_ms: Option<i64>,
    pub status_code: Option<i16>,
    pub duration_ms: Option<i64>,
    /// The first KiB of the response.
    pub response_head: Option<String>,
    pub error: Option<String>,
    /// The trace to continue, as a `traceparent` header.
    pub traceparent: Option<String>,
    /// The verification whose end it tells.
    pub verification_id: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// When an attempt finished that ended at `at_ms`: not before it started, also if the clock was set back.
pub(crate) fn finished_at(at_ms: i64) -> SimpleExpr {
    let started = Expr::col(Column::StartedAtMs);
    Expr::case(Column::StartedAtMs.gt(at_ms), started).finally(Expr::value(at_ms)).into()
}
