//! What signing in needs: sessions, password resets, an account's second factor
//! and the language of its pages.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// Of a token only its SHA-256 is kept, so that whoever reads the database signs in as nobody.
///
/// The second factor's secret must be read back to be checked. It is kept sealed under a key that is derived
/// from the account's password: the database alone gives no codes. The recovery code is kept as its SHA-256.
const SCHEMA: &str = "
CREATE TABLE sessions (
    token_hash {bytes} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    id {uuid} NOT NULL UNIQUE,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    address text NOT NULL,
    browser text NOT NULL,
    created_at_ms {int} NOT NULL,
    seen_at_ms {int} NOT NULL,
    expires_at_ms {int} NOT NULL
) {table by key};

CREATE INDEX sessions_by_account ON sessions (account_id, created_at_ms);

CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

CREATE TABLE password_resets (
    token_hash {bytes} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    created_at_ms {int} NOT NULL,
    expires_at_ms {int} NOT NULL
) {table by key};

CREATE INDEX password_resets_by_account ON password_resets (account_id);

ALTER TABLE accounts ADD COLUMN page_language text CHECK (page_language IN ('vi', 'en'));

ALTER TABLE accounts ADD COLUMN totp_sealed {bytes};

ALTER TABLE accounts ADD COLUMN totp_last_step {int};

ALTER TABLE accounts ADD COLUMN recovery_hash {bytes};
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["password_resets", "sessions"]).await?;
        for column in [
            "recovery_hash",
            "totp_last_step",
            "totp_sealed",
            "page_language",
        ] {
            let statement = format!("ALTER TABLE accounts DROP COLUMN {column}");
            dialect::run(manager, &statement).await?;
        }
        Ok(())
    }
}
