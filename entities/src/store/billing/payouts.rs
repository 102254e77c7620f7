//! Monthly payouts of commissions, and the payout wallets.
//!
//! | requirement | how |
//! |---|---|
//! | once a month | the table's key allows one payout per account and month |
//! | nothing twice | the payout's own transaction takes the amount from `pending` |
//! | interruption | each referrer is a transaction; the next run continues |
//! | no payout wallet, or suspended | the commission waits for the next run |

use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::billing::payout::{Month, PayoutWallet, due};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use super::referrals::lock_payouts;
use crate::store::accounts::lock_open_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::ledger::wallets::{ManualEntry, post_entry};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Billing;
use crate::store::{Conflict, StoreError};

/// A stored payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    pub id: Uuid,
    pub account_id: AccountId,
    pub email: String,
    /// For example `2026-11`.
    pub month: String,
    pub amount: Micros,
    /// `bank`, `usdt` or `balance`.
    pub wallet_kind: String,
    pub wallet_address: String,
    pub created_at_ms: i64,
    /// When the money was sent; `None` until then.
    pub sent_at_ms: Option<i64>,
    pub sent_reference: Option<String>,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PayoutRun {
    /// Payouts made by this run.
    pub made: Vec<Uuid>,
    /// Accounts with a due amount that could not be paid, and the amount.
    pub waiting: Vec<(AccountId, Micros)>,
}

/// The result of a run for one referrer.
enum Outcome {
    Paid(Uuid),
    Waiting(Micros),
    NotDue,
}

const PAYOUT: &str = "SELECT p.id, p.account_id, a.email, p.month, p.amount_micros, \
     p.wallet_kind, p.wallet_address, p.created_at_ms, p.sent_at_ms, p.sent_reference \
     FROM payouts AS p JOIN accounts AS a ON a.id = p.account_id ";

impl Billing<'_> {
    /// Sets the wallet that the account's commissions are paid to; `None` removes it.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`].
    pub async fn set_payout_wallet(
        self,
        account: AccountId,
        wallet: Option<&PayoutWallet>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, account).await?;
        let statement = match wallet {
            None => self
                .store
                .sql("DELETE FROM payout_wallets WHERE account_id = ?", [account.0.into()]),
            Some(wallet) => self.store.sql(
                "INSERT INTO payout_wallets (account_id, kind, address, set_at_ms) \
                 VALUES (?, ?, ?, ?) ON CONFLICT (account_id) DO UPDATE SET kind = excluded.kind, \
                 address = excluded.address, set_at_ms = excluded.set_at_ms",
                [account.0.into(), wallet.kind().into(), wallet.address().into(), at_ms.into()],
            ),
        };
        transaction.execute_raw(statement).await?;
        self.store.commit(transaction).await
    }

    /// Returns the wallet that the account's commissions are paid to, if set.
    pub async fn payout_wallet(
        self,
        account: AccountId,
    ) -> Result<Option<PayoutWallet>, StoreError> {
        let sql = "SELECT kind, address FROM payout_wallets WHERE account_id = ?";
        let statement = self.store.sql(sql, [account.0.into()]);
        let row = self.store.reader.query_one_raw(statement).await?;
        row.as_ref().map(wallet).transpose()
    }

    /// Pays out the pending commissions earned until the end of `month`, once per account and
    /// month.
    ///
    /// # Errors
    /// Earlier payouts of the run stay; the next run makes the rest.
    pub async fn run_payouts(
        self,
        by: Operator<'_>,
        month: Month,
        at_ms: i64,
    ) -> Result<PayoutRun, StoreError> {
        let owed = "SELECT DISTINCT r.referrer_id FROM referrals AS r WHERE r.pending_micros > 0 \
                    AND NOT EXISTS (SELECT 1 FROM payouts AS p \
                    WHERE p.account_id = r.referrer_id AND p.month = ?) ORDER BY r.referrer_id";
        let statement = self.store.sql(owed, [month.to_string().into()]);
        let mut run = PayoutRun::default();
        for row in self.store.reader.query_all_raw(statement).await? {
            let referrer = AccountId(row.try_get_by_index(0)?);
            match self.pay_referrer(by, referrer, month, at_ms).await? {
                Outcome::Paid(id) => run.made.push(id),
                Outcome::Waiting(amount) => run.waiting.push((referrer, amount)),
                Outcome::NotDue => {}
            }
        }
        Ok(run)
    }

    async fn pay_referrer(
        self,
        by: Operator<'_>,
        referrer: AccountId,
        month: Month,
        at_ms: i64,
    ) -> Result<Outcome, StoreError> {
        let transaction = self.store.begin().await?;
        lock_payouts(&transaction).await?;
        let paid = "SELECT COUNT(*) FROM payouts WHERE account_id = ? AND month = ?";
        let paid = self.store.sql(paid, [referrer.0.into(), month.to_string().into()]);
        let paid: Option<i64> = scalar(&transaction, paid).await?;
        if paid.unwrap_or(0) > 0 {
            transaction.rollback().await?;
            return Ok(Outcome::NotDue);
        }
        let parts = self.due_parts(&transaction, referrer, month).await?;
        let amount = Micros::new(parts.iter().map(|(_, part)| part.get()).sum());
        if amount <= Micros::ZERO {
            transaction.rollback().await?;
            return Ok(Outcome::NotDue);
        }
        let Some(wallet) = self.payable_wallet(&transaction, referrer).await? else {
            transaction.rollback().await?;
            return Ok(Outcome::Waiting(amount));
        };
        let id = Uuid::now_v7();
        self.insert_payout(&transaction, (id, referrer, month), amount, &wallet, at_ms).await?;
        // Lock wallets before referrals, as everywhere.
        if wallet == PayoutWallet::Balance {
            let entry = ManualEntry {
                account_id: referrer,
                kind: EntryKind::Commission,
                bucket: Bucket::Balance,
                amount,
                reference: &format!("payout-{month}"),
                note: None,
                at_ms,
            };
            post_entry(&transaction, &entry).await?;
        }
        self.post_payout(&transaction, (id, referrer), &parts, amount, at_ms).await?;
        let action = Action {
            action: "payout",
            account: Some(referrer),
            subject: Some(&month.to_string()),
            detail: Some(&format!("{amount} USD to {}", wallet.kind())),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        append_change(&transaction, Change::Wallet(referrer), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(Outcome::Paid(id))
    }

    /// Returns the due amount of each of the referrer's referrals.
    async fn due_parts(
        self,
        transaction: &DatabaseTransaction,
        referrer: AccountId,
        month: Month,
    ) -> Result<Vec<(Uuid, Micros)>, StoreError> {
        // One statement reads one snapshot: a concurrent commission is in both columns or in
        // neither.
        let sql = "SELECT r.referred_id, r.pending_micros, \
                   CAST(COALESCE(l.earned, 0) AS bigint) FROM referrals AS r LEFT JOIN ( \
                   SELECT referred_id, SUM(amount_micros) AS earned FROM commission_entries \
                   WHERE account_id = ? AND created_at_ms >= ? AND kind = 'commission' \
                   GROUP BY referred_id) AS l ON l.referred_id = r.referred_id \
                   WHERE r.referrer_id = ? AND r.pending_micros > 0 ORDER BY r.referred_id";
        let values = [referrer.0.into(), month.end_ms().into(), referrer.0.into()];
        let mut parts = Vec::new();
        for row in transaction.query_all_raw(self.store.sql(sql, values)).await? {
            let (referred, pending, later): (Uuid, i64, i64) = row.try_get_many_by_index()?;
            let part = due(Micros::new(pending), Micros::new(later));
            if part > Micros::ZERO {
                parts.push((referred, part));
            }
        }
        Ok(parts)
    }

    /// Returns the wallet to pay into now. Suspended accounts wait, and nothing is paid into a
    /// closed wallet.
    async fn payable_wallet(
        self,
        transaction: &DatabaseTransaction,
        referrer: AccountId,
    ) -> Result<Option<PayoutWallet>, StoreError> {
        let sql = "SELECT w.kind, w.address FROM payout_wallets AS w \
                   JOIN accounts AS a ON a.id = w.account_id WHERE w.account_id = ? \
                   AND a.suspended_at_ms IS NULL AND (a.closed_at_ms IS NULL OR w.kind <> 'balance')";
        let statement = self.store.sql(sql, [referrer.0.into()]);
        let row = transaction.query_one_raw(statement).await?;
        let found = row.as_ref().map(wallet).transpose()?;
        if found == Some(PayoutWallet::Balance) {
            // Locks the account against concurrent closing.
            match lock_open_account(transaction, referrer).await {
                Err(StoreError::Conflict(Conflict::AccountClosed)) => return Ok(None),
                held => held?,
            }
        }
        Ok(found)
    }

    async fn insert_payout(
        self,
        transaction: &DatabaseTransaction,
        (id, referrer, month): (Uuid, AccountId, Month),
        amount: Micros,
        wallet: &PayoutWallet,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let sent = *wallet == PayoutWallet::Balance;
        let sql = "INSERT INTO payouts (id, account_id, month, amount_micros, wallet_kind, \
                   wallet_address, created_at_ms, sent_at_ms, sent_reference) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = [
            id.into(),
            referrer.0.into(),
            month.to_string().into(),
            amount.get().into(),
            wallet.kind().into(),
            wallet.address().into(),
            at_ms.into(),
            sent.then_some(at_ms).into(),
            sent.then(|| format!("payout-{month}")).into(),
        ];
        transaction.execute_raw(self.store.sql(sql, values)).await?;
        Ok(())
    }

    /// Moves the amount from `pending` to `paid`.
    async fn post_payout(
        self,
        transaction: &DatabaseTransaction,
        (id, referrer): (Uuid, AccountId),
        parts: &[(Uuid, Micros)],
        amount: Micros,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let take = "UPDATE referrals SET pending_micros = pending_micros - ? WHERE referred_id = ?";
        let entry = "INSERT INTO commission_entries (account_id, referred_id, posting_id, payout_id, \
                     kind, bucket, amount_micros, created_at_ms) \
                     VALUES (?, ?, ?, ?, 'payout', ?, ?, ?)";
        let line = |referred: Option<Uuid>, bucket: &str, amount: i64| -> [Value; 7] {
            [
                referrer.0.into(),
                referred.into(),
                id.into(),
                id.into(),
                bucket.into(),
                amount.into(),
                at_ms.into(),
            ]
        };
        for (referred, part) in parts {
            let taken = self.store.sql(take, [part.get().into(), (*referred).into()]);
            transaction.execute_raw(taken).await?;
            let line = line(Some(*referred), "pending", -part.get());
            transaction.execute_raw(self.store.sql(entry, line)).await?;
        }
        let line = line(None, "paid", amount.get());
        transaction.execute_raw(self.store.sql(entry, line)).await?;
        Ok(())
    }

    /// Returns payouts, latest month first, optionally of one account or month.
    pub async fn payouts(
        self,
        account: Option<AccountId>,
        month: Option<Month>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError> {
        let mut sql = format!("{PAYOUT}WHERE p.amount_micros > 0");
        let mut values: Vec<Value> = Vec::new();
        if let Some(account) = account {
            sql.push_str(" AND p.account_id = ?");
            values.push(account.0.into());
        }
        if let Some(month) = month {
            sql.push_str(" AND p.month = ?");
            values.push(month.to_string().into());
        }
        sql.push_str(" ORDER BY p.month DESC, a.email LIMIT ?");
        values.push(i64::from(limit).into());
        let rows = self.store.reader.query_all_raw(self.store.sql(&sql, values)).await?;
        rows.iter().map(payout).collect()
    }

    /// Records that a payout was sent, with the reference of the transfer. Returns false if it was
    /// recorded before or there is no such payout.
    pub async fn mark_payout_sent(
        self,
        by: Operator<'_>,
        id: Uuid,
        reference: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let sent = "UPDATE payouts SET sent_at_ms = ?, sent_reference = ? \
                    WHERE id = ? AND sent_at_ms IS NULL RETURNING account_id, month";
        let sent = self.store.sql(sent, [at_ms.into(), reference.into(), id.into()]);
        let Some(row) = transaction.query_one_raw(sent).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let (account, month): (Uuid, String) = row.try_get_many_by_index()?;
        let action = Action {
            action: "payout_sent",
            account: Some(AccountId(account)),
            subject: Some(&month),
            detail: Some(reference),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }
}

fn wallet(row: &QueryResult) -> Result<PayoutWallet, StoreError> {
    let (kind, address): (String, String) = row.try_get_many_by_index()?;
    PayoutWallet::parse(&kind, &address)
        .map_err(|_| StoreError::unreadable("payout_wallets", "address"))
}

fn payout(row: &QueryResult) -> Result<Payout, StoreError> {
    let mut row = Columns::of(row);
    Ok(Payout {
        id: row.get()?,
        account_id: AccountId(row.get()?),
        email: row.get()?,
        month: row.get()?,
        amount: row.micros()?,
        wallet_kind: row.get()?,
        wallet_address: row.get()?,
        created_at_ms: row.get()?,
        sent_at_ms: row.get()?,
        sent_reference: row.get()?,
    })
}
