//! Totals over all wallets, for monitoring.

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::money::Micros;
use sea_orm::ConnectionTrait;

use crate::store::StoreError;
use crate::store::sql::rows::Columns;
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
const TOTALS: &str = "\
    SELECT CAST(COALESCE(SUM(w.free_micros), 0) AS BIGINT), \
    CAST(COALESCE(SUM(w.bonus_micros), 0) AS BIGINT), \
    CAST(COALESCE(SUM(w.balance_micros), 0) AS BIGINT), \
    CAST(COALESCE(SUM(CASE WHEN w.free_micros + w.bonus_micros + w.balance_micros >= ? \
    THEN 1 ELSE 0 END), 0) AS BIGINT), \
    CAST(COALESCE(SUM(CASE WHEN w.free_micros + w.bonus_micros + w.balance_micros < ? \
    AND w.version > 0 THEN 1 ELSE 0 END), 0) AS BIGINT) \
    FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id \
    WHERE a.closed_at_ms IS NULL";

impl Ledger<'_> {
    /// Sums the wallets of open accounts. Reads all of them, so it must not be called every second.
    ///
    /// `price`: the price of one OTP.
    pub async fn totals(self, price: Micros) -> Result<WalletTotals, StoreError> {
        let price = price.get();
        let statement = self.store.sql(TOTALS, [price.into(), price.into()]);
        let Some(row) = self.store.job_reader.query_one_raw(statement).await? else {
            return Ok(WalletTotals::default());
        };
        let mut row = Columns::of(&row);
        Ok(WalletTotals {
            held: row.buckets()?,
            funded: row.get::<i64>()?.unsigned_abs(),
            out_of_funds: row.get::<i64>()?.unsigned_abs(),
        })
    }
}
