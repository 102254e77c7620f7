//! Low-balance notifications: sent once each time a wallet falls below its account's threshold.

use nexo_domain::billing::low_balance::{LOW_BALANCE_EVENT, LowBalance};
use nexo_domain::ids::{AccountId, EndpointId, WebhookAttemptId};
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::accounts::lock_open_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::sql::record;
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Ledger;

/// An account that was notified, for the e-mail to it.
#[derive(Debug, Clone)]
pub struct NotifiedAccount {
    pub account_id: AccountId,
    pub email: String,
    pub language: Option<Language>,
    pub notice: LowBalance,
}

const BELOW: &str = "w.free_micros + w.bonus_micros + w.balance_micros < n.threshold_micros";

impl Ledger<'_> {
    /// Sets the total below which the account is notified; `None` turns notifications off.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed).
    pub async fn set_low_balance_threshold(
        self,
        account: AccountId,
        threshold: Option<Micros>,
    ) -> Result<(), StoreError> {
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, account).await?;
        let statement = match threshold {
            None => self
                .store
                .sql("DELETE FROM low_balance_notices WHERE account_id = ?", [account.0.into()]),
            Some(threshold) => self.store.sql(
                "INSERT INTO low_balance_notices (account_id, threshold_micros) VALUES (?, ?) \
                 ON CONFLICT (account_id) DO UPDATE SET \
                 threshold_micros = excluded.threshold_micros, told_at_ms = NULL",
                [account.0.into(), threshold.get().into()],
            ),
        };
        transaction.execute_raw(statement).await?;
        self.store.commit(transaction).await
    }

    /// Returns the total below which the account is notified, if set.
    pub async fn low_balance_threshold(
        self,
        account: AccountId,
    ) -> Result<Option<Micros>, StoreError> {
        let sql = "SELECT threshold_micros FROM low_balance_notices WHERE account_id = ?";
        let statement = self.store.sql(sql, [account.0.into()]);
        let micros: Option<i64> = scalar(&self.store.reader, statement).await?;
        Ok(micros.map(Micros::new))
    }

    /// Finds the wallets that fell below their threshold since they were last above it, and queues
    /// a webhook for each active endpoint. Returns the accounts to e-mail. With several nodes each
    /// account is returned by one.
    ///
    /// # Errors
    /// Accounts notified before the error stay marked.
    pub async fn notify_low_balances(
        self,
        now_ms: i64,
    ) -> Result<Vec<NotifiedAccount>, StoreError> {
        self.rearm_notices().await?;
        let sql = format!(
            "SELECT n.account_id, a.email, a.language, n.threshold_micros, w.free_micros, \
             w.bonus_micros, w.balance_micros FROM low_balance_notices AS n \
             JOIN wallets AS w ON w.account_id = n.account_id \
             JOIN accounts AS a ON a.id = n.account_id \
             WHERE n.told_at_ms IS NULL AND a.closed_at_ms IS NULL \
             AND a.suspended_at_ms IS NULL AND {BELOW}"
        );
        let mut notified = Vec::new();
        for row in self.store.job_reader.query_all_raw(self.store.sql(&sql, [])).await? {
            let account = low_account(&row, now_ms)?;
            if self.notify(&account, now_ms).await? {
                notified.push(account);
            }
        }
        Ok(notified)
    }

    /// Re-arms the accounts whose wallets are above the threshold again.
    async fn rearm_notices(self) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT n.account_id FROM low_balance_notices AS n \
             JOIN wallets AS w ON w.account_id = n.account_id \
             WHERE n.told_at_ms IS NOT NULL AND NOT ({BELOW})"
        );
        for row in self.store.job_reader.query_all_raw(self.store.sql(&sql, [])).await? {
            let account: Uuid = row.try_get_by_index(0)?;
            let arm = "UPDATE low_balance_notices SET told_at_ms = NULL WHERE account_id = ?";
            let connection = self.store.write_connection()?;
            let armed = connection.execute_raw(self.store.sql(arm, [account.into()])).await;
            self.store.check_write(armed)?;
        }
        Ok(())
    }

    async fn notify(self, account: &NotifiedAccount, now_ms: i64) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let mark = "UPDATE low_balance_notices SET told_at_ms = ? \
                    WHERE account_id = ? AND told_at_ms IS NULL";
        let mark = self.store.sql(mark, [now_ms.into(), account.account_id.0.into()]);
        if transaction.execute_raw(mark).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let active = "SELECT id FROM webhook_endpoints WHERE account_id = ? \
                      AND removed_at_ms IS NULL AND paused_at_ms IS NULL";
        let active = self.store.sql(active, [account.account_id.0.into()]);
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
                LOW_BALANCE_EVENT.into(),
                body.as_str().into(),
                now_ms.into(),
            ];
            transaction.execute_raw(self.store.sql(queue, values)).await?;
            append_change(&transaction, Change::WebhookAttempt(attempt), now_ms).await?;
        }
        self.store.commit(transaction).await?;
        Ok(true)
    }
}

fn low_account(row: &QueryResult, now_ms: i64) -> Result<NotifiedAccount, StoreError> {
    let mut row = Columns::of(row);
    Ok(NotifiedAccount {
        account_id: AccountId(row.get()?),
        email: row.get()?,
        language: record::language(row.get::<Option<String>>()?.as_deref())?,
        notice: LowBalance {
            id: Uuid::now_v7(),
            threshold: row.micros()?,
            held: row.buckets()?,
            at_ms: now_ms,
        },
    })
}
