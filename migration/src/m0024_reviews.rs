//! Suspicious bursts that wait to be looked at, and what each key usually sends.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// `review_windows`: which windows of time have been looked at, so that one node does it.
const SCHEMA: &str = "
CREATE TABLE key_paces (
    key_id {uuid} NOT NULL PRIMARY KEY,
    usual_milli {int} NOT NULL,
    seen_at_ms {int} NOT NULL
) {table by key};

CREATE INDEX key_paces_by_age ON key_paces (seen_at_ms);

CREATE TABLE review_windows (
    start_ms {int} NOT NULL PRIMARY KEY
) {table};

CREATE TABLE reviews (
    id {uuid} NOT NULL PRIMARY KEY,
    key_id {uuid} NOT NULL,
    account_id {uuid} NOT NULL,
    suspicion text NOT NULL,
    detail text NOT NULL,
    windows {int} NOT NULL,
    opened_at_ms {int} NOT NULL,
    seen_at_ms {int} NOT NULL,
    closed_at_ms {int},
    closed_by text,
    note text
) {table by key};

CREATE UNIQUE INDEX reviews_open ON reviews (key_id, suspicion) WHERE closed_at_ms IS NULL;

CREATE INDEX reviews_by_age ON reviews (opened_at_ms, id);
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["reviews", "review_windows", "key_paces"]).await
    }
}
