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
    /// Of its calls, ISO 639-1; the configured language where null.
    pub language: Option<String>,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    /// Since when its keys do not work, by an operator's decision.
    pub suspended_at_ms: Option<i64>,
    /// Why, in the operator's words.
    pub suspended_for: Option<String>,
    /// Whose address it is: two addresses of one mailbox are one person's.
    pub person: Option<String>,
    /// What its referral link carries, for good. Made by the database.
    pub referral_code: Option<String>,
    /// The code with which it signed up. A trigger makes the referral of it.
    pub referred_by_code: Option<String>,
    /// Of its pages and mails, ISO 639-1; the browser's where null.
    pub page_language: Option<String>,
    /// The second factor's secret, sealed under a key derived from the password.
    pub totp_sealed: Option<Vec<u8>>,
    /// The last time step whose code was taken: no code is taken twice.
    pub totp_last_step: Option<i64>,
    /// SHA-256 of the code that stands for a lost second factor.
    pub recovery_hash: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
