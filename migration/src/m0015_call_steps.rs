//! What happened in a call between its answer and its end: readings and pressed keys.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// Steps and milliseconds since the attempt began, as in `read:15230,key:16001`.
const SCHEMA: &str = "ALTER TABLE call_attempts ADD COLUMN steps text;";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "ALTER TABLE call_attempts DROP COLUMN steps").await
    }
}
