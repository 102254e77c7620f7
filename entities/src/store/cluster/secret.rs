//! The check value of the installation's secret. It keeps nodes with different secrets apart.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, Value};

use super::nodes::now_ms;
use crate::store::sql::rows::scalar;
use crate::store::views::Cluster;
use crate::store::{Store, StoreError};

/// The check value of a secret, as
/// [`check_value`](nexo_domain::installation_secret::InstallationSecret::check_value) returns it.
pub type SecretCheck = [u8; 32];

/// The outcome of [`Cluster::reset_secret`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretReset {
    /// The next node that starts stores its own check value.
    Done,
    /// No node with a secret has started yet.
    NothingStored,
    /// These nodes run with the secret. Nothing was changed.
    Running(Vec<String>),
}

/// How often the check is repeated if another process resets the secret at the same moment.
const MAX_ROUNDS: usize = 3;

/// Compares the check value with the stored one, and stores it if there is none. The stored value cannot be reset
/// before `transaction` ends.
///
/// # Errors
/// [`StoreError::SecretDiffers`].
pub(super) async fn ensure_same(
    store: &Store,
    transaction: &DatabaseTransaction,
    check: &SecretCheck,
) -> Result<(), StoreError> {
    // Waits for a transaction that stores or resets the value.
    let insert = "INSERT INTO installation_secret (id, check_value) VALUES (1, ?) ON CONFLICT (id) DO NOTHING";
    let read = match store.is_sqlite() {
        true => "SELECT check_value FROM installation_secret WHERE id = 1",
        false => "SELECT check_value FROM installation_secret WHERE id = 1 FOR KEY SHARE",
    };
    for _ in 0..MAX_ROUNDS {
        transaction.execute_raw(store.sql(insert, [check.to_vec().into()])).await?;
        let stored: Option<Vec<u8>> = scalar(transaction, store.sql(read, [])).await?;
        match stored {
            Some(stored) if stored == check => return Ok(()),
            Some(_) => return Err(StoreError::SecretDiffers),
            None => {}
        }
    }
    Err(StoreError::Contended)
}

/// Checks that the nodes of the database have no secret either.
///
/// # Errors
/// [`StoreError::SecretDiffers`].
pub(super) async fn ensure_none(
    store: &Store,
    transaction: &DatabaseTransaction,
) -> Result<(), StoreError> {
    let stored = store.sql("SELECT 1 FROM installation_secret", []);
    match scalar::<i32>(transaction, stored).await? {
        Some(_) => Err(StoreError::SecretDiffers),
        None => Ok(()),
    }
}

impl Cluster<'_> {
    /// Deletes the check value if no node runs, so that the next start may use another secret. Every epoch ends, so
    /// that a node that was suspended has to start again, and compares its secret then.
    ///
    /// On SQLite the caller must hold the lock of the database file instead.
    pub async fn reset_secret(self) -> Result<SecretReset, StoreError> {
        let transaction = self.store.begin().await?;
        // Waits for nodes that are starting: their leases are visible below.
        let delete = self.store.sql("DELETE FROM installation_secret", []);
        if transaction.execute_raw(delete).await?.rows_affected() == 0 {
            return Ok(SecretReset::NothingStored);
        }
        if !self.store.is_sqlite() {
            let now_ms = now_ms(self.store.backend());
            let running =
                format!("SELECT name FROM nodes WHERE lease_until_ms > {now_ms} ORDER BY name");
            let running = transaction.query_all_raw(self.store.sql(&running, [])).await?;
            let names = running.iter().map(|row| row.try_get_by_index(0));
            let names = names.collect::<Result<Vec<String>, DbErr>>()?;
            if !names.is_empty() {
                transaction.rollback().await?;
                return Ok(SecretReset::Running(names));
            }
            let fence = self.store.sql("UPDATE nodes SET epoch = epoch + 1", []);
            transaction.execute_raw(fence).await?;
        }
        self.store.commit(transaction).await?;
        Ok(SecretReset::Done)
    }
}

/// Returns the stored check value, for a look at a database without changing it.
///
/// # Errors
/// Those of the database; also if its schema is older.
pub async fn stored_check(connection: &DatabaseConnection) -> Result<Option<Vec<u8>>, DbErr> {
    let statement = sea_orm::Statement::from_sql_and_values(
        connection.get_database_backend(),
        "SELECT check_value FROM installation_secret WHERE id = 1",
        std::iter::empty::<Value>(),
    );
    scalar(connection, statement).await
}
