//! Wallets and the append-only ledger.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// Entries refer to accounts and deliveries without a foreign key: they are written by the hundred
/// thousand a second, each check would be one more look-up and, on PostgreSQL, a lock on the one
/// hot row of the account. The audit looks for orphans instead.
const SCHEMA: &str = "
CREATE TABLE wallets (
    account_id {uuid} NOT NULL PRIMARY KEY REFERENCES accounts (id),
    free_micros {int} NOT NULL CHECK (free_micros >= 0),
    bonus_micros {int} NOT NULL CHECK (bonus_micros >= 0),
    balance_micros {int} NOT NULL CHECK (balance_micros >= 0),
    version {int} NOT NULL
) {table by key};

CREATE TABLE ledger_entries (
    id {sequence},
    account_id {uuid} NOT NULL,
    posting_id {uuid} NOT NULL,
    delivery_id {uuid},
    kind text NOT NULL,
    bucket text NOT NULL CHECK (bucket IN ('free', 'bonus', 'balance')),
    amount_micros {int} NOT NULL CHECK (amount_micros <> 0),
    reference text,
    created_at_ms {int} NOT NULL,
    CHECK (kind <> 'debit' OR (delivery_id IS NOT NULL AND amount_micros < 0)),
    CHECK (kind <> 'refund' OR (delivery_id IS NOT NULL AND amount_micros > 0)),
    UNIQUE (delivery_id, kind, bucket)
) {table};

CREATE UNIQUE INDEX ledger_entries_by_reference
    ON ledger_entries (account_id, kind, reference, bucket) WHERE reference IS NOT NULL;
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await?;
        dialect::make_append_only(manager, "ledger_entries").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["ledger_entries", "wallets"]).await?;
        dialect::forget_append_only(manager, "ledger_entries").await
    }
}
