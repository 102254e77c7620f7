//! How good a call's audio was, on its record.

use sea_orm_migration::prelude::*;

use crate::dialect;

/// Empty where the far end has reported nothing. Loss in millionths, times in microseconds, the mean
/// opinion score in hundredths.
const SCHEMA: &str = "
ALTER TABLE call_attempts ADD COLUMN packets_received {int};
ALTER TABLE call_attempts ADD COLUMN loss_ppm {int};
ALTER TABLE call_attempts ADD COLUMN jitter_us {int};
ALTER TABLE call_attempts ADD COLUMN round_trip_us {int};
ALTER TABLE call_attempts ADD COLUMN mos_hundredths {int};
";
const COLUMNS: [&str; 5] = [
    "packets_received",
    "loss_ppm",
    "jitter_us",
    "round_trip_us",
    "mos_hundredths",
];

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            let sql = format!("ALTER TABLE call_attempts DROP COLUMN {column}");
            dialect::run(manager, &sql).await?;
        }
        Ok(())
    }
}
