//! The PostgreSQL session that holds a node's name and renews its lease.
//!
//! It uses its own connection, so that a renewal never waits for a pool. The name is held by an
//! advisory lock, which PostgreSQL releases when the connection ends, so a killed node can restart
//! at once. If the server does not support advisory locks, or they do not exclude other sessions,
//! only the lease protects the name.

use std::sync::Arc;

use sea_orm::SqlxError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, Connection, Row};
use sea_orm::{DatabaseBackend, DbErr, RuntimeErr, Value};

use super::nodes::now_ms;
use crate::store::StoreError;
use crate::store::ledger::posting::NodeEpoch;
use crate::store::sql::rows::scalar;
use crate::store::views::Cluster;

/// A node's session. Dropping it releases the name.
pub struct NodeSession {
    connection: PgConnection,
    /// Whether the lock is held and excludes other sessions.
    is_locked: bool,
    /// Whether another session holds the name.
    is_taken: bool,
}

impl NodeSession {
    /// Returns whether the name is held by an effective lock.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Returns whether another session holds the name.
    pub fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Extends the lease to `lease_ms` from now. Returns the database's time in Unix milliseconds, or
    /// `None` if this epoch has ended.
    ///
    /// # Errors
    /// After an error the session is unusable.
    pub async fn renew(
        &mut self,
        node: &NodeEpoch,
        lease_ms: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sql = format!(
            "UPDATE nodes SET lease_until_ms = {now} + $1, is_locked = $2 WHERE name = $3 AND epoch = $4 \
             RETURNING {now}",
            now = now_ms(DatabaseBackend::Postgres)
        );
        let renewed = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(lease_ms)
            .bind(self.is_locked)
            .bind(node.node.as_ref())
            .bind(node.epoch)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(connection_error)?;
        renewed.map(|row| row.try_get(0)).transpose().map_err(connection_error)
    }

    /// Gives up the lease, so that a successor does not have to wait for its end.
    pub async fn release(mut self, node: &NodeEpoch) -> Result<(), StoreError> {
        self.renew(node, 0).await?;
        self.connection.close().await.map_err(connection_error)
    }
}

impl Cluster<'_> {
    /// Opens a session for the node `name` and tries to lock the name. Returns `None` on SQLite,
    /// where the only process holds a file lock.
    pub async fn node_session(self, name: &str) -> Result<Option<NodeSession>, StoreError> {
        let Some(server) = self.postgres_options() else {
            return Ok(None);
        };
        let mut connection = PgConnection::connect_with(&server).await.map_err(connection_error)?;
        let key = lock_key(name);
        let held: Result<bool, SqlxError> = sqlx::query("SELECT pg_try_advisory_lock($1)")
            .bind(key)
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0));
        let is_held = match held {
            Ok(is_held) => is_held,
            // A server without advisory locks returns a database error; a broken connection returns
            // another kind.
            Err(SqlxError::Database(_)) => {
                return Ok(Some(NodeSession { connection, is_locked: false, is_taken: false }));
            }
            Err(error) => return Err(connection_error(error)),
        };
        Ok(Some(NodeSession {
            connection,
            is_locked: is_held && !self.is_lock_ineffective(key).await?,
            is_taken: !is_held,
        }))
    }

    /// Returns whether a second session gets the same lock, which means that the lock is
    /// ineffective.
    async fn is_lock_ineffective(self, key: i64) -> Result<bool, StoreError> {
        let statement = self.store.sql("SELECT pg_try_advisory_xact_lock(?)", [Value::from(key)]);
        let is_locked = scalar(&self.store.core_reader, statement).await?;
        Ok(is_locked.unwrap_or(true))
    }

    /// Returns the connection options of the pools; `None` on SQLite.
    pub(crate) fn postgres_options(self) -> Option<Arc<PgConnectOptions>> {
        (!self.store.is_sqlite())
            .then(|| self.store.core_reader.get_postgres_connection_pool().connect_options())
    }
}

/// Converts an error of a connection outside the pools.
pub(crate) fn connection_error(error: SqlxError) -> StoreError {
    StoreError::Database(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}

/// FNV-1a hash of the name: the same in every version of the program.
fn lock_key(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}
