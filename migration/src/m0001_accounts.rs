//! Accounts, their API keys and the keys' allowlists.

use sea_orm_migration::prelude::*;

use crate::dialect;

const SCHEMA: &str = "
CREATE TABLE accounts (
    id {uuid} NOT NULL PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email) AND email <> ''),
    password_hash text,
    operator {bool} NOT NULL,
    language text CHECK (language IN ('vi', 'en')),
    created_at_ms {int} NOT NULL,
    closed_at_ms {int}
) {table};

CREATE TABLE api_keys (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    name text NOT NULL,
    hash {bytes} NOT NULL UNIQUE CHECK (length(hash) = 32),
    hint text NOT NULL,
    test {bool} NOT NULL,
    created_at_ms {int} NOT NULL,
    last_used_at_ms {int},
    revoked_at_ms {int}
) {table};

CREATE INDEX api_keys_by_account ON api_keys (account_id, created_at_ms);

CREATE TABLE key_allowlist (
    key_id {uuid} NOT NULL REFERENCES api_keys (id),
    position {smallint} NOT NULL CHECK (position BETWEEN 0 AND 49),
    cidr text NOT NULL,
    PRIMARY KEY (key_id, position)
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
        dialect::drop_tables(manager, &["key_allowlist", "api_keys", "accounts"]).await
    }
}
