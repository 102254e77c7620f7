//! A customer: one wallet, its keys, its webhook endpoints.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Lower case.
    pub email: String,
    /// Argon2id, in PHC's text form.
    pub password_hash: Option<String>,
    /// Whether it may approve deposits and see every account.
    pub operator: bool,
    /// ISO 639-1; the configured language where null.
    pub language: Option<String>,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
