//! Suspicious bursts: what each key sent in a window of time, and what is to be looked at.

use nexo_domain::account::burst::{Suspicion, Traffic};
use nexo_domain::ids::{AccountId, KeyId};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use uuid::Uuid;

use super::operator_log::{Action, Operator};
use crate::store::sql::bulk::{Bulk, Column};
use crate::store::sql::id_time::first_id;
use crate::store::{Store, StoreError};

/// The most keys that are looked at in one window: those that sent most.
const MOST_KEYS: i64 = 10_000;
/// Ids are made a moment before or after what is written as the time.
const ID_SLACK_MS: i64 = 60_000;
/// What a key usually sends is forgotten after so long a silence.
const FORGOTTEN_AFTER_MS: i64 = 30 * 86_400_000;

/// What a key sent in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTraffic {
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub traffic: Traffic,
    /// When it last sent anything before; `None` for a new key.
    pub seen_at_ms: Option<i64>,
}

/// What is to be kept of a window.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// What each key usually sends from now on, in thousandths of an OTP a window.
    pub usual_milli: Vec<(KeyId, i64)>,
    pub suspicions: Vec<(KeyId, AccountId, Suspicion, String)>,
}

/// A suspicion as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub id: Uuid,
    pub key_id: KeyId,
    pub key_name: String,
    pub account_id: AccountId,
    pub email: String,
    pub suspicion: Suspicion,
    pub detail: String,
    /// In how many windows.
    pub windows: i64,
    pub opened_at_ms: i64,
    /// The end of the last of them.
    pub seen_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    pub closed_by: Option<String>,
    pub note: Option<String>,
}

/// Numbers are compared within a key, in their order.
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

static NOTE_PACES: Bulk = Bulk::new(
    "INSERT INTO key_paces (key_id, usual_milli, seen_at_ms) \
     SELECT v.column1, v.column2, v.column3",
    &[Column::Uuid, Column::Int, Column::Int],
    "WHERE v.column1 IS NOT NULL ON CONFLICT (key_id) DO UPDATE SET \
     usual_milli = excluded.usual_milli, seen_at_ms = excluded.seen_at_ms",
);

const REVIEW: &str = "SELECT r.id, r.key_id, k.name, r.account_id, a.email, r.suspicion, r.detail, \
     r.windows, r.opened_at_ms, r.seen_at_ms, r.closed_at_ms, r.closed_by, r.note \
     FROM reviews AS r JOIN accounts AS a ON a.id = r.account_id \
     LEFT JOIN api_keys AS k ON k.id = r.key_id ";

impl Store {
    /// Claims the window that starts at `start_ms` for this node. False where another one has it.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn claim_review_window(&self, start_ms: i64) -> Result<bool, StoreError> {
        let claim = "INSERT INTO review_windows (start_ms) VALUES (?) ON CONFLICT DO NOTHING";
        let claim = self.sql(claim, [start_ms.into()]);
        let claimed = self.noted(self.writing()?.execute_raw(claim).await)?;
        Ok(claimed.rows_affected() > 0)
    }

    /// What each live key sent from `start_ms` until before `end_ms`. The database adds up: of millions of OTPs
    /// only a line a key comes here.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn key_traffic(
        &self,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<KeyTraffic>, StoreError> {
        let values = [
            first_id(start_ms - ID_SLACK_MS).into(),
            first_id(end_ms + ID_SLACK_MS).into(),
            start_ms.into(),
            end_ms.into(),
            MOST_KEYS.into(),
        ];
        let rows = self.reader.query_all_raw(self.sql(TRAFFIC, values)).await?;
        rows.iter()
            .map(|row| {
                Ok(KeyTraffic {
                    key_id: KeyId(row.try_get_by_index(0)?),
                    account_id: AccountId(row.try_get_by_index(1)?),
                    traffic: Traffic {
                        otps: row.try_get_by_index(2)?,
                        sequential: row.try_get_by_index(3)?,
                        ended: row.try_get_by_index(4)?,
                        answered: row.try_get_by_index(5)?,
                        usual_milli: row.try_get_by_index(6)?,
                    },
                    seen_at_ms: row.try_get_by_index(7)?,
                })
            })
            .collect()
    }

    /// Keeps what a window that ended at `end_ms` has shown. A suspicion that is open already is seen again.
    /// Returns the suspicions that were opened.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn keep_findings(
        &self,
        findings: &Findings,
        end_ms: i64,
    ) -> Result<Vec<Suspicion>, StoreError> {
        let transaction = self.begin().await?;
        let mut paces = NOTE_PACES.rows(findings.usual_milli.len());
        for (key, usual) in &findings.usual_milli {
            paces.push([key.0.into(), (*usual).into(), end_ms.into()]);
        }
        NOTE_PACES.execute(&transaction, &[], paces).await?;
        let mut opened = Vec::new();
        for (key, account, suspicion, detail) in &findings.suspicions {
            let again = "UPDATE reviews SET detail = ?, windows = windows + 1, seen_at_ms = ? \
                         WHERE key_id = ? AND suspicion = ? AND closed_at_ms IS NULL";
            let values = [
                detail.as_str().into(),
                end_ms.into(),
                key.0.into(),
                suspicion.as_str().into(),
            ];
            let again = transaction.execute_raw(self.sql(again, values)).await?;
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
            transaction.execute_raw(self.sql(open, values)).await?;
            opened.push(*suspicion);
        }
        for (old, limit_ms) in [
            (
                "DELETE FROM key_paces WHERE seen_at_ms < ?",
                end_ms - FORGOTTEN_AFTER_MS,
            ),
            (
                "DELETE FROM review_windows WHERE start_ms < ?",
                end_ms - 86_400_000,
            ),
        ] {
            transaction
                .execute_raw(self.sql(old, [limit_ms.into()]))
                .await?;
        }
        self.end(transaction).await?;
        Ok(opened)
    }

    /// Reviews, the open ones or all, the latest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn reviews(&self, open_only: bool, limit: u32) -> Result<Vec<Review>, StoreError> {
        let which = match open_only {
            true => "WHERE r.closed_at_ms IS NULL ",
            false => "",
        };
        let sql = format!("{REVIEW}{which}ORDER BY r.opened_at_ms DESC, r.id DESC LIMIT ?");
        let statement = self.sql(&sql, [Value::from(i64::from(limit))]);
        let rows = self.reader.query_all_raw(statement).await?;
        rows.iter().map(review).collect()
    }

    /// How many reviews are open.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn open_review_count(&self) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM reviews WHERE closed_at_ms IS NULL";
        let row = self.reader.query_one_raw(self.sql(sql, [])).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?)
    }

    /// Closes a review, with what was found. False where it is closed or unknown. The same suspicion opens another.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn close_review(
        &self,
        by: Operator<'_>,
        id: Uuid,
        note: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let close = "UPDATE reviews SET closed_at_ms = ?, closed_by = ?, note = ? \
                     WHERE id = ? AND closed_at_ms IS NULL RETURNING account_id, suspicion";
        let values = [at_ms.into(), by.name.into(), note.into(), id.into()];
        let closed = self.sql(close, values);
        let Some(row) = transaction.query_one_raw(closed).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let suspicion: String = row.try_get_by_index(1)?;
        let action = Action {
            action: "close_review",
            account: Some(AccountId(row.try_get_by_index(0)?)),
            subject: Some(&suspicion),
            detail: Some(note),
        };
        self.log(&transaction, by, action, at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }
}

fn review(row: &QueryResult) -> Result<Review, StoreError> {
    let suspicion: String = row.try_get_by_index(5)?;
    let name: Option<String> = row.try_get_by_index(2)?;
    Ok(Review {
        id: row.try_get_by_index(0)?,
        key_id: KeyId(row.try_get_by_index(1)?),
        key_name: name.unwrap_or_default(),
        account_id: AccountId(row.try_get_by_index(3)?),
        email: row.try_get_by_index(4)?,
        suspicion: Suspicion::named(&suspicion).ok_or(StoreError::Unreadable {
            table: "reviews",
            column: "suspicion",
        })?,
        detail: row.try_get_by_index(6)?,
        windows: row.try_get_by_index(7)?,
        opened_at_ms: row.try_get_by_index(8)?,
        seen_at_ms: row.try_get_by_index(9)?,
        closed_at_ms: row.try_get_by_index(10)?,
        closed_by: row.try_get_by_index(11)?,
        note: row.try_get_by_index(12)?,
    })
}
