//! Accounts.

use nexo_domain::billing::referral::{ReferralCode, person};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, SqlErr,
};
use uuid::Uuid;

use crate::store::cluster::changes::{Change, append};
use crate::store::sql::record;
use crate::store::{Conflict, Store, StoreError};
use crate::tables::accounts::account;
use crate::tables::ledger::wallet;

/// An account to be opened.
#[derive(Clone)]
pub struct NewAccount<'a> {
    /// Lower-cased before it is kept.
    pub email: &'a str,
    /// Argon2id, in PHC's text form. Without one nobody signs in.
    pub password_hash: Option<String>,
    pub operator: bool,
    /// Of its calls.
    pub language: Option<Language>,
    /// Of its pages and mails.
    pub page_language: Option<Language>,
    pub created_at_ms: i64,
}

/// What is known of how somebody came here.
#[derive(Debug, Clone, Copy)]
pub struct Landing<'a> {
    /// The code of the link.
    pub code: &'a str,
    /// Whose session the browser has, where it has one: nobody brings themselves.
    pub signed_in_as: Option<AccountId>,
}

/// An account as it is kept.
#[derive(Clone)]
pub struct Account {
    pub id: AccountId,
    pub email: String,
    pub password_hash: Option<String>,
    pub operator: bool,
    /// Of its calls.
    pub language: Option<Language>,
    /// Of its pages and mails.
    pub page_language: Option<Language>,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    /// Since when its keys do not work, by an operator's decision.
    pub suspended_at_ms: Option<i64>,
    /// Why, in the operator's words.
    pub suspended_for: Option<String>,
    /// What its referral link carries, for good.
    pub referral_code: String,
    /// The second factor's secret as it was sealed, where the account has one.
    pub totp_sealed: Option<Vec<u8>>,
}

impl Account {
    pub(in crate::store) fn from_row(row: account::Model) -> Result<Account, StoreError> {
        Ok(Account {
            id: AccountId(row.id),
            email: row.email,
            password_hash: row.password_hash,
            operator: row.operator,
            language: record::language(row.language.as_deref())?,
            page_language: record::language(row.page_language.as_deref())?,
            created_at_ms: row.created_at_ms,
            closed_at_ms: row.closed_at_ms,
            suspended_at_ms: row.suspended_at_ms,
            suspended_for: row.suspended_for,
            referral_code: row.referral_code.unwrap_or_default(),
            totp_sealed: row.totp_sealed,
        })
    }
}

impl Store {
    /// Opens an account with an empty wallet.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`]; what the database fails with.
    pub async fn create_account(&self, new: NewAccount<'_>) -> Result<AccountId, StoreError> {
        self.create_account_through(None, new).await
    }

    /// Opens an account with an empty wallet. Where it was brought by somebody else, and is this person's first,
    /// the database's trigger makes the referral in the same transaction; otherwise it silently makes none.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`]; what the database fails with.
    pub async fn create_account_through(
        &self,
        landing: Option<Landing<'_>>,
        new: NewAccount<'_>,
    ) -> Result<AccountId, StoreError> {
        let transaction = self.begin().await?;
        let id = open_account(&transaction, &new, landing.as_ref(), Micros::ZERO).await?;
        self.end(transaction).await?;
        Ok(id)
    }

    /// The account, closed or not.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let row = account::Entity::find_by_id(id.0).one(&self.reader).await?;
        row.map(Account::from_row).transpose()
    }

    /// The account of this address, in whatever case it is written.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let row = account::Entity::find()
            .filter(account::Column::Email.eq(email.to_lowercase()))
            .one(&self.reader)
            .await?;
        row.map(Account::from_row).transpose()
    }

    /// Every account, oldest first.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows = account::Entity::find()
            .order_by_asc(account::Column::CreatedAtMs)
            .order_by_asc(account::Column::Id)
            .all(&self.reader)
            .await?;
        rows.into_iter().map(Account::from_row).collect()
    }
}

/// The landing's code, unless it is the signed-in account's own.
async fn others_code(
    transaction: &DatabaseTransaction,
    landing: &Landing<'_>,
) -> Result<Option<String>, StoreError> {
    let Some(code) = ReferralCode::parse(landing.code) else {
        return Ok(None);
    };
    if let Some(account) = landing.signed_in_as {
        let own = account::Entity::find_by_id(account.0)
            .one(transaction)
            .await?;
        if own.is_some_and(|own| own.referral_code.as_deref() == Some(code.as_str())) {
            return Ok(None);
        }
    }
    Ok(Some(code.as_str().to_owned()))
}

/// Opens an account whose wallet holds `free` credit. The credit's entry is the caller's to write.
pub(in crate::store) async fn open_account(
    transaction: &DatabaseTransaction,
    new: &NewAccount<'_>,
    landing: Option<&Landing<'_>>,
    free: Micros,
) -> Result<AccountId, StoreError> {
    let id = AccountId(Uuid::now_v7());
    let referred_by_code = match landing {
        Some(landing) => others_code(transaction, landing).await?,
        None => None,
    };
    let account = account::ActiveModel {
        id: Set(id.0),
        email: Set(new.email.to_lowercase()),
        password_hash: Set(new.password_hash.clone()),
        operator: Set(new.operator),
        language: Set(new.language.map(|language| language.code().to_owned())),
        page_language: Set(new.page_language.map(|language| language.code().to_owned())),
        created_at_ms: Set(new.created_at_ms),
        closed_at_ms: Set(None),
        totp_sealed: Set(None),
        totp_last_step: Set(None),
        recovery_hash: Set(None),
        suspended_at_ms: Set(None),
        suspended_for: Set(None),
        person: Set(Some(person(new.email))),
        referral_code: NotSet,
        referred_by_code: Set(referred_by_code),
    };
    account::Entity::insert(account)
        .exec(transaction)
        .await
        .map_err(|error| match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Conflict::EmailTaken.into(),
            _ => StoreError::from(error),
        })?;
    let wallet = wallet::ActiveModel {
        account_id: Set(id.0),
        free_micros: Set(free.get()),
        bonus_micros: Set(0),
        balance_micros: Set(0),
        version: Set(0),
    };
    wallet::Entity::insert(wallet).exec(transaction).await?;
    append(transaction, Change::Account(id), new.created_at_ms).await?;
    Ok(id)
}

/// Holds the open account's row until `transaction` ends, so that what is counted stays true.
///
/// An update that changes nothing does so on both databases.
pub(in crate::store) async fn hold_open_account(
    transaction: &DatabaseTransaction,
    id: AccountId,
) -> Result<(), StoreError> {
    let held = account::Entity::update_many()
        .col_expr(account::Column::Email, Expr::col(account::Column::Email))
        .filter(account::Column::Id.eq(id.0))
        .filter(account::Column::ClosedAtMs.is_null())
        .exec(transaction)
        .await?;
    match held.rows_affected {
        0 => Err(Conflict::AccountClosed.into()),
        _ => Ok(()),
    }
}
