//! Top-ups that customers have asked for, and the payments that banks tell of.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// The exchange rate is that of the day on which the deposit was asked for. A payment that does not fit its
/// deposit is `kept` for an operator, with the reason.
const SCHEMA: &str = "
CREATE TABLE deposits (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    provider text NOT NULL,
    reference text NOT NULL UNIQUE,
    amount_micros {int} NOT NULL CHECK (amount_micros > 0),
    amount_vnd {int} NOT NULL CHECK (amount_vnd > 0),
    vnd_per_usd {int} NOT NULL CHECK (vnd_per_usd > 0),
    status text NOT NULL CHECK (status IN ('open', 'credited', 'refused')),
    created_at_ms {int} NOT NULL,
    closed_at_ms {int},
    closed_by text,
    credited_micros {int},
    note text,
    CHECK ((status = 'open') = (closed_at_ms IS NULL)),
    CHECK ((status = 'credited') = (credited_micros IS NOT NULL))
) {table by key};

CREATE INDEX deposits_by_account ON deposits (account_id, created_at_ms);

CREATE INDEX deposits_open ON deposits (created_at_ms, id) WHERE status = 'open';

CREATE TABLE bank_payments (
    id {uuid} NOT NULL PRIMARY KEY,
    bank_id text NOT NULL UNIQUE CHECK (bank_id <> ''),
    amount {int} NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    memo text NOT NULL,
    received_at_ms {int} NOT NULL,
    status text NOT NULL CHECK (status IN ('credited', 'kept', 'refused')),
    reason text,
    deposit_id {uuid},
    account_id {uuid},
    credited_micros {int},
    closed_at_ms {int},
    closed_by text,
    note text,
    CHECK (status <> 'kept' OR reason IS NOT NULL),
    CHECK ((status = 'kept') = (closed_at_ms IS NULL)),
    CHECK ((status = 'credited') = (credited_micros IS NOT NULL AND account_id IS NOT NULL))
) {table by key};

CREATE INDEX bank_payments_kept ON bank_payments (received_at_ms, id) WHERE status = 'kept';
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["bank_payments", "deposits"]).await
    }
}
