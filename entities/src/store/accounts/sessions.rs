//! Who is signed in.

use nexo_domain::ids::{AccountId, SessionId};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::accounts::{Account, hold_open_account};
use crate::store::{Store, StoreError};
use crate::tables::accounts::session::{ActiveModel, Column, Entity, Model};
use crate::tables::accounts::{account, password_reset, pending_sign_up};

/// SHA-256 of a token that a browser holds.
pub type TokenHash = [u8; 32];

/// The most characters that are kept of what a browser calls itself.
const LONGEST_BROWSER: usize = 200;

/// A session to be kept; its token is not.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    pub token_hash: TokenHash,
    pub account_id: AccountId,
    /// The client's address.
    pub address: &'a str,
    /// What the browser calls itself.
    pub browser: &'a str,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub account_id: AccountId,
    pub address: String,
    pub browser: String,
    pub created_at_ms: i64,
    pub seen_at_ms: i64,
    pub expires_at_ms: i64,
}

impl From<Model> for Session {
    fn from(row: Model) -> Session {
        Session {
            id: SessionId(row.id),
            account_id: AccountId(row.account_id),
            address: row.address,
            browser: row.browser,
            created_at_ms: row.created_at_ms,
            seen_at_ms: row.seen_at_ms,
            expires_at_ms: row.expires_at_ms,
        }
    }
}

impl Store {
    /// Keeps a new session of an open account, and forgets those of it that have run out.
    ///
    /// # Errors
    /// [`crate::store::Conflict::AccountClosed`]; what the database fails with.
    pub async fn open_session(&self, new: NewSession<'_>) -> Result<SessionId, StoreError> {
        let id = SessionId(Uuid::now_v7());
        let transaction = self.begin().await?;
        hold_open_account(&transaction, new.account_id).await?;
        Entity::delete_many()
            .filter(Column::AccountId.eq(new.account_id.0))
            .filter(Column::ExpiresAtMs.lte(new.created_at_ms))
            .exec(&transaction)
            .await?;
        let session = ActiveModel {
            token_hash: Set(new.token_hash.to_vec()),
            id: Set(id.0),
            account_id: Set(new.account_id.0),
            address: Set(new.address.to_owned()),
            browser: Set(new.browser.chars().take(LONGEST_BROWSER).collect()),
            created_at_ms: Set(new.created_at_ms),
            seen_at_ms: Set(new.created_at_ms),
            expires_at_ms: Set(new.expires_at_ms),
        };
        Entity::insert(session)
            .exec_without_returning(&transaction)
            .await?;
        self.end(transaction).await?;
        Ok(id)
    }

    /// The session of this token and its account, if neither has ended at `now_ms`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn session(
        &self,
        token_hash: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<(Session, Account)>, StoreError> {
        let Some(session) = Entity::find_by_id(token_hash.to_vec())
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .one(&self.reader)
            .await?
        else {
            return Ok(None);
        };
        let account = account::Entity::find_by_id(session.account_id)
            .filter(account::Column::ClosedAtMs.is_null())
            .one(&self.reader)
            .await?;
        let Some(account) = account else {
            return Ok(None);
        };
        Ok(Some((session.into(), Account::from_row(account)?)))
    }

    /// Notes that a session was seen, from where, and until when it lasts now.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn note_session(
        &self,
        id: SessionId,
        address: &str,
        seen_at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        let noted = Entity::update_many()
            .col_expr(Column::SeenAtMs, Expr::value(seen_at_ms))
            .col_expr(Column::ExpiresAtMs, Expr::value(expires_at_ms))
            .col_expr(Column::Address, Expr::value(address))
            .filter(Column::Id.eq(id.0))
            .exec(self.writing()?)
            .await;
        self.noted(noted)?;
        Ok(())
    }

    /// The account's sessions that have not run out, the latest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn sessions(
        &self,
        account: AccountId,
        now_ms: i64,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .order_by_desc(Column::SeenAtMs)
            .all(&self.reader)
            .await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    /// Ends one session of the account. False when it has no such session.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn end_session(&self, account: AccountId, id: SessionId) -> Result<bool, StoreError> {
        let ended = Entity::delete_many()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::Id.eq(id.0))
            .exec(self.writing()?)
            .await;
        Ok(self.noted(ended)?.rows_affected > 0)
    }

    /// Ends all sessions of the account but `spared`; how many.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn end_sessions(
        &self,
        account: AccountId,
        spared: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        let mut delete = Entity::delete_many().filter(Column::AccountId.eq(account.0));
        if let Some(spared) = spared {
            delete = delete.filter(Column::Id.ne(spared.0));
        }
        let ended = delete.exec(self.writing()?).await;
        Ok(self.noted(ended)?.rows_affected)
    }

    /// Forgets what has run out at `now_ms`, of all accounts: sessions, and the links of letters. Returns how
    /// many sessions there were.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn trim_expired(&self, now_ms: i64) -> Result<u64, StoreError> {
        let resets = password_reset::Entity::delete_many()
            .filter(password_reset::Column::ExpiresAtMs.lte(now_ms))
            .exec(self.writing()?)
            .await;
        self.noted(resets)?;
        let sign_ups = pending_sign_up::Entity::delete_many()
            .filter(pending_sign_up::Column::ExpiresAtMs.lte(now_ms))
            .exec(self.writing()?)
            .await;
        self.noted(sign_ups)?;
        let trimmed = Entity::delete_many()
            .filter(Column::ExpiresAtMs.lte(now_ms))
            .exec(self.writing()?)
            .await;
        Ok(self.noted(trimmed)?.rows_affected)
    }
}
