//! Operator actions and their log. Each action and its log entry are one transaction, and the
//! database rejects changes to the log.

use nexo_domain::billing::ledger::Buckets;
use nexo_domain::ids::AccountId;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::accounts::lock_open_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::sql::rows::Columns;
use crate::store::views::Operations;

/// The operator who acts.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a> {
    /// `None` on the command line.
    pub id: Option<AccountId>,
    /// The operator's e-mail address.
    pub name: &'a str,
}

impl Operator<'static> {
    /// A user with shell access to this machine.
    pub const COMMAND_LINE: Operator<'static> = Operator { id: None, name: "command line" };
}

/// A log entry to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action<'a> {
    /// For example `suspend` or `credit`.
    pub action: &'static str,
    /// The affected account.
    pub account: Option<AccountId>,
    /// The subject, for example a reference or a month.
    pub subject: Option<&'a str>,
    /// Further details, for example an amount or a reason.
    pub detail: Option<&'a str>,
}

/// A stored log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAction {
    pub id: i64,
    pub at_ms: i64,
    pub operator: String,
    pub action: String,
    pub account_id: Option<AccountId>,
    /// The e-mail address of the affected account.
    pub email: Option<String>,
    pub subject: Option<String>,
    pub detail: Option<String>,
}

/// An account as listed for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary {
    pub id: AccountId,
    pub email: String,
    pub operator: bool,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    pub suspended_at_ms: Option<i64>,
    pub suspended_for: Option<String>,
    pub held: Buckets,
}

const SUMMARY: &str = "SELECT a.id, a.email, a.operator, a.created_at_ms, a.closed_at_ms, \
     a.suspended_at_ms, a.suspended_for, w.free_micros, w.bonus_micros, w.balance_micros \
     FROM accounts AS a JOIN wallets AS w ON w.account_id = a.id ";

impl Operations<'_> {
    /// Suspends an open account: its keys stop working on every node. Returns false if it was
    /// suspended before.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed).
    pub async fn suspend_account(
        self,
        by: Operator<'_>,
        id: AccountId,
        reason: &str,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let suspend = "UPDATE accounts SET suspended_at_ms = ?, suspended_for = ? \
                       WHERE id = ? AND suspended_at_ms IS NULL";
        let values = [at_ms.into(), reason.into(), id.0.into()];
        let action =
            Action { action: "suspend", account: Some(id), subject: None, detail: Some(reason) };
        self.switch_account(by, id, (suspend, &values), action, at_ms).await
    }

    /// Ends a suspension. Returns false if the account is not suspended.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`](crate::store::Conflict::AccountClosed).
    pub async fn resume_account(
        self,
        by: Operator<'_>,
        id: AccountId,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let resume = "UPDATE accounts SET suspended_at_ms = NULL, suspended_for = NULL \
                      WHERE id = ? AND suspended_at_ms IS NOT NULL";
        let action = Action { action: "resume", account: Some(id), subject: None, detail: None };
        self.switch_account(by, id, (resume, &[id.0.into()]), action, at_ms).await
    }

    async fn switch_account(
        self,
        by: Operator<'_>,
        id: AccountId,
        (update, values): (&str, &[Value]),
        action: Action<'_>,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, id).await?;
        let update = self.store.sql(update, values.iter().cloned());
        if transaction.execute_raw(update).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        // Changes the wallet's version, so that concurrent decisions are repeated and see the
        // change.
        let moved = "UPDATE wallets SET version = version + 1 WHERE account_id = ?";
        let moved = self.store.sql(moved, [id.0.into()]);
        transaction.execute_raw(moved).await?;
        self.log(&transaction, by, action, at_ms).await?;
        append_change(&transaction, Change::Account(id), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Logs an operator's note on an account.
    pub async fn add_account_note(
        self,
        by: Operator<'_>,
        id: AccountId,
        note: &str,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.store.begin().await?;
        let action =
            Action { action: "note", account: Some(id), subject: None, detail: Some(note) };
        self.log(&transaction, by, action, at_ms).await?;
        self.store.commit(transaction).await
    }

    /// Returns log entries, latest first: of `account` or all, with ids below `before`.
    pub async fn operator_actions(
        self,
        account: Option<AccountId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LoggedAction>, StoreError> {
        let filter = match account {
            Some(_) => "AND o.account_id = ? ",
            None => "",
        };
        let sql = format!(
            "SELECT o.id, o.at_ms, o.operator, o.action, o.account_id, a.email, o.subject, o.detail \
             FROM operator_actions AS o LEFT JOIN accounts AS a ON a.id = o.account_id \
             WHERE o.id < ? {filter}ORDER BY o.id DESC LIMIT ?"
        );
        let mut values: Vec<Value> = vec![before.unwrap_or(i64::MAX).into()];
        values.extend(account.map(|id| Value::from(id.0)));
        values.push(i64::from(limit).into());
        let rows = self.store.reader.query_all_raw(self.store.sql(&sql, values)).await?;
        rows.iter().map(logged).collect()
    }

    /// Returns the accounts whose e-mail address contains `text`, newest first, without the first
    /// `skip`. An empty text matches all.
    pub async fn find_accounts(
        self,
        text: &str,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        let pattern = format!("%{}%", escaped(&text.trim().to_lowercase()));
        let sql = format!(
            "{SUMMARY}WHERE a.email LIKE ? ESCAPE '\\' \
             ORDER BY a.created_at_ms DESC, a.id DESC LIMIT ? OFFSET ?"
        );
        let values = [pattern.into(), i64::from(limit).into(), i64::from(skip).into()];
        let rows = self.store.reader.query_all_raw(self.store.sql(&sql, values)).await?;
        rows.iter().map(summary).collect()
    }

    /// Returns one account as listed for operators.
    pub async fn account_summary(
        self,
        id: AccountId,
    ) -> Result<Option<AccountSummary>, StoreError> {
        let sql = format!("{SUMMARY}WHERE a.id = ?");
        let row = self.store.reader.query_one_raw(self.store.sql(&sql, [id.0.into()])).await?;
        row.as_ref().map(summary).transpose()
    }

    /// Appends to the log within the transaction of the action.
    pub(crate) async fn log(
        self,
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
        transaction.execute_raw(self.store.sql(insert, values)).await?;
        Ok(())
    }
}

/// Escapes `text` for a LIKE pattern.
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
    let mut row = Columns::of(row);
    Ok(LoggedAction {
        id: row.get()?,
        at_ms: row.get()?,
        operator: row.get()?,
        action: row.get()?,
        account_id: row.get::<Option<Uuid>>()?.map(AccountId),
        email: row.get()?,
        subject: row.get()?,
        detail: row.get()?,
    })
}

fn summary(row: &QueryResult) -> Result<AccountSummary, StoreError> {
    let mut row = Columns::of(row);
    Ok(AccountSummary {
        id: AccountId(row.get()?),
        email: row.get()?,
        operator: row.get()?,
        created_at_ms: row.get()?,
        closed_at_ms: row.get()?,
        suspended_at_ms: row.get()?,
        suspended_for: row.get()?,
        held: row.buckets()?,
    })
}
