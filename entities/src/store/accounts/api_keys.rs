//! API keys and their allowlists.

use nexo_domain::account::api_key::KeyHash;
use nexo_domain::account::client_ip::MAX_ALLOWLIST;
use nexo_domain::ids::{AccountId, KeyId};
use nexo_domain::otp::Language;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder,
};
use uuid::Uuid;

use super::lock_active_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::sql::bulk::{Bulk, Column};
use crate::store::sql::record;
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};
use crate::tables::accounts::{account, api_key, key_allowlist};

/// Maximum number of active keys per account.
pub const MAX_ACTIVE_KEYS: usize = 10;

static RECORD_USE: Bulk = Bulk::new(
    "UPDATE api_keys SET last_used_at_ms = v.column2",
    &[Column::Uuid, Column::Int],
    "WHERE api_keys.id = v.column1 \
     AND (api_keys.last_used_at_ms IS NULL OR api_keys.last_used_at_ms < v.column2)",
);

/// Parameters of a new key. Only the hash of its text is stored.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    pub account_id: AccountId,
    pub name: &'a str,
    pub hash: KeyHash,
    /// The last four characters.
    pub hint: &'a str,
    pub test: bool,
    /// Networks in CIDR notation; an empty list admits every address.
    pub allowlist: &'a [String],
    pub created_at_ms: i64,
}

/// A stored key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub account_id: AccountId,
    pub name: String,
    pub hint: String,
    pub test: bool,
    pub allowlist: Vec<String>,
    pub created_at_ms: i64,
    pub last_used_at_ms: Option<i64>,
    pub revoked_at_ms: Option<i64>,
}

/// What a key authorizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub key_id: KeyId,
    pub account_id: AccountId,
    pub test: bool,
    /// Networks in CIDR notation; an empty list admits every address.
    pub allowlist: Vec<String>,
    /// The account's own language, if set.
    pub language: Option<Language>,
    /// Whether the key was revoked, or its account closed.
    pub revoked: bool,
    /// Whether its account is suspended.
    pub suspended: bool,
}

impl Accounts<'_> {
    /// Creates a key.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::AccountSuspended`], [`Conflict::TooManyKeys`],
    /// [`Conflict::AllowlistTooLong`].
    pub async fn create_key(self, new: NewKey<'_>) -> Result<KeyId, StoreError> {
        if new.allowlist.len() > MAX_ALLOWLIST {
            return Err(Conflict::AllowlistTooLong { max: MAX_ALLOWLIST }.into());
        }
        let id = KeyId(Uuid::now_v7());
        let transaction = self.store.begin().await?;
        lock_active_account(&transaction, new.account_id).await?;
        let active = api_key::Entity::find()
            .filter(api_key::Column::AccountId.eq(new.account_id.0))
            .filter(api_key::Column::RevokedAtMs.is_null())
            .count(&transaction)
            .await?;
        if active >= MAX_ACTIVE_KEYS as u64 {
            let max = MAX_ACTIVE_KEYS;
            return Err(Conflict::TooManyKeys { max }.into());
        }
        let key = api_key::ActiveModel {
            id: Set(id.0),
            account_id: Set(new.account_id.0),
            name: Set(new.name.to_owned()),
            hash: Set(new.hash.to_vec()),
            hint: Set(new.hint.to_owned()),
            test: Set(new.test),
            created_at_ms: Set(new.created_at_ms),
            last_used_at_ms: Set(None),
            revoked_at_ms: Set(None),
        };
        api_key::Entity::insert(key).exec(&transaction).await?;
        write_allowlist(&transaction, id, new.allowlist).await?;
        append_change(&transaction, Change::Key(id), new.created_at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(id)
    }

    /// Returns all keys, or those of one account, oldest first.
    pub async fn keys(self, account: Option<AccountId>) -> Result<Vec<Key>, StoreError> {
        let mut find = api_key::Entity::find()
            .order_by_asc(api_key::Column::CreatedAtMs)
            .order_by_asc(api_key::Column::Id);
        if let Some(account) = account {
            find = find.filter(api_key::Column::AccountId.eq(account.0));
        }
        let mut keys = Vec::new();
        for row in find.all(&self.store.reader).await? {
            keys.push(Key {
                id: KeyId(row.id),
                account_id: AccountId(row.account_id),
                name: row.name,
                hint: row.hint,
                test: row.test,
                allowlist: allowlist(&self.store.reader, row.id).await?,
                created_at_ms: row.created_at_ms,
                last_used_at_ms: row.last_used_at_ms,
                revoked_at_ms: row.revoked_at_ms,
            });
        }
        Ok(keys)
    }

    /// Revokes a key; `account` restricts it to that account's keys. Returns false if the key is
    /// unknown or was revoked before.
    pub async fn revoke_key(
        self,
        id: KeyId,
        account: Option<AccountId>,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let mut update = api_key::Entity::update_many()
            .col_expr(api_key::Column::RevokedAtMs, Expr::value(at_ms))
            .filter(api_key::Column::Id.eq(id.0))
            .filter(api_key::Column::RevokedAtMs.is_null());
        if let Some(account) = account {
            update = update.filter(api_key::Column::AccountId.eq(account.0));
        }
        if update.exec(&transaction).await?.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        append_change(&transaction, Change::Key(id), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Returns the key with this hash, revoked or not.
    pub async fn key_by_hash(self, hash: &KeyHash) -> Result<Option<KeyRecord>, StoreError> {
        let key = api_key::Entity::find()
            .filter(api_key::Column::Hash.eq(hash.to_vec()))
            .one(&self.store.core_reader)
            .await?;
        let Some(key) = key else {
            return Ok(None);
        };
        let account = account::Entity::find_by_id(key.account_id)
            .one(&self.store.core_reader)
            .await?
            .ok_or(StoreError::unreadable("api_keys", "account_id"))?;
        Ok(Some(KeyRecord {
            key_id: KeyId(key.id),
            account_id: AccountId(key.account_id),
            test: key.test,
            allowlist: allowlist(&self.store.core_reader, key.id).await?,
            language: record::language(account.language.as_deref())?,
            revoked: key.revoked_at_ms.is_some() || account.closed_at_ms.is_some(),
            suspended: account.suspended_at_ms.is_some(),
        }))
    }

    /// Records when keys were last used.
    pub async fn record_key_use(self, used: &[(KeyId, i64)]) -> Result<(), StoreError> {
        let mut rows = RECORD_USE.rows(used.len());
        for (key, at_ms) in used {
            rows.push([key.0.into(), (*at_ms).into()]);
        }
        self.store
            .check_write(RECORD_USE.execute(self.store.write_connection()?, &[], rows).await)?;
        Ok(())
    }
}

async fn allowlist(
    connection: &impl ConnectionTrait,
    key: Uuid,
) -> Result<Vec<String>, StoreError> {
    let rows = key_allowlist::Entity::find()
        .filter(key_allowlist::Column::KeyId.eq(key))
        .order_by_asc(key_allowlist::Column::Position)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| row.cidr).collect())
}

/// Inserts the allowlist of a key that has none.
pub(super) async fn write_allowlist(
    transaction: &DatabaseTransaction,
    id: KeyId,
    allowlist: &[String],
) -> Result<(), StoreError> {
    if allowlist.is_empty() {
        return Ok(());
    }
    let entries = allowlist.iter().zip(0..).map(|(cidr, position)| key_allowlist::ActiveModel {
        key_id: Set(id.0),
        position: Set(position),
        cidr: Set(cidr.clone()),
    });
    key_allowlist::Entity::insert_many(entries).exec(transaction).await?;
    Ok(())
}
