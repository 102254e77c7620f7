//! What the other nodes must know of a node whose lease has ended.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// `longest_call_ms`: how long after its lease's end one of the node's calls may still be up.
/// `is_locked`: whether the node's life holds its name by a lock that ends with its session.
/// `taken_until_ms`: until when another node has taken it upon itself to settle what this one left.
const SCHEMA: [&str; 3] = [
    "ALTER TABLE nodes ADD COLUMN longest_call_ms {int} NOT NULL DEFAULT 90000",
    "ALTER TABLE nodes ADD COLUMN is_locked {bool} NOT NULL DEFAULT false",
    "ALTER TABLE nodes ADD COLUMN taken_until_ms {int} NOT NULL DEFAULT 0",
];
const COLUMNS: [&str; 3] = ["longest_call_ms", "is_locked", "taken_until_ms"];

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in SCHEMA {
            dialect::run(manager, sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            let sql = format!("ALTER TABLE nodes DROP COLUMN {column}");
            dialect::run(manager, &sql).await?;
        }
        Ok(())
    }
}
