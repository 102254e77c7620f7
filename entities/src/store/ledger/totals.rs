//! What all customers hold together, for those who watch the gateway.

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::money::Micros;
use sea_orm::ConnectionTrait;

use crate::store::{Store, StoreError};

/// The wallets of all open accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// What they hold together.
    pub held: Buckets,
    /// How many can pay for one more OTP.
    pub funded: u64,
    /// How many have paid for some, and cannot pay for another one.
    pub out_of_funds: u64,
}

/// A wallet that was never written to has paid for nothing: its version is that of its creation.
const HOLDINGS: &str = "\
    SELECT CAST(COALESCE(SUM(w.free_micros), 0) AS BIGINT), \
    CAST(COALESCE(SUM(w.bonus_micros), 0) AS BIGINT), \
    CAST(COALESCE(SUM(w.balance_micros), 0) AS BIGINT), \
    CAST(COALESCE(SUM(CASE WHEN w.free_micros + w.bonus_micros + w.balance_micros >= ? \
    THEN 1 ELSE 0 END), 0) AS BIGINT), \
    CAST(COALESCE(SUM(CASE WHEN w.free_micros + w.bonus_micros + w.balance_micros < ? \
    AND w.version > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) \
    FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id \
    WHERE a.closed_at_ms IS NULL";

/// What a paused endpoint is owed waits for a person, not for us.
const OLDEST: &str = "\
    SELECT MIN(a.created_at_ms) FROM webhook_attempts AS a \
    JOIN webhook_endpoints AS e ON e.id = a.endpoint_id \
    WHERE a.status = 'pending' AND e.removed_at_ms IS NULL \
    AND (e.paused_at_ms IS NULL OR a.replay_of IS NOT NULL)";

impl Store {
    /// What the wallets of open accounts hold. Reads all of them: not for every second.
    ///
    /// `price`: of one OTP.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn holdings(&self, price: Micros) -> Result<Holdings, StoreError> {
        let price = price.get();
        let statement = self.sql(HOLDINGS, [price.into(), price.into()]);
        let Some(row) = self.reader.query_one_raw(statement).await? else {
            return Ok(Holdings::default());
        };
        let figure = |place: usize| row.try_get_by_index::<i64>(place);
        let count = |place| figure(place).map(|n| u64::try_from(n).unwrap_or(0));
        Ok(Holdings {
            held: Buckets {
                free: Micros::new(figure(0)?),
                bonus: Micros::new(figure(1)?),
                balance: Micros::new(figure(2)?),
            },
            funded: count(3)?,
            out_of_funds: count(4)?,
        })
    }

    /// When the webhook attempt was written that has waited longest to be sent. `None`: nothing waits.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn oldest_waiting_webhook_ms(&self) -> Result<Option<i64>, StoreError> {
        let row = self.reader.query_one_raw(self.sql(OLDEST, [])).await?;
        match row {
            Some(row) => Ok(row.try_get_by_index(0)?),
            None => Ok(None),
        }
    }
}
