//! What operators do, and the log of it: each action is written with what it does, in one transaction, and
//! the database refuses to change or forget it.

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};

use crate::store::accounts::accounts::hold_open_account;
use crate::store::cluster::changes::{Change, append};
use crate::store::{Store, StoreError};

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a> {
    /// `None` on the command line.
    pub id: Option<AccountId>,
    /// The address by which the operator is known.
    pub name: &'a str,
}

impl Operator<'static> {
    /// Whoever has a shell on this machine.
    pub const COMMAND_LINE: Operator<'static> = Operator {
        id: None,
        name: "command line",
    };
}

/// What is to be logged.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Action<'a> {
    /// `suspend`, `credit` and the like.
    pub action: &'static str,
    /// Whom it is about.
    pub account: Option<AccountId>,
    /// What it is about: a reference, a month.
    pub subject: Option<&'a str>,
    /// An amount, a reason.
    pub detail: Option<&'a str>,
}

/// An action as it was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAction {
    pub id: i64,
    pub at_ms: i64,
    pub operator: String,
    pub action: String,
    pub account_id: Option<AccountId>,
    /// The account's address, where there is an account.
    pub email: Option<String>,
    pub subject: Option<String>,
    pub detail: Option<String>,
}

/// An account as operators find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLine {
    pub id: AccountId,
    pub email: String,
    pub operator: bool,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    pub suspended_at_ms: Option<i64>,
    pub suspended_for: Option<String>,
    pub held: Buckets,
}

const LINE: &str = "SELECT a.id, a.email, a.operator, a.created_at_ms, a.closed_at_ms, \
     a.suspended_at_ms, a.suspended_for, w.free_micros, w.bonus_micros, w.balance_micros \
     FROM accounts AS a JOIN wallets AS w ON w.account_id = a.id ";

impl Store {
    /// Suspends an open account: its keys stop working on every node, nothing is lost. False where it is
    /// suspended already.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed); what the database fails with.
    pub async fn suspend_account(
        &self,
        by: Operator<'_>,
        id: AccountId,
        reason: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let suspend = "UPDATE accounts SET suspended_at_ms = ?, suspended_for = ? \
                       WHERE id = ? AND suspended_at_ms IS NULL";
        let values = [at_ms.into(), reason.into(), id.0.into()];
        let action = Action {
            action: "suspend",
            account: Some(id),
            subject: None,
            detail: Some(reason),
        };
        self.switch_account(by, id, (suspend, &values), action, at_ms)
            .await
    }

    /// Ends a suspension. False where there is none.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed); what the database fails with.
    pub async fn resume_account(
        &self,
        by: Operator<'_>,
        id: AccountId,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let resume = "UPDATE accounts SET suspended_at_ms = NULL, suspended_for = NULL \
                      WHERE id = ? AND suspended_at_ms IS NOT NULL";
        let action = Action {
            action: "resume",
            account: Some(id),
            subject: None,
            detail: None,
        };
        self.switch_account(by, id, (resume, &[id.0.into()]), action, at_ms)
            .await
    }

    async fn switch_account(
        &self,
        by: Operator<'_>,
        id: AccountId,
        (update, values): (&str, &[Value]),
        action: Action<'_>,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        hold_open_account(&transaction, id).await?;
        let update = self.sql(update, values.iter().cloned());
        if transaction.execute_raw(update).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        // Whoever decided on the wallet decides again, and sees it.
        let moved = "UPDATE wallets SET version = version + 1 WHERE account_id = ?";
        let moved = self.sql(moved, [id.0.into()]);
        transaction.execute_raw(moved).await?;
        self.log(&transaction, by, action, at_ms).await?;
        append(&transaction, Change::Account(id), at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }

    /// Keeps what an operator wants others to know of an account.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn note_account(
        &self,
        by: Operator<'_>,
        id: AccountId,
        note: &str,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        let action = Action {
            action: "note",
            account: Some(id),
            subject: None,
            detail: Some(note),
        };
        self.log(&transaction, by, action, at_ms).await?;
        self.end(transaction).await
    }

    /// Logged actions, the latest first: those about `account` or all, before the id `before`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn operator_actions(
        &self,
        account: Option<AccountId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LoggedAction>, StoreError> {
        let about = match account {
            Some(_) => "AND o.account_id = ? ",
            None => "",
        };
        let sql = format!(
            "SELECT o.id, o.at_ms, o.operator, o.action, o.account_id, a.email, o.subject, o.detail \
             FROM operator_actions AS o LEFT JOIN accounts AS a ON a.id = o.account_id \
             WHERE o.id < ? {about}ORDER BY o.id DESC LIMIT ?"
        );
        let mut values: Vec<Value> = vec![before.unwrap_or(i64::MAX).into()];
        values.extend(account.map(|id| Value::from(id.0)));
        values.push(i64::from(limit).into());
        let rows = self.reader.query_all_raw(self.sql(&sql, values)).await?;
        rows.iter().map(logged).collect()
    }

    /// Accounts whose address holds `text`, newest first; all where it is empty. `skip` leaves out the first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn find_accounts(
        &self,
        text: &str,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<AccountLine>, StoreError> {
        let pattern = format!("%{}%", escaped(&text.trim().to_lowercase()));
        let sql = format!(
            "{LINE}WHERE a.email LIKE ? ESCAPE '\\' \
             ORDER BY a.created_at_ms DESC, a.id DESC LIMIT ? OFFSET ?"
        );
        let values = [
            pattern.into(),
            i64::from(limit).into(),
            i64::from(skip).into(),
        ];
        let rows = self.reader.query_all_raw(self.sql(&sql, values)).await?;
        rows.iter().map(line).collect()
    }

    /// One account as operators see it.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn account_line(&self, id: AccountId) -> Result<Option<AccountLine>, StoreError> {
        let sql = format!("{LINE}WHERE a.id = ?");
        let row = self
            .reader
            .query_one_raw(self.sql(&sql, [id.0.into()]))
            .await?;
        row.as_ref().map(line).transpose()
    }

    /// Appends to the log, within the transaction of what is logged.
    pub(in crate::store) async fn log(
        &self,
        transaction: &DatabaseTransaction,
        by: Operator<'_>,
        action: Action<'_>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let insert = "INSERT INTO operator_actions \
                      (at_ms, operator_id, operator, action, account_id, subject, detail) \
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
        let values = [
            at_ms.into(),
            by.id.map(|id| id.0).into(),
            by.name.into(),
            action.action.into(),
            action.account.map(|id| id.0).into(),
            action.subject.map(str::to_owned).into(),
            action.detail.map(str::to_owned).into(),
        ];
        transaction.execute_raw(self.sql(insert, values)).await?;
        Ok(())
    }
}

/// `text` as part of a LIKE pattern.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

fn logged(row: &QueryResult) -> Result<LoggedAction, StoreError> {
    Ok(LoggedAction {
        id: row.try_get_by_index(0)?,
        at_ms: row.try_get_by_index(1)?,
        operator: row.try_get_by_index(2)?,
        action: row.try_get_by_index(3)?,
        account_id: row
            .try_get_by_index::<Option<uuid::Uuid>>(4)?
            .map(AccountId),
        email: row.try_get_by_index(5)?,
        subject: row.try_get_by_index(6)?,
        detail: row.try_get_by_index(7)?,
    })
}

fn line(row: &QueryResult) -> Result<AccountLine, StoreError> {
    let micros = |place| row.try_get_by_index(place).map(Micros::new);
    Ok(AccountLine {
        id: AccountId(row.try_get_by_index(0)?),
        email: row.try_get_by_index(1)?,
        operator: row.try_get_by_index(2)?,
        created_at_ms: row.try_get_by_index(3)?,
        closed_at_ms: row.try_get_by_index(4)?,
        suspended_at_ms: row.try_get_by_index(5)?,
        suspended_for: row.try_get_by_index(6)?,
        held: Buckets {
            free: micros(7)?,
            bonus: micros(8)?,
            balance: micros(9)?,
        },
    })
}
