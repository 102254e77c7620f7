//! Deposits requested by customers: each has a unique reference and is credited once.

use nexo_domain::billing::deposit::{DepositReference, VndRate};
use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use crate::store::accounts::{lock_active_account, lock_open_account};
use crate::store::cluster::changes::{Change, append_change};
use crate::store::ledger::wallets::{ManualEntry, post_entry};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::sql::rows::{Columns, scalar};
use crate::store::views::Billing;
use crate::store::{Conflict, StoreError};

/// Maximum number of open deposits per account.
pub const MAX_OPEN_DEPOSITS: usize = 10;

/// Parameters of a new deposit.
#[derive(Debug, Clone)]
pub struct NewDeposit<'a> {
    pub account_id: AccountId,
    /// The payment method.
    pub provider: &'a str,
    pub reference: DepositReference,
    /// The amount to credit.
    pub amount: Micros,
    /// The amount to pay.
    pub vnd: i64,
    pub rate: VndRate,
    pub at_ms: i64,
}

/// A stored deposit.
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
    /// The operator's name, `customer` or `bank`.
    pub closed_by: Option<String>,
    pub credited: Option<Micros>,
    pub note: Option<String>,
}

pub(crate) const DEPOSIT: &str = "SELECT d.id, d.account_id, a.email, d.provider, d.reference, \
     d.amount_micros, d.amount_vnd, d.vnd_per_usd, d.status, d.created_at_ms, d.closed_at_ms, \
     d.closed_by, d.credited_micros, d.note FROM deposits AS d \
     JOIN accounts AS a ON a.id = d.account_id ";

impl Billing<'_> {
    /// Creates a deposit.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::AccountSuspended`], [`Conflict::TooManyDeposits`].
    pub async fn open_deposit(self, new: NewDeposit<'_>) -> Result<Uuid, StoreError> {
        let id = Uuid::now_v7();
        let transaction = self.store.begin().await?;
        lock_active_account(&transaction, new.account_id).await?;
        let open = "SELECT COUNT(*) FROM deposits WHERE account_id = ? AND status = 'open'";
        let open = self.store.sql(open, [new.account_id.0.into()]);
        let open: i64 = scalar(&transaction, open).await?.unwrap_or(0);
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
        transaction.execute_raw(self.store.sql(sql, values)).await?;
        self.store.commit(transaction).await?;
        Ok(id)
    }

    /// Returns the deposit if it belongs to the account.
    pub async fn deposit(
        self,
        account: AccountId,
        id: Uuid,
    ) -> Result<Option<Deposit>, StoreError> {
        let sql = format!("{DEPOSIT}WHERE d.id = ? AND d.account_id = ?");
        let statement = self.store.sql(&sql, [id.into(), account.0.into()]);
        let row = self.store.reader.query_one_raw(statement).await?;
        row.as_ref().map(deposit).transpose()
    }

    /// Returns the deposit with this reference, of any account.
    pub async fn deposit_by_reference(
        self,
        reference: &DepositReference,
    ) -> Result<Option<Deposit>, StoreError> {
        let sql = format!("{DEPOSIT}WHERE d.reference = ?");
        let statement = self.store.sql(&sql, [reference.as_str().into()]);
        let row = self.store.reader.query_one_raw(statement).await?;
        row.as_ref().map(deposit).transpose()
    }

    /// Returns the account's deposits, latest first.
    pub async fn deposits(
        self,
        account: AccountId,
        limit: u32,
    ) -> Result<Vec<Deposit>, StoreError> {
        let sql = format!(
            "{DEPOSIT}WHERE d.account_id = ? ORDER BY d.created_at_ms DESC, d.id DESC LIMIT ?"
        );
        let values = [account.0.into(), i64::from(limit).into()];
        let rows = self.store.reader.query_all_raw(self.store.sql(&sql, values)).await?;
        rows.iter().map(deposit).collect()
    }

    /// Returns the open deposits of all accounts, oldest first.
    pub async fn open_deposits(self, limit: u32) -> Result<Vec<Deposit>, StoreError> {
        let sql =
            format!("{DEPOSIT}WHERE d.status = 'open' ORDER BY d.created_at_ms, d.id LIMIT ?");
        let statement = self.store.sql(&sql, [Value::from(i64::from(limit))]);
        let rows = self.store.reader.query_all_raw(statement).await?;
        rows.iter().map(deposit).collect()
    }

    /// Credits an open deposit in full after an operator saw the payment. Returns false if it is no
    /// longer open.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::WalletFull`].
    pub async fn approve_deposit(
        self,
        by: Operator<'_>,
        id: Uuid,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let Some(deposit) = self.deposit_on(&transaction, id).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let amount = deposit.amount;
        if !self.credit_deposit(&transaction, &deposit, amount, by.name, at_ms).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let action = Action {
            action: "approve_deposit",
            account: Some(deposit.account_id),
            subject: Some(&deposit.reference),
            detail: Some(&format!("{amount} USD")),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        append_change(&transaction, Change::Wallet(deposit.account_id), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Refuses an open deposit with a reason. Returns false if it is no longer open.
    pub async fn refuse_deposit(
        self,
        by: Operator<'_>,
        id: Uuid,
        reason: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let refuse = "UPDATE deposits SET status = 'refused', closed_at_ms = ?, closed_by = ?, \
                      note = ? WHERE id = ? AND status = 'open' RETURNING account_id, reference";
        let values = [at_ms.into(), by.name.into(), reason.into(), id.into()];
        let refused = self.store.sql(refuse, values);
        let Some(row) = transaction.query_one_raw(refused).await? else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let (account, reference): (Uuid, String) = row.try_get_many_by_index()?;
        let action = Action {
            action: "refuse_deposit",
            account: Some(AccountId(account)),
            subject: Some(&reference),
            detail: Some(reason),
        };
        self.store.operations().log(&transaction, by, action, at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Withdraws an open deposit at the customer's request. Returns false if it is not open or
    /// belongs to another account.
    pub async fn withdraw_deposit(
        self,
        account: AccountId,
        id: Uuid,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let withdraw = "UPDATE deposits SET status = 'refused', closed_at_ms = ?, \
                        closed_by = 'customer' \
                        WHERE id = ? AND account_id = ? AND status = 'open'";
        let withdraw = self.store.sql(withdraw, [at_ms.into(), id.into(), account.0.into()]);
        let withdrawn = transaction.execute_raw(withdraw).await?.rows_affected() > 0;
        self.store.commit(transaction).await?;
        Ok(withdrawn)
    }

    pub(crate) async fn deposit_on(
        self,
        transaction: &DatabaseTransaction,
        id: Uuid,
    ) -> Result<Option<Deposit>, StoreError> {
        let sql = format!("{DEPOSIT}WHERE d.id = ?");
        let row = transaction.query_one_raw(self.store.sql(&sql, [id.into()])).await?;
        row.as_ref().map(deposit).transpose()
    }

    /// Credits an open deposit with the received amount. Returns false if it was closed
    /// concurrently.
    pub(crate) async fn credit_deposit(
        self,
        transaction: &DatabaseTransaction,
        deposit: &Deposit,
        amount: Micros,
        by: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        lock_open_account(transaction, deposit.account_id).await?;
        let close = "UPDATE deposits SET status = 'credited', closed_at_ms = ?, closed_by = ?, \
                     credited_micros = ? WHERE id = ? AND status = 'open'";
        let values = [at_ms.into(), by.into(), amount.get().into(), deposit.id.into()];
        let closed = transaction.execute_raw(self.store.sql(close, values)).await?;
        if closed.rows_affected() == 0 {
            return Ok(false);
        }
        let entry = ManualEntry {
            account_id: deposit.account_id,
            kind: EntryKind::Deposit,
            bucket: Bucket::Balance,
            amount,
            reference: &deposit.reference,
            note: None,
            at_ms,
        };
        post_entry(transaction, &entry).await?;
        Ok(true)
    }
}

pub(crate) fn deposit(row: &QueryResult) -> Result<Deposit, StoreError> {
    let mut row = Columns::of(row);
    Ok(Deposit {
        id: row.get()?,
        account_id: AccountId(row.get()?),
        email: row.get()?,
        provider: row.get()?,
        reference: row.get()?,
        amount: row.micros()?,
        vnd: row.get()?,
        vnd_per_usd: row.get()?,
        status: row.get()?,
        created_at_ms: row.get()?,
        closed_at_ms: row.get()?,
        closed_by: row.get()?,
        credited: row.get::<Option<i64>>()?.map(Micros::new),
        note: row.get()?,
    })
}
