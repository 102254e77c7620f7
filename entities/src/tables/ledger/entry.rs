//! Signed lines of one bucket each. Append-only: the database refuses anything else.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger_entries")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: Uuid,
    /// The entries written together for one reason share it.
    pub posting_id: Uuid,
    pub delivery_id: Option<Uuid>,
    /// As the domain's `EntryKind` names them: `debit`, `refund`, `deposit`, `grant` …
    pub kind: String,
    /// `free`, `bonus` or `balance`.
    pub bucket: String,
    /// Never zero.
    pub amount_micros: i64,
    pub reference: Option<String>,
    /// What an operator said of it.
    pub note: Option<String>,
    pub created_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
