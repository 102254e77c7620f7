//! What an account's days came to, so that a chart of a month does not read a month of deliveries.
//!
//! The figures are added up beside the settling, not in it: a delivery's end costs the hot path nothing more.
//! `figures_until` says up to which delivery they go. All that is older has ended and never changes.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// Days count from 1970-01-01, UTC.
const SCHEMA: &str = "
CREATE TABLE daily_figures (
    account_id {uuid} NOT NULL,
    day {int} NOT NULL,
    carrier text NOT NULL,
    delivered {int} NOT NULL,
    failed {int} NOT NULL,
    PRIMARY KEY (account_id, day, carrier)
) {table by key};

CREATE TABLE answer_times (
    account_id {uuid} NOT NULL,
    day {int} NOT NULL,
    seconds {int} NOT NULL,
    calls {int} NOT NULL,
    PRIMARY KEY (account_id, day, seconds)
) {table by key};

CREATE TABLE figures_until (
    id {int} NOT NULL PRIMARY KEY CHECK (id = 1),
    until_ms {int} NOT NULL
) {table by key};

INSERT INTO figures_until (id, until_ms) VALUES (1, 0);
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = ["figures_until", "answer_times", "daily_figures"];
        dialect::drop_tables(manager, &tables).await
    }
}
