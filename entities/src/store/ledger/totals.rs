//! Totals over all wallets, for monitoring.

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::money::Micros;
use sea_orm::ConnectionTrait;

use crate::store::StoreError;
use crate::store::views::Ledger;

/// Totals of the wallets of all open accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalletTotals {
    /// The sum of their buckets.
    pub held: Buckets,
    /// Number of wallets that can pay for one more OTP.
    pub funded: u64,
    /// Number of wallets that were used and cannot pay for another OTP.
    pub out_of_funds: u64,
}

/// A wallet that was never written has paid for nothing: it still has its initial version.
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

/// Attempts of paused endpoints wait for the customer and do not count.
const OLDEST: &str = "\
    SELECT MIN(a.created_at_ms) FROM webhook_attempts AS a \
    JOIN webhook_endpoints AS e ON e.id = a.endpoint_id \
    WHERE a.status = 'pending' AND e.removed_at_ms IS NULL \
    AND (e.paused_at_ms IS NULL OR a.replay_of IS NOT NULL)";

impl Ledger<'_> {
    /// Sums the wallets of open accounts. Reads all of them, so it must not be called every second.
    ///
    /// `price`: the price of one OTP.
    pub async fn totals(self, price: Micros) -> Result<WalletTotals, StoreError> {
        let price = price.get();
        let statement = self.store.sql(HOLDINGS, [price.into(), price.into()]);
        let Some(row) = self.store.reader.query_one_raw(statement).await? else {
            return Ok(WalletTotals::default());
        };
        let figure = |place: usize| row.try_get_by_index::<i64>(place);
        let count = |place| figure(place).map(|n| u64::try_from(n).unwrap_or(0));
        Ok(WalletTotals {
            held: Buckets {
                free: Micros::new(figure(0)?),
                bonus: Micros::new(figure(1)?),
                balance: Micros::new(figure(2)?),
            },
            funded: count(3)?,
            out_of_funds: count(4)?,
        })
    }

    /// Returns when the oldest waiting webhook attempt was created; `None` if none waits.
    pub async fn oldest_waiting_webhook_ms(self) -> Result<Option<i64>, StoreError> {
        let row = self.store.reader.query_one_raw(self.store.sql(OLDEST, [])).await?;
        match row {
            Some(row) => Ok(row.try_get_by_index(0)?),
            None => Ok(None),
        }
    }
}
