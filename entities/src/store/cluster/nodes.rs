//! Whose life it is: a node's epoch, its lease, and who takes over what it leaves behind.
//!
//! | what | by |
//! |---|---|
//! | a life begins | its epoch is one higher; what is `sent` under its name becomes its own |
//! | the lease is renewed | [`NodeSession::renew`](super::node_session::NodeSession::renew) |
//! | a debit, a claim of webhooks | the row of the node is held while its epoch is ours (a key share) |
//! | a settlement | its delivery has our epoch |
//! | a node is dead | its lease has ended, and so have its calls: another one makes its epoch one higher |
//!
//! Times are those of the database's clock, so that the nodes' clocks need not agree.

use std::sync::Arc;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DatabaseTransaction, DbErr, EntityTrait,
    QueryFilter, Value,
};

use crate::store::ledger::posting::NodeEpoch;
use crate::store::{Store, StoreError};
use crate::tables::deliveries::delivery;
use crate::tables::webhooks::attempt;

/// The time of the database in milliseconds since 1970.
pub(in crate::store) fn now_ms(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        _ => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS bigint)",
    }
}

/// What is known of the process that ran under the same name before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// It is gone, whatever its lease says.
    Gone,
    /// Its lock on the name is free: it is gone if it held one.
    Unlocked,
    /// It lives as long as its lease.
    MayLive,
}

/// A life that begins.
#[derive(Debug, Clone, Copy)]
pub struct NodeStart<'a> {
    pub name: &'a str,
    /// Of the records that are written, by the node's clock.
    pub at_ms: i64,
    pub lease_ms: i64,
    /// How long after its lease's end one of its calls may still be up.
    pub longest_call_ms: i64,
    pub predecessor: Predecessor,
    /// Whether this life holds the name by a lock.
    pub is_locked: bool,
}

impl<'a> NodeStart<'a> {
    /// Of a node that nobody else can run as: the only process that serves its database.
    pub fn alone(name: &'a str, at_ms: i64) -> Self {
        Self {
            name,
            at_ms,
            lease_ms: 0,
            longest_call_ms: 0,
            predecessor: Predecessor::Gone,
            is_locked: false,
        }
    }
}

impl Store {
    /// Begins a new life of a node: its epoch grows, what is left `sent` is its to settle, and webhook
    /// attempts that were being sent become `unknown`, since a receiver may have had them.
    ///
    /// # Errors
    /// [`StoreError::NodeRuns`] where its predecessor may still live; what the database fails with.
    pub async fn start_node(&self, start: NodeStart<'_>) -> Result<NodeEpoch, StoreError> {
        let transaction = self.begin().await?;
        self.hold_node(&transaction, start.name).await?;
        let now_ms = now_ms(self.backend());
        let statement = self.sql(
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
                (start.predecessor == Predecessor::Gone).into(),
                (start.predecessor == Predecessor::Unlocked).into(),
            ],
        );
        let Some(row) = transaction.query_one_raw(statement).await? else {
            let of_other = self.sql(
                "SELECT lease_until_ms FROM nodes WHERE name = ?",
                [start.name.into()],
            );
            let row = transaction.query_one_raw(of_other).await?;
            return Err(StoreError::NodeRuns {
                name: start.name.to_owned(),
                lease_until_ms: row.map_or(Ok(0), |row| row.try_get_by_index(0))?,
            });
        };
        let epoch: i64 = row.try_get_by_index(0)?;
        inherit(&transaction, start.name, epoch, start.at_ms).await?;
        self.end(transaction).await?;
        Ok(NodeEpoch {
            node: Arc::from(start.name),
            epoch,
        })
    }

    /// The nodes whose lease has ended so long ago that none of their calls can be up, and that have
    /// left something to be settled. Without `own`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn dead_nodes(&self, own: &str) -> Result<Vec<NodeEpoch>, StoreError> {
        let statement = self.sql(
            &format!(
                "SELECT n.name, n.epoch FROM nodes AS n WHERE n.name <> ? AND {} AND (EXISTS \
                 (SELECT 1 FROM deliveries AS d WHERE d.node = n.name AND d.status = 'sent') \
                 OR EXISTS (SELECT 1 FROM webhook_attempts AS a WHERE a.status = 'sending' \
                 AND a.node = n.name))",
                is_dead(self.backend())
            ),
            [Value::from(own)],
        );
        let rows = self.reader.query_all_raw(statement).await?;
        let nodes = rows.iter().map(|row| {
            Ok(NodeEpoch {
                node: Arc::from(row.try_get_by_index::<String>(0)?),
                epoch: row.try_get_by_index(1)?,
            })
        });
        Ok(nodes.collect::<Result<_, DbErr>>()?)
    }

    /// Takes over what a dead node has left: its epoch grows, so that nothing that it may still try to
    /// write is written. The epoch under which it is to be settled; `None` where the node is alive again, or
    /// another one was first. Others leave it alone for `for_ms`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn take_over(
        &self,
        dead: &NodeEpoch,
        for_ms: i64,
        at_ms: i64,
    ) -> Result<Option<NodeEpoch>, StoreError> {
        let transaction = self.begin().await?;
        self.hold_node(&transaction, &dead.node).await?;
        let now_ms = now_ms(self.backend());
        let statement = self.sql(
            &format!(
                "UPDATE nodes AS n SET epoch = n.epoch + 1, taken_until_ms = {now_ms} + ? \
                 WHERE n.name = ? AND n.epoch = ? AND {} RETURNING epoch",
                is_dead(self.backend())
            ),
            [
                for_ms.into(),
                dead.node.as_ref().into(),
                Value::from(dead.epoch),
            ],
        );
        let Some(row) = transaction.query_one_raw(statement).await? else {
            return Ok(None);
        };
        let epoch: i64 = row.try_get_by_index(0)?;
        inherit(&transaction, &dead.node, epoch, at_ms).await?;
        self.end(transaction).await?;
        Ok(Some(NodeEpoch {
            node: Arc::clone(&dead.node),
            epoch,
        }))
    }

    /// Calls the attempts `unknown` that have been `sending` since before `before_ms`: a POST takes seconds,
    /// so whoever sent them, a command perhaps, is gone.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn give_up_webhooks(&self, before_ms: i64, at_ms: i64) -> Result<u64, StoreError> {
        let given_up = attempt::Entity::update_many()
            .col_expr(attempt::Column::Status, Expr::value("unknown"))
            .col_expr(attempt::Column::FinishedAtMs, Expr::value(at_ms))
            .filter(Expr::cust("status = 'sending'"))
            .filter(attempt::Column::StartedAtMs.lt(before_ms))
            .exec(&self.writer)
            .await?;
        Ok(given_up.rows_affected)
    }

    /// Waits for the transactions that hold the node's row as theirs, and keeps new ones off it.
    ///
    /// A renewal of the lease keeps nobody off, nor is it kept off by them.
    async fn hold_node(
        &self,
        transaction: &DatabaseTransaction,
        name: &str,
    ) -> Result<(), StoreError> {
        if self.is_sqlite() {
            // All that is written waits for all that is written.
            return Ok(());
        }
        let hold = self.sql(
            "SELECT epoch FROM nodes WHERE name = ? FOR UPDATE",
            [Value::from(name)],
        );
        transaction.query_one_raw(hold).await?;
        Ok(())
    }
}

/// The condition that a row `n` of `nodes` is a dead node that nobody sees to.
fn is_dead(backend: DatabaseBackend) -> String {
    let now_ms = now_ms(backend);
    format!("n.lease_until_ms + n.longest_call_ms < {now_ms} AND n.taken_until_ms < {now_ms}")
}

/// Makes what is `sent` under the name the epoch's, and calls `unknown` what was being sent.
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
        .col_expr(attempt::Column::FinishedAtMs, Expr::value(at_ms))
        .filter(Expr::cust("status = 'sending'"))
        .filter(attempt::Column::Node.eq(name))
        .exec(transaction)
        .await?;
    Ok(())
}
