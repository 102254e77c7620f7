//! Sign-ups that wait for their e-mail address to be confirmed.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// What was typed and where it came from, until the link that was mailed is followed. As of sessions, only the
/// token's SHA-256 is kept.
const SCHEMA: &str = "
CREATE TABLE pending_sign_ups (
    token_hash {bytes} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    email text NOT NULL,
    password_hash text NOT NULL,
    page_language text NOT NULL CHECK (page_language IN ('vi', 'en')),
    landing_code text,
    signed_in_as {uuid},
    created_at_ms {int} NOT NULL,
    expires_at_ms {int} NOT NULL
) {table by key};

CREATE INDEX pending_sign_ups_by_expiry ON pending_sign_ups (expires_at_ms);

CREATE INDEX password_resets_by_expiry ON password_resets (expires_at_ms);
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "DROP INDEX password_resets_by_expiry").await?;
        dialect::drop_tables(manager, &["pending_sign_ups"]).await
    }
}
