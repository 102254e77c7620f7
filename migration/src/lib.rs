//! The schema of NEXO ROUTE, as migrations that are applied in order.
//!
//! A released migration never changes. A correction is a new migration.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{
    DatabaseBackend, DatabaseConnection, DatabaseTransaction, EntityTrait, QueryOrder,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::seaql_migrations;

mod sql_file;

use sql_file::SqlFile;

macro_rules! sql_files {
    ($($name:literal)*) => {
        [$(SqlFile { name: $name, text: include_str!(concat!("../sql/", $name, ".sql")) }),*]
    };
}

/// All migrations, in order. One that needs Rust code implements [`MigrationTrait`] itself.
const FILES: [SqlFile; 7] = sql_files![
    "m0001_cluster"
    "m0002_accounts"
    "m0003_ledger"
    "m0004_referrals"
    "m0005_deliveries"
    "m0006_webhooks"
    "m0007_operations"
];

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        FILES
            .into_iter()
            .map(|file| Box::new(file) as Box<dyn MigrationTrait>)
            .collect()
    }
}

/// A migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    pub name: String,
    pub applied: bool,
}

/// Why the schema cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(
        "the database has the migration {name}, which this version does not know: it was created by a newer \
         version or by a development version; update nexo, or set database.url to another database"
    )]
    Unknown { name: String },
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// The names of all migrations, in order.
pub fn names() -> Vec<String> {
    let migrations = Migrator::migrations();
    migrations.iter().map(|it| it.name().to_owned()).collect()
}

/// Applies the missing migrations, all of them or none. Several nodes may do so at once.
///
/// # Errors
/// [`MigrationError::Unknown`]; errors of the database.
pub async fn up(connection: &DatabaseConnection) -> Result<(), MigrationError> {
    let transaction = begin_exclusive(connection).await?;
    read_status(&transaction).await?;
    Migrator::up(&transaction, None).await?;
    Ok(transaction.commit().await?)
}

/// Reverts the last `count` migrations and drops the data in their tables.
///
/// # Errors
/// [`MigrationError::Unknown`]; errors of the database.
pub async fn down(connection: &DatabaseConnection, count: u32) -> Result<(), MigrationError> {
    let transaction = begin_exclusive(connection).await?;
    read_status(&transaction).await?;
    Migrator::down(&transaction, Some(count)).await?;
    Ok(transaction.commit().await?)
}

/// Returns all migrations in order, each with its state in the database. Writes nothing.
///
/// # Errors
/// [`MigrationError::Unknown`]; errors of the database.
pub async fn status(
    connection: &DatabaseConnection,
) -> Result<Vec<MigrationStatus>, MigrationError> {
    read_status(connection).await
}

async fn read_status<'c, C>(connection: &'c C) -> Result<Vec<MigrationStatus>, MigrationError>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let mut applied = Vec::new();
    if SchemaManager::new(connection)
        .has_table("seaql_migrations")
        .await?
    {
        let rows = seaql_migrations::Entity::find()
            .order_by_asc(seaql_migrations::Column::Version)
            .all(connection);
        applied = rows.await?.into_iter().map(|row| row.version).collect();
    }
    let names = names();
    if let Some(name) = applied.iter().find(|name| !names.contains(name)) {
        let name = name.clone();
        return Err(MigrationError::Unknown { name });
    }
    let status = |name| MigrationStatus {
        applied: applied.contains(&name),
        name,
    };
    Ok(names.into_iter().map(status).collect())
}

/// The key of the PostgreSQL advisory lock under which the schema changes. Any number, the same for all nodes.
const SCHEMA_LOCK: i64 = 0x6e65_786f;

/// Begins a transaction that excludes the migrations of other nodes.
async fn begin_exclusive(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
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
