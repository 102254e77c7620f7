//! Referrals: who was brought, what that has earned, and its revocation.
//!
//! A referral is made by a trigger as its account is opened, and accrues in the transaction that makes an OTP
//! delivered ([`Store::commit`]). What is done here is done by hand.

use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use crate::store::cluster::changes::{Change, append};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::{Store, StoreError};

/// What an account has earned by those whom it brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earnings {
    /// How many it brought, those whose referral has ended included.
    pub people: i64,
    /// Everything that was ever earned.
    pub accrued: Micros,
    /// What is still to be paid out.
    pub pending: Micros,
    pub paid: Micros,
}

/// One account that was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referral {
    pub referred: AccountId,
    pub referrer: AccountId,
    /// Not for the referrer's eyes as it stands.
    pub email: String,
    pub referrer_email: String,
    pub created_at_ms: i64,
    pub accrued: Micros,
    pub pending: Micros,
    pub ended_at_ms: Option<i64>,
    /// Whether an operator revoked it; otherwise its referrer's account was closed.
    pub revoked: bool,
    pub ended_for: Option<String>,
}

/// One line of an account's commissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommissionEntry {
    pub id: i64,
    pub referred: Option<AccountId>,
    /// The address of whom it was earned by.
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

impl Store {
    /// What `account` has earned.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn earnings(&self, account: AccountId) -> Result<Earnings, StoreError> {
        let sums = "SELECT COUNT(*), CAST(COALESCE(SUM(accrued_micros), 0) AS bigint), \
                    CAST(COALESCE(SUM(pending_micros), 0) AS bigint), \
                    (SELECT CAST(COALESCE(SUM(amount_micros), 0) AS bigint) FROM payouts \
                    WHERE account_id = ?) FROM referrals WHERE referrer_id = ?";
        let values = [account.0.into(), account.0.into()];
        let row = self.reader.query_one_raw(self.sql(sums, values)).await?;
        let Some(row) = row else {
            return Ok(Earnings::default());
        };
        Ok(Earnings {
            people: row.try_get_by_index(0)?,
            accrued: Micros::new(row.try_get_by_index(1)?),
            pending: Micros::new(row.try_get_by_index(2)?),
            paid: Micros::new(row.try_get_by_index(3)?),
        })
    }

    /// Whom `referrer` brought, or all referrals, the latest first. `skip` leaves out the first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn referrals(
        &self,
        referrer: Option<AccountId>,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Referral>, StoreError> {
        let whose = match referrer {
            Some(_) => "WHERE r.referrer_id = ? ",
            None => "",
        };
        let sql = format!(
            "{REFERRAL}{whose}ORDER BY r.created_at_ms DESC, r.referred_id DESC LIMIT ? OFFSET ?"
        );
        let mut values: Vec<Value> = referrer.map(|id| Value::from(id.0)).into_iter().collect();
        values.extend([Value::from(i64::from(limit)), i64::from(skip).into()]);
        let rows = self.reader.query_all_raw(self.sql(&sql, values)).await?;
        rows.iter().map(referral).collect()
    }

    /// By whom `referred` was brought, if by anybody.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn referral_of(&self, referred: AccountId) -> Result<Option<Referral>, StoreError> {
        let sql = format!("{REFERRAL}WHERE r.referred_id = ?");
        let statement = self.sql(&sql, [referred.0.into()]);
        let row = self.reader.query_one_raw(statement).await?;
        row.as_ref().map(referral).transpose()
    }

    /// The lines of `account`'s pending commissions, the latest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn commission_entries(
        &self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<CommissionEntry>, StoreError> {
        let sql = "SELECT e.id, e.referred_id, a.email, e.delivery_id, e.kind, e.amount_micros, \
                   e.note, e.created_at_ms FROM commission_entries AS e \
                   LEFT JOIN accounts AS a ON a.id = e.referred_id \
                   WHERE e.account_id = ? AND e.bucket = 'pending' \
                   ORDER BY e.created_at_ms DESC, e.id DESC LIMIT ?";
        let values = [account.0.into(), i64::from(limit).into()];
        let rows = self.reader.query_all_raw(self.sql(sql, values)).await?;
        rows.iter()
            .map(|row| {
                let referred: Option<Uuid> = row.try_get_by_index(1)?;
                let delivery: Option<Uuid> = row.try_get_by_index(3)?;
                Ok(CommissionEntry {
                    id: row.try_get_by_index(0)?,
                    referred: referred.map(AccountId),
                    email: row.try_get_by_index(2)?,
                    delivery_id: delivery.map(DeliveryId),
                    kind: row.try_get_by_index(4)?,
                    amount: Micros::new(row.try_get_by_index(5)?),
                    note: row.try_get_by_index(6)?,
                    created_at_ms: row.try_get_by_index(7)?,
                })
            })
            .collect()
    }

    /// Ends a referral for good and reverses what is pending of it, by a posting. Returns how much that was;
    /// `None` where there is no referral, or it was revoked before. What was paid out stays paid.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn revoke_referral(
        &self,
        by: Operator<'_>,
        referred: AccountId,
        reason: &str,
        at_ms: i64,
    ) -> Result<Option<Micros>, StoreError> {
        let transaction = self.begin().await?;
        hold_payouts(&transaction).await?;
        let end = "UPDATE referrals SET ended_at_ms = COALESCE(ended_at_ms, ?), \
                   ended_by = 'revocation', ended_for = ? \
                   WHERE referred_id = ? AND COALESCE(ended_by, '') <> 'revocation'";
        let values = [at_ms.into(), reason.into(), referred.0.into()];
        let ended = transaction.execute_raw(self.sql(end, values)).await?;
        if ended.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        let held = "SELECT referrer_id, pending_micros FROM referrals WHERE referred_id = ?";
        let held = self.sql(held, [referred.0.into()]);
        let row = transaction.query_one_raw(held).await?;
        let row = row.ok_or(StoreError::Unreadable {
            table: "referrals",
            column: "referrer_id",
        })?;
        let referrer: Uuid = row.try_get_by_index(0)?;
        let pending: i64 = row.try_get_by_index(1)?;
        if pending > 0 {
            let posting = [
                "UPDATE referrals SET pending_micros = 0 WHERE referred_id = ?",
                "INSERT INTO commission_entries (account_id, referred_id, posting_id, kind, bucket, \
                 amount_micros, note, created_at_ms) \
                 VALUES (?, ?, ?, 'revocation', 'pending', ?, ?, ?)",
            ];
            let none = self.sql(posting[0], [referred.0.into()]);
            transaction.execute_raw(none).await?;
            let values = [
                referrer.into(),
                referred.0.into(),
                Uuid::now_v7().into(),
                (-pending).into(),
                reason.into(),
                at_ms.into(),
            ];
            transaction
                .execute_raw(self.sql(posting[1], values))
                .await?;
        }
        let pending = Micros::new(pending);
        let action = Action {
            action: "revoke_referral",
            account: Some(referred),
            subject: Some(&pending.to_string()),
            detail: Some(reason),
        };
        self.log(&transaction, by, action, at_ms).await?;
        append(&transaction, Change::Account(referred), at_ms).await?;
        self.end(transaction).await?;
        Ok(Some(pending))
    }
}

/// Lets one at a time take from what is pending. Commissions may accrue meanwhile.
pub(in crate::store) async fn hold_payouts(
    transaction: &DatabaseTransaction,
) -> Result<(), StoreError> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction
            .execute_unprepared("LOCK TABLE payouts IN EXCLUSIVE MODE")
            .await?;
    }
    Ok(())
}

fn referral(row: &QueryResult) -> Result<Referral, StoreError> {
    let ended_by: Option<String> = row.try_get_by_index(8)?;
    Ok(Referral {
        referred: AccountId(row.try_get_by_index(0)?),
        referrer: AccountId(row.try_get_by_index(1)?),
        email: row.try_get_by_index(2)?,
        referrer_email: row.try_get_by_index(3)?,
        created_at_ms: row.try_get_by_index(4)?,
        accrued: Micros::new(row.try_get_by_index(5)?),
        pending: Micros::new(row.try_get_by_index(6)?),
        ended_at_ms: row.try_get_by_index(7)?,
        revoked: ended_by.as_deref() == Some("revocation"),
        ended_for: row.try_get_by_index(9)?,
    })
}
