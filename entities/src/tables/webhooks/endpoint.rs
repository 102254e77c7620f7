//! Webhook endpoints.

use std::fmt;

use sea_orm::entity::prelude::*;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_endpoints")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub account_id: Uuid,
    pub url: String,
    /// Hex SHA-256 of the secret. It is the HMAC key, and therefore as secret as the secret.
    pub secret_hash: String,
    /// The previous secret in the same form, which also signs for some time.
    pub old_secret_hash: Option<String>,
    pub old_secret_until_ms: Option<i64>,
    pub created_at_ms: i64,
    pub paused_at_ms: Option<i64>,
    /// When it was last resumed.
    pub resumed_at_ms: Option<i64>,
    pub removed_at_ms: Option<i64>,
    /// The chosen events, as a list with commas.
    pub events: String,
    /// When they were last changed.
    pub events_changed_at_ms: Option<i64>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("id", &self.id)
            .field("account_id", &self.account_id)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
