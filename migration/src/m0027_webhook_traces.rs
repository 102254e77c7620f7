//! Which trace a webhook is part of, where its delivery is traced: whoever sends it continues that.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// As in a `traceparent` header.
const SCHEMA: &str = "ALTER TABLE webhook_attempts ADD COLUMN traceparent text;";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(
            manager,
            "ALTER TABLE webhook_attempts DROP COLUMN traceparent",
        )
        .await
    }
}
