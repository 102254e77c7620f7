//! The nodes of the cluster, and the feed of changes that a running node follows.

use sea_orm_migration::prelude::*;

use crate::dialect;

const SCHEMA: &str = "
CREATE TABLE nodes (
    name text NOT NULL PRIMARY KEY,
    epoch {int} NOT NULL,
    lease_until_ms {int} NOT NULL
) {table};

CREATE TABLE changes (
    seq {sequence},
    kind text NOT NULL,
    subject {uuid} NOT NULL,
    at_ms {int} NOT NULL
) {table};
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["changes", "nodes"]).await
    }
}
