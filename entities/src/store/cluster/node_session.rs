//! The session by which a node holds its name and renews its lease.
//!
//! It is a connection of its own, so that a renewal waits for nobody. The name is an advisory lock, which
//! PostgreSQL lets go when the connection's process dies: a node that was killed can be started anew at once.
//! Where the server has no such locks, or they lock nobody out, only the lease protects the name.

use std::sync::Arc;

use sea_orm::SqlxError;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, Connection, Row};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, RuntimeErr, Value};

use super::nodes::now_ms;
use crate::store::ledger::posting::NodeEpoch;
use crate::store::{Store, StoreError};

/// A node's session. Dropping it lets the name go.
pub struct NodeSession {
    connection: PgConnection,
    /// Whether the lock is held, and keeps others out.
    is_locked: bool,
    /// Whether another session holds the name.
    is_taken: bool,
}

impl NodeSession {
    /// Whether the name is held by a lock that others respect.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Whether another session holds the name.
    pub fn is_taken(&self) -> bool {
        self.is_taken
    }

    /// Makes the lease last for `lease_ms` from now on; `false` where this epoch is over.
    ///
    /// # Errors
    /// What the database fails with; the session is of no more use then.
    pub async fn renew(&mut self, node: &NodeEpoch, lease_ms: i64) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE nodes SET lease_until_ms = {} + $1, is_locked = $2 WHERE name = $3 AND epoch = $4",
            now_ms(DatabaseBackend::Postgres)
        );
        let renewed = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(lease_ms)
            .bind(self.is_locked)
            .bind(node.node.as_ref())
            .bind(node.epoch)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Gives the lease back, so that nobody waits for its end.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn resign(mut self, node: &NodeEpoch) -> Result<(), StoreError> {
        self.renew(node, 0).await?;
        self.connection.close().await.map_err(failed)
    }
}

impl Store {
    /// Opens the session of the node `name` and tries to take its name. `None` on SQLite: its one process
    /// holds a lock on the file.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn node_session(&self, name: &str) -> Result<Option<NodeSession>, StoreError> {
        let Some(server) = self.server() else {
            return Ok(None);
        };
        let mut connection = PgConnection::connect_with(&server).await.map_err(failed)?;
        let key = lock_key(name);
        let held: Result<bool, SqlxError> = sqlx::query("SELECT pg_try_advisory_lock($1)")
            .bind(key)
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0));
        let is_held = match held {
            Ok(is_held) => is_held,
            // A server that has no such locks says so; a connection that broke does not get far.
            Err(SqlxError::Database(_)) => {
                return Ok(Some(NodeSession {
                    connection,
                    is_locked: false,
                    is_taken: false,
                }));
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Some(NodeSession {
            connection,
            is_locked: is_held && !self.could_lock(key).await?,
            is_taken: !is_held,
        }))
    }

    /// Whether another session is given the lock too: then it is none.
    async fn could_lock(&self, key: i64) -> Result<bool, StoreError> {
        let statement = self.sql("SELECT pg_try_advisory_xact_lock(?)", [Value::from(key)]);
        let row = self.reader.query_one_raw(statement).await?;
        Ok(row.map_or(Ok(true), |row| row.try_get_by_index(0))?)
    }

    /// How the pools connect to PostgreSQL; `None` on SQLite.
    pub(in crate::store) fn server(&self) -> Option<Arc<PgConnectOptions>> {
        (!self.is_sqlite()).then(|| self.reader.get_postgres_connection_pool().connect_options())
    }
}

/// The error of a bare connection in the store's own words.
pub(in crate::store) fn failed(error: SqlxError) -> StoreError {
    StoreError::Database(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}

/// FNV-1a of the name: the same in every version of the program.
fn lock_key(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}
