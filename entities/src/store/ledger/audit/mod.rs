//! Checks the ledger's invariants by SQL.

use nexo_domain::money::Micros;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseBackend, DatabaseTransaction, IsolationLevel, QueryResult,
    TransactionTrait, Value,
};

use crate::store::StoreError;
use crate::store::sql::rows::Columns;
use crate::store::views::Ledger;

mod earnings;
mod invariants;
mod verifications;

use invariants::{UNSENT, WALLET_INVARIANTS};

/// A delivery older than this should have ended: a call takes at most 60 s.
const OVERDUE_MS: i64 = 120_000;
/// How long a running node may not know a new or resumed endpoint. It takes a second, a few under
/// load.
const UNKNOWN_ENDPOINT_MS: i64 = 10_000;
/// How long the commit of a delivery's end may lag behind it. An endpoint paused in between gets
/// nothing.
const LATE_COMMIT_MS: i64 = 60_000;

/// One invariant and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    /// Counts, or what is wrong.
    pub detail: String,
}

impl Ledger<'_> {
    /// Checks every invariant of the ledger in one consistent snapshot of the database.
    ///
    /// # Errors
    /// Database errors only; a violated invariant is a [`Check`] that is not ok.
    pub async fn audit(self, now_ms: i64) -> Result<Vec<Check>, StoreError> {
        let snapshot = self.snapshot().await?;
        let mut checks = Vec::with_capacity(
            WALLET_INVARIANTS.len()
                + earnings::INVARIANTS.len()
                + verifications::INVARIANTS.len()
                + 6,
        );
        let earnings = earnings::INVARIANTS.iter().chain(&verifications::INVARIANTS);
        for invariant in WALLET_INVARIANTS.iter().chain(earnings) {
            let broken = self.count(&snapshot, invariant.sql, []).await?;
            checks.push(Check {
                name: invariant.name,
                ok: broken == 0,
                detail: format!("{broken} {}", invariant.broken),
            });
        }
        let overdue = "SELECT COUNT(*) FROM deliveries \
                       WHERE status = 'sent' AND created_at_ms < ?";
        let due = Value::from(now_ms - OVERDUE_MS);
        let overdue = self.count(&snapshot, overdue, [due]).await?;
        checks.push(Check {
            name: "no_delivery_is_overdue",
            ok: overdue == 0,
            detail: format!("{overdue} deliveries without an end after {} s", OVERDUE_MS / 1000),
        });
        let slack = [UNKNOWN_ENDPOINT_MS, UNKNOWN_ENDPOINT_MS, LATE_COMMIT_MS, LATE_COMMIT_MS];
        let unsent = self.count(&snapshot, UNSENT, slack.map(Value::from)).await?;
        checks.push(Check {
            name: "every_end_is_told",
            ok: unsent == 0,
            detail: format!("{unsent} ends without an attempt for an active webhook endpoint"),
        });
        let untold = self.count(&snapshot, verifications::UNSENT, slack.map(Value::from)).await?;
        checks.push(Check {
            name: "every_verification_end_is_told",
            ok: untold == 0,
            detail: format!("{untold} ends without an attempt for an active webhook endpoint"),
        });
        let slack = Value::from(LATE_COMMIT_MS);
        let unearned = self.count(&snapshot, earnings::UNEARNED, [slack]).await?;
        checks.push(Check {
            name: "every_commission_accrues",
            ok: unearned == 0,
            detail: format!("{unearned} delivered OTPs of referred accounts without a commission"),
        });
        checks.push(self.check_commissions(&snapshot).await?);
        checks.push(self.count_closed(&snapshot).await?);
        checks.push(self.check_totals(&snapshot).await?);
        snapshot.rollback().await?;
        Ok(checks)
    }

    /// Sums refunds to closed wallets. They violate nothing; they wait to be paid out.
    async fn count_closed(self, snapshot: &DatabaseTransaction) -> Result<Check, StoreError> {
        let left = "SELECT COUNT(*), \
                    CAST(COALESCE(SUM(w.free_micros + w.bonus_micros + w.balance_micros), 0) \
                    AS bigint) FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id \
                    WHERE a.closed_at_ms IS NOT NULL \
                    AND w.free_micros + w.bonus_micros + w.balance_micros <> 0";
        let row = self.one(snapshot, left, []).await?;
        let (accounts, micros): (i64, i64) = row.try_get_many_by_index()?;
        let micros = Micros::new(micros);
        Ok(Check {
            name: "closed_accounts",
            ok: true,
            detail: format!("{accounts} hold {micros} USD of refunds that came after the closing"),
        })
    }

    /// Sums referral earnings by their whereabouts. The parts are checked by the invariants.
    async fn check_commissions(self, snapshot: &DatabaseTransaction) -> Result<Check, StoreError> {
        let sums = "SELECT CAST(COALESCE(SUM(accrued_micros), 0) AS bigint), \
                    CAST(COALESCE(SUM(pending_micros), 0) AS bigint), \
                    (SELECT CAST(COALESCE(SUM(amount_micros), 0) AS bigint) FROM payouts), \
                    (SELECT CAST(COALESCE(SUM(-amount_micros), 0) AS bigint) \
                    FROM commission_entries WHERE kind = 'revocation') FROM referrals";
        let row = self.one(snapshot, sums, []).await?;
        let mut row = Columns::of(&row);
        let (accrued, pending) = (row.micros()?, row.micros()?);
        let (paid, reversed) = (row.micros()?, row.micros()?);
        let accounted = pending.checked_add(paid);
        let balanced = accounted.and_then(|sum| sum.checked_add(reversed)) == Some(accrued);
        Ok(Check {
            name: "commissions_balance",
            ok: balanced,
            detail: format!(
                "accrued {accrued}, pending {pending}, paid out {paid}, reversed {reversed} USD"
            ),
        })
    }

    /// Checks the totals: everything that came in is in a wallet, was spent or was paid out.
    async fn check_totals(self, snapshot: &DatabaseTransaction) -> Result<Check, StoreError> {
        let held = "SELECT CAST(COALESCE(SUM(free_micros + bonus_micros + balance_micros), 0) \
                    AS bigint) FROM wallets";
        let moved = "SELECT CAST(COALESCE(SUM(CASE WHEN kind IN ('debit', 'refund') \
                     OR amount_micros < 0 THEN 0 ELSE amount_micros END), 0) AS bigint), \
                     CAST(COALESCE(SUM(CASE WHEN kind IN ('debit', 'refund') \
                     OR amount_micros > 0 THEN 0 ELSE -amount_micros END), 0) AS bigint), \
                     CAST(COALESCE(SUM(CASE WHEN kind IN ('debit', 'refund') \
                     THEN -amount_micros ELSE 0 END), 0) AS bigint), COUNT(*) \
                     FROM ledger_entries";
        let held = Micros::new(self.count(snapshot, held, []).await?);
        let row = self.one(snapshot, moved, []).await?;
        let mut row = Columns::of(&row);
        let (came_in, went_out, spent) = (row.micros()?, row.micros()?, row.micros()?);
        let entries: i64 = row.get()?;
        let accounted = spent.checked_add(went_out);
        let balanced = accounted.and_then(|sum| sum.checked_add(held)) == Some(came_in);
        Ok(Check {
            name: "totals_balance",
            ok: balanced,
            detail: format!(
                "came in {came_in}, went out {went_out}, spent {spent}, held {held} USD in {entries} entries"
            ),
        })
    }

    /// Begins a transaction in which every read sees the same snapshot.
    async fn snapshot(self) -> Result<DatabaseTransaction, StoreError> {
        Ok(match self.store.backend() {
            DatabaseBackend::Sqlite => self.store.job_reader.begin().await?,
            _ => {
                let level = Some(IsolationLevel::RepeatableRead);
                let mode = Some(AccessMode::ReadOnly);
                self.store.job_reader.begin_with_config(level, mode).await?
            }
        })
    }

    async fn count(
        self,
        snapshot: &DatabaseTransaction,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<i64, StoreError> {
        Ok(self.one(snapshot, sql, values).await?.try_get_by_index(0)?)
    }

    async fn one(
        self,
        snapshot: &DatabaseTransaction,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<QueryResult, StoreError> {
        let row = snapshot.query_one_raw(self.store.sql(sql, values)).await?;
        row.ok_or(StoreError::unreadable("ledger_entries", "amount_micros"))
    }
}
