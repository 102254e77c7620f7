//! Changes to API keys: replacing the allowlist and rotating the key.

use nexo_domain::account::api_key::KeyHash;
use nexo_domain::account::client_ip::MAX_ALLOWLIST;
use nexo_domain::ids::{AccountId, KeyId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::api_keys::write_allowlist;
use super::lock_active_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};
use crate::tables::accounts::{api_key, key_allowlist};

impl Accounts<'_> {
    /// Replaces the allowlist of an active key with networks in CIDR notation; an empty list admits
    /// every address. Returns false if the account has no such active key.
    ///
    /// # Errors
    /// [`Conflict::AllowlistTooLong`].
    pub async fn set_allowlist(
        self,
        account: AccountId,
        id: KeyId,
        allowlist: &[String],
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        if allowlist.len() > MAX_ALLOWLIST {
            return Err(Conflict::AllowlistTooLong { max: MAX_ALLOWLIST }.into());
        }
        let transaction = self.store.begin().await?;
        if !lock_active_key(&transaction, account, id).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        key_allowlist::Entity::delete_many()
            .filter(key_allowlist::Column::KeyId.eq(id.0))
            .exec(&transaction)
            .await?;
        write_allowlist(&transaction, id, allowlist).await?;
        append_change(&transaction, Change::Key(id), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Revokes an active key and creates a replacement with the same name, mode and allowlist.
    /// Returns `None` if the account has no such active key.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::AccountSuspended`].
    pub async fn rotate_key(
        self,
        account: AccountId,
        id: KeyId,
        hash: KeyHash,
        hint: &str,
        at_ms: i64,
    ) -> Result<Option<KeyId>, StoreError> {
        let transaction = self.store.begin().await?;
        lock_active_account(&transaction, account).await?;
        let revoked = api_key::Entity::update_many()
            .col_expr(api_key::Column::RevokedAtMs, Expr::value(at_ms))
            .filter(api_key::Column::Id.eq(id.0))
            .filter(api_key::Column::AccountId.eq(account.0))
            .filter(api_key::Column::RevokedAtMs.is_null())
            .exec(&transaction)
            .await?;
        let old = api_key::Entity::find_by_id(id.0).one(&transaction).await?;
        let Some(old) = old.filter(|_| revoked.rows_affected > 0) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let allowlist: Vec<String> = key_allowlist::Entity::find()
            .filter(key_allowlist::Column::KeyId.eq(id.0))
            .order_by_asc(key_allowlist::Column::Position)
            .all(&transaction)
            .await?
            .into_iter()
            .map(|row| row.cidr)
            .collect();
        let new = KeyId(Uuid::now_v7());
        let key = api_key::ActiveModel {
            id: Set(new.0),
            account_id: Set(account.0),
            name: Set(old.name),
            hash: Set(hash.to_vec()),
            hint: Set(hint.to_owned()),
            test: Set(old.test),
            created_at_ms: Set(at_ms),
            last_used_at_ms: Set(None),
            revoked_at_ms: Set(None),
        };
        api_key::Entity::insert(key).exec(&transaction).await?;
        write_allowlist(&transaction, new, &allowlist).await?;
        append_change(&transaction, Change::Key(id), at_ms).await?;
        append_change(&transaction, Change::Key(new), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(Some(new))
    }
}

/// Locks the row of an active key, which excludes concurrent changes of its allowlist.
async fn lock_active_key(
    transaction: &DatabaseTransaction,
    account: AccountId,
    id: KeyId,
) -> Result<bool, StoreError> {
    let held = api_key::Entity::update_many()
        .col_expr(api_key::Column::Name, Expr::col(api_key::Column::Name))
        .filter(api_key::Column::Id.eq(id.0))
        .filter(api_key::Column::AccountId.eq(account.0))
        .filter(api_key::Column::RevokedAtMs.is_null())
        .exec(transaction)
        .await?;
    Ok(held.rows_affected > 0)
}
