//! Below which balance an account wants to be told, and whether it was.

use sea_orm_migration::prelude::*;

use crate::dialect;

const SCHEMA: &str = "
CREATE TABLE low_balance_notices (
    account_id {uuid} NOT NULL PRIMARY KEY REFERENCES accounts (id),
    threshold_micros {int} NOT NULL CHECK (threshold_micros > 0),
    told_at_ms {int}
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
        dialect::drop_tables(manager, &["low_balance_notices"]).await
    }
}
