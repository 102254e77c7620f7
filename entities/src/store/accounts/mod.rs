//! Accounts.

use nexo_domain::billing::referral::{ReferralCode, person};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use nexo_domain::time_zone::Zone;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, SqlErr,
};
use uuid::Uuid;

use crate::store::cluster::changes::{Change, append_change};
use crate::store::sql::record;
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};
use crate::tables::accounts::account;
use crate::tables::ledger::wallet;

pub mod api_key_changes;
pub mod api_keys;
pub mod email_changes;
pub mod integrations;
pub mod passwords;
pub mod quotas;
pub mod sessions;
pub mod sign_up;

/// Parameters of a new account.
#[derive(Clone)]
pub struct NewAccount<'a> {
    /// Stored in lower case.
    pub email: &'a str,
    /// Argon2id in PHC string format. Without it the account cannot sign in.
    pub password_hash: Option<String>,
    pub operator: bool,
    /// The language of its calls.
    pub language: Option<Language>,
    /// The language of its pages and e-mails.
    pub page_language: Option<Language>,
    pub created_at_ms: i64,
}

/// The referral link that led a visitor here.
#[derive(Debug, Clone, Copy)]
pub struct ReferralVisit<'a> {
    /// The code in the link.
    pub code: &'a str,
    /// The account signed in in the same browser, if any: an account cannot refer itself.
    pub signed_in_as: Option<AccountId>,
}

/// A stored account.
#[derive(Clone)]
pub struct Account {
    pub id: AccountId,
    pub email: String,
    pub password_hash: Option<String>,
    pub operator: bool,
    /// The language of its calls.
    pub language: Option<Language>,
    /// The language of its pages and e-mails.
    pub page_language: Option<Language>,
    /// The time zone of its pages, if it chose one.
    pub time_zone: Option<Zone>,
    pub created_at_ms: i64,
    pub closed_at_ms: Option<i64>,
    /// When an operator suspended it; its keys do not work since.
    pub suspended_at_ms: Option<i64>,
    /// The operator's reason.
    pub suspended_for: Option<String>,
    /// The permanent code of its referral link.
    pub referral_code: String,
    /// The sealed TOTP secret, if the account uses a second factor.
    pub totp_sealed: Option<Vec<u8>>,
    /// When the password was reset, until the owner has reviewed the account's keys and endpoints.
    pub access_review_since_ms: Option<i64>,
}

impl Account {
    pub(crate) fn from_row(row: account::Model) -> Result<Account, StoreError> {
        Ok(Account {
            id: AccountId(row.id),
            email: row.email,
            password_hash: row.password_hash,
            operator: row.operator,
            language: record::language(row.language.as_deref())?,
            page_language: record::language(row.page_language.as_deref())?,
            // A name that this version's database of time zones lacks counts as no choice.
            time_zone: row.time_zone.as_deref().and_then(Zone::named),
            created_at_ms: row.created_at_ms,
            closed_at_ms: row.closed_at_ms,
            suspended_at_ms: row.suspended_at_ms,
            suspended_for: row.suspended_for,
            referral_code: row.referral_code.unwrap_or_default(),
            totp_sealed: row.totp_sealed,
            access_review_since_ms: row.access_review_since_ms,
        })
    }
}

impl Accounts<'_> {
    /// Creates an account with an empty wallet.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`].
    pub async fn create(self, new: NewAccount<'_>) -> Result<AccountId, StoreError> {
        self.create_referred(None, new).await
    }

    /// Creates an account with an empty wallet. If another account's link led here and this is the
    /// person's first account, a database trigger creates the referral in the same transaction;
    /// otherwise there is silently none.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`].
    pub async fn create_referred(
        self,
        landing: Option<ReferralVisit<'_>>,
        new: NewAccount<'_>,
    ) -> Result<AccountId, StoreError> {
        let transaction = self.store.begin().await?;
        let id = new_account_id();
        open_account(&transaction, id, &new, landing.as_ref(), Micros::ZERO).await?;
        self.store.commit(transaction).await?;
        Ok(id)
    }

    /// Returns the account, closed or not.
    pub async fn get(self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let row = account::Entity::find_by_id(id.0).one(&self.store.core_reader).await?;
        row.map(Account::from_row).transpose()
    }

    /// Returns the account with this e-mail address, ignoring case.
    pub async fn by_email(self, email: &str) -> Result<Option<Account>, StoreError> {
        let row = account::Entity::find()
            .filter(account::Column::Email.eq(email.to_lowercase()))
            .one(&self.store.core_reader)
            .await?;
        row.map(Account::from_row).transpose()
    }

    /// Whether an open account has access to the operator pages.
    pub async fn has_operator(self) -> Result<bool, StoreError> {
        let operator = account::Entity::find()
            .filter(account::Column::Operator.eq(true))
            .filter(account::Column::ClosedAtMs.is_null())
            .one(&self.store.core_reader)
            .await?;
        Ok(operator.is_some())
    }

    /// Returns all accounts, oldest first.
    pub async fn all(self) -> Result<Vec<Account>, StoreError> {
        let rows = account::Entity::find()
            .order_by_asc(account::Column::CreatedAtMs)
            .order_by_asc(account::Column::Id)
            .all(&self.store.reader)
            .await?;
        rows.into_iter().map(Account::from_row).collect()
    }
}

/// Returns the referral code unless it belongs to the signed-in account.
async fn referrer_code(
    transaction: &DatabaseTransaction,
    landing: &ReferralVisit<'_>,
) -> Result<Option<String>, StoreError> {
    let Some(code) = ReferralCode::parse(landing.code) else {
        return Ok(None);
    };
    if let Some(account) = landing.signed_in_as {
        let own = account::Entity::find_by_id(account.0).one(transaction).await?;
        if own.is_some_and(|own| own.referral_code.as_deref() == Some(code.as_str())) {
            return Ok(None);
        }
    }
    Ok(Some(code.as_str().to_owned()))
}

/// Returns the id of an account to be created now.
pub(crate) fn new_account_id() -> AccountId {
    AccountId(Uuid::now_v7())
}

/// Inserts an account whose wallet holds `free` credit. The caller writes the entry of the credit.
pub(crate) async fn open_account(
    transaction: &DatabaseTransaction,
    id: AccountId,
    new: &NewAccount<'_>,
    landing: Option<&ReferralVisit<'_>>,
    free: Micros,
) -> Result<(), StoreError> {
    let referred_by_code = match landing {
        Some(landing) => referrer_code(transaction, landing).await?,
        None => None,
    };
    let account = account::ActiveModel {
        id: Set(id.0),
        email: Set(new.email.to_lowercase()),
        password_hash: Set(new.password_hash.clone()),
        operator: Set(new.operator),
        language: Set(new.language.map(|language| language.code().to_owned())),
        page_language: Set(new.page_language.map(|language| language.code().to_owned())),
        time_zone: Set(None),
        created_at_ms: Set(new.created_at_ms),
        closed_at_ms: Set(None),
        totp_sealed: Set(None),
        totp_last_step: Set(None),
        recovery_hash: Set(None),
        access_review_since_ms: Set(None),
        suspended_at_ms: Set(None),
        suspended_for: Set(None),
        person: Set(Some(person(new.email))),
        referral_code: NotSet,
        referred_by_code: Set(referred_by_code),
    };
    account::Entity::insert(account).exec(transaction).await.map_err(|error| {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Conflict::EmailTaken.into(),
            _ => StoreError::from(error),
        }
    })?;
    let wallet = wallet::ActiveModel {
        account_id: Set(id.0),
        free_micros: Set(free.get()),
        bonus_micros: Set(0),
        balance_micros: Set(0),
        version: Set(0),
    };
    wallet::Entity::insert(wallet).exec(transaction).await?;
    append_change(transaction, Change::Account(id), new.created_at_ms).await
}

/// Locks the row of an open account until `transaction` ends, so that counts made in it stay true.
///
/// An update that changes nothing locks the row on both databases.
pub(crate) async fn lock_open_account(
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

/// Locks the row of an account that is open and not suspended, as [`lock_open_account`] does.
///
/// # Errors
/// [`Conflict::AccountClosed`], [`Conflict::AccountSuspended`].
pub(crate) async fn lock_active_account(
    transaction: &DatabaseTransaction,
    id: AccountId,
) -> Result<(), StoreError> {
    lock_open_account(transaction, id).await?;
    refuse_if_suspended(transaction, id).await
}

/// Checks that an account is not suspended.
///
/// # Errors
/// [`Conflict::AccountSuspended`].
pub(crate) async fn refuse_if_suspended(
    transaction: &DatabaseTransaction,
    id: AccountId,
) -> Result<(), StoreError> {
    let suspended = account::Entity::find_by_id(id.0)
        .filter(account::Column::SuspendedAtMs.is_not_null())
        .one(transaction)
        .await?;
    match suspended {
        Some(_) => Err(Conflict::AccountSuspended.into()),
        None => Ok(()),
    }
}
