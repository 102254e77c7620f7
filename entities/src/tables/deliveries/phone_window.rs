//! Until when a phone is left alone after an OTP to it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "phone_windows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    /// `live` or `test`.
    pub realm: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub phone: String,
    pub since_ms: i64,
    pub until_ms: i64,
    pub delivery_id: Uuid,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
