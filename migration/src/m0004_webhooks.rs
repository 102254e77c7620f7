//! Webhook endpoints and the outbox of their attempts.

use sea_orm_migration::prelude::*;

use crate::dialect;

const SCHEMA: &str = "
CREATE TABLE webhook_endpoints (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    url text NOT NULL,
    secret_hash text NOT NULL,
    created_at_ms {int} NOT NULL,
    paused_at_ms {int},
    removed_at_ms {int}
) {table};

CREATE INDEX webhook_endpoints_by_account ON webhook_endpoints (account_id, created_at_ms);

CREATE TABLE webhook_attempts (
    id {uuid} NOT NULL PRIMARY KEY,
    endpoint_id {uuid} NOT NULL,
    account_id {uuid} NOT NULL,
    delivery_id {uuid} NOT NULL,
    event_type text NOT NULL,
    body text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('pending', 'sending', 'delivered', 'failed', 'unknown')),
    replay_of {uuid},
    node text,
    created_at_ms {int} NOT NULL,
    started_at_ms {int},
    finished_at_ms {int},
    status_code {smallint},
    duration_ms {int},
    response_head text,
    error text
) {table by key};

CREATE INDEX webhook_attempts_open ON webhook_attempts (status, endpoint_id, created_at_ms, id)
    WHERE status IN ('pending', 'sending');

CREATE INDEX webhook_attempts_by_delivery ON webhook_attempts (delivery_id, created_at_ms);
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["webhook_attempts", "webhook_endpoints"]).await
    }
}
