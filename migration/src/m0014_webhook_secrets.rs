//! A webhook's old secret, which signs beside the new one for a while, and an endpoint's attempts in order.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// The attempts of an endpoint come in the order of their times, so the index grows at its end for each.
const SCHEMA: &str = "
ALTER TABLE webhook_endpoints ADD COLUMN old_secret_hash text;

ALTER TABLE webhook_endpoints ADD COLUMN old_secret_until_ms {int};

CREATE INDEX webhook_attempts_by_endpoint ON webhook_attempts (endpoint_id, created_at_ms, id);
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [
            "DROP INDEX webhook_attempts_by_endpoint",
            "ALTER TABLE webhook_endpoints DROP COLUMN old_secret_until_ms",
            "ALTER TABLE webhook_endpoints DROP COLUMN old_secret_hash",
        ] {
            dialect::run(manager, statement).await?;
        }
        Ok(())
    }
}
