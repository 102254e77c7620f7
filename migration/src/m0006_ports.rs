//! Ported numbers, in sets of which one is in force.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// A set's rows are packed into pieces: nobody asks the database for a single one, and a set of millions
/// is read at every start.
const SCHEMA: &str = "
CREATE TABLE port_sets (
    id {uuid} NOT NULL PRIMARY KEY,
    row_count {int} NOT NULL,
    carriers text NOT NULL,
    imported_at_ms {int} NOT NULL,
    in_force {bool} NOT NULL
) {table by key};

CREATE TABLE port_pieces (
    set_id {uuid} NOT NULL,
    place {int} NOT NULL,
    packed {bytes} NOT NULL,
    PRIMARY KEY (set_id, place)
) {table};
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::drop_tables(manager, &["port_pieces", "port_sets"]).await
    }
}
