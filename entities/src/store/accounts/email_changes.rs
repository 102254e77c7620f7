//! Changes of an account's e-mail address. If e-mail is configured, the new address is confirmed first.
//!
//! A change ends the account's e-mailed links and its other sessions in the same transaction.

use nexo_domain::ids::{AccountId, SessionId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, SqlErr,
};

use super::passwords::{end_other_sessions, forget_links};
use super::sessions::TokenHash;
use super::{Account, lock_open_account, refuse_if_suspended};
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};
use crate::tables::accounts::account;
use crate::tables::accounts::email_change::{ActiveModel, Column, Entity, Model};

/// Parameters of a change that waits for its new address.
#[derive(Debug, Clone)]
pub struct NewEmailChange<'a> {
    pub account_id: AccountId,
    /// Stored in lower case.
    pub email: &'a str,
    pub token_hash: TokenHash,
    pub at_ms: i64,
    pub expires_at_ms: i64,
}

/// A change that waits for its new address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEmailChange {
    pub account_id: AccountId,
    /// The new address.
    pub email: String,
    pub expires_at_ms: i64,
}

impl From<Model> for PendingEmailChange {
    fn from(row: Model) -> PendingEmailChange {
        PendingEmailChange {
            account_id: AccountId(row.account_id),
            email: row.email,
            expires_at_ms: row.expires_at_ms,
        }
    }
}

impl Accounts<'_> {
    /// Stores a change until its link is followed, replacing an earlier one of the account.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`].
    pub async fn begin_email_change(self, new: NewEmailChange<'_>) -> Result<(), StoreError> {
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, new.account_id).await?;
        Entity::delete_many()
            .filter(Column::AccountId.eq(new.account_id.0))
            .exec(&transaction)
            .await?;
        let change = ActiveModel {
            token_hash: Set(new.token_hash.to_vec()),
            account_id: Set(new.account_id.0),
            email: Set(new.email.to_lowercase()),
            created_at_ms: Set(new.at_ms),
            expires_at_ms: Set(new.expires_at_ms),
        };
        Entity::insert(change).exec_without_returning(&transaction).await?;
        self.store.commit(transaction).await
    }

    /// Returns the change of a link that is valid at `now_ms`.
    pub async fn email_change(
        self,
        token_hash: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<PendingEmailChange>, StoreError> {
        let row = Entity::find_by_id(token_hash.to_vec())
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .one(&self.store.reader)
            .await?;
        Ok(row.map(PendingEmailChange::from))
    }

    /// Returns the account's change that still waits at `now_ms`.
    pub async fn pending_email_change(
        self,
        account: AccountId,
        now_ms: i64,
    ) -> Result<Option<PendingEmailChange>, StoreError> {
        let row = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .one(&self.store.reader)
            .await?;
        Ok(row.map(PendingEmailChange::from))
    }

    /// Cancels the account's waiting change. Returns false if there is none.
    pub async fn cancel_email_change(self, account: AccountId) -> Result<bool, StoreError> {
        let deleted = Entity::delete_many()
            .filter(Column::AccountId.eq(account.0))
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(deleted)?.rows_affected > 0)
    }

    /// Consumes a link and sets the new address. Ends the account's other links and its sessions
    /// except `kept_session`. Returns the account as it was before; `None` if the link was used or has
    /// expired, or the account is closed.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`], [`Conflict::AccountSuspended`]; the link is not consumed then.
    pub async fn finish_email_change(
        self,
        token_hash: &TokenHash,
        kept_session: Option<SessionId>,
        now_ms: i64,
    ) -> Result<Option<Account>, StoreError> {
        let transaction = self.store.begin().await?;
        let change = Entity::find_by_id(token_hash.to_vec())
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .one(&transaction)
            .await?;
        let taken = Entity::delete_by_id(token_hash.to_vec()).exec(&transaction).await?;
        let Some(change) = change.filter(|_| taken.rows_affected == 1) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let id = AccountId(change.account_id);
        let before = write_email(&transaction, id, &change.email, kept_session).await?;
        if before.is_none() {
            transaction.rollback().await?;
            return Ok(None);
        }
        // The update locks the account's row, so no suspension can come between this check and the commit.
        refuse_if_suspended(&transaction, id).await?;
        self.store.commit(transaction).await?;
        Ok(before)
    }

    /// Sets the account's address at once. Ends its links and its sessions except `kept_session`.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`], [`Conflict::AccountClosed`].
    pub async fn set_email(
        self,
        account: AccountId,
        email: &str,
        kept_session: Option<SessionId>,
    ) -> Result<(), StoreError> {
        let transaction = self.store.begin().await?;
        if write_email(&transaction, account, email, kept_session).await?.is_none() {
            return Err(Conflict::AccountClosed.into());
        }
        self.store.commit(transaction).await
    }
}

/// Sets the address of an open account, and ends its links and other sessions. Returns the account as it
/// was before.
async fn write_email(
    transaction: &DatabaseTransaction,
    id: AccountId,
    email: &str,
    kept_session: Option<SessionId>,
) -> Result<Option<Account>, StoreError> {
    let before = account::Entity::find_by_id(id.0)
        .filter(account::Column::ClosedAtMs.is_null())
        .one(transaction)
        .await?;
    let Some(before) = before else {
        return Ok(None);
    };
    account::Entity::update_many()
        .col_expr(account::Column::Email, Expr::value(email.to_lowercase()))
        .filter(account::Column::Id.eq(id.0))
        .filter(account::Column::ClosedAtMs.is_null())
        .exec(transaction)
        .await
        .map_err(|error| match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Conflict::EmailTaken.into(),
            _ => StoreError::from(error),
        })?;
    forget_links(transaction, id).await?;
    end_other_sessions(transaction, id, kept_session).await?;
    Account::from_row(before).map(Some)
}
