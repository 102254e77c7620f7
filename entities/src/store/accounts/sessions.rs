//! Browser sessions.

use nexo_domain::ids::{AccountId, SessionId};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::{Account, lock_open_account};
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};
use crate::tables::accounts::session::{ActiveModel, Column, Entity, Model};
use crate::tables::accounts::{account, email_change, password_reset, pending_sign_up};

/// SHA-256 of a token that a browser holds.
pub type TokenHash = [u8; 32];

/// Maximum stored length of a User-Agent.
const MAX_USER_AGENT_CHARS: usize = 200;

/// The password and the second factor of an account, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub password_hash: Option<String>,
    pub totp_sealed: Option<Vec<u8>>,
}

/// Parameters of a new session. Only the hash of its token is stored.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    pub token_hash: TokenHash,
    pub account_id: AccountId,
    /// What the client has proven to know. `None`: the owner followed a link from an e-mail.
    pub proven: Option<Credentials>,
    /// The client's address.
    pub address: &'a str,
    /// The User-Agent.
    pub browser: &'a str,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

/// A stored session.
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

impl Accounts<'_> {
    /// Creates a session of an open account and deletes the account's expired ones.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`]; [`Conflict::CredentialsChanged`] if the account has other credentials
    /// than were proven: they were changed while the client signed in.
    pub async fn open_session(self, new: NewSession<'_>) -> Result<SessionId, StoreError> {
        let id = SessionId(Uuid::now_v7());
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, new.account_id).await?;
        if let Some(proven) = new.proven {
            let account = account::Entity::find_by_id(new.account_id.0).one(&transaction).await?;
            let is_current = account.is_some_and(|account| {
                account.password_hash == proven.password_hash
                    && account.totp_sealed == proven.totp_sealed
            });
            if !is_current {
                return Err(Conflict::CredentialsChanged.into());
            }
        }
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
            browser: Set(new.browser.chars().take(MAX_USER_AGENT_CHARS).collect()),
            created_at_ms: Set(new.created_at_ms),
            seen_at_ms: Set(new.created_at_ms),
            expires_at_ms: Set(new.expires_at_ms),
        };
        Entity::insert(session).exec_without_returning(&transaction).await?;
        self.store.commit(transaction).await?;
        Ok(id)
    }

    /// Returns the session of this token and its account, if both are valid at `now_ms`.
    pub async fn session(
        self,
        token_hash: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<(Session, Account)>, StoreError> {
        let Some(session) = Entity::find_by_id(token_hash.to_vec())
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .one(&self.store.core_reader)
            .await?
        else {
            return Ok(None);
        };
        let account = account::Entity::find_by_id(session.account_id)
            .filter(account::Column::ClosedAtMs.is_null())
            .one(&self.store.core_reader)
            .await?;
        let Some(account) = account else {
            return Ok(None);
        };
        Ok(Some((session.into(), Account::from_row(account)?)))
    }

    /// Records that a session was used, its address and its new expiry.
    pub async fn touch_session(
        self,
        id: SessionId,
        address: &str,
        seen_at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        let updated = Entity::update_many()
            .col_expr(Column::SeenAtMs, Expr::value(seen_at_ms))
            .col_expr(Column::ExpiresAtMs, Expr::value(expires_at_ms))
            .col_expr(Column::Address, Expr::value(address))
            .filter(Column::Id.eq(id.0))
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(updated)?;
        Ok(())
    }

    /// Returns the account's valid sessions, latest first.
    pub async fn sessions(
        self,
        account: AccountId,
        now_ms: i64,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .order_by_desc(Column::SeenAtMs)
            .all(&self.store.reader)
            .await?;
        Ok(rows.into_iter().map(Session::from).collect())
    }

    /// Ends one session of the account. Returns false if there is no such session.
    pub async fn end_session(self, account: AccountId, id: SessionId) -> Result<bool, StoreError> {
        let ended = Entity::delete_many()
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::Id.eq(id.0))
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(ended)?.rows_affected > 0)
    }

    /// Ends all sessions of the account except `kept`. Returns their number.
    pub async fn end_sessions(
        self,
        account: AccountId,
        kept_session: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        let mut delete = Entity::delete_many().filter(Column::AccountId.eq(account.0));
        if let Some(kept_session) = kept_session {
            delete = delete.filter(Column::Id.ne(kept_session.0));
        }
        let ended = delete.exec(self.store.write_connection()?).await;
        Ok(self.store.check_write(ended)?.rows_affected)
    }

    /// Deletes the expired sessions and e-mailed links of all accounts. Returns the number of sessions.
    pub async fn delete_expired(self, now_ms: i64) -> Result<u64, StoreError> {
        let resets = password_reset::Entity::delete_many()
            .filter(password_reset::Column::ExpiresAtMs.lte(now_ms))
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(resets)?;
        let changes = email_change::Entity::delete_many()
            .filter(email_change::Column::ExpiresAtMs.lte(now_ms))
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(changes)?;
        let sign_ups = pending_sign_up::Entity::delete_many()
            .filter(pending_sign_up::Column::ExpiresAtMs.lte(now_ms))
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(sign_ups)?;
        let trimmed = Entity::delete_many()
            .filter(Column::ExpiresAtMs.lte(now_ms))
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(trimmed)?.rows_affected)
    }
}
