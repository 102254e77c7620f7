//! Integrations: what is kept of an auth server that sends its codes with its own hook.

use std::fmt;

use nexo_domain::ids::{AccountId, IntegrationId};
use nexo_domain::integration::{HookBody, Kind, MAX_INTEGRATIONS, Pointer};
use nexo_domain::otp::Language;
use sea_orm::sea_query::{Expr, Value};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder,
};

use super::lock_active_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::sql::bulk::{Bulk, Column as Sql};
use crate::store::sql::record;
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};
use crate::tables::accounts::account;
use crate::tables::accounts::integration::{ActiveModel, Column, Entity, Model};

const TABLE: &str = "integrations";

static RECORD_USE: Bulk = Bulk::new(
    "UPDATE integrations SET last_used_at_ms = v.column2",
    &[Sql::Uuid, Sql::Int],
    "WHERE integrations.id = v.column1 \
     AND (integrations.last_used_at_ms IS NULL OR integrations.last_used_at_ms < v.column2)",
);

/// What is stored of a secret. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub enum StoredSecret {
    /// The SHA-256 of a secret that each request presents.
    Hash([u8; 32]),
    /// A key of signatures, encrypted.
    Sealed(Vec<u8>),
    /// A key of signatures in clear.
    Plain(Vec<u8>),
}

impl StoredSecret {
    fn into_record(self) -> (&'static str, Vec<u8>) {
        match self {
            StoredSecret::Hash(hash) => ("sha256", hash.to_vec()),
            StoredSecret::Sealed(bytes) => ("sealed", bytes),
            StoredSecret::Plain(bytes) => ("plain", bytes),
        }
    }

    fn from_record(form: &str, bytes: Vec<u8>) -> Result<StoredSecret, StoreError> {
        match form {
            "sha256" => bytes.try_into().ok().map(StoredSecret::Hash),
            "sealed" => Some(StoredSecret::Sealed(bytes)),
            "plain" => Some(StoredSecret::Plain(bytes)),
            _ => None,
        }
        .ok_or(StoreError::unreadable(TABLE, "secret"))
    }
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredSecret(hidden)")
    }
}

/// Parameters of a new integration.
#[derive(Debug, Clone)]
pub struct NewIntegration<'a> {
    /// Chosen by the caller, because a sealed secret is bound to it.
    pub id: IntegrationId,
    pub account_id: AccountId,
    pub name: &'a str,
    pub body: &'a HookBody,
    pub secret: StoredSecret,
    pub created_at_ms: i64,
}

/// A stored integration that was not removed, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    pub id: IntegrationId,
    pub account_id: AccountId,
    pub name: String,
    pub body: HookBody,
    pub created_at_ms: i64,
    pub last_used_at_ms: Option<i64>,
}

/// What an integration authorizes.
#[derive(Debug, Clone)]
pub struct IntegrationRecord {
    pub account_id: AccountId,
    pub body: HookBody,
    pub secret: StoredSecret,
    /// The account's own language, if set.
    pub language: Option<Language>,
    /// Whether its account is suspended.
    pub suspended: bool,
}

fn body(row: &Model) -> Result<HookBody, StoreError> {
    let kind = Kind::named(&row.kind).ok_or(StoreError::unreadable(TABLE, "kind"))?;
    let pointer = |text: &str| {
        Pointer::parse(text).map_err(|_| StoreError::unreadable(TABLE, "phone_pointer"))
    };
    let pointers = match (&row.phone_pointer, &row.code_pointer) {
        (Some(phone), Some(code)) => Some((pointer(phone)?, pointer(code)?)),
        _ => None,
    };
    HookBody::new(kind, pointers).ok_or(StoreError::unreadable(TABLE, "phone_pointer"))
}

impl Integration {
    fn from_row(row: Model) -> Result<Integration, StoreError> {
        Ok(Integration {
            id: IntegrationId(row.id),
            account_id: AccountId(row.account_id),
            body: body(&row)?,
            name: row.name,
            created_at_ms: row.created_at_ms,
            last_used_at_ms: row.last_used_at_ms,
        })
    }
}

impl Accounts<'_> {
    /// Creates an integration.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::AccountSuspended`],
    /// [`Conflict::TooManyIntegrations`].
    pub async fn create_integration(self, new: NewIntegration<'_>) -> Result<(), StoreError> {
        let transaction = self.store.begin().await?;
        lock_active_account(&transaction, new.account_id).await?;
        let kept = Entity::find()
            .filter(Column::AccountId.eq(new.account_id.0))
            .filter(Column::RemovedAtMs.is_null())
            .count(&transaction)
            .await?;
        if kept >= MAX_INTEGRATIONS as u64 {
            return Err(Conflict::TooManyIntegrations { max: MAX_INTEGRATIONS }.into());
        }
        let (form, secret) = new.secret.into_record();
        let pointers = new.body.pointers();
        let integration = ActiveModel {
            id: Set(new.id.0),
            account_id: Set(new.account_id.0),
            kind: Set(new.body.kind().name().to_owned()),
            name: Set(new.name.to_owned()),
            secret_form: Set(form.to_owned()),
            secret: Set(Some(secret)),
            phone_pointer: Set(pointers.map(|(phone, _)| phone.to_string())),
            code_pointer: Set(pointers.map(|(_, code)| code.to_string())),
            created_at_ms: Set(new.created_at_ms),
            last_used_at_ms: Set(None),
            removed_at_ms: Set(None),
        };
        Entity::insert(integration).exec(&transaction).await?;
        append_change(&transaction, Change::Integration(new.id), new.created_at_ms).await?;
        self.store.commit(transaction).await
    }

    /// Returns all integrations, or those of one account, oldest first, without removed ones.
    pub async fn integrations(
        self,
        account: Option<AccountId>,
    ) -> Result<Vec<Integration>, StoreError> {
        let mut find = Entity::find()
            .filter(Column::RemovedAtMs.is_null())
            .order_by_asc(Column::CreatedAtMs)
            .order_by_asc(Column::Id);
        if let Some(account) = account {
            find = find.filter(Column::AccountId.eq(account.0));
        }
        let rows = find.all(&self.store.reader).await?;
        rows.into_iter().map(Integration::from_row).collect()
    }

    /// Returns the integration if it belongs to the account and was not removed.
    pub async fn integration(
        self,
        account: AccountId,
        id: IntegrationId,
    ) -> Result<Option<Integration>, StoreError> {
        let row = Entity::find_by_id(id.0)
            .filter(Column::AccountId.eq(account.0))
            .filter(Column::RemovedAtMs.is_null())
            .one(&self.store.reader)
            .await?;
        row.map(Integration::from_row).transpose()
    }

    /// Returns what an integration authorizes; `None` if it is unknown or was removed, or its
    /// account is closed.
    pub async fn integration_record(
        self,
        id: IntegrationId,
    ) -> Result<Option<IntegrationRecord>, StoreError> {
        let found = Entity::find_by_id(id.0)
            .filter(Column::RemovedAtMs.is_null())
            .one(&self.store.core_reader)
            .await?;
        let Some(row) = found else {
            return Ok(None);
        };
        let account = account::Entity::find_by_id(row.account_id)
            .one(&self.store.core_reader)
            .await?
            .ok_or(StoreError::unreadable(TABLE, "account_id"))?;
        if account.closed_at_ms.is_some() {
            return Ok(None);
        }
        let body = body(&row)?;
        let secret = row.secret.ok_or(StoreError::unreadable(TABLE, "secret"))?;
        Ok(Some(IntegrationRecord {
            account_id: AccountId(row.account_id),
            body,
            secret: StoredSecret::from_record(&row.secret_form, secret)?,
            language: record::language(account.language.as_deref())?,
            suspended: account.suspended_at_ms.is_some(),
        }))
    }

    /// Removes an integration and its secret; `account` restricts it to that account's. Returns
    /// false if it is unknown or was removed before.
    pub async fn remove_integration(
        self,
        id: IntegrationId,
        account: Option<AccountId>,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let mut update = removal(at_ms).filter(Column::Id.eq(id.0));
        if let Some(account) = account {
            update = update.filter(Column::AccountId.eq(account.0));
        }
        if update.exec(&transaction).await?.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        append_change(&transaction, Change::Integration(id), at_ms).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Records when integrations were last used.
    pub async fn record_integration_use(
        self,
        used: &[(IntegrationId, i64)],
    ) -> Result<(), StoreError> {
        let mut rows = RECORD_USE.rows(used.len());
        for (integration, at_ms) in used {
            rows.push([integration.0.into(), (*at_ms).into()]);
        }
        self.store
            .check_write(RECORD_USE.execute(self.store.write_connection()?, &[], rows).await)?;
        Ok(())
    }
}

/// Removes what is not removed yet, with its secrets.
fn removal(at_ms: i64) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::RemovedAtMs, Expr::value(at_ms))
        .col_expr(Column::Secret, Expr::value(Value::Bytes(None)))
        .filter(Column::RemovedAtMs.is_null())
}

/// Removes all integrations of an account that is being closed.
pub(crate) async fn remove_integrations(
    transaction: &DatabaseTransaction,
    account: AccountId,
    at_ms: i64,
) -> Result<(), StoreError> {
    removal(at_ms).filter(Column::AccountId.eq(account.0)).exec(transaction).await?;
    Ok(())
}
