//! Reviews of suspicious traffic: what each key sent in a time window, and the findings.

use nexo_domain::account::traffic::{Suspicion, Traffic};
use nexo_domain::ids::{AccountId, KeyId};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use super::operator_log::{Action, Operator};
use crate::store::StoreError;
use crate::store::sql::bulk::{Bulk, Column};
use crate::store::sql::id_time::min_id_at;
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Operations;

/// Maximum number of keys examined per window: those that sent most.
const MAX_KEYS: i64 = 10_000;
/// Maximum difference between the time in an id and the recorded time.
const ID_SLACK_MS: i64 = 60_000;
/// After this silence the usual volume of a key is forgotten.
const FORGET_AFTER_MS: i64 = 30 * 86_400_000;

/// What a key sent in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTraffic {
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub traffic: Traffic,
    /// When it last sent before; `None` for a new key.
    pub seen_at_ms: Option<i64>,
}

/// The findings of a window.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// The new usual volume of each key, in thousandths of an OTP per window.
    pub usual_milli: Vec<(KeyId, i64)>,
    pub suspicions: Vec<(KeyId, AccountId, Suspicion, String)>,
}

/// A stored review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub id: Uuid,
    pub key_id: KeyId,
    pub key_name: String,
    pub account_id: AccountId,
    pub email: String,
    pub suspicion: Suspicion,
    pub detail: String,
    /// Number of windows in which the suspicion was found.
    pub windows: i64,
    pub opened_at_ms: i64,
    /// The end of the last such window.
    pub seen_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    pub closed_by: Option<String>,
    pub note: Option<String>,
}

/// Phone numbers are compared within a key, in ascending order.
const TRAFFIC: &str = "SELECT t.key_id, t.account_id, t.otps, t.sequential, t.ended, t.answered, \
     p.usual_milli, p.seen_at_ms FROM ( \
     SELECT key_id, account_id, COUNT(*) AS otps, \
     CAST(SUM(CASE WHEN gap BETWEEN 1 AND 3 THEN 1 ELSE 0 END) AS bigint) AS sequential, \
     CAST(SUM(ended) AS bigint) AS ended, CAST(SUM(answered) AS bigint) AS answered FROM ( \
     SELECT key_id, account_id, CASE WHEN status = 'sent' THEN 0 ELSE 1 END AS ended, \
     CASE WHEN status = 'delivered' OR error_code = 'partial_playback' THEN 1 ELSE 0 END \
     AS answered, CAST(substr(phone, 2) AS bigint) - LAG(CAST(substr(phone, 2) AS bigint)) \
     OVER (PARTITION BY key_id ORDER BY phone) AS gap FROM deliveries \
     WHERE id >= ? AND id < ? AND created_at_ms >= ? AND created_at_ms < ? AND NOT test \
     AND phone NOT LIKE '%*%') AS d GROUP BY key_id, account_id \
     ORDER BY COUNT(*) DESC, key_id LIMIT ?) AS t LEFT JOIN key_paces AS p ON p.key_id = t.key_id";

static RECORD_USUAL: Bulk = Bulk::new(
    "INSERT INTO key_paces (key_id, usual_milli, seen_at_ms) \
     SELECT v.column1, v.column2, v.column3",
    &[Column::Uuid, Column::Int, Column::Int],
    "WHERE v.column1 IS NOT NULL ON CONFLICT (key_id) DO UPDATE SET \
     usual_milli = excluded.usual_milli, seen_at_ms = excluded.seen_at_ms",
);

const REVIEW: &str = "SELECT r.id, r.key_id, COALESCE(k.name, i.name), r.account_id, a.email, r.suspicion, r.detail, \
     r.windows, r.opened_at_ms, r.seen_at_ms, r.closed_at_ms, r.closed_by, r.note \
     FROM reviews AS r JOIN accounts AS a ON a.id = r.account_id \
     LEFT JOIN api_keys AS k ON k.id = r.key_id \
     LEFT JOIN integrations AS i ON i.id = r.key_id ";

impl Operations<'_> {
    /// Claims the window that starts at `start_ms` for this node. Returns false if another node
    /// claimed it.
    pub async fn claim_review_window(self, start_ms: i64) -> Result<bool, StoreError> {
        let claim = "INSERT INTO review_windows (start_ms) VALUES (?) ON CONFLICT DO NOTHING";
        let claim = self.store.sql(claim, [start_ms.into()]);
        let claimed =
            self.store.check_write(self.store.write_connection()?.execute_raw(claim).await)?;
        Ok(claimed.rows_affected() > 0)
    }

    /// Returns what each live key sent from `start_ms` (inclusive) to `end_ms` (exclusive). The
    /// database aggregates; only one row per key is transferred.
    pub async fn key_traffic(
        self,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<KeyTraffic>, StoreError> {
        let values = [
            min_id_at(start_ms - ID_SLACK_MS).into(),
            min_id_at(end_ms + ID_SLACK_MS).into(),
            start_ms.into(),
            end_ms.into(),
            MAX_KEYS.into(),
        ];
        let rows = self.store.job_reader.query_all_raw(self.store.sql(TRAFFIC, values)).await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok(KeyTraffic {
                    key_id: KeyId(row.get()?),
                    account_id: AccountId(row.get()?),
                    traffic: Traffic {
                        otps: row.get()?,
                        sequential: row.get()?,
                        ended: row.get()?,
                        answered: row.get()?,
                        usual_milli: row.get()?,
                    },
                    seen_at_ms: row.get()?,
                })
            })
            .collect()
    }

    /// Stores the findings of a window that ended at `end_ms`. A suspicion with an open review
    /// updates it. Returns the suspicions of new reviews.
    pub async fn record_findings(
        self,
        findings: &Findings,
        end_ms: i64,
    ) -> Result<Vec<Suspicion>, StoreError> {
        let transaction = self.store.begin().await?;
        let mut paces = RECORD_USUAL.rows(findings.usual_milli.len());
        for (key, usual) in &findings.usual_milli {
            paces.push([key.0.into(), (*usual).into(), end_ms.into()]);
        }
        RECORD_USUAL.execute(&transaction, &[], paces).await?;
        let mut opened = Vec::new();
        for (key, account, suspicion, detail) in &findings.suspicions {
            let again = "UPDATE reviews SET detail = ?, windows = windows + 1, seen_at_ms = ? \
                         WHERE key_id = ? AND suspicion = ? AND closed_at_ms IS NULL";
            let values =
                [detail.as_str().into(), end_ms.into(), key.0.into(), suspicion.as_str().into()];
            let again = transaction.execute_raw(self.store.sql(again, values)).await?;
            if again.rows_affected() > 0 {
                continue;
            }
            let open = "INSERT INTO reviews (id, key_id, account_id, suspicion, detail, windows, \
                        opened_at_ms, seen_at_ms) VALUES (?, ?, ?, ?, ?, 1, ?, ?)";
            let values = [
                Uuid::now_v7().into(),
                key.0.into(),
                account.0.into(),
                suspicion.as_str().into(),
                detail.as_str().into(),
                end_ms.into(),
                end_ms.into(),
            ];
            transaction.execute_raw(self.store.sql(open, values)).await?;
            opened.push(*suspicion);
        }
        for (old, limit_ms) in [
            ("DELETE FROM key_paces WHERE seen_at_ms < ?", end_ms - FORGET_AFTER_MS),
            ("DELETE FROM review_windows WHERE start_ms < ?", end_ms - 86_400_000),
        ] {
            transaction.execute_raw(self.store.sql(old, [limit_ms.into()])).await?;
        }
        self.store.commit(transaction).await?;
        Ok(opened)
    }

    /// Returns reviews, latest first: the open ones or all.
    pub async fn reviews(self, open_only: bool, limit: u32) -> Result<Vec<Review>, StoreError> {
        let filter = match open_only {
            true => "WHERE r.closed_at_ms IS NULL ",
            false => "",
        };
        let sql = format!("{REVIEW}{filter}ORDER BY r.opened_at_ms DESC, r.id DESC LIMIT ?");
        let statement = self.store.sql(&sql, [Value::from(i64::from(limit))]);
        let rows = self.store.reader.query_all_raw(statement).await?;
        rows.iter().map(review).collect()
    }

    /// Returns the number of open reviews.
    pub async fn open_review_count(self) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM reviews WHERE closed_at_ms IS NULL";
        let count = scalar(&self.store.job_reader, self.store.sql(sql, [])).await?;
        Ok(count.unwrap_or(0))
    }

    /// Closes a review with a note. Returns false if it is closed or unknown. The same suspicion
    /// opens a new review.
    pub async fn close_review(
        self,
        by: Operator<'_>,
        id: Uuid,
        note: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let close = "UPDATE reviews SET closed_at_ms = ?, closed_by = ?, note = ? \
                     WHERE id = ? AND closed_at_ms IS NULL RETURNING account_id, suspicion";
        let values = [at_ms.into(), by.name.into(), note.into(), id.into()];
        let closed = self.store.sql(close, values);
        let Some(row) = transaction.query_one_raw(closed).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let (account, suspicion): (Uuid, String) = row.try_get_many_by_index()?;
        let action = Action {
            action: "close_review",
            account: Some(AccountId(account)),
            subject: Some(&suspicion),
            detail: Some(note),
        };
        self.log(&transaction, by, action, at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }
}

fn review(row: &QueryResult) -> Result<Review, StoreError> {
    let mut row = Columns::of(row);
    Ok(Review {
        id: row.get()?,
        key_id: KeyId(row.get()?),
        key_name: row.get::<Option<String>>()?.unwrap_or_default(),
        account_id: AccountId(row.get()?),
        email: row.get()?,
        suspicion: Suspicion::named(&row.get::<String>()?)
            .ok_or(StoreError::unreadable("reviews", "suspicion"))?,
        detail: row.get()?,
        windows: row.get()?,
        opened_at_ms: row.get()?,
        seen_at_ms: row.get()?,
        closed_at_ms: row.get()?,
        closed_by: row.get()?,
        note: row.get()?,
    })
}
