//! Deliveries, their call attempts, the phones' windows and the requests' idempotency keys.

use sea_orm_migration::prelude::*;

use crate::dialect;

const SCHEMA: &str = "
CREATE TABLE deliveries (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL,
    key_id {uuid} NOT NULL,
    test {bool} NOT NULL,
    phone text NOT NULL,
    carrier text NOT NULL,
    status text NOT NULL CHECK (status IN ('sent', 'delivered', 'failed')),
    cost_micros {int} NOT NULL CHECK (cost_micros >= 0),
    error_code text,
    carrier_status text,
    node text NOT NULL,
    epoch {int} NOT NULL,
    created_at_ms {int} NOT NULL,
    completed_at_ms {int},
    CHECK ((status = 'sent') = (completed_at_ms IS NULL))
) {table by key};

CREATE INDEX deliveries_by_account ON deliveries (account_id, created_at_ms DESC, id);

CREATE INDEX deliveries_sent ON deliveries (node, created_at_ms) WHERE status = 'sent';

CREATE TABLE call_attempts (
    id {uuid} NOT NULL PRIMARY KEY,
    delivery_id {uuid} NOT NULL,
    number {smallint} NOT NULL,
    gateway text NOT NULL,
    call_id text NOT NULL,
    started_at_ms {int} NOT NULL,
    accepted_at_ms {int},
    ringing_at_ms {int},
    answered_at_ms {int},
    ended_at_ms {int} NOT NULL,
    sip_code {smallint},
    end_reason text NOT NULL,
    codec text,
    packets_sent {int} NOT NULL,
    UNIQUE (delivery_id, number)
) {table by key};

CREATE TABLE phone_windows (
    realm text NOT NULL CHECK (realm IN ('live', 'test')),
    phone text NOT NULL,
    since_ms {int} NOT NULL,
    until_ms {int} NOT NULL,
    delivery_id {uuid} NOT NULL,
    PRIMARY KEY (realm, phone)
) {table by key};

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
        let tables = [
            "idempotency",
            "phone_windows",
            "call_attempts",
            "deliveries",
        ];
        dialect::drop_tables(manager, &tables).await
    }
}
