//! Sign-up: account, wallet and free credit in one transaction.
//!
//! A mailbox receives free credit once ([`super::quotas`]); a further account of it starts without credit.
//! If e-mail is configured, a sign-up first waits for its address to be confirmed.

use nexo_domain::account::quota::QuotaKind;
use nexo_domain::billing::ledger::{Bucket, EntryKind};
use nexo_domain::billing::referral::person;
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use nexo_domain::otp::Language;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter,
};
use uuid::Uuid;

use super::quotas::{EVERYONE, FreeCredit, QuotaTake};
use super::sessions::TokenHash;
use super::{NewAccount, ReferralVisit, new_account_id, open_account};
use crate::store::StoreError;
use crate::store::sql::record;
use crate::store::views::Accounts;
use crate::tables::accounts::pending_sign_up::{ActiveModel, Column, Entity, Model};
use crate::tables::ledger::entry;

/// The reference of the credit of a new account.
pub const SIGN_UP_REFERENCE: &str = "signup";

/// Parameters of a sign-up.
#[derive(Clone)]
pub struct SignUp<'a> {
    pub account: NewAccount<'a>,
    /// The referral link, if any.
    pub landing: Option<ReferralVisit<'a>>,
    pub offer: SignUpOffer,
}

/// What a new account receives, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignUpOffer {
    /// Free credit of the new wallet; zero grants none.
    pub free: Micros,
    /// Grants a day; `None`: unlimited.
    pub grants_per_day: Option<u32>,
    /// Sign-ups a day; `None`: unlimited.
    pub sign_ups_per_day: Option<u32>,
}

impl SignUpOffer {
    /// An offer without daily limits.
    pub const fn unlimited(free: Micros) -> SignUpOffer {
        SignUpOffer { free, grants_per_day: None, sign_ups_per_day: None }
    }
}

/// A new account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedUp {
    pub id: AccountId,
    pub credit: FreeCredit,
}

/// A sign-up that waits for its e-mail address to be confirmed.
#[derive(Clone)]
pub struct PendingSignUp<'a> {
    pub email: &'a str,
    /// Argon2id in PHC string format.
    pub password_hash: String,
    /// The language of the account's pages and e-mails.
    pub page_language: Language,
    pub landing: Option<ReferralVisit<'a>>,
    pub created_at_ms: i64,
    pub expires_at_ms: i64,
}

impl Accounts<'_> {
    /// Creates an account with its free credit and the grant's entry.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`](crate::store::Conflict::EmailTaken), and
    /// [`Conflict::QuotaExceeded`](crate::store::Conflict::QuotaExceeded) for too many sign-ups.
    pub async fn sign_up(self, new: SignUp<'_>) -> Result<SignedUp, StoreError> {
        let transaction = self.store.begin().await?;
        let signed_up = self.open(&transaction, &new).await?;
        self.store.commit(transaction).await?;
        Ok(signed_up)
    }

    /// Stores a sign-up until its link is followed.
    pub async fn begin_sign_up(
        self,
        token_hash: TokenHash,
        new: PendingSignUp<'_>,
    ) -> Result<(), StoreError> {
        let pending = ActiveModel {
            token_hash: Set(token_hash.to_vec()),
            email: Set(new.email.to_owned()),
            password_hash: Set(new.password_hash),
            page_language: Set(new.page_language.code().to_owned()),
            landing_code: Set(new.landing.map(|landing| landing.code.to_owned())),
            signed_in_as: Set(new.landing.and_then(|landing| landing.signed_in_as).map(|id| id.0)),
            created_at_ms: Set(new.created_at_ms),
            expires_at_ms: Set(new.expires_at_ms),
        };
        let kept =
            Entity::insert(pending).exec_without_returning(self.store.write_connection()?).await;
        self.store.check_write(kept)?;
        Ok(())
    }

    /// Returns the e-mail address of a link that is valid at `now_ms`.
    pub async fn pending_sign_up(
        self,
        token_hash: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<String>, StoreError> {
        let row = Entity::find_by_id(token_hash.to_vec())
            .filter(Column::ExpiresAtMs.gt(now_ms))
            .one(&self.store.core_reader)
            .await?;
        Ok(row.map(|row| row.email))
    }

    /// Consumes a link and creates its account. Returns `None` if the link was used or has expired.
    ///
    /// # Errors
    /// Those of [`Accounts::sign_up`]; the link can be used again then.
    pub async fn finish_sign_up(
        self,
        token_hash: &TokenHash,
        offer: SignUpOffer,
        now_ms: i64,
    ) -> Result<Option<SignedUp>, StoreError> {
        let transaction = self.store.begin().await?;
        let Some(pending) = take_pending(&transaction, token_hash, now_ms).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let landing = pending
            .landing_code
            .as_deref()
            .map(|code| ReferralVisit { code, signed_in_as: pending.signed_in_as.map(AccountId) });
        let account = NewAccount {
            email: &pending.email,
            password_hash: Some(pending.password_hash.clone()),
            operator: false,
            language: None,
            page_language: record::language(Some(&pending.page_language))?,
            created_at_ms: now_ms,
        };
        let new = SignUp { account, landing, offer };
        let signed_up = self.open(&transaction, &new).await?;
        self.store.commit(transaction).await?;
        Ok(Some(signed_up))
    }

    async fn open(
        self,
        transaction: &DatabaseTransaction,
        new: &SignUp<'_>,
    ) -> Result<SignedUp, StoreError> {
        let id = new_account_id();
        let (offer, at_ms) = (new.offer, new.account.created_at_ms);
        let credit = match offer.free > Micros::ZERO {
            true => {
                let person = person(new.account.email);
                self.grant_free_credit(transaction, &person, id, offer.grants_per_day, at_ms)
                    .await?
            }
            false => FreeCredit::NotOffered,
        };
        let sign_up = QuotaTake {
            kind: QuotaKind::SignUps,
            subject: EVERYONE,
            count: 1,
            limit: offer.sign_ups_per_day,
            at_ms,
        };
        self.take(transaction, sign_up).await?;
        let free = match credit {
            FreeCredit::Granted => offer.free,
            _ => Micros::ZERO,
        };
        open_account(transaction, id, &new.account, new.landing.as_ref(), free).await?;
        if free > Micros::ZERO {
            write_grant(transaction, id, free, at_ms).await?;
        }
        Ok(SignedUp { id, credit })
    }
}

/// Deletes the sign-up of this link, so that it is used once; `None` if it is not valid.
async fn take_pending(
    transaction: &DatabaseTransaction,
    token_hash: &TokenHash,
    now_ms: i64,
) -> Result<Option<Model>, StoreError> {
    let pending = Entity::find_by_id(token_hash.to_vec())
        .filter(Column::ExpiresAtMs.gt(now_ms))
        .one(transaction)
        .await?;
    let taken = Entity::delete_by_id(token_hash.to_vec()).exec(transaction).await?;
    Ok(pending.filter(|_| taken.rows_affected == 1))
}

async fn write_grant(
    transaction: &DatabaseTransaction,
    account: AccountId,
    amount: Micros,
    at_ms: i64,
) -> Result<(), StoreError> {
    let entry = entry::ActiveModel {
        id: NotSet,
        account_id: Set(account.0),
        posting_id: Set(Uuid::now_v7()),
        delivery_id: Set(None),
        kind: Set(EntryKind::Grant.as_str().to_owned()),
        bucket: Set(Bucket::Free.as_str().to_owned()),
        amount_micros: Set(amount.get()),
        reference: Set(Some(SIGN_UP_REFERENCE.to_owned())),
        note: Set(None),
        created_at_ms: Set(at_ms),
    };
    entry::Entity::insert(entry).exec(transaction).await?;
    Ok(())
}
