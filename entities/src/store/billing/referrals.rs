//! Referrals: accounts brought by others, their earnings, and revocation.
//!
//! A database trigger creates a referral with its account, and commissions accrue in the
//! transaction that delivers an OTP ([`Ledger::commit`]). This module reads and revokes them.

use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::sql::rows::Columns;
use crate::store::views::Billing;

/// An account's earnings from referrals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earnings {
    /// Number of referred accounts, including ended referrals.
    pub people: i64,
    /// Everything earned so far.
    pub accrued: Micros,
    /// The part to be paid out.
    pub pending: Micros,
    pub paid: Micros,
}

/// A referral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referral {
    pub referred: AccountId,
    pub referrer: AccountId,
    /// Must not be shown to the referrer unmasked.
    pub email: String,
    pub referrer_email: String,
    pub created_at_ms: i64,
    pub accrued: Micros,
    pub pending: Micros,
    pub ended_at_ms: Option<i64>,
    /// Whether an operator revoked it; otherwise the referrer's account was closed.
    pub revoked: bool,
    pub ended_for: Option<String>,
}

/// One line of an account's commissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommissionEntry {
    pub id: i64,
    pub referred: Option<AccountId>,
    /// The e-mail address of the referred account.
    pub email: Option<String>,
    pub delivery_id: Option<DeliveryId>,
    /// `commission`, `revocation` or `payout`.
    pub kind: String,
    pub amount: Micros,
    pub note: Option<String>,
    pub created_at_ms: i64,
}

const REFERRAL: &str = "SELECT r.referred_id, r.referrer_id, a.email, b.email, r.created_at_ms, \
     r.accrued_micros, r.pending_micros, r.ended_at_ms, r.ended_by, r.ended_for \
     FROM referrals AS r JOIN accounts AS a ON a.id = r.referred_id \
     JOIN accounts AS b ON b.id = r.referrer_id ";

impl Billing<'_> {
    /// Returns what `account` has earned.
    pub async fn earnings(self, account: AccountId) -> Result<Earnings, StoreError> {
        let sums = "SELECT COUNT(*), CAST(COALESCE(SUM(accrued_micros), 0) AS bigint), \
                    CAST(COALESCE(SUM(pending_micros), 0) AS bigint), \
                    (SELECT CAST(COALESCE(SUM(amount_micros), 0) AS bigint) FROM payouts \
                    WHERE account_id = ?) FROM referrals WHERE referrer_id = ?";
        let values = [account.0.into(), account.0.into()];
        let row = self.store.reader.query_one_raw(self.store.sql(sums, values)).await?;
        let Some(row) = row else {
            return Ok(Earnings::default());
        };
        let mut row = Columns::of(&row);
        Ok(Earnings {
            people: row.get()?,
            accrued: row.micros()?,
            pending: row.micros()?,
            paid: row.micros()?,
        })
    }

    /// Returns the referrals of `referrer`, or all, latest first, without the first `skip`.
    pub async fn referrals(
        self,
        referrer: Option<AccountId>,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Referral>, StoreError> {
        let filter = match referrer {
            Some(_) => "WHERE r.referrer_id = ? ",
            None => "",
        };
        let sql = format!(
            "{REFERRAL}{filter}ORDER BY r.created_at_ms DESC, r.referred_id DESC LIMIT ? OFFSET ?"
        );
        let mut values: Vec<Value> = referrer.map(|id| Value::from(id.0)).into_iter().collect();
        values.extend([Value::from(i64::from(limit)), i64::from(skip).into()]);
        let rows = self.store.reader.query_all_raw(self.store.sql(&sql, values)).await?;
        rows.iter().map(referral).collect()
    }

    /// Returns the referral that brought `referred`, if any.
    pub async fn referral_of(self, referred: AccountId) -> Result<Option<Referral>, StoreError> {
        let sql = format!("{REFERRAL}WHERE r.referred_id = ?");
        let statement = self.store.sql(&sql, [referred.0.into()]);
        let row = self.store.reader.query_one_raw(statement).await?;
        row.as_ref().map(referral).transpose()
    }

    /// Returns the lines of the account's pending commissions, latest first.
    pub async fn commission_entries(
        self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<CommissionEntry>, StoreError> {
        let sql = "SELECT e.id, e.referred_id, a.email, e.delivery_id, e.kind, e.amount_micros, \
                   e.note, e.created_at_ms FROM commission_entries AS e \
                   LEFT JOIN accounts AS a ON a.id = e.referred_id \
                   WHERE e.account_id = ? AND e.bucket = 'pending' \
                   ORDER BY e.created_at_ms DESC, e.id DESC LIMIT ?";
        let values = [account.0.into(), i64::from(limit).into()];
        let rows = self.store.reader.query_all_raw(self.store.sql(sql, values)).await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                Ok(CommissionEntry {
                    id: row.get()?,
                    referred: row.get::<Option<Uuid>>()?.map(AccountId),
                    email: row.get()?,
                    delivery_id: row.get::<Option<Uuid>>()?.map(DeliveryId),
                    kind: row.get()?,
                    amount: row.micros()?,
                    note: row.get()?,
                    created_at_ms: row.get()?,
                })
            })
            .collect()
    }

    /// Ends a referral permanently and reverses its pending commission by a posting. Returns the
    /// reversed amount; `None` if there is no referral or it was revoked before. Paid commissions
    /// stay paid.
    pub async fn revoke_referral(
        self,
        by: Operator<'_>,
        referred: AccountId,
        reason: &str,
        at_ms: i64,
    ) -> Result<Option<Micros>, StoreError> {
        let transaction = self.store.begin().await?;
        lock_payouts(&transaction).await?;
        let end = "UPDATE referrals SET ended_at_ms = COALESCE(ended_at_ms, ?), \
                   ended_by = 'revocation', ended_for = ? \
                   WHERE referred_id = ? AND COALESCE(ended_by, '') <> 'revocation'";
        let values = [at_ms.into(), reason.into(), referred.0.into()];
        let ended = transaction.execute_raw(self.store.sql(end, values)).await?;
        if ended.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        let held = "SELECT referrer_id, pending_micros FROM referrals WHERE referred_id = ?";
        let held = self.store.sql(held, [referred.0.into()]);
        let row = transaction.query_one_raw(held).await?;
        let row = row.ok_or(StoreError::unreadable("referrals", "referrer_id"))?;
        let (referrer, pending): (Uuid, i64) = row.try_get_many_by_index()?;
        if pending > 0 {
            let posting = [
                "UPDATE referrals SET pending_micros = 0 WHERE referred_id = ?",
                "INSERT INTO commission_entries (account_id, referred_id, posting_id, kind, bucket, \
                 amount_micros, note, created_at_ms) \
                 VALUES (?, ?, ?, 'revocation', 'pending', ?, ?, ?)",
            ];
            let none = self.store.sql(posting[0], [referred.0.into()]);
            transaction.execute_raw(none).await?;
            let values = [
                referrer.into(),
                referred.0.into(),
                Uuid::now_v7().into(),
                (-pending).into(),
                reason.into(),
                at_ms.into(),
            ];
            transaction.execute_raw(self.store.sql(posting[1], values)).await?;
        }
        let pending = Micros::new(pending);
        let action = Action {
            action: "revoke_referral",
            account: Some(referred),
            subject: Some(&pending.to_string()),
            detail: Some(reason),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        append_change(&transaction, Change::Account(referred), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(Some(pending))
    }
}

/// Serializes transactions that take from pending commissions. Commissions may accrue meanwhile.
pub(crate) async fn lock_payouts(transaction: &DatabaseTransaction) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction.execute_unprepared("LOCK TABLE payouts IN EXCLUSIVE MODE").await?;
    }
    Ok(())
}

fn referral(row: &QueryResult) -> Result<Referral, StoreError> {
    let mut row = Columns::of(row);
    Ok(Referral {
        referred: AccountId(row.get()?),
        referrer: AccountId(row.get()?),
        email: row.get()?,
        referrer_email: row.get()?,
        created_at_ms: row.get()?,
        accrued: row.micros()?,
        pending: row.micros()?,
        ended_at_ms: row.get()?,
        revoked: row.get::<Option<String>>()?.as_deref() == Some("revocation"),
        ended_for: row.get()?,
    })
}
