//! Customer accounts.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// In lower case.
    pub email: String,
    /// Argon2id in PHC string format.
    pub password_hash: Option<String>,
    /// Whether the account is an operator.
    pub operator: bool,
    /// Language of its calls (ISO 639-1); null selects the configured one.
    pub language: Option<String>,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    /// When an operator suspended it; its keys do not work since.
    pub suspended_at_ms: Option<i64>,
    /// The operator's reason.
    pub suspended_for: Option<String>,
    /// The normalized address of the mailbox, which identifies a person.
    pub person: Option<String>,
    /// The permanent code of its referral link, created by the database.
    pub referral_code: Option<String>,
    /// The referral code it signed up with. A trigger creates the referral from it.
    pub referred_by_code: Option<String>,
    /// Language of its pages and e-mails (ISO 639-1); null selects the browser's.
    pub page_language: Option<String>,
    /// IANA name of the time zone of its pages; null selects that of its language or browser.
    pub time_zone: Option<String>,
    /// The TOTP secret, sealed under a key derived from the password.
    pub totp_sealed: Option<Vec<u8>>,
    /// The last time step whose code was used; no code is accepted twice.
    pub totp_last_step: Option<i64>,
    /// SHA-256 of the recovery code.
    pub recovery_hash: Option<Vec<u8>>,
    /// When the password was reset, until the owner has reviewed the account's keys and endpoints.
    pub access_review_since_ms: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
