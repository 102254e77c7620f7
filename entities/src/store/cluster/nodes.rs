//! Nodes: epochs, leases and takeover.
//!
//! | event | effect |
//! |---|---|
//! | a node starts | its epoch increases by one; it owns the `sent` deliveries under its name |
//! | its lease is renewed | [`NodeSession::renew`](super::node_session::NodeSession::renew) |
//! | a debit or webhook claim | locks the node's row (key share) if the epoch matches |
//! | a settlement | applies only to deliveries of the same epoch |
//! | a node dies | its lease and its longest call end; another node increases its epoch by one |
//!
//! Times are those of the database clock, so that node clocks need not agree.

use std::sync::Arc;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait,
    QueryFilter, Value,
};

use super::secret::{self, SecretCheck};
use crate::store::StoreError;
use crate::store::ledger::posting::NodeEpoch;
use crate::store::sql::rows::scalar;
use crate::store::views::Cluster;
use crate::tables::deliveries::delivery;
use crate::tables::webhooks::attempt;

/// SQL for the database's time in milliseconds since 1970.
pub(crate) fn now_ms(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        _ => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS bigint)",
    }
}

/// What is known about the previous process with the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// It has exited, whatever its lease says.
    Dead,
    /// Its name lock is free: it has exited if it held one.
    Unlocked,
    /// It may run until its lease ends.
    MayBeAlive,
}

/// Parameters of [`Cluster::start_node`].
#[derive(Debug, Clone, Copy)]
pub struct NodeStart<'a> {
    pub name: &'a str,
    /// The node's own time, for written records.
    pub at_ms: i64,
    pub lease_ms: i64,
    /// How long after the end of the lease a call of this node may still last.
    pub longest_call_ms: i64,
    pub predecessor: Predecessor,
    /// Whether the name is held by an effective lock.
    pub is_locked: bool,
    /// The check value of the installation's secret; `None` for a node without one.
    pub secret: Option<SecretCheck>,
}

impl<'a> NodeStart<'a> {
    /// For a node that is the only process on its database.
    pub fn exclusive(name: &'a str, at_ms: i64) -> Self {
        Self {
            name,
            at_ms,
            lease_ms: 0,
            longest_call_ms: 0,
            predecessor: Predecessor::Dead,
            is_locked: false,
            secret: None,
        }
    }
}

impl Cluster<'_> {
    /// Starts a node: increases its epoch, adopts its `sent` deliveries, and marks webhook attempts
    /// that were `sending` as `unknown`, since the receiver may have received them.
    ///
    /// # Errors
    /// [`StoreError::NodeInUse`] if the previous process may still run; [`StoreError::SecretDiffers`] if the
    /// installation has another secret. Nothing was changed then.
    pub async fn start_node(self, start: NodeStart<'_>) -> Result<NodeEpoch, StoreError> {
        let transaction = self.store.begin().await?;
        self.lock_node(&transaction, start.name).await?;
        let now_ms = now_ms(self.store.backend());
        let statement = self.store.sql(
            &format!(
                "INSERT INTO nodes (name, epoch, lease_until_ms, longest_call_ms, is_locked) \
                 VALUES (?, 1, {now_ms} + ?, ?, ?) \
                 ON CONFLICT (name) DO UPDATE SET epoch = nodes.epoch + 1, \
                 lease_until_ms = excluded.lease_until_ms, \
                 longest_call_ms = excluded.longest_call_ms, is_locked = excluded.is_locked, \
                 taken_until_ms = 0 \
                 WHERE ? OR (? AND nodes.is_locked) OR nodes.lease_until_ms <= {now_ms} \
                 RETURNING epoch"
            ),
            [
                start.name.into(),
                start.lease_ms.into(),
                start.longest_call_ms.into(),
                start.is_locked.into(),
                (start.predecessor == Predecessor::Dead).into(),
                (start.predecessor == Predecessor::Unlocked).into(),
            ],
        );
        let epoch: Option<i64> = scalar(&transaction, statement).await?;
        let Some(epoch) = epoch else {
            let lease = self
                .store
                .sql("SELECT lease_until_ms FROM nodes WHERE name = ?", [start.name.into()]);
            let lease_until_ms = scalar(&transaction, lease).await?;
            return Err(StoreError::NodeInUse {
                name: start.name.to_owned(),
                lease_until_ms: lease_until_ms.unwrap_or(0),
            });
        };
        match &start.secret {
            Some(check) => secret::ensure_same(self.store, &transaction, check).await?,
            // An SQLite database is served by one process, which makes its secret.
            None if self.store.is_sqlite() => {}
            None => secret::ensure_none(self.store, &transaction).await?,
        }
        inherit(&transaction, start.name, epoch, start.at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(NodeEpoch { node: Arc::from(start.name), epoch })
    }

    /// Returns the database's time in Unix milliseconds.
    pub async fn database_time_ms(self) -> Result<i64, StoreError> {
        let now_ms = now_ms(self.store.backend());
        let statement = self.store.sql(&format!("SELECT {now_ms}"), []);
        let now_ms: Option<i64> = scalar(&self.store.core_reader, statement).await?;
        Ok(now_ms.unwrap_or_default())
    }

    /// Returns the leases of the nodes other than `own`: name, and end by the database clock. A running
    /// node's lease changes with each renewal.
    pub async fn other_leases(self, own: &str) -> Result<Vec<(String, i64)>, StoreError> {
        let statement = self
            .store
            .sql("SELECT name, lease_until_ms FROM nodes WHERE name <> ?", [Value::from(own)]);
        let rows = self.store.core_reader.query_all_raw(statement).await?;
        let leases = rows.iter().map(|row| row.try_get_many_by_index());
        Ok(leases.collect::<Result<_, DbErr>>()?)
    }

    /// Returns the nodes other than `own` whose lease and longest possible call have ended and that
    /// left unsettled work.
    pub async fn dead_nodes(self, own: &str) -> Result<Vec<NodeEpoch>, StoreError> {
        let condition = is_over(self.store.backend());
        self.idle_nodes(own, &condition).await
    }

    /// Returns the nodes other than `own` whose lease is from before the database clock was set back, and
    /// that left unsettled work. A running node renews such a lease within seconds.
    pub async fn nodes_of_another_time(self, own: &str) -> Result<Vec<NodeEpoch>, StoreError> {
        let condition = is_of_another_time(self.store.backend());
        self.idle_nodes(own, &condition).await
    }

    async fn idle_nodes(self, own: &str, condition: &str) -> Result<Vec<NodeEpoch>, StoreError> {
        let is_free = is_free(self.store.backend());
        let statement = self.store.sql(
            &format!(
                "SELECT n.name, n.epoch FROM nodes AS n WHERE n.name <> ? AND {condition} \
                 AND {is_free} AND (EXISTS \
                 (SELECT 1 FROM deliveries AS d WHERE d.node = n.name AND d.status = 'sent') \
                 OR EXISTS (SELECT 1 FROM webhook_attempts AS a WHERE a.status = 'sending' \
                 AND a.node = n.name))"
            ),
            [Value::from(own)],
        );
        let rows = self.store.core_reader.query_all_raw(statement).await?;
        let nodes = rows.iter().map(|row| {
            let (name, epoch): (String, i64) = row.try_get_many_by_index()?;
            Ok(NodeEpoch { node: Arc::from(name.as_str()), epoch })
        });
        Ok(nodes.collect::<Result<_, DbErr>>()?)
    }

    /// Takes over a dead node: increases its epoch, which fences its later writes. Returns the
    /// epoch to settle under, or `None` if the node is alive again or another node took over first.
    /// Other nodes do not take it over for `for_ms`.
    pub async fn take_over(
        self,
        dead: &NodeEpoch,
        for_ms: i64,
        at_ms: i64,
    ) -> Result<Option<NodeEpoch>, StoreError> {
        let transaction = self.store.begin().await?;
        self.lock_node(&transaction, &dead.node).await?;
        let now_ms = now_ms(self.store.backend());
        let statement = self.store.sql(
            &format!(
                "UPDATE nodes AS n SET epoch = n.epoch + 1, taken_until_ms = {now_ms} + ? \
                 WHERE n.name = ? AND n.epoch = ? AND ({} OR {}) AND {} RETURNING epoch",
                is_over(self.store.backend()),
                is_of_another_time(self.store.backend()),
                is_free(self.store.backend())
            ),
            [for_ms.into(), dead.node.as_ref().into(), Value::from(dead.epoch)],
        );
        let epoch: Option<i64> = scalar(&transaction, statement).await?;
        let Some(epoch) = epoch else {
            return Ok(None);
        };
        inherit(&transaction, &dead.node, epoch, at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(Some(NodeEpoch { node: Arc::clone(&dead.node), epoch }))
    }

    /// Locks the node's row: waits for transactions that share it and excludes new ones.
    ///
    /// Lease renewals neither block nor are blocked.
    async fn lock_node(
        self,
        transaction: &DatabaseTransaction,
        name: &str,
    ) -> Result<(), StoreError> {
        if self.store.is_sqlite() {
            // SQLite runs one write transaction at a time.
            return Ok(());
        }
        let hold = self
            .store
            .sql("SELECT epoch FROM nodes WHERE name = ? FOR UPDATE", [Value::from(name)]);
        transaction.query_one_raw(hold).await?;
        Ok(())
    }
}

/// A lease or takeover that ends later than this from now was written before the database clock was set back.
const MAX_LEASE_MS: i64 = 60_000;

/// Returns the condition that the lease and the longest call of row `n` of `nodes` have ended.
fn is_over(backend: DatabaseBackend) -> String {
    let now_ms = now_ms(backend);
    format!("n.lease_until_ms + n.longest_call_ms < {now_ms}")
}

/// Returns the condition that the lease of row `n` ends too far ahead.
fn is_of_another_time(backend: DatabaseBackend) -> String {
    let now_ms = now_ms(backend);
    format!("n.lease_until_ms > {now_ms} + {MAX_LEASE_MS}")
}

/// Returns the condition that no node is taking over row `n`.
fn is_free(backend: DatabaseBackend) -> String {
    let now_ms = now_ms(backend);
    format!("(n.taken_until_ms < {now_ms} OR n.taken_until_ms > {now_ms} + {MAX_LEASE_MS})")
}

/// Moves the node's `sent` deliveries to `epoch` and marks its `sending` attempts as `unknown`.
async fn inherit(
    transaction: &DatabaseTransaction,
    name: &str,
    epoch: i64,
    at_ms: i64,
) -> Result<(), StoreError> {
    delivery::Entity::update_many()
        .col_expr(delivery::Column::Epoch, Expr::value(epoch))
        .filter(delivery::Column::Node.eq(name))
        .filter(Expr::cust("status = 'sent'"))
        .exec(transaction)
        .await?;
    attempt::Entity::update_many()
        .col_expr(attempt::Column::Status, Expr::value("unknown"))
        .col_expr(attempt::Column::FinishedAtMs, attempt::finished_at(at_ms))
        .filter(Expr::cust("status = 'sending'"))
        .filter(attempt::Column::Node.eq(name))
        .exec(transaction)
        .await?;
    Ok(())
}
