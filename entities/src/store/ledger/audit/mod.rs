//! The ledger's invariants, asked of the database itself.

use nexo_domain::money::Micros;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseBackend, DatabaseTransaction, IsolationLevel, QueryResult,
    TransactionTrait, Value,
};

use crate::store::{Store, StoreError};

mod earnings;

/// Past this age a delivery should long have ended: a call takes 60 s at most.
const OVERDUE_MS: i64 = 120_000;
/// So long a running node may not know of a new or resumed endpoint. It takes a second; a busy one, a few.
const UNKNOWN_ENDPOINT_MS: i64 = 10_000;
/// So long the commit may come after the end that it records. An endpoint paused in between gets nothing.
const LATE_COMMIT_MS: i64 = 60_000;

/// One invariant and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    /// Figures, or what is wrong.
    pub detail: String,
}

/// An invariant: a query that counts the rows that break it.
struct Invariant {
    name: &'static str,
    /// What a counted row is.
    broken: &'static str,
    sql: &'static str,
}

const INVARIANTS: [Invariant; 10] = [
    Invariant {
        name: "wallets_equal_their_entries",
        broken: "wallets with a bucket that is not the sum of its entries",
        sql: "SELECT COUNT(*) FROM wallets AS w LEFT JOIN ( \
              SELECT account_id, \
              SUM(CASE WHEN bucket = 'free' THEN amount_micros ELSE 0 END) AS free, \
              SUM(CASE WHEN bucket = 'bonus' THEN amount_micros ELSE 0 END) AS bonus, \
              SUM(CASE WHEN bucket = 'balance' THEN amount_micros ELSE 0 END) AS balance \
              FROM ledger_entries GROUP BY account_id) AS e ON e.account_id = w.account_id \
              WHERE w.free_micros <> COALESCE(e.free, 0) \
              OR w.bonus_micros <> COALESCE(e.bonus, 0) \
              OR w.balance_micros <> COALESCE(e.balance, 0)",
    },
    Invariant {
        name: "no_bucket_is_negative",
        broken: "wallets with a negative bucket",
        sql: "SELECT COUNT(*) FROM wallets \
              WHERE free_micros < 0 OR bonus_micros < 0 OR balance_micros < 0",
    },
    Invariant {
        name: "every_entry_has_its_wallet",
        broken: "entries without a wallet",
        sql: "SELECT COUNT(*) FROM ledger_entries AS e \
              WHERE NOT EXISTS (SELECT 1 FROM wallets AS w WHERE w.account_id = e.account_id)",
    },
    Invariant {
        name: "every_delivery_is_paid_exactly",
        broken: "deliveries whose debits are not their cost",
        sql: "SELECT COUNT(*) FROM deliveries AS d LEFT JOIN ( \
              SELECT delivery_id, SUM(amount_micros) AS debited FROM ledger_entries \
              WHERE kind = 'debit' GROUP BY delivery_id) AS e ON e.delivery_id = d.id \
              WHERE d.cost_micros + COALESCE(e.debited, 0) <> 0",
    },
    Invariant {
        name: "every_debit_has_its_delivery",
        broken: "debits or refunds without a delivery of the same account",
        sql: "SELECT COUNT(*) FROM ledger_entries AS e WHERE e.kind IN ('debit', 'refund') \
              AND NOT EXISTS (SELECT 1 FROM deliveries AS d \
              WHERE d.id = e.delivery_id AND d.account_id = e.account_id)",
    },
    Invariant {
        name: "refunds_are_their_debits",
        broken: "refunds of something else than what a failed delivery paid from that bucket",
        sql: "SELECT COUNT(*) FROM ledger_entries AS r WHERE r.kind = 'refund' \
              AND NOT EXISTS (SELECT 1 FROM ledger_entries AS d \
              JOIN deliveries AS o ON o.id = d.delivery_id \
              WHERE d.delivery_id = r.delivery_id AND d.kind = 'debit' \
              AND d.bucket = r.bucket AND d.amount_micros + r.amount_micros = 0 \
              AND o.status = 'failed')",
    },
    Invariant {
        name: "refunds_are_whole",
        broken: "deliveries that were refunded in part",
        sql: "SELECT COUNT(*) FROM (SELECT delivery_id FROM ledger_entries \
              WHERE kind IN ('debit', 'refund') GROUP BY delivery_id \
              HAVING SUM(CASE WHEN kind = 'refund' THEN 1 ELSE 0 END) > 0 \
              AND SUM(amount_micros) <> 0) AS p",
    },
    Invariant {
        name: "deliveries_are_debited_and_refunded_once",
        broken: "deliveries with more than one debit or refund",
        sql: "SELECT COUNT(*) FROM (SELECT delivery_id, kind FROM ledger_entries \
              WHERE kind IN ('debit', 'refund') GROUP BY delivery_id, kind \
              HAVING COUNT(DISTINCT posting_id) > 1) AS p",
    },
    Invariant {
        name: "references_correct_once",
        broken: "references that corrected an account more than once",
        sql: "SELECT COUNT(*) FROM (SELECT account_id, reference FROM ledger_entries \
              WHERE kind = 'correction' \
              GROUP BY account_id, reference HAVING COUNT(*) > 1) AS r",
    },
    Invariant {
        name: "references_credit_once",
        broken: "references that credited an account more than once",
        sql: "SELECT COUNT(*) FROM (SELECT account_id, reference FROM ledger_entries \
              WHERE kind IN ('deposit', 'grant') AND reference IS NOT NULL \
              GROUP BY account_id, reference HAVING COUNT(*) > 1) AS r",
    },
];

/// Ends that an endpoint should have been told of and was not. An OTP that no gateway took is told to nobody.
/// An endpoint counts from where it is known to have been active to where it is known to have been: of a pause
/// that is over only its end is kept.
const UNTOLD: &str = "SELECT COUNT(*) FROM webhook_endpoints AS e \
    JOIN deliveries AS d ON d.account_id = e.account_id \
    WHERE d.completed_at_ms > COALESCE(e.resumed_at_ms, e.created_at_ms) + ? \
    AND (e.paused_at_ms IS NULL OR d.completed_at_ms < e.paused_at_ms - ?) \
    AND (e.removed_at_ms IS NULL OR d.completed_at_ms < e.removed_at_ms - ?) \
    AND COALESCE(d.error_code, '') <> 'no_route' \
    AND NOT EXISTS (SELECT 1 FROM webhook_attempts AS a \
    WHERE a.delivery_id = d.id AND a.endpoint_id = e.id)";

impl Store {
    /// Checks every invariant of the ledger on one consistent picture of the database.
    ///
    /// # Errors
    /// What the database fails with; a broken invariant is a [`Check`] that is not ok.
    pub async fn audit(&self, now_ms: i64) -> Result<Vec<Check>, StoreError> {
        let picture = self.picture().await?;
        let mut checks = Vec::with_capacity(INVARIANTS.len() + earnings::INVARIANTS.len() + 5);
        for invariant in INVARIANTS.iter().chain(&earnings::INVARIANTS) {
            let broken = self.count(&picture, invariant.sql, []).await?;
            checks.push(Check {
                name: invariant.name,
                ok: broken == 0,
                detail: format!("{broken} {}", invariant.broken),
            });
        }
        let overdue = "SELECT COUNT(*) FROM deliveries \
                       WHERE status = 'sent' AND created_at_ms < ?";
        let due = Value::from(now_ms - OVERDUE_MS);
        let overdue = self.count(&picture, overdue, [due]).await?;
        checks.push(Check {
            name: "no_delivery_is_overdue",
            ok: overdue == 0,
            detail: format!(
                "{overdue} deliveries without an end after {} s",
                OVERDUE_MS / 1000
            ),
        });
        let slack = [UNKNOWN_ENDPOINT_MS, LATE_COMMIT_MS, LATE_COMMIT_MS];
        let untold = self.count(&picture, UNTOLD, slack.map(Value::from)).await?;
        checks.push(Check {
            name: "every_end_is_told",
            ok: untold == 0,
            detail: format!("{untold} ends that an active webhook endpoint has no attempt of"),
        });
        let slack = Value::from(earnings::SLACK_MS);
        let unearned = self.count(&picture, earnings::UNEARNED, [slack]).await?;
        checks.push(Check {
            name: "every_commission_accrues",
            ok: unearned == 0,
            detail: format!("{unearned} delivered OTPs of referred accounts without a commission"),
        });
        checks.push(self.earned(&picture).await?);
        checks.push(self.left_in_closed(&picture).await?);
        checks.push(self.figures(&picture).await?);
        picture.rollback().await?;
        Ok(checks)
    }

    /// What refunds have brought into closed wallets. That breaks nothing; it waits to be paid out.
    async fn left_in_closed(&self, picture: &DatabaseTransaction) -> Result<Check, StoreError> {
        let left = "SELECT COUNT(*), \
                    CAST(COALESCE(SUM(w.free_micros + w.bonus_micros + w.balance_micros), 0) \
                    AS bigint) FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id \
                    WHERE a.closed_at_ms IS NOT NULL \
                    AND w.free_micros + w.bonus_micros + w.balance_micros <> 0";
        let row = self.one(picture, left, []).await?;
        let accounts: i64 = row.try_get_by_index(0)?;
        let micros = Micros::new(row.try_get_by_index(1)?);
        Ok(Check {
            name: "closed_accounts",
            ok: true,
            detail: format!("{accounts} hold {micros} USD of refunds that came after the closing"),
        })
    }

    /// What was earned by referrals, and where it is. It breaks nothing by itself: its parts are checked above.
    async fn earned(&self, picture: &DatabaseTransaction) -> Result<Check, StoreError> {
        let sums = "SELECT CAST(COALESCE(SUM(accrued_micros), 0) AS bigint), \
                    CAST(COALESCE(SUM(pending_micros), 0) AS bigint), \
                    (SELECT CAST(COALESCE(SUM(amount_micros), 0) AS bigint) FROM payouts), \
                    (SELECT CAST(COALESCE(SUM(-amount_micros), 0) AS bigint) \
                    FROM commission_entries WHERE kind = 'revocation') FROM referrals";
        let row = self.one(picture, sums, []).await?;
        let micros = |place| row.try_get_by_index(place).map(Micros::new);
        let (accrued, pending) = (micros(0)?, micros(1)?);
        let (paid, reversed) = (micros(2)?, micros(3)?);
        let elsewhere = pending.checked_add(paid);
        let balanced = elsewhere.and_then(|sum| sum.checked_add(reversed)) == Some(accrued);
        Ok(Check {
            name: "commissions_balance",
            ok: balanced,
            detail: format!(
                "accrued {accrued}, pending {pending}, paid out {paid}, reversed {reversed} USD"
            ),
        })
    }

    /// The totals: everything that came in is in a wallet, was spent or has gone out.
    async fn figures(&self, picture: &DatabaseTransaction) -> Result<Check, StoreError> {
        let held = "SELECT CAST(COALESCE(SUM(free_micros + bonus_micros + balance_micros), 0) \
                    AS bigint) FROM wallets";
        let moved = "SELECT CAST(COALESCE(SUM(CASE WHEN kind IN ('debit', 'refund') \
                     OR amount_micros < 0 THEN 0 ELSE amount_micros END), 0) AS bigint), \
                     CAST(COALESCE(SUM(CASE WHEN kind IN ('debit', 'refund') \
                     OR amount_micros > 0 THEN 0 ELSE -amount_micros END), 0) AS bigint), \
                     CAST(COALESCE(SUM(CASE WHEN kind IN ('debit', 'refund') \
                     THEN -amount_micros ELSE 0 END), 0) AS bigint), COUNT(*) \
                     FROM ledger_entries";
        let held = Micros::new(self.count(picture, held, []).await?);
        let row = self.one(picture, moved, []).await?;
        let came_in = Micros::new(row.try_get_by_index(0)?);
        let went_out = Micros::new(row.try_get_by_index(1)?);
        let spent = Micros::new(row.try_get_by_index(2)?);
        let entries: i64 = row.try_get_by_index(3)?;
        let elsewhere = spent.checked_add(went_out);
        let balanced = elsewhere.and_then(|sum| sum.checked_add(held)) == Some(came_in);
        Ok(Check {
            name: "totals_balance",
            ok: balanced,
            detail: format!(
                "came in {came_in}, went out {went_out}, spent {spent}, held {held} USD in {entries} entries"
            ),
        })
    }

    /// A transaction in which every read sees the same moment.
    async fn picture(&self) -> Result<DatabaseTransaction, StoreError> {
        Ok(match self.backend() {
            DatabaseBackend::Sqlite => self.reader.begin().await?,
            _ => {
                let level = Some(IsolationLevel::RepeatableRead);
                let mode = Some(AccessMode::ReadOnly);
                self.reader.begin_with_config(level, mode).await?
            }
        })
    }

    async fn count(
        &self,
        picture: &DatabaseTransaction,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<i64, StoreError> {
        Ok(self.one(picture, sql, values).await?.try_get_by_index(0)?)
    }

    async fn one(
        &self,
        picture: &DatabaseTransaction,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<QueryResult, StoreError> {
        let row = picture.query_one_raw(self.sql(sql, values)).await?;
        row.ok_or(StoreError::Unreadable {
            table: "ledger_entries",
            column: "amount_micros",
        })
    }
}
