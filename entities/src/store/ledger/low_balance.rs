//! Telling accounts that their wallet runs low: once each time it falls below what they have set.

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::billing::low_balance::{LOW, LowBalance};
use nexo_domain::ids::{AccountId, EndpointId, WebhookAttemptId};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use crate::store::accounts::accounts::hold_open_account;
use crate::store::cluster::changes::{Change, append};
use crate::store::sql::record;
use crate::store::{Store, StoreError};

/// An account that was told, for the mail to it.
#[derive(Debug, Clone)]
pub struct ToldAccount {
    pub account_id: AccountId,
    pub email: String,
    pub language: Option<Language>,
    pub notice: LowBalance,
}

const BELOW: &str = "w.free_micros + w.bonus_micros + w.balance_micros < n.threshold_micros";

impl Store {
    /// Below which total an account wants to be told; `None`: never.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed); what the database fails with.
    pub async fn set_low_balance(
        &self,
        account: AccountId,
        threshold: Option<Micros>,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        hold_open_account(&transaction, account).await?;
        let statement = match threshold {
            None => self.sql(
                "DELETE FROM low_balance_notices WHERE account_id = ?",
                [account.0.into()],
            ),
            Some(threshold) => self.sql(
                "INSERT INTO low_balance_notices (account_id, threshold_micros) VALUES (?, ?) \
                 ON CONFLICT (account_id) DO UPDATE SET \
                 threshold_micros = excluded.threshold_micros, told_at_ms = NULL",
                [account.0.into(), threshold.get().into()],
            ),
        };
        transaction.execute_raw(statement).await?;
        self.end(transaction).await
    }

    /// Below which total the account wants to be told, if at all.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn low_balance(&self, account: AccountId) -> Result<Option<Micros>, StoreError> {
        let sql = "SELECT threshold_micros FROM low_balance_notices WHERE account_id = ?";
        let statement = self.sql(sql, [account.0.into()]);
        let row = self.reader.query_one_raw(statement).await?;
        let micros: Option<i64> = row.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(micros.map(Micros::new))
    }

    /// Finds the wallets that have fallen below their threshold since they were last above it, and queues a
    /// webhook for each active endpoint. Returns whom to write to; of several nodes one gets each.
    ///
    /// # Errors
    /// What the database fails with; who was told before stays so.
    pub async fn tell_low_balances(&self, now_ms: i64) -> Result<Vec<ToldAccount>, StoreError> {
        self.arm_notices().await?;
        let sql = format!(
            "SELECT n.account_id, a.email, a.language, n.threshold_micros, w.free_micros, \
             w.bonus_micros, w.balance_micros FROM low_balance_notices AS n \
             JOIN wallets AS w ON w.account_id = n.account_id \
             JOIN accounts AS a ON a.id = n.account_id \
             WHERE n.told_at_ms IS NULL AND a.closed_at_ms IS NULL \
             AND a.suspended_at_ms IS NULL AND {BELOW}"
        );
        let mut told = Vec::new();
        for row in self.reader.query_all_raw(self.sql(&sql, [])).await? {
            let account = low_account(&row, now_ms)?;
            if self.tell(&account, now_ms).await? {
                told.push(account);
            }
        }
        Ok(told)
    }

    /// Who has enough again is to be told again.
    async fn arm_notices(&self) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT n.account_id FROM low_balance_notices AS n \
             JOIN wallets AS w ON w.account_id = n.account_id \
             WHERE n.told_at_ms IS NOT NULL AND NOT ({BELOW})"
        );
        for row in self.reader.query_all_raw(self.sql(&sql, [])).await? {
            let account: Uuid = row.try_get_by_index(0)?;
            let arm = "UPDATE low_balance_notices SET told_at_ms = NULL WHERE account_id = ?";
            let armed = self.writing()?;
            let armed = armed.execute_raw(self.sql(arm, [account.into()])).await;
            self.noted(armed)?;
        }
        Ok(())
    }

    async fn tell(&self, account: &ToldAccount, now_ms: i64) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let mark = "UPDATE low_balance_notices SET told_at_ms = ? \
                    WHERE account_id = ? AND told_at_ms IS NULL";
        let mark = self.sql(mark, [now_ms.into(), account.account_id.0.into()]);
        if transaction.execute_raw(mark).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let active = "SELECT id FROM webhook_endpoints WHERE account_id = ? \
                      AND removed_at_ms IS NULL AND paused_at_ms IS NULL";
        let active = self.sql(active, [account.account_id.0.into()]);
        let body = account.notice.body();
        for row in transaction.query_all_raw(active).await? {
            let endpoint = EndpointId(row.try_get_by_index(0)?);
            let attempt = WebhookAttemptId(Uuid::now_v7());
            let queue = "INSERT INTO webhook_attempts (id, endpoint_id, account_id, delivery_id, \
                         event_type, body, status, created_at_ms) \
                         VALUES (?, ?, ?, ?, ?, ?, 'pending', ?)";
            let values = [
                attempt.0.into(),
                endpoint.0.into(),
                account.account_id.0.into(),
                account.notice.id.into(),
                LOW.into(),
                body.as_str().into(),
                now_ms.into(),
            ];
            transaction.execute_raw(self.sql(queue, values)).await?;
            append(&transaction, Change::WebhookAttempt(attempt), now_ms).await?;
        }
        self.end(transaction).await?;
        Ok(true)
    }
}

fn low_account(row: &QueryResult, now_ms: i64) -> Result<ToldAccount, StoreError> {
    let language: Option<String> = row.try_get_by_index(2)?;
    let micros = |place| row.try_get_by_index(place).map(Micros::new);
    Ok(ToldAccount {
        account_id: AccountId(row.try_get_by_index(0)?),
        email: row.try_get_by_index(1)?,
        language: record::language(language.as_deref())?,
        notice: LowBalance {
            id: Uuid::now_v7(),
            held: Buckets {
                free: micros(4)?,
                bonus: micros(5)?,
                balance: micros(6)?,
            },
            threshold: micros(3)?,
            at_ms: now_ms,
        },
    })
}
