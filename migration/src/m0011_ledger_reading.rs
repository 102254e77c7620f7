//! What reading the ledger and auditing need: an account's entries in order, why an operator wrote one, and
//! since when an endpoint has been active.

use std::time::{SystemTime, UNIX_EPOCH};

use sea_orm_migration::prelude::*;

use crate::dialect;

/// An account's entries were nowhere in order: a page of them was a walk through everybody's. The index
/// grows at its end for each account, so a transaction writes one page more for each account in it. In
/// batches of 32 that took 5 % of SQLite's commits a second. It holds what a filter asks for and what the
/// totals add up, so that neither reads the entries themselves.
const SCHEMA: &str = "
CREATE INDEX ledger_entries_by_account
    ON ledger_entries (account_id, id, kind, bucket, amount_micros);

ALTER TABLE ledger_entries ADD COLUMN note text;

ALTER TABLE webhook_endpoints ADD COLUMN resumed_at_ms {int};
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await?;
        // Nobody knows when those that are there were paused and resumed: they count from now on.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.map_or(0, |since| since.as_millis());
        let counted = format!("UPDATE webhook_endpoints SET resumed_at_ms = {now_ms}");
        dialect::run(manager, &counted).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [
            "ALTER TABLE webhook_endpoints DROP COLUMN resumed_at_ms",
            "ALTER TABLE ledger_entries DROP COLUMN note",
            "DROP INDEX ledger_entries_by_account",
        ] {
            dialect::run(manager, statement).await?;
        }
        Ok(())
    }
}
