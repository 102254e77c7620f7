//! The schema of NEXO ROUTE, one frozen step after another.
//!
//! A step that has shipped is never edited: what is wrong with it is mended by the next step.

use sea_orm_migration::MigrationStatus;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

mod dialect;
mod m0001_accounts;
mod m0002_ledger;
mod m0003_deliveries;
mod m0004_webhooks;
mod m0005_nodes;
mod m0006_ports;
mod m0007_call_quality;
mod m0008_kept_answers;
mod m0010_delivery_pages;
mod m0011_ledger_reading;
mod m0012_leases;
mod m0013_sessions;
mod m0014_webhook_secrets;
mod m0015_call_steps;
mod m0016_daily_figures;
mod m0020_operators;
mod m0021_referrals;
mod m0022_deposits;
mod m0023_low_balance;
mod m0024_reviews;
mod m0025_pending_sign_ups;
mod m0026_delivery_filters;
mod m0027_webhook_traces;

/// Every step, in the order in which they are applied.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_accounts::Migration),
            Box::new(m0002_ledger::Migration),
            Box::new(m0003_deliveries::Migration),
            Box::new(m0004_webhooks::Migration),
            Box::new(m0005_nodes::Migration),
            Box::new(m0006_ports::Migration),
            Box::new(m0007_call_quality::Migration),
            Box::new(m0008_kept_answers::Migration),
            Box::new(m0010_delivery_pages::Migration),
            Box::new(m0011_ledger_reading::Migration),
            Box::new(m0012_leases::Migration),
            Box::new(m0013_sessions::Migration),
            Box::new(m0014_webhook_secrets::Migration),
            Box::new(m0015_call_steps::Migration),
            Box::new(m0016_daily_figures::Migration),
            Box::new(m0020_operators::Migration),
            Box::new(m0021_referrals::Migration),
            Box::new(m0022_deposits::Migration),
            Box::new(m0023_low_balance::Migration),
            Box::new(m0024_reviews::Migration),
            Box::new(m0025_pending_sign_ups::Migration),
            Box::new(m0026_delivery_filters::Migration),
            Box::new(m0027_webhook_traces::Migration),
        ]
    }
}

/// One step, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub applied: bool,
}

/// The names of all steps, in order.
pub fn names() -> Vec<String> {
    Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect()
}

/// Applies what is missing, all of it or nothing. Safe to run on several nodes at once.
///
/// # Errors
/// [`DbErr`] of the database, or when it has steps that this program does not know.
pub async fn up(connection: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = begin_alone(connection).await?;
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}

/// Takes the last `steps` back, with the data in their tables.
///
/// # Errors
/// [`DbErr`] of the database.
pub async fn down(connection: &DatabaseConnection, steps: u32) -> Result<(), DbErr> {
    let transaction = begin_alone(connection).await?;
    Migrator::down(&transaction, Some(steps)).await?;
    transaction.commit().await
}

/// Every step in order, with what the database has. Writes nothing.
///
/// # Errors
/// [`DbErr`] of the database, or when it has steps that this program does not know.
pub async fn status(connection: &DatabaseConnection) -> Result<Vec<Step>, DbErr> {
    let steps = Migrator::get_migration_with_status_read_only(connection).await?;
    Ok(steps
        .iter()
        .map(|step| Step {
            name: step.name().to_owned(),
            applied: step.status() == MigrationStatus::Applied,
        })
        .collect())
}

/// Any number, the same in every node: the name of the lock under which the schema changes.
const SCHEMA_LOCK: i64 = 0x6e65_786f;

/// A transaction beside which no other node migrates.
async fn begin_alone(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = connection.begin_with_options(options).await?;
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction
            .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
            .await?;
    }
    Ok(transaction)
}
