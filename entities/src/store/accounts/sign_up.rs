//! Signing up: the account, its wallet and its free credit are one transaction.
//!
//! Where letters can be sent, a sign-up first waits for its e-mail address to be confirmed.

use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter,
};
use uuid::Uuid;

use super::accounts::{Landing, NewAccount, open_account};
use super::sessions::TokenHash;
use crate::store::sql::record;
use crate::store::{Store, StoreError};
use crate::tables::accounts::pending_sign_up::{ActiveModel, Column, Entity, Model};
use crate::tables::ledger::entry;

/// The reference of the credit that a new account is given.
pub const SIGN_UP_REFERENCE: &str = "signup";

/// Somebody who signs up.
#[derive(Clone)]
pub struct SignUp<'a> {
    pub account: NewAccount<'a>,
    /// Through whose link they come, where they do.
    pub landing: Option<Landing<'a>>,
    /// What the new wallet holds as free credit; zero writes no entry.
    pub free: Micros,
}

/// Somebody who signs up, and is still to follow the link in a letter.
#[derive(Clone)]
pub struct PendingSignUp<'a> {
    pub email: &'a str,
    /// Argon2id, in PHC's text form.
    pub password_hash: String,
    /// Of the account's pages and mails.
    pub page_language: Language,
    pub landing: Option<Landing<'a>>,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

impl Store {
    /// Opens an account whose wallet holds the free credit, with the grant's entry.
    ///
    /// # Errors
    /// [`crate::store::Conflict::EmailTaken`]; what the database fails with.
    pub async fn sign_up(&self, new: SignUp<'_>) -> Result<AccountId, StoreError> {
        let transaction = self.begin().await?;
        let id = open(&transaction, &new).await?;
        self.end(transaction).await?;
        Ok(id)
    }

    /// Keeps a sign-up until its link is followed.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn begin_sign_up(
        &self,
        token_hash: TokenHash,
        new: PendingSignUp<'_>,
    ) -> Result<(), StoreError> {
        let pending = ActiveModel {
            token_hash: Set(token_hash.to_vec()),
            email: Set(new.email.to_owned()),
            password_hash: Set(new.password_hash),
            page_language: Set(new.page_language.code().to_owned()),
            landing_code: Set(new.landing.map(|landing| landing.code.to_owned())),
            signed_in_as: Set(new
                .landing
                .and_then(|landing| landing.signed_in_as)
                .map(|id| id.0)),
            created_at_ms: Set(new.created_at_ms),
            expires_at_ms: Set(new.expires_at_ms),
        };
        let kept = Entity::insert(pending)
            .exec_without_returning(self.writing()?)
            .await;
        self.noted(kept)?;
        Ok(())
    }

    /// The e-mail address that a link confirms, if the link still counts at `now_ms`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn pending_sign_up(
        &self,
        token_hash: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError> {
        let row = Entity::find_by_id(token_hash.to_vec())
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .one(&self.reader)
            .await?;
        Ok(row.map(|row| row.email))
    }

    /// Uses a link up and opens its account, whose wallet holds `free` as free credit. `None` when the link was
    /// used or has run out.
    ///
    /// # Errors
    /// [`crate::store::Conflict::EmailTaken`]; what the database fails with.
    pub async fn finish_sign_up(
        &self,
        token_hash: &TokenHash,
        free: Micros,
        now_ms: i64,
    ) -> Result<Option<AccountId>, StoreError> {
        let transaction = self.begin().await?;
        let Some(pending) = take_pending(&transaction, token_hash, now_ms).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let landing = pending.landing_code.as_deref().map(|code| Landing {
            code,
            signed_in_as: pending.signed_in_as.map(AccountId),
        });
        let account = NewAccount {
            email: &pending.email,
            password_hash: Some(pending.password_hash.clone()),
            operator: false,
            language: None,
            page_language: record::language(Some(&pending.page_language))?,
            created_at_ms: now_ms,
        };
        let new = SignUp {
            account,
            landing,
            free,
        };
        let id = open(&transaction, &new).await?;
        self.end(transaction).await?;
        Ok(Some(id))
    }
}

/// Takes the sign-up of this link away, so that nobody else uses it; `None` where there is none that counts.
async fn take_pending(
    transaction: &DatabaseTransaction,
    token_hash: &TokenHash,
    now_ms: i64,
) -> Result<Option<Model>, StoreError> {
    let pending = Entity::find_by_id(token_hash.to_vec())
        .filter(Column::ExpiresAtMs.gt(now_ms))
        .one(transaction)
        .await?;
    let taken = Entity::delete_by_id(token_hash.to_vec())
        .exec(transaction)
        .await?;
    Ok(pending.filter(|_| taken.rows_affected == 1))
}

async fn open(
    transaction: &DatabaseTransaction,
    new: &SignUp<'_>,
) -> Result<AccountId, StoreError> {
    let id = open_account(transaction, &new.account, new.landing.as_ref(), new.free).await?;
    if new.free > Micros::ZERO {
        let entry = entry::ActiveModel {
            id: NotSet,
            account_id: Set(id.0),
            posting_id: Set(Uuid::now_v7()),
            delivery_id: Set(None),
            kind: Set(EntryKind::Grant.as_str().to_owned()),
            bucket: Set(Bucket::Free.as_str().to_owned()),
            amount_micros: Set(new.free.get()),
            reference: Set(Some(SIGN_UP_REFERENCE.to_owned())),
            note: Set(None),
            created_at_ms: Set(new.account.created_at_ms),
        };
        entry::Entity::insert(entry).exec(transaction).await?;
    }
    Ok(id)
}
