//! Top-ups that customers ask for: each has a reference of its own, and is credited once.

use nexo_domain::billing::deposit::{DepositReference, VndRate};
use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use crate::store::accounts::accounts::hold_open_account;
use crate::store::cluster::changes::{Change, append};
use crate::store::ledger::wallets::{ByHand, post};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::{Conflict, Store, StoreError};

/// The most top-ups that an account has open at a time.
pub const MAX_OPEN_DEPOSITS: usize = 10;

/// A top-up that is asked for.
#[derive(Debug, Clone)]
pub struct NewDeposit<'a> {
    pub account_id: AccountId,
    /// By which way it is to be paid.
    pub provider: &'a str,
    pub reference: DepositReference,
    /// What is credited.
    pub amount: Micros,
    /// What is to be paid.
    pub vnd: i64,
    pub rate: VndRate,
    pub at_ms: i64,
}

/// A top-up as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    pub id: Uuid,
    pub account_id: AccountId,
    pub email: String,
    pub provider: String,
    pub reference: String,
    pub amount: Micros,
    pub vnd: i64,
    pub vnd_per_usd: i64,
    /// `open`, `credited` or `refused`.
    pub status: String,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    /// The operator, the customer, or `bank`.
    pub closed_by: Option<String>,
    pub credited: Option<Micros>,
    pub note: Option<String>,
}

pub(in crate::store) const DEPOSIT: &str = "SELECT d.id, d.account_id, a.email, d.provider, d.reference, \
     d.amount_micros, d.amount_vnd, d.vnd_per_usd, d.status, d.created_at_ms, d.closed_at_ms, \
     d.closed_by, d.credited_micros, d.note FROM deposits AS d \
     JOIN accounts AS a ON a.id = d.account_id ";

impl Store {
    /// Keeps what a customer asks for.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::TooManyDeposits`]; what the database fails with.
    pub async fn open_deposit(&self, new: NewDeposit<'_>) -> Result<Uuid, StoreError> {
        let id = Uuid::now_v7();
        let transaction = self.begin().await?;
        hold_open_account(&transaction, new.account_id).await?;
        let open = "SELECT COUNT(*) FROM deposits WHERE account_id = ? AND status = 'open'";
        let open = self.sql(open, [new.account_id.0.into()]);
        let open = transaction.query_one_raw(open).await?;
        let open: i64 = open.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        if open >= MAX_OPEN_DEPOSITS as i64 {
            let max = MAX_OPEN_DEPOSITS;
            return Err(Conflict::TooManyDeposits { max }.into());
        }
        let sql = "INSERT INTO deposits (id, account_id, provider, reference, amount_micros, \
                   amount_vnd, vnd_per_usd, status, created_at_ms) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, 'open', ?)";
        let values = [
            id.into(),
            new.account_id.0.into(),
            new.provider.into(),
            new.reference.as_str().into(),
            new.amount.get().into(),
            new.vnd.into(),
            new.rate.get().into(),
            new.at_ms.into(),
        ];
        transaction.execute_raw(self.sql(sql, values)).await?;
        self.end(transaction).await?;
        Ok(id)
    }

    /// The top-up, where it is this account's.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn deposit(
        &self,
        account: AccountId,
        id: Uuid,
    ) -> Result<Option<Deposit>, StoreError> {
        let sql = format!("{DEPOSIT}WHERE d.id = ? AND d.account_id = ?");
        let statement = self.sql(&sql, [id.into(), account.0.into()]);
        let row = self.reader.query_one_raw(statement).await?;
        row.as_ref().map(deposit).transpose()
    }

    /// The top-up with this reference, whoever's it is.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn deposit_by_reference(
        &self,
        reference: &DepositReference,
    ) -> Result<Option<Deposit>, StoreError> {
        let sql = format!("{DEPOSIT}WHERE d.reference = ?");
        let statement = self.sql(&sql, [reference.as_str().into()]);
        let row = self.reader.query_one_raw(statement).await?;
        row.as_ref().map(deposit).transpose()
    }

    /// An account's top-ups, the latest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn deposits(
        &self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<Deposit>, StoreError> {
        let sql = format!(
            "{DEPOSIT}WHERE d.account_id = ? ORDER BY d.created_at_ms DESC, d.id DESC LIMIT ?"
        );
        let values = [account.0.into(), i64::from(limit).into()];
        let rows = self.reader.query_all_raw(self.sql(&sql, values)).await?;
        rows.iter().map(deposit).collect()
    }

    /// Everybody's open top-ups, the oldest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn open_deposits(&self, limit: u32) -> Result<Vec<Deposit>, StoreError> {
        let sql =
            format!("{DEPOSIT}WHERE d.status = 'open' ORDER BY d.created_at_ms, d.id LIMIT ?");
        let statement = self.sql(&sql, [Value::from(i64::from(limit))]);
        let rows = self.reader.query_all_raw(statement).await?;
        rows.iter().map(deposit).collect()
    }

    /// Credits an open top-up in full: an operator has seen the money. False where it is not open any more.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::WalletFull`]; what the database fails with.
    pub async fn approve_deposit(
        &self,
        by: Operator<'_>,
        id: Uuid,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let Some(deposit) = self.deposit_on(&transaction, id).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let amount = deposit.amount;
        if !self
            .credit_deposit(&transaction, &deposit, amount, by.name, at_ms)
            .await?
        {
            transaction.rollback().await?;
            return Ok(false);
        }
        let action = Action {
            action: "approve_deposit",
            account: Some(deposit.account_id),
            subject: Some(&deposit.reference),
            detail: Some(&format!("{amount} USD")),
        };
        self.log(&transaction, by, action, at_ms).await?;
        append(&transaction, Change::Wallet(deposit.account_id), at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }

    /// Refuses an open top-up, with the reason. False where it is not open any more.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn refuse_deposit(
        &self,
        by: Operator<'_>,
        id: Uuid,
        reason: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let refuse = "UPDATE deposits SET status = 'refused', closed_at_ms = ?, closed_by = ?, \
                      note = ? WHERE id = ? AND status = 'open' RETURNING account_id, reference";
        let values = [at_ms.into(), by.name.into(), reason.into(), id.into()];
        let refused = self.sql(refuse, values);
        let Some(row) = transaction.query_one_raw(refused).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let reference: String = row.try_get_by_index(1)?;
        let action = Action {
            action: "refuse_deposit",
            account: Some(AccountId(row.try_get_by_index(0)?)),
            subject: Some(&reference),
            detail: Some(reason),
        };
        self.log(&transaction, by, action, at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }

    /// Takes an open top-up back, as its customer wishes. False where it is not open, or not theirs.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn withdraw_deposit(
        &self,
        account: AccountId,
        id: Uuid,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let withdraw = "UPDATE deposits SET status = 'refused', closed_at_ms = ?, \
                        closed_by = 'customer' \
                        WHERE id = ? AND account_id = ? AND status = 'open'";
        let withdraw = self.sql(withdraw, [at_ms.into(), id.into(), account.0.into()]);
        let withdrawn = transaction.execute_raw(withdraw).await?.rows_affected() > 0;
        self.end(transaction).await?;
        Ok(withdrawn)
    }

    pub(in crate::store) async fn deposit_on(
        &self,
        transaction: &DatabaseTransaction,
        id: Uuid,
    ) -> Result<Option<Deposit>, StoreError> {
        let sql = format!("{DEPOSIT}WHERE d.id = ?");
        let row = transaction
            .query_one_raw(self.sql(&sql, [id.into()]))
            .await?;
        row.as_ref().map(deposit).transpose()
    }

    /// Credits a deposit with what came in, if it is open still. Whoever comes second finds that it is not.
    pub(in crate::store) async fn credit_deposit(
        &self,
        transaction: &DatabaseTransaction,
        deposit: &Deposit,
        amount: Micros,
        by: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        hold_open_account(transaction, deposit.account_id).await?;
        let close = "UPDATE deposits SET status = 'credited', closed_at_ms = ?, closed_by = ?, \
                     credited_micros = ? WHERE id = ? AND status = 'open'";
        let values = [
            at_ms.into(),
            by.into(),
            amount.get().into(),
            deposit.id.into(),
        ];
        let closed = transaction.execute_raw(self.sql(close, values)).await?;
        if closed.rows_affected() == 0 {
            return Ok(false);
        }
        let entry = ByHand {
            account_id: deposit.account_id,
            kind: EntryKind::Deposit,
            bucket: Bucket::Balance,
            amount,
            reference: &deposit.reference,
            note: None,
            at_ms,
        };
        post(transaction, &entry).await?;
        Ok(true)
    }
}

pub(in crate::store) fn deposit(row: &QueryResult) -> Result<Deposit, StoreError> {
    let credited: Option<i64> = row.try_get_by_index(12)?;
    Ok(Deposit {
        id: row.try_get_by_index(0)?,
        account_id: AccountId(row.try_get_by_index(1)?),
        email: row.try_get_by_index(2)?,
        provider: row.try_get_by_index(3)?,
        reference: row.try_get_by_index(4)?,
        amount: Micros::new(row.try_get_by_index(5)?),
        vnd: row.try_get_by_index(6)?,
        vnd_per_usd: row.try_get_by_index(7)?,
        status: row.try_get_by_index(8)?,
        created_at_ms: row.try_get_by_index(9)?,
        closed_at_ms: row.try_get_by_index(10)?,
        closed_by: row.try_get_by_index(11)?,
        credited: credited.map(Micros::new),
        note: row.try_get_by_index(13)?,
    })
}
