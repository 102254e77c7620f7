//! Monthly payouts of commissions, and the wallets that they go to.
//!
//! | what | how |
//! |---|---|
//! | once a month | an account and a month have one payout, by the table's key |
//! | nothing twice | what is paid leaves `pending` in the payout's own transaction |
//! | cut off in the middle | each referrer is a transaction; the next run goes on |
//! | no wallet nominated, or suspended | waits; the next run finds it |

use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::billing::payout::{Month, PayoutWallet, due};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use super::referrals::hold_payouts;
use crate::store::accounts::accounts::hold_open_account;
use crate::store::cluster::changes::{Change, append};
use crate::store::ledger::wallets::{ByHand, post};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::{Conflict, Store, StoreError};

/// A payout as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    pub id: Uuid,
    pub account_id: AccountId,
    pub email: String,
    /// `2026-11`.
    pub month: String,
    pub amount: Micros,
    /// `bank`, `usdt` or `balance`.
    pub wallet_kind: String,
    pub wallet_address: String,
    pub created_at_ms: i64,
    /// When the money was sent; `None` while it is to be.
    pub sent_at_ms: Option<i64>,
    pub sent_reference: Option<String>,
}

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PayoutRun {
    /// The payouts that this run made.
    pub made: Vec<Uuid>,
    /// Who has something due and was not paid, and how much.
    pub waiting: Vec<(AccountId, Micros)>,
}

/// What a referrer's turn came to.
enum Turn {
    Paid(Uuid),
    Waits(Micros),
    Nothing,
}

const PAYOUT: &str = "SELECT p.id, p.account_id, a.email, p.month, p.amount_micros, \
     p.wallet_kind, p.wallet_address, p.created_at_ms, p.sent_at_ms, p.sent_reference \
     FROM payouts AS p JOIN accounts AS a ON a.id = p.account_id ";

impl Store {
    /// Nominates where an account's commissions are paid to. `None` nominates nothing.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`]; what the database fails with.
    pub async fn nominate_wallet(
        &self,
        account: AccountId,
        wallet: Option<&PayoutWallet>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        hold_open_account(&transaction, account).await?;
        let statement = match wallet {
            None => self.sql(
                "DELETE FROM payout_wallets WHERE account_id = ?",
                [account.0.into()],
            ),
            Some(wallet) => self.sql(
                "INSERT INTO payout_wallets (account_id, kind, address, set_at_ms) \
                 VALUES (?, ?, ?, ?) ON CONFLICT (account_id) DO UPDATE SET kind = excluded.kind, \
                 address = excluded.address, set_at_ms = excluded.set_at_ms",
                [
                    account.0.into(),
                    wallet.kind().into(),
                    wallet.address().into(),
                    at_ms.into(),
                ],
            ),
        };
        transaction.execute_raw(statement).await?;
        self.end(transaction).await
    }

    /// Where an account's commissions are paid to, if it has said so.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn nominated_wallet(
        &self,
        account: AccountId,
    ) -> Result<Option<PayoutWallet>, StoreError> {
        let sql = "SELECT kind, address FROM payout_wallets WHERE account_id = ?";
        let statement = self.sql(sql, [account.0.into()]);
        let row = self.reader.query_one_raw(statement).await?;
        row.as_ref().map(wallet).transpose()
    }

    /// Pays out what was earned until the end of `month` and is pending, once for each account and month.
    ///
    /// # Errors
    /// What the database fails with; what was paid before stays so, and the next run does the rest.
    pub async fn run_payouts(
        &self,
        by: Operator<'_>,
        month: Month,
        at_ms: i64,
    ) -> Result<PayoutRun, StoreError> {
        let owed = "SELECT DISTINCT r.referrer_id FROM referrals AS r WHERE r.pending_micros > 0 \
                    AND NOT EXISTS (SELECT 1 FROM payouts AS p \
                    WHERE p.account_id = r.referrer_id AND p.month = ?) ORDER BY r.referrer_id";
        let statement = self.sql(owed, [month.to_string().into()]);
        let mut run = PayoutRun::default();
        for row in self.reader.query_all_raw(statement).await? {
            let referrer = AccountId(row.try_get_by_index(0)?);
            match self.pay_referrer(by, referrer, month, at_ms).await? {
                Turn::Paid(id) => run.made.push(id),
                Turn::Waits(amount) => run.waiting.push((referrer, amount)),
                Turn::Nothing => {}
            }
        }
        Ok(run)
    }

    async fn pay_referrer(
        &self,
        by: Operator<'_>,
        referrer: AccountId,
        month: Month,
        at_ms: i64,
    ) -> Result<Turn, StoreError> {
        let transaction = self.begin().await?;
        hold_payouts(&transaction).await?;
        let paid = "SELECT COUNT(*) FROM payouts WHERE account_id = ? AND month = ?";
        let paid = self.sql(paid, [referrer.0.into(), month.to_string().into()]);
        let paid = transaction.query_one_raw(paid).await?;
        if paid.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))? > 0 {
            transaction.rollback().await?;
            return Ok(Turn::Nothing);
        }
        let parts = self.due_parts(&transaction, referrer, month).await?;
        let amount = Micros::new(parts.iter().map(|(_, part)| part.get()).sum());
        if amount <= Micros::ZERO {
            transaction.rollback().await?;
            return Ok(Turn::Nothing);
        }
        let Some(wallet) = self.payable_wallet(&transaction, referrer).await? else {
            transaction.rollback().await?;
            return Ok(Turn::Waits(amount));
        };
        let id = Uuid::now_v7();
        self.insert_payout(&transaction, (id, referrer, month), amount, &wallet, at_ms)
            .await?;
        // As everywhere, wallets are held before referrals.
        if wallet == PayoutWallet::Balance {
            let entry = ByHand {
                account_id: referrer,
                kind: EntryKind::Commission,
                bucket: Bucket::Balance,
                amount,
                reference: &format!("payout-{month}"),
                note: None,
                at_ms,
            };
            post(&transaction, &entry).await?;
        }
        self.post_payout(&transaction, (id, referrer), &parts, amount, at_ms)
            .await?;
        let action = Action {
            action: "payout",
            account: Some(referrer),
            subject: Some(&month.to_string()),
            detail: Some(&format!("{amount} USD to {}", wallet.kind())),
        };
        self.log(&transaction, by, action, at_ms).await?;
        append(&transaction, Change::Wallet(referrer), at_ms).await?;
        self.end(transaction).await?;
        Ok(Turn::Paid(id))
    }

    /// What is due of each of the referrer's referrals.
    async fn due_parts(
        &self,
        transaction: &DatabaseTransaction,
        referrer: AccountId,
        month: Month,
    ) -> Result<Vec<(Uuid, Micros)>, StoreError> {
        // One statement, one moment: what accrues meanwhile is in both figures or in none.
        let sql = "SELECT r.referred_id, r.pending_micros, \
                   CAST(COALESCE(l.earned, 0) AS bigint) FROM referrals AS r LEFT JOIN ( \
                   SELECT referred_id, SUM(amount_micros) AS earned FROM commission_entries \
                   WHERE account_id = ? AND created_at_ms >= ? AND kind = 'commission' \
                   GROUP BY referred_id) AS l ON l.referred_id = r.referred_id \
                   WHERE r.referrer_id = ? AND r.pending_micros > 0 ORDER BY r.referred_id";
        let values = [referrer.0.into(), month.end_ms().into(), referrer.0.into()];
        let mut parts = Vec::new();
        for row in transaction.query_all_raw(self.sql(sql, values)).await? {
            let pending = Micros::new(row.try_get_by_index(1)?);
            let part = due(pending, Micros::new(row.try_get_by_index(2)?));
            if part > Micros::ZERO {
                parts.push((row.try_get_by_index(0)?, part));
            }
        }
        Ok(parts)
    }

    /// Where the referrer can be paid now. Who is suspended waits, and nobody pays into a closed wallet.
    async fn payable_wallet(
        &self,
        transaction: &DatabaseTransaction,
        referrer: AccountId,
    ) -> Result<Option<PayoutWallet>, StoreError> {
        let sql = "SELECT w.kind, w.address FROM payout_wallets AS w \
                   JOIN accounts AS a ON a.id = w.account_id WHERE w.account_id = ? \
                   AND a.suspended_at_ms IS NULL AND (a.closed_at_ms IS NULL OR w.kind <> 'balance')";
        let statement = self.sql(sql, [referrer.0.into()]);
        let row = transaction.query_one_raw(statement).await?;
        let found = row.as_ref().map(wallet).transpose()?;
        if found == Some(PayoutWallet::Balance) {
            // Nobody closes it meanwhile.
            match hold_open_account(transaction, referrer).await {
                Err(StoreError::Conflict(Conflict::AccountClosed)) => return Ok(None),
                held => held?,
            }
        }
        Ok(found)
    }

    async fn insert_payout(
        &self,
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
        transaction.execute_raw(self.sql(sql, values)).await?;
        Ok(())
    }

    /// Pending to paid.
    async fn post_payout(
        &self,
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
            let taken = self.sql(take, [part.get().into(), (*referred).into()]);
            transaction.execute_raw(taken).await?;
            let line = line(Some(*referred), "pending", -part.get());
            transaction.execute_raw(self.sql(entry, line)).await?;
        }
        let line = line(None, "paid", amount.get());
        transaction.execute_raw(self.sql(entry, line)).await?;
        Ok(())
    }

    /// Payouts, the latest month first: one account's or all, of one month or all.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn payouts(
        &self,
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
        let rows = self.reader.query_all_raw(self.sql(&sql, values)).await?;
        rows.iter().map(payout).collect()
    }

    /// Notes that a payout's money was sent, with the transfer's own reference. False where it was noted before
    /// or there is no such payout.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn note_payout_sent(
        &self,
        by: Operator<'_>,
        id: Uuid,
        reference: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let sent = "UPDATE payouts SET sent_at_ms = ?, sent_reference = ? \
                    WHERE id = ? AND sent_at_ms IS NULL RETURNING account_id, month";
        let sent = self.sql(sent, [at_ms.into(), reference.into(), id.into()]);
        let Some(row) = transaction.query_one_raw(sent).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let month: String = row.try_get_by_index(1)?;
        let action = Action {
            action: "payout_sent",
            account: Some(AccountId(row.try_get_by_index(0)?)),
            subject: Some(&month),
            detail: Some(reference),
        };
        self.log(&transaction, by, action, at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }
}

fn wallet(row: &QueryResult) -> Result<PayoutWallet, StoreError> {
    let kind: String = row.try_get_by_index(0)?;
    let address: String = row.try_get_by_index(1)?;
    PayoutWallet::parse(&kind, &address).map_err(|_| StoreError::Unreadable {
        table: "payout_wallets",
        column: "address",
    })
}

fn payout(row: &QueryResult) -> Result<Payout, StoreError> {
    Ok(Payout {
        id: row.try_get_by_index(0)?,
        account_id: AccountId(row.try_get_by_index(1)?),
        email: row.try_get_by_index(2)?,
        month: row.try_get_by_index(3)?,
        amount: Micros::new(row.try_get_by_index(4)?),
        wallet_kind: row.try_get_by_index(5)?,
        wallet_address: row.try_get_by_index(6)?,
        created_at_ms: row.try_get_by_index(7)?,
        sent_at_ms: row.try_get_by_index(8)?,
        sent_reference: row.try_get_by_index(9)?,
    })
}
