//! The answers kept under idempotency keys: each has one from the start, and is found by its age.
//!
//! Nothing was ever written to the table as the third step made it.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// `answered` is false from the debit until the carrier has taken the call.
const SCHEMA: &str = "
DROP TABLE idempotency;

CREATE TABLE idempotency (
    key_id {uuid} NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint {bytes} NOT NULL CHECK (length(fingerprint) = 32),
    delivery_id {uuid},
    status_code {smallint} NOT NULL,
    answer text NOT NULL,
    answered {bool} NOT NULL,
    created_at_ms {int} NOT NULL,
    PRIMARY KEY (key_id, idempotency_key),
    CHECK (answered OR delivery_id IS NOT NULL)
) {table by key};

CREATE INDEX idempotency_by_age ON idempotency (created_at_ms);
";

const BEFORE: &str = "
DROP TABLE idempotency;

CREATE TABLE idempotency (
    key_id {uuid} NOT NULL,
    idempotency_key text NOT NULL,
    body_sha256 {bytes} NOT NULL CHECK (length(body_sha256) = 32),
    delivery_id {uuid},
    status_code {smallint},
    answer {bytes},
    created_at_ms {int} NOT NULL,
    PRIMARY KEY (key_id, idempotency_key)
) {table by key};
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, BEFORE).await
    }
}
