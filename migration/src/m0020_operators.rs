//! What operators do: suspending accounts, draining gateways, and the log of all their actions.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// `operator` is the address by which the operator was known then, or `command line`. `account_id` is whom the
/// action was about, where that is an account.
const SCHEMA: &str = "
ALTER TABLE accounts ADD COLUMN suspended_at_ms {int};

ALTER TABLE accounts ADD COLUMN suspended_for text;

CREATE TABLE operator_actions (
    id {sequence},
    at_ms {int} NOT NULL,
    operator_id {uuid},
    operator text NOT NULL CHECK (operator <> ''),
    action text NOT NULL CHECK (action <> ''),
    account_id {uuid},
    subject text,
    detail text
) {table};

CREATE TABLE drained_gateways (
    carrier text NOT NULL,
    gateway text NOT NULL,
    at_ms {int} NOT NULL,
    PRIMARY KEY (carrier, gateway)
) {table by key};

CREATE INDEX operator_actions_by_account ON operator_actions (account_id, id)
    WHERE account_id IS NOT NULL;
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await?;
        dialect::make_append_only(manager, "operator_actions").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["drained_gateways", "operator_actions"]).await?;
        dialect::forget_append_only(manager, "operator_actions").await?;
        for column in ["suspended_for", "suspended_at_ms"] {
            let sql = format!("ALTER TABLE accounts DROP COLUMN {column}");
            dialect::run(manager, &sql).await?;
        }
        Ok(())
    }
}
