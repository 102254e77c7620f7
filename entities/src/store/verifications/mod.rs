//! Verifications: reads, and the ends that are not the start of a call.
//!
//! Each event of [`nexo_domain::verification`] is one statement whose condition decides whether it takes effect, so that
//! of concurrent ones each sees the effect of those before it. The start and a resend are part of a debit
//! ([`posting`](crate::store::ledger::posting)).
//!
//! Whatever closes a verification does so in a transaction and gets the closed row back: what has to be written
//! together with the end belongs there.

use nexo_domain::customer_fields::CustomerFields;
use nexo_domain::ids::{AccountId, DeliveryId, VerificationId};
use nexo_domain::otp::Language;
use nexo_domain::phone::RecordedPhone;
use nexo_domain::verification::code::CodeLength;
use nexo_domain::verification::{State, Status};
use nexo_domain::webhook::verification::VerificationEvent;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::record;
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Verifications;
use crate::store::webhooks::queue::queue_verification_events;

pub mod pages;
pub mod privacy;
pub mod sends;

/// A stored verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub id: VerificationId,
    pub account_id: AccountId,
    /// Whether a test key started it. A live key cannot check it, nor the other way round.
    pub test: bool,
    /// Masked after the retention time.
    pub phone: RecordedPhone,
    pub code_length: CodeLength,
    /// The voice that the start asked for.
    pub language: Option<Language>,
    /// As it is stored; [`State::status_at`] also looks at the time.
    pub state: State,
    /// The call that read the code last.
    pub last_delivery_id: DeliveryId,
    pub created_at_ms: i64,
    /// When its status became final; `None` while it is stored as pending.
    pub closed_at_ms: Option<i64>,
    /// The verification of the same phone that canceled it.
    pub replaced_by: Option<VerificationId>,
    pub fields: CustomerFields,
}

/// A verification after a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub verification: Verification,
    /// Number of queued webhook attempts.
    pub webhooks: u64,
}

/// Queues the events of those that have ended. Returns the number of attempts.
async fn queue_events(
    transaction: &DatabaseTransaction,
    verifications: &[Verification],
    at_ms: i64,
) -> Result<u64, StoreError> {
    let events: Vec<_> = verifications.iter().map(|one| (one.account_id, one.event())).collect();
    queue_verification_events(transaction, &events, at_ms).await
}

/// The columns that [`Verification::from_row`] reads.
const COLUMNS: &str = "id, account_id, test, phone, code_length, language, status, attempts, sends, \
     expires_at_ms, last_delivery_id, created_at_ms, closed_at_ms, replaced_by, reference, metadata";

impl Verification {
    /// Returns when it was approved.
    pub fn approved_at_ms(&self) -> Option<i64> {
        self.closed_at_ms.filter(|_| self.state.status == Status::Approved)
    }

    /// The event of its end.
    fn event(&self) -> VerificationEvent {
        let expires_at_ms = self.state.expires_at_ms;
        VerificationEvent {
            verification_id: self.id,
            delivery_id: self.last_delivery_id,
            phone: self.phone,
            status: self.state.status,
            created_at_ms: self.created_at_ms,
            expires_at_ms,
            completed_at_ms: self.closed_at_ms.unwrap_or(expires_at_ms),
            fields: self.fields.clone(),
        }
    }

    fn from_row(row: &QueryResult) -> Result<Verification, StoreError> {
        const TABLE: &str = "verifications";
        let unreadable = |column| StoreError::unreadable(TABLE, column);
        let count = |count: i16, column| u8::try_from(count).map_err(|_| unreadable(column));
        let mut row = Columns::of(row);
        let (id, account_id) = (VerificationId(row.get()?), AccountId(row.get()?));
        let test = row.get()?;
        let phone: String = row.get()?;
        let code_length = CodeLength::new(count(row.get()?, "code_length")?);
        let language: Option<String> = row.get()?;
        let status: String = row.get()?;
        let state = State {
            status: Status::named(&status).ok_or(unreadable("status"))?,
            attempts: count(row.get()?, "attempts")?,
            sends: count(row.get()?, "sends")?,
            expires_at_ms: row.get()?,
        };
        Ok(Verification {
            id,
            account_id,
            test,
            phone: record::recorded_phone(TABLE, &phone)?,
            code_length: code_length.ok_or(unreadable("code_length"))?,
            language: record::language(language.as_deref())?,
            state,
            last_delivery_id: DeliveryId(row.get()?),
            created_at_ms: row.get()?,
            closed_at_ms: row.get()?,
            replaced_by: row.get::<Option<Uuid>>()?.map(VerificationId),
            fields: record::customer_fields(TABLE, row.get()?, row.get()?)?,
        })
    }
}

impl Verifications<'_> {
    /// Returns the verification if it belongs to the account.
    pub async fn get(
        self,
        account: AccountId,
        id: VerificationId,
    ) -> Result<Option<Verification>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM verifications WHERE id = ? AND account_id = ?");
        let statement = self.store.sql(&sql, [id.0.into(), Value::from(account.0)]);
        let row = self.store.core_reader.query_one_raw(statement).await?;
        row.as_ref().map(Verification::from_row).transpose()
    }

    /// Approves it after the right code was checked, and marks its last call as converted. `last_delivery` is that call,
    /// as it was read. Returns `None`, and changes nothing, if the verification is not pending at `now_ms` or the code
    /// was sent again meanwhile.
    pub async fn approve(
        self,
        id: VerificationId,
        last_delivery: DeliveryId,
        now_ms: i64,
    ) -> Result<Option<Checked>, StoreError> {
        let transaction = self.store.begin().await?;
        // Lock deliveries before verifications, as a posting does. The opposite order deadlocks with a settlement.
        let mark = self.store.sql(
            "UPDATE deliveries SET converted = TRUE WHERE id = ? AND verification_id = ?",
            [last_delivery.0.into(), id.0.into()],
        );
        transaction.execute_raw(mark).await?;
        let approved = self
            .close(
                &transaction,
                "status = 'approved', closed_at_ms = ? WHERE id = ? AND status = 'pending' \
                 AND expires_at_ms > ? AND last_delivery_id = ?",
                [now_ms.into(), id.0.into(), now_ms.into(), last_delivery.0.into()],
            )
            .await?;
        self.finish(transaction, approved, now_ms).await
    }

    /// Counts a wrong code; the fifth makes it `failed`. Returns the verification after it, or `None` if it is not
    /// pending at `now_ms`.
    pub async fn count_wrong_code(
        self,
        id: VerificationId,
        now_ms: i64,
    ) -> Result<Option<Checked>, StoreError> {
        let transaction = self.store.begin().await?;
        let counted = self
            .close(
                &transaction,
                "attempts = attempts + 1, \
                 status = CASE WHEN attempts >= 4 THEN 'failed' ELSE 'pending' END, \
                 closed_at_ms = CASE WHEN attempts >= 4 THEN CAST(? AS bigint) END \
                 WHERE id = ? AND status = 'pending' AND expires_at_ms > ?",
                [now_ms.into(), id.0.into(), now_ms.into()],
            )
            .await?;
        self.finish(transaction, counted, now_ms).await
    }

    /// Cancels it. Returns `None`, and changes nothing, if it is not pending at `now_ms`.
    pub async fn cancel(
        self,
        id: VerificationId,
        now_ms: i64,
    ) -> Result<Option<Verification>, StoreError> {
        let transaction = self.store.begin().await?;
        let canceled = self
            .close(
                &transaction,
                "status = 'canceled', closed_at_ms = ? WHERE id = ? AND status = 'pending' \
                 AND expires_at_ms > ?",
                [now_ms.into(), id.0.into(), now_ms.into()],
            )
            .await?;
        match canceled.is_some() {
            true => self.store.commit(transaction).await?,
            false => transaction.rollback().await?,
        }
        Ok(canceled)
    }

    /// Marks at most `most` verifications that have expired at `now_ms`, and returns them. Several nodes may do so at
    /// once: each is marked once.
    pub async fn mark_expired(
        self,
        now_ms: i64,
        most: u32,
    ) -> Result<Vec<Verification>, StoreError> {
        // Most of the time there is none, and nothing has to be locked.
        const IS_DUE: &str =
            "SELECT 1 FROM verifications WHERE status = 'pending' AND expires_at_ms <= ? LIMIT 1";
        let is_due = self.store.sql(IS_DUE, [now_ms.into()]);
        if scalar::<i32>(&self.store.job_reader, is_due).await?.is_none() {
            return Ok(Vec::new());
        }
        // Rows that a check or another node holds are left for the next time. Materialized: PostgreSQL may execute a
        // subquery with a lock more than once, and skips what it has locked itself.
        let lock = if self.store.is_sqlite() { "" } else { "FOR UPDATE SKIP LOCKED" };
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT id FROM verifications WHERE status = 'pending' \
             AND expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ? {lock}) \
             UPDATE verifications SET status = 'expired', closed_at_ms = expires_at_ms \
             WHERE id IN (SELECT id FROM due) AND status = 'pending' RETURNING {COLUMNS}"
        );
        let transaction = self.store.begin().await?;
        let mark = self.store.sql(&sql, [now_ms.into(), i64::from(most).into()]);
        let rows = transaction.query_all_raw(mark).await?;
        let expired = rows.iter().map(Verification::from_row).collect::<Result<Vec<_>, _>>()?;
        queue_events(&transaction, &expired, now_ms).await?;
        self.store.commit(transaction).await?;
        Ok(expired)
    }

    /// Commits a check, with the event of the end if it was one. Rolls back if no pending verification was found.
    async fn finish(
        self,
        transaction: DatabaseTransaction,
        checked: Option<Verification>,
        now_ms: i64,
    ) -> Result<Option<Checked>, StoreError> {
        let Some(verification) = checked else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let checked = std::slice::from_ref(&verification);
        let webhooks = queue_events(&transaction, checked, now_ms).await?;
        self.store.commit(transaction).await?;
        Ok(Some(Checked { verification, webhooks }))
    }

    /// Executes `UPDATE verifications SET` with the rest of the statement, which finds one row at most, and returns it.
    async fn close<const N: usize>(
        self,
        transaction: &DatabaseTransaction,
        rest: &str,
        values: [Value; N],
    ) -> Result<Option<Verification>, StoreError> {
        let sql = format!("UPDATE verifications SET {rest} RETURNING {COLUMNS}");
        let row = transaction.query_one_raw(self.store.sql(&sql, values)).await?;
        row.as_ref().map(Verification::from_row).transpose()
    }
}
