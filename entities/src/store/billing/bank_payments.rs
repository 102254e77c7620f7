//! Bank payments: credited if they match an open deposit, otherwise kept for an operator.
//!
//! | notification | effect |
//! |---|---|
//! | exact amount with the reference of an open deposit | credited once |
//! | the same notification again, even concurrently | the first decision stands |
//! | another amount, an unknown or used reference, a closed or suspended account, another currency | kept with the reason |

use nexo_domain::billing::deposit::{DepositReference, HoldReason, VndRate};
use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use super::deposits::{DEPOSIT, Deposit, deposit};
use crate::store::accounts::{lock_active_account, lock_open_account};
use crate::store::cluster::changes::{Change, append_change};
use crate::store::ledger::wallets::{ManualEntry, post_entry};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::sql::rows::Columns;
use crate::store::views::Billing;
use crate::store::{Conflict, StoreError};

/// A payment as notified by the bank.
#[derive(Debug, Clone, Copy)]
pub struct NewPayment<'a> {
    /// The bank's id of the payment, which is accepted once.
    pub bank_id: &'a str,
    /// In whole units of its currency.
    pub amount: i64,
    /// ISO 4217.
    pub currency: &'a str,
    pub memo: &'a str,
    pub at_ms: i64,
}

/// The state of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentOutcome {
    Credited {
        account_id: AccountId,
        amount: Micros,
    },
    /// Waits for an operator's decision.
    Kept(HoldReason),
    /// Refused by an operator.
    Refused,
}

/// A stored payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankPayment {
    pub id: Uuid,
    pub bank_id: String,
    pub amount: i64,
    pub currency: String,
    pub memo: String,
    pub received_at_ms: i64,
    /// `credited`, `kept` or `refused`.
    pub status: String,
    /// Why it was kept.
    pub reason: Option<String>,
    pub deposit_id: Option<Uuid>,
    pub account_id: Option<AccountId>,
    pub credited: Option<Micros>,
}

const PAYMENT: &str = "SELECT id, bank_id, amount, currency, memo, received_at_ms, status, reason, \
     deposit_id, account_id, credited_micros FROM bank_payments ";

impl Billing<'_> {
    /// Records a payment once and credits it if it matches a deposit. Also returns whether it is
    /// new.
    ///
    /// # Errors
    /// After an error nothing was recorded, and the bank may notify again.
    pub async fn receive_payment(
        self,
        payment: NewPayment<'_>,
    ) -> Result<(PaymentOutcome, bool), StoreError> {
        let id = Uuid::now_v7();
        let transaction = self.store.begin().await?;
        let insert = "INSERT INTO bank_payments (id, bank_id, amount, currency, memo, \
                      received_at_ms, status, reason) VALUES (?, ?, ?, ?, ?, ?, 'kept', ?) \
                      ON CONFLICT (bank_id) DO NOTHING";
        let values = [
            id.into(),
            payment.bank_id.into(),
            payment.amount.into(),
            payment.currency.into(),
            payment.memo.into(),
            payment.at_ms.into(),
            HoldReason::UnknownReference.as_str().into(),
        ];
        let inserted = transaction.execute_raw(self.store.sql(insert, values)).await?;
        if inserted.rows_affected() == 0 {
            let sql = format!("{PAYMENT}WHERE bank_id = ?");
            let before = self.store.sql(&sql, [payment.bank_id.into()]);
            let before = transaction.query_one_raw(before).await?;
            transaction.rollback().await?;
            let before = before.ok_or(StoreError::unreadable("bank_payments", "bank_id"))?;
            return Ok((outcome(&bank_payment(&before)?), false));
        }
        let (found, kept) = self.fit(&transaction, &payment).await?;
        let outcome = match (found, kept) {
            (Some(deposit), None) => {
                self.credit_fitting(&transaction, id, &deposit, payment.at_ms).await?
            }
            (found, kept) => {
                let kept = kept.unwrap_or(HoldReason::UnknownReference);
                self.keep(&transaction, id, kept, found.as_ref()).await?;
                PaymentOutcome::Kept(kept)
            }
        };
        self.store.commit(transaction).await?;
        Ok((outcome, true))
    }

    /// Returns the deposit that a payment names, and why they do not match.
    async fn fit(
        self,
        transaction: &DatabaseTransaction,
        payment: &NewPayment<'_>,
    ) -> Result<(Option<Deposit>, Option<HoldReason>), StoreError> {
        let mut found = Vec::new();
        for reference in DepositReference::found_in(payment.memo) {
            let sql = format!("{DEPOSIT}WHERE d.reference = ?");
            let statement = self.store.sql(&sql, [reference.as_str().into()]);
            let row = transaction.query_one_raw(statement).await?;
            found.extend(row.as_ref().map(deposit).transpose()?);
        }
        let one = match found.len() {
            0 => return Ok((None, Some(HoldReason::UnknownReference))),
            1 => found.remove(0),
            _ => return Ok((None, Some(HoldReason::Ambiguous))),
        };
        let kept = if payment.currency != "VND" {
            Some(HoldReason::WrongCurrency)
        } else if one.status != "open" {
            Some(HoldReason::ReferenceUsed)
        } else if one.vnd != payment.amount {
            Some(HoldReason::WrongAmount)
        } else {
            None
        };
        Ok((Some(one), kept))
    }

    async fn credit_fitting(
        self,
        transaction: &DatabaseTransaction,
        id: Uuid,
        deposit: &Deposit,
        at_ms: i64,
    ) -> Result<PaymentOutcome, StoreError> {
        let amount = deposit.amount;
        // An operator decides about money for a suspended account.
        let credited = match lock_active_account(transaction, deposit.account_id).await {
            Ok(()) => self.credit_deposit(transaction, deposit, amount, "bank", at_ms).await,
            Err(error) => Err(error),
        };
        let kept = match credited {
            Ok(true) => None,
            Ok(false) => Some(HoldReason::ReferenceUsed),
            Err(StoreError::Conflict(Conflict::AccountClosed)) => Some(HoldReason::AccountClosed),
            Err(StoreError::Conflict(Conflict::AccountSuspended)) => {
                Some(HoldReason::AccountSuspended)
            }
            Err(error) => return Err(error),
        };
        if let Some(kept) = kept {
            self.keep(transaction, id, kept, Some(deposit)).await?;
            return Ok(PaymentOutcome::Kept(kept));
        }
        let account = deposit.account_id;
        self.mark_credited(transaction, id, (account, amount), Some(deposit.id), "bank", at_ms)
            .await?;
        append_change(transaction, Change::Wallet(account), at_ms).await?;
        Ok(PaymentOutcome::Credited { account_id: account, amount })
    }

    async fn keep(
        self,
        transaction: &DatabaseTransaction,
        id: Uuid,
        kept: HoldReason,
        meant: Option<&Deposit>,
    ) -> Result<(), StoreError> {
        let sql =
            "UPDATE bank_payments SET reason = ?, deposit_id = ?, account_id = ? WHERE id = ?";
        let values = [
            kept.as_str().into(),
            meant.map(|deposit| deposit.id).into(),
            meant.map(|deposit| deposit.account_id.0).into(),
            id.into(),
        ];
        transaction.execute_raw(self.store.sql(sql, values)).await?;
        Ok(())
    }

    /// Returns false if the payment is no longer `kept`.
    async fn mark_credited(
        self,
        transaction: &DatabaseTransaction,
        id: Uuid,
        (account, amount): (AccountId, Micros),
        deposit: Option<Uuid>,
        by: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE bank_payments SET status = 'credited', account_id = ?, deposit_id = ?, \
                   credited_micros = ?, closed_at_ms = ?, closed_by = ? \
                   WHERE id = ? AND status = 'kept'";
        let values = [
            account.0.into(),
            deposit.into(),
            amount.get().into(),
            at_ms.into(),
            by.into(),
            id.into(),
        ];
        let marked = transaction.execute_raw(self.store.sql(sql, values)).await?;
        Ok(marked.rows_affected() > 0)
    }

    /// Credits a kept payment to `account`: at the rate of its own deposit if it names one of this
    /// account, otherwise at `rate`. An open deposit is closed by it. Returns the credited amount;
    /// `None` if the payment is no longer kept.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::PaymentNotConvertible`].
    pub async fn credit_payment(
        self,
        by: Operator<'_>,
        id: Uuid,
        account: AccountId,
        rate: VndRate,
        at_ms: i64,
    ) -> Result<Option<Micros>, StoreError> {
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, account).await?;
        let sql = format!("{PAYMENT}WHERE id = ? AND status = 'kept'");
        let row = transaction.query_one_raw(self.store.sql(&sql, [id.into()])).await?;
        let Some(payment) = row.as_ref().map(bank_payment).transpose()? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let meant = match payment.deposit_id {
            Some(id) => self.deposit_on(&transaction, id).await?,
            None => None,
        };
        let meant = meant.filter(|deposit| deposit.account_id == account);
        let amount = worth(&payment, meant.as_ref(), rate)?;
        let deposit_id = meant.as_ref().map(|deposit| deposit.id);
        let marked = self
            .mark_credited(&transaction, id, (account, amount), deposit_id, by.name, at_ms)
            .await?;
        if !marked {
            transaction.rollback().await?;
            return Ok(None);
        }
        let by_deposit = match &meant {
            Some(deposit) => {
                self.credit_deposit(&transaction, deposit, amount, by.name, at_ms).await?
            }
            None => false,
        };
        if !by_deposit {
            let entry = ManualEntry {
                account_id: account,
                kind: EntryKind::Deposit,
                bucket: Bucket::Balance,
                amount,
                reference: &format!("bank-{}", payment.bank_id),
                note: None,
                at_ms,
            };
            post_entry(&transaction, &entry).await?;
        }
        let action = Action {
            action: "credit_payment",
            account: Some(account),
            subject: Some(&payment.bank_id),
            detail: Some(&format!("{amount} USD")),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        append_change(&transaction, Change::Wallet(account), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(Some(amount))
    }

    /// Refuses a kept payment with a note, for example that it was sent back. Returns false if it
    /// is no longer kept.
    pub async fn refuse_payment(
        self,
        by: Operator<'_>,
        id: Uuid,
        note: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let refuse = "UPDATE bank_payments SET status = 'refused', closed_at_ms = ?, closed_by = ?, \
                      note = ? WHERE id = ? AND status = 'kept' RETURNING account_id, bank_id";
        let values = [at_ms.into(), by.name.into(), note.into(), id.into()];
        let refused = self.store.sql(refuse, values);
        let Some(row) = transaction.query_one_raw(refused).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let (account, bank_id): (Option<Uuid>, String) = row.try_get_many_by_index()?;
        let action = Action {
            action: "refuse_payment",
            account: account.map(AccountId),
            subject: Some(&bank_id),
            detail: Some(note),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Returns the payments waiting for an operator, oldest first.
    pub async fn kept_payments(self, limit: u32) -> Result<Vec<BankPayment>, StoreError> {
        let sql = format!("{PAYMENT}WHERE status = 'kept' ORDER BY received_at_ms, id LIMIT ?");
        let statement = self.store.sql(&sql, [Value::from(i64::from(limit))]);
        let rows = self.store.reader.query_all_raw(statement).await?;
        rows.iter().map(bank_payment).collect()
    }
}

/// Returns what a payment is worth: at the rate of its deposit, otherwise at `rate`.
fn worth(
    payment: &BankPayment,
    deposit: Option<&Deposit>,
    rate: VndRate,
) -> Result<Micros, Conflict> {
    let rate = deposit.and_then(|deposit| VndRate::per_dollar(deposit.vnd_per_usd)).unwrap_or(rate);
    rate.dollars(payment.amount)
        .filter(|_| payment.currency == "VND")
        .ok_or(Conflict::PaymentNotConvertible)
}

fn outcome(payment: &BankPayment) -> PaymentOutcome {
    let kept = payment.reason.as_deref().and_then(HoldReason::named);
    match (payment.status.as_str(), payment.account_id, payment.credited) {
        ("credited", Some(account_id), Some(amount)) => {
            PaymentOutcome::Credited { account_id, amount }
        }
        ("kept", ..) => PaymentOutcome::Kept(kept.unwrap_or(HoldReason::UnknownReference)),
        _ => PaymentOutcome::Refused,
    }
}

fn bank_payment(row: &QueryResult) -> Result<BankPayment, StoreError> {
    let mut row = Columns::of(row);
    Ok(BankPayment {
        id: row.get()?,
        bank_id: row.get()?,
        amount: row.get()?,
        currency: row.get()?,
        memo: row.get()?,
        received_at_ms: row.get()?,
        status: row.get()?,
        reason: row.get()?,
        deposit_id: row.get()?,
        account_id: row.get::<Option<Uuid>>()?.map(AccountId),
        credited: row.get::<Option<i64>>()?.map(Micros::new),
    })
}
