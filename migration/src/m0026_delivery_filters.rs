//! What each stretch of deliveries may hold, so that a search passes over the stretches that hold nothing of it.
//!
//! An index by phone halves the commits a second (see the step `m0010`). Instead, beside the hot path, each
//! stretch of some thousand deliveries is given two Bloom filters: of its accounts' phones and of their carriers.
//! `delivery_filters_until` says up to which delivery they go. Where phones are masked, their filters are emptied.

use sea_orm_migration::prelude::*;

use crate::dialect;

const SCHEMA: &str = "
CREATE TABLE delivery_filters (
    until_id {uuid} NOT NULL PRIMARY KEY,
    first_ms {int} NOT NULL,
    last_ms {int} NOT NULL,
    phones {bytes} NOT NULL,
    carriers {bytes} NOT NULL
) {table};

CREATE TABLE delivery_filters_until (
    id {int} NOT NULL PRIMARY KEY CHECK (id = 1),
    until_id {uuid}
) {table by key};

INSERT INTO delivery_filters_until (id, until_id) VALUES (1, NULL);
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["delivery_filters_until", "delivery_filters"]).await
    }
}
