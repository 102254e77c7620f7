//! Gateways that operators drained. A drain survives restarts and applies to all nodes.

use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::operator_log::{Action, Operator};
use crate::store::StoreError;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::sql::id_time::min_id_at;
use crate::store::sql::rows::Columns;
use crate::store::views::Operations;

/// A gateway, identified by carrier and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayName {
    pub carrier: String,
    pub gateway: String,
}

/// Call statistics of a carrier. Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarrierStats {
    pub carrier: String,
    pub attempts: i64,
    pub answered: i64,
    /// Total duration of the answered calls.
    pub answered_ms: i64,
    /// Attempts that rang, and their total time to ringing.
    pub rang: i64,
    pub until_ringing_ms: i64,
}

impl CarrierStats {
    /// Returns the answer-seizure ratio in percent; `None` without attempts.
    pub fn asr_percent(&self) -> Option<i64> {
        (self.attempts > 0).then(|| self.answered * 100 / self.attempts)
    }

    /// Returns the average call duration of answered calls.
    pub fn acd_ms(&self) -> Option<i64> {
        (self.answered > 0).then(|| self.answered_ms / self.answered)
    }

    /// Returns the mean post-dial delay, from INVITE to ringing.
    pub fn pdd_ms(&self) -> Option<i64> {
        (self.rang > 0).then(|| self.until_ringing_ms / self.rang)
    }
}

/// Maximum time from accepting a delivery to the end of its last attempt.
const MAX_DELIVERY_MS: i64 = 120_000;

impl Operations<'_> {
    /// Returns all drained gateways.
    pub async fn drained_gateways(self) -> Result<Vec<GatewayName>, StoreError> {
        let sql = "SELECT carrier, gateway FROM drained_gateways";
        let rows = self.store.core_reader.query_all_raw(self.store.sql(sql, [])).await?;
        rows.iter()
            .map(|row| {
                let (carrier, gateway) = row.try_get_many_by_index()?;
                Ok(GatewayName { carrier, gateway })
            })
            .collect()
    }

    /// Drains a gateway or puts it back into service. Returns false if it was in that state before.
    pub async fn set_gateway_drained(
        self,
        by: Operator<'_>,
        name: &GatewayName,
        drained: bool,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let names = [Value::from(name.carrier.as_str()), Value::from(name.gateway.as_str())];
        let statement = match drained {
            true => self.store.sql(
                "INSERT INTO drained_gateways (carrier, gateway, at_ms) VALUES (?, ?, ?) \
                 ON CONFLICT (carrier, gateway) DO NOTHING",
                names.into_iter().chain([at_ms.into()]),
            ),
            false => self
                .store
                .sql("DELETE FROM drained_gateways WHERE carrier = ? AND gateway = ?", names),
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
        append_change(&transaction, Change::Gateways(Uuid::nil()), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Returns the statistics of each carrier's live calls that started since `since_ms`.
    pub async fn carrier_stats(self, since_ms: i64) -> Result<Vec<CarrierStats>, StoreError> {
        let sql = "SELECT d.carrier, COUNT(*), COUNT(c.answered_at_ms), \
                   CAST(COALESCE(SUM(c.ended_at_ms - c.answered_at_ms), 0) AS bigint), \
                   COUNT(c.ringing_at_ms), \
                   CAST(COALESCE(SUM(c.ringing_at_ms - c.started_at_ms), 0) AS bigint) \
                   FROM deliveries AS d JOIN call_attempts AS c ON c.delivery_id = d.id \
                   WHERE d.id >= ? AND c.started_at_ms >= ? AND NOT d.test \
                   GROUP BY d.carrier ORDER BY d.carrier";
        let values = [min_id_at(since_ms - MAX_DELIVERY_MS).into(), since_ms.into()];
        let rows = self.store.reader.query_all_raw(self.store.sql(sql, values)).await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok(CarrierStats {
                    carrier: row.get()?,
                    attempts: row.get()?,
                    answered: row.get()?,
                    answered_ms: row.get()?,
                    rang: row.get()?,
                    until_ringing_ms: row.get()?,
                })
            })
            .collect()
    }
}
