//! Payments that a bank tells of: credited where they fit an open top-up, kept for an operator where not.
//!
//! | what comes | what happens |
//! |---|---|
//! | the exact amount with an open reference | credited, once |
//! | the same notification again, also at the same time | what was decided stands |
//! | another amount, an unknown or used reference, a closed account, another currency | kept, with the reason |

use nexo_domain::billing::deposit::{DepositReference, Kept, VndRate};
use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use super::deposits::{DEPOSIT, Deposit, deposit};
use crate::store::accounts::accounts::hold_open_account;
use crate::store::cluster::changes::{Change, append};
use crate::store::ledger::wallets::{ByHand, post};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::{Conflict, Store, StoreError};

/// A payment as a bank tells of it.
#[derive(Debug, Clone, Copy)]
pub struct NewPayment<'a> {
    /// The bank's own name for it: the same one is taken once.
    pub bank_id: &'a str,
    /// In whole units of its currency.
    pub amount: i64,
    /// ISO 4217.
    pub currency: &'a str,
    pub memo: &'a str,
    pub at_ms: i64,
}

/// What became of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Credited {
        account_id: AccountId,
        amount: Micros,
    },
    /// An operator has to look at it.
    Kept(Kept),
    /// An operator has refused it since.
    Refused,
}

/// A payment as it is kept.
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

impl Store {
    /// Takes a payment, once, and credits it if it fits. Also says whether it is new.
    ///
    /// # Errors
    /// What the database fails with; then nothing was taken, and the bank may tell of it again.
    pub async fn take_payment(&self, payment: NewPayment<'_>) -> Result<(Taken, bool), StoreError> {
        let id = Uuid::now_v7();
        let transaction = self.begin().await?;
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
            Kept::UnknownReference.as_str().into(),
        ];
        let inserted = transaction.execute_raw(self.sql(insert, values)).await?;
        if inserted.rows_affected() == 0 {
            let sql = format!("{PAYMENT}WHERE bank_id = ?");
            let before = self.sql(&sql, [payment.bank_id.into()]);
            let before = transaction.query_one_raw(before).await?;
            transaction.rollback().await?;
            let before = before.ok_or(StoreError::Unreadable {
                table: "bank_payments",
                column: "bank_id",
            })?;
            return Ok((taken(&bank_payment(&before)?), false));
        }
        let (found, kept) = self.fit(&transaction, &payment).await?;
        let came_to = match (found, kept) {
            (Some(deposit), None) => {
                self.credit_fitting(&transaction, id, &deposit, payment.at_ms)
                    .await?
            }
            (found, kept) => {
                let kept = kept.unwrap_or(Kept::UnknownReference);
                self.keep(&transaction, id, kept, found.as_ref()).await?;
                Taken::Kept(kept)
            }
        };
        self.end(transaction).await?;
        Ok((came_to, true))
    }

    /// The deposit that a payment is meant for, and why it does not fit it.
    async fn fit(
        &self,
        transaction: &DatabaseTransaction,
        payment: &NewPayment<'_>,
    ) -> Result<(Option<Deposit>, Option<Kept>), StoreError> {
        let mut found = Vec::new();
        for reference in DepositReference::found_in(payment.memo) {
            let sql = format!("{DEPOSIT}WHERE d.reference = ?");
            let statement = self.sql(&sql, [reference.as_str().into()]);
            let row = transaction.query_one_raw(statement).await?;
            found.extend(row.as_ref().map(deposit).transpose()?);
        }
        let one = match found.len() {
            0 => return Ok((None, Some(Kept::UnknownReference))),
            1 => found.remove(0),
            _ => return Ok((None, Some(Kept::Ambiguous))),
        };
        let kept = if payment.currency != "VND" {
            Some(Kept::WrongCurrency)
        } else if one.status != "open" {
            Some(Kept::ReferenceUsed)
        } else if one.vnd != payment.amount {
            Some(Kept::WrongAmount)
        } else {
            None
        };
        Ok((Some(one), kept))
    }

    async fn credit_fitting(
        &self,
        transaction: &DatabaseTransaction,
        id: Uuid,
        deposit: &Deposit,
        at_ms: i64,
    ) -> Result<Taken, StoreError> {
        let amount = deposit.amount;
        let credited = self
            .credit_deposit(transaction, deposit, amount, "bank", at_ms)
            .await;
        let kept = match credited {
            Ok(true) => None,
            Ok(false) => Some(Kept::ReferenceUsed),
            Err(StoreError::Conflict(Conflict::AccountClosed)) => Some(Kept::AccountClosed),
            Err(error) => return Err(error),
        };
        if let Some(kept) = kept {
            self.keep(transaction, id, kept, Some(deposit)).await?;
            return Ok(Taken::Kept(kept));
        }
        let account = deposit.account_id;
        self.mark_credited(
            transaction,
            id,
            (account, amount),
            Some(deposit.id),
            "bank",
            at_ms,
        )
        .await?;
        append(transaction, Change::Wallet(account), at_ms).await?;
        Ok(Taken::Credited {
            account_id: account,
            amount,
        })
    }

    async fn keep(
        &self,
        transaction: &DatabaseTransaction,
        id: Uuid,
        kept: Kept,
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
        transaction.execute_raw(self.sql(sql, values)).await?;
        Ok(())
    }

    /// False where it was not kept any more.
    async fn mark_credited(
        &self,
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
        let marked = transaction.execute_raw(self.sql(sql, values)).await?;
        Ok(marked.rows_affected() > 0)
    }

    /// Credits a kept payment to `account` with what it is worth: by the rate of its own deposit, where it names
    /// one of this account, else by `rate`. A deposit that was open is closed by it. Returns what was credited;
    /// `None` where the payment is not kept any more.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::PaymentNotConvertible`]; what the database fails with.
    pub async fn credit_payment(
        &self,
        by: Operator<'_>,
        id: Uuid,
        account: AccountId,
        rate: VndRate,
        at_ms: i64,
    ) -> Result<Option<Micros>, StoreError> {
        let transaction = self.begin().await?;
        hold_open_account(&transaction, account).await?;
        let sql = format!("{PAYMENT}WHERE id = ? AND status = 'kept'");
        let row = transaction
            .query_one_raw(self.sql(&sql, [id.into()]))
            .await?;
        let Some(payment) = row.as_ref().map(bank_payment).transpose()? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let meant = match payment.deposit_id {
            Some(id) => self.deposit_on(&transaction, id).await?,
            None => None,
        };
        let meant = meant.filter(|deposit| deposit.account_id == account);
        let rate = meant
            .as_ref()
            .and_then(|deposit| VndRate::per_dollar(deposit.vnd_per_usd))
            .unwrap_or(rate);
        let worth = rate.dollars(payment.amount);
        let amount = worth
            .filter(|_| payment.currency == "VND")
            .ok_or(Conflict::PaymentNotConvertible)?;
        let deposit_id = meant.as_ref().map(|deposit| deposit.id);
        let marked = self
            .mark_credited(
                &transaction,
                id,
                (account, amount),
                deposit_id,
                by.name,
                at_ms,
            )
            .await?;
        if !marked {
            transaction.rollback().await?;
            return Ok(None);
        }
        let by_deposit = match &meant {
            Some(deposit) => {
                self.credit_deposit(&transaction, deposit, amount, by.name, at_ms)
                    .await?
            }
            None => false,
        };
        if !by_deposit {
            let entry = ByHand {
                account_id: account,
                kind: EntryKind::Deposit,
                bucket: Bucket::Balance,
                amount,
                reference: &format!("bank-{}", payment.bank_id),
                note: None,
                at_ms,
            };
            post(&transaction, &entry).await?;
        }
        let action = Action {
            action: "credit_payment",
            account: Some(account),
            subject: Some(&payment.bank_id),
            detail: Some(&format!("{amount} USD")),
        };
        self.log(&transaction, by, action, at_ms).await?;
        append(&transaction, Change::Wallet(account), at_ms).await?;
        self.end(transaction).await?;
        Ok(Some(amount))
    }

    /// Refuses a kept payment, with what was done about it: it was sent back, say. False where it is not kept any
    /// more.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn refuse_payment(
        &self,
        by: Operator<'_>,
        id: Uuid,
        note: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let refuse = "UPDATE bank_payments SET status = 'refused', closed_at_ms = ?, closed_by = ?, \
                      note = ? WHERE id = ? AND status = 'kept' RETURNING account_id, bank_id";
        let values = [at_ms.into(), by.name.into(), note.into(), id.into()];
        let refused = self.sql(refuse, values);
        let Some(row) = transaction.query_one_raw(refused).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let account: Option<Uuid> = row.try_get_by_index(0)?;
        let bank_id: String = row.try_get_by_index(1)?;
        let action = Action {
            action: "refuse_payment",
            account: account.map(AccountId),
            subject: Some(&bank_id),
            detail: Some(note),
        };
        self.log(&transaction, by, action, at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }

    /// The payments that wait for an operator, the oldest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn kept_payments(&self, limit: u32) -> Result<Vec<BankPayment>, StoreError> {
        let sql = format!("{PAYMENT}WHERE status = 'kept' ORDER BY received_at_ms, id LIMIT ?");
        let statement = self.sql(&sql, [Value::from(i64::from(limit))]);
        let rows = self.reader.query_all_raw(statement).await?;
        rows.iter().map(bank_payment).collect()
    }
}

fn taken(payment: &BankPayment) -> Taken {
    let kept = payment.reason.as_deref().and_then(Kept::named);
    match (
        payment.status.as_str(),
        payment.account_id,
        payment.credited,
    ) {
        ("credited", Some(account_id), Some(amount)) => Taken::Credited { account_id, amount },
        ("kept", ..) => Taken::Kept(kept.unwrap_or(Kept::UnknownReference)),
        _ => Taken::Refused,
    }
}

fn bank_payment(row: &QueryResult) -> Result<BankPayment, StoreError> {
    let account: Option<Uuid> = row.try_get_by_index(9)?;
    let credited: Option<i64> = row.try_get_by_index(10)?;
    Ok(BankPayment {
        id: row.try_get_by_index(0)?,
        bank_id: row.try_get_by_index(1)?,
        amount: row.try_get_by_index(2)?,
        currency: row.try_get_by_index(3)?,
        memo: row.try_get_by_index(4)?,
        received_at_ms: row.try_get_by_index(5)?,
        status: row.try_get_by_index(6)?,
        reason: row.try_get_by_index(7)?,
        deposit_id: row.try_get_by_index(8)?,
        account_id: account.map(AccountId),
        credited: credited.map(Micros::new),
    })
}
