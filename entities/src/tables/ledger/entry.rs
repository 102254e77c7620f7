//! Ledger entries: signed amounts of one bucket. The database rejects updates and deletes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_entries")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: Uuid,
    /// Shared by entries written together.
    pub posting_id: Uuid,
    pub delivery_id: Option<Uuid>,
    /// Name of an `EntryKind` of the domain: `debit`, `refund`, `deposit`, `grant` …
    pub kind: String,
    /// `free`, `bonus` or `balance`.
    pub bucket: String,
    /// Never zero.
    pub amount_micros: i64,
    pub reference: Option<String>,
    /// An operator's note.
    pub note: Option<String>,
    pub created_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
