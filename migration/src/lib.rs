//! The schema of NEXO ROUTE, as migrations that are applied in order.
//!
//! A released migration never changes. A correction is a new migration.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};

mod sql_file;

use sql_file::SqlFile;

macro_rules! sql_files {
    ($($name:literal)*) => {
        [$(SqlFile { name: $name, text: include_str!(concat!("../sql/", $name, ".sql")) }),*]
    };
}

/// All migrations, in order.
const FILES: [SqlFile; 16] = sql_files![
    "m0001_cluster"
    "m0002_accounts"
    "m0003_ledger"
    "m0004_referrals"
    "m0005_deliveries"
    "m0006_webhooks"
    "m0007_operations"
    "m0008_quotas"
    "m0009_account_security"
    "m0010_disk_probe"
    "m0011_delivery_marks"
    "m0012_time_zones"
    "m0013_customer_fields"
    "m0014_verifications"
    "m0015_integrations"
    "m0016_webhook_events"
];

/// The table of the applied migrations, as sea-orm-migration creates it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS seaql_migrations
    (version varchar NOT NULL PRIMARY KEY, applied_at bigint NOT NULL)";

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
    FILES.iter().map(|file| file.name.to_owned()).collect()
}

/// Applies the missing migrations, all of them or none. Several nodes may do so at once.
///
/// # Errors
/// [`MigrationError::Unknown`]; errors of the database.
pub async fn up(connection: &DatabaseConnection) -> Result<(), MigrationError> {
    let transaction = begin_exclusive(connection).await?;
    transaction.execute_unprepared(TABLE).await?;
    let applied = applied(&transaction).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    for file in FILES.iter().filter(|file| !applied.contains(file.name)) {
        tracing::info!(migration = file.name, "applying a migration");
        let sql = file.up(transaction.get_database_backend());
        transaction.execute_unprepared(&sql).await?;
        let sql = "INSERT INTO seaql_migrations (version, applied_at) VALUES ($1, $2)";
        let values = [file.name.into(), now.cast_signed().into()];
        transaction.execute_raw(statement(&transaction, sql, values)).await?;
    }
    Ok(transaction.commit().await?)
}

/// Reverts the last `count` migrations and drops the data in their tables.
///
/// # Errors
/// [`MigrationError::Unknown`]; errors of the database.
pub async fn down(connection: &DatabaseConnection, count: u32) -> Result<(), MigrationError> {
    let transaction = begin_exclusive(connection).await?;
    let applied = applied(&transaction).await?;
    let newest_first = FILES.iter().rev();
    let applied = newest_first.filter(|file| applied.contains(file.name));
    for file in applied.take(count as usize) {
        tracing::info!(migration = file.name, "reverting a migration");
        let sql = file.down(transaction.get_database_backend());
        transaction.execute_unprepared(&sql).await?;
        let sql = "DELETE FROM seaql_migrations WHERE version = $1";
        transaction.execute_raw(statement(&transaction, sql, [file.name.into()])).await?;
    }
    Ok(transaction.commit().await?)
}

/// Returns all migrations in order, each with its state in the database. Writes nothing.
///
/// # Errors
/// [`MigrationError::Unknown`]; errors of the database.
pub async fn status(
    connection: &DatabaseConnection,
) -> Result<Vec<MigrationStatus>, MigrationError> {
    let applied = applied(connection).await?;
    let status = |name: String| MigrationStatus { applied: applied.contains(&name), name };
    Ok(names().into_iter().map(status).collect())
}

/// Returns the names of the applied migrations, all of which this version knows.
async fn applied(connection: &impl ConnectionTrait) -> Result<HashSet<String>, MigrationError> {
    let has_table = match connection.get_database_backend() {
        DatabaseBackend::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = 'seaql_migrations'",
        _ => "SELECT 1 WHERE to_regclass('seaql_migrations') IS NOT NULL",
    };
    let has_table = statement(connection, has_table, []);
    if connection.query_one_raw(has_table).await?.is_none() {
        return Ok(HashSet::new());
    }
    let rows = statement(connection, "SELECT version FROM seaql_migrations ORDER BY version", []);
    let rows = connection.query_all_raw(rows).await?;
    let mut applied = HashSet::new();
    for row in rows {
        let name: String = row.try_get_by_index(0)?;
        if FILES.iter().all(|file| file.name != name) {
            return Err(MigrationError::Unknown { name });
        }
        applied.insert(name);
    }
    Ok(applied)
}

fn statement<const N: usize>(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> Statement {
    Statement::from_sql_and_values(connection.get_database_backend(), sql, values)
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
