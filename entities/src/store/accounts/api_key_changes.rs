//! What an account's owner changes about a key: its allowlist, and the key itself.

use nexo_domain::account::api_key::KeyHash;
use nexo_domain::account::client_ip::MAX_ALLOWLIST;
use nexo_domain::ids::{AccountId, KeyId};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::accounts::hold_open_account;
use crate::store::cluster::changes::{Change, append};
use crate::store::{Conflict, Store, StoreError};
use crate::tables::accounts::{api_key, key_allowlist};

impl Store {
    /// Replaces the allowlist of an active key of the account: networks in CIDR notation, none lets every
    /// address in. False when the account has no such active key.
    ///
    /// # Errors
    /// [`Conflict::AllowlistTooLong`]; what the database fails with.
    pub async fn set_allowlist(
        &self,
        account: AccountId,
        id: KeyId,
        allowlist: &[String],
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        if allowlist.len() > MAX_ALLOWLIST {
            return Err(Conflict::AllowlistTooLong { max: MAX_ALLOWLIST }.into());
        }
        let transaction = self.begin().await?;
        if !hold_active(&transaction, account, id).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        key_allowlist::Entity::delete_many()
            .filter(key_allowlist::Column::KeyId.eq(id.0))
            .exec(&transaction)
            .await?;
        write_allowlist(&transaction, id, allowlist).await?;
        append(&transaction, Change::Key(id), at_ms).await?;
        self.end(transaction).await?;
        Ok(true)
    }

    /// Revokes an active key of the account and keeps another in its place, with the same name, mode and
    /// allowlist. `None` when the account has no such active key.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`]; what the database fails with.
    pub async fn rotate_key(
        &self,
        account: AccountId,
        id: KeyId,
        hash: KeyHash,
        hint: &str,
        at_ms: i64,
    ) -> Result<Option<KeyId>, StoreError> {
        let transaction = self.begin().await?;
        hold_open_account(&transaction, account).await?;
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
        append(&transaction, Change::Key(id), at_ms).await?;
        append(&transaction, Change::Key(new), at_ms).await?;
        self.end(transaction).await?;
        Ok(Some(new))
    }
}

/// Holds the row of an active key, so that nobody replaces its allowlist meanwhile.
async fn hold_active(
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

async fn write_allowlist(
    transaction: &DatabaseTransaction,
    id: KeyId,
    allowlist: &[String],
) -> Result<(), StoreError> {
    if allowlist.is_empty() {
        return Ok(());
    }
    let entries = allowlist
        .iter()
        .zip(0..)
        .map(|(cidr, position)| key_allowlist::ActiveModel {
            key_id: Set(id.0),
            position: Set(position),
            cidr: Set(cidr.clone()),
        });
    key_allowlist::Entity::insert_many(entries)
        .exec(transaction)
        .await?;
    Ok(())
}
