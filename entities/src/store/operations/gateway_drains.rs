//! Gateways that operators have taken out of service for new calls. It outlives restarts, and holds for all nodes.

use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::operator_log::{Action, Operator};
use crate::store::cluster::changes::{Change, append};
use crate::store::sql::id_time::first_id;
use crate::store::{Store, StoreError};

/// A gateway, by its carrier's name and its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayName {
    pub carrier: String,
    pub gateway: String,
}

/// How a carrier's calls went. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFigures {
    pub carrier: String,
    pub attempts: i64,
    pub answered: i64,
    /// Of all answered calls together.
    pub answered_ms: i64,
    /// Attempts that rang, and how long until they did.
    pub rang: i64,
    pub until_ringing_ms: i64,
}

impl CallFigures {
    /// The answer-seizure ratio in percent; `None` without an attempt.
    pub fn asr_percent(&self) -> Option<i64> {
        (self.attempts > 0).then(|| self.answered * 100 / self.attempts)
    }

    /// The mean length of an answered call.
    pub fn acd_ms(&self) -> Option<i64> {
        (self.answered > 0).then(|| self.answered_ms / self.answered)
    }

    /// The mean time from INVITE to ringing.
    pub fn pdd_ms(&self) -> Option<i64> {
        (self.rang > 0).then(|| self.until_ringing_ms / self.rang)
    }
}

/// A delivery is accepted so long before its last attempt ends, at most.
const LONGEST_MS: i64 = 120_000;

impl Store {
    /// All gateways that take no new calls.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn drained_gateways(&self) -> Result<Vec<GatewayName>, StoreError> {
        let sql = "SELECT carrier, gateway FROM drained_gateways";
        let rows = self.reader.query_all_raw(self.sql(sql, [])).await?;
        rows.iter()
            .map(|row| {
                Ok(GatewayName {
                    carrier: row.try_get_by_index(0)?,
                    gateway: row.try_get_by_index(1)?,
                })
            })
            .collect()
    }

    /// Takes a gateway out of service for new calls, or back into it. False where it was so before.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn drain_gateway(
        &self,
        by: Operator<'_>,
        name: &GatewayName,
        drained: bool,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let names = [
            Value::from(name.carrier.as_str()),
            Value::from(name.gateway.as_str()),
        ];
        let statement = match drained {
            true => self.sql(
                "INSERT INTO drained_gateways (carrier, gateway, at_ms) VALUES (?, ?, ?) \
                 ON CONFLICT (carrier, gateway) DO NOTHING",
                names.into_iter().chain([at_ms.into()]),
            ),
            false => self.sql(
                "DELETE FROM drained_gateways WHERE carrier = ? AND gateway = ?",
                names,
            ),
        };
        if transaction.execute_raw(statement).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let action = Action {
            action: match drained {
                true => "drain_gateway",
                false => "undrain_gateway",
            },
            account: None,
            subject: Some(&format!("{} {}", name.carrier, name.gateway)),
            detail: None,
        };
        self.log(&transaction, by, action, at_ms).await?;
        append(&transaction, Change::Gateways(Uuid::nil()), at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }

    /// How each carrier's live calls went that began since `since_ms`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn call_figures(&self, since_ms: i64) -> Result<Vec<CallFigures>, StoreError> {
        let sql = "SELECT d.carrier, COUNT(*), COUNT(c.answered_at_ms), \
                   CAST(COALESCE(SUM(c.ended_at_ms - c.answered_at_ms), 0) AS bigint), \
                   COUNT(c.ringing_at_ms), \
                   CAST(COALESCE(SUM(c.ringing_at_ms - c.started_at_ms), 0) AS bigint) \
                   FROM deliveries AS d JOIN call_attempts AS c ON c.delivery_id = d.id \
                   WHERE d.id >= ? AND c.started_at_ms >= ? AND NOT d.test \
                   GROUP BY d.carrier ORDER BY d.carrier";
        let values = [first_id(since_ms - LONGEST_MS).into(), since_ms.into()];
        let rows = self.reader.query_all_raw(self.sql(sql, values)).await?;
        rows.iter()
            .map(|row| {
                Ok(CallFigures {
                    carrier: row.try_get_by_index(0)?,
                    attempts: row.try_get_by_index(1)?,
                    answered: row.try_get_by_index(2)?,
                    answered_ms: row.try_get_by_index(3)?,
                    rang: row.try_get_by_index(4)?,
                    until_ringing_ms: row.try_get_by_index(5)?,
                })
            })
            .collect()
    }
}
