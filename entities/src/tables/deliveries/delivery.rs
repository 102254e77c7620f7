//! One row per OTP, from acceptance to its terminal state.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub key_id: Uuid,
    pub test: bool,
    /// E.164.
    pub phone: String,
    pub carrier: String,
    /// `sent`, `delivered` or `failed`.
    pub status: String,
    pub cost_micros: i64,
    pub error_code: Option<String>,
    pub carrier_status: Option<String>,
    /// The node that makes the call. Only it settles the delivery, in the same epoch.
    pub node: String,
    pub epoch: i64,
    pub created_at_ms: i64,
    pub completed_at_ms: Option<i64>,
    /// Whether the built-in sandbox takes the call.
    pub sandbox: bool,
    /// Whether its end refunded the cost.
    pub refunded: bool,
    /// The customer's own id.
    pub reference: Option<String>,
    /// A JSON object of strings.
    pub metadata: Option<String>,
    /// The verification whose code the call reads.
    pub verification_id: Option<Uuid>,
    /// Whether the login succeeded, if it is known.
    pub converted: Option<bool>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
