//! Integrations: auth servers that send their codes with their own hook.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "integrations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub kind: String,
    pub name: String,
    /// What `secret` is: `sha256`, `sealed` or `plain`.
    pub secret_form: String,
    /// Absent once the integration was removed.
    pub secret: Option<Vec<u8>>,
    pub phone_pointer: Option<String>,
    pub code_pointer: Option<String>,
    pub created_at_ms: i64,
    pub last_used_at_ms: Option<i64>,
    pub removed_at_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
