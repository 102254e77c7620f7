//! Sign-in settings of an account: password, second factor and languages.

use nexo_domain::ids::{AccountId, SessionId};
use nexo_domain::otp::Language;
use nexo_domain::time_zone::Zone;
use sea_orm::sea_query::{Expr, ExprTrait, Value};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
};

use super::sessions::TokenHash;
use crate::store::StoreError;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::views::Accounts;
use crate::tables::accounts::account::{Column, Entity};
use crate::tables::accounts::{api_key, email_change, integration, password_reset, session};
use crate::tables::webhooks::endpoint;

/// Parameters of a password change.
#[derive(Clone)]
pub struct NewPassword {
    pub account_id: AccountId,
    /// Argon2id in PHC string format.
    pub hash: String,
    /// The TOTP secret sealed under the new password; `None` removes the second factor.
    pub totp_sealed: Option<Vec<u8>>,
    /// The session that stays signed in.
    pub kept_session: Option<SessionId>,
    pub at_ms: i64,
}

/// A new second factor.
#[derive(Clone)]
pub struct NewTotp {
    /// Its secret, sealed under the password.
    pub sealed: Vec<u8>,
    /// SHA-256 of the recovery code.
    pub recovery_hash: [u8; 32],
}

impl Accounts<'_> {
    /// Sets a new password, ends the account's other sessions, and revokes its reset links and its
    /// pending change of address. Returns false if the account is closed or unknown.
    pub async fn set_password(self, new: NewPassword) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let is_set = write_password(&transaction, &new).await?;
        match is_set {
            true => self.store.commit(transaction).await?,
            false => transaction.rollback().await?,
        }
        Ok(is_set)
    }

    /// Stores the token of a reset link that is sent to `email`. Returns false if that is no longer
    /// the address of the open account.
    ///
    /// Earlier links stay valid until one is used. Otherwise anyone who requests links for the address
    /// could invalidate the one that its owner is about to follow.
    pub async fn begin_reset(
        self,
        account: AccountId,
        email: &str,
        token_hash: TokenHash,
        at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        // Locks the row: a change of the address waits, and then deletes this link.
        let held = Entity::update_many()
            .col_expr(Column::Email, Expr::col(Column::Email))
            .filter(Column::Id.eq(account.0))
            .filter(Column::Email.eq(email))
            .filter(Column::ClosedAtMs.is_null())
            .exec(&transaction)
            .await?;
        if held.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let reset = password_reset::ActiveModel {
            token_hash: Set(token_hash.to_vec()),
            account_id: Set(account.0),
            created_at_ms: Set(at_ms),
            expires_at_ms: Set(expires_at_ms),
        };
        password_reset::Entity::insert(reset).exec_without_returning(&transaction).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Returns the account of a reset link that is valid at `now_ms`.
    pub async fn reset_account(
        self,
        token_hash: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<AccountId>, StoreError> {
        let row = password_reset::Entity::find_by_id(token_hash.to_vec())
            .filter(password_reset::Column::ExpiresAtMs.gt(now_ms))
            .one(&self.store.core_reader)
            .await?;
        Ok(row.map(|row| AccountId(row.account_id)))
    }

    /// Consumes a reset link, sets the new password and, if the account has API keys or webhook endpoints,
    /// requests a review of them.
    /// Returns false if the link was used or has expired.
    pub async fn finish_reset(
        self,
        token_hash: &TokenHash,
        new: NewPassword,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let used = password_reset::Entity::delete_many()
            .filter(password_reset::Column::TokenHash.eq(token_hash.to_vec()))
            .filter(password_reset::Column::AccountId.eq(new.account_id.0))
            .filter(password_reset::Column::ExpiresAtMs.gt(new.at_ms))
            .exec(&transaction)
            .await?;
        if used.rows_affected == 0 || !write_password(&transaction, &new).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        if has_access_to_review(&transaction, new.account_id).await? {
            Entity::update_many()
                .col_expr(Column::AccessReviewSinceMs, Expr::value(new.at_ms))
                .filter(Column::Id.eq(new.account_id.0))
                .exec(&transaction)
                .await?;
        }
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Sets or removes the second factor, and ends the account's sessions except `kept_session`.
    pub async fn set_totp(
        self,
        account: AccountId,
        factor: Option<NewTotp>,
        kept_session: Option<SessionId>,
    ) -> Result<(), StoreError> {
        let (sealed, recovery) = match factor {
            Some(factor) => (Some(factor.sealed), Some(factor.recovery_hash.to_vec())),
            None => (None, None),
        };
        let transaction = self.store.begin().await?;
        Entity::update_many()
            .col_expr(Column::TotpSealed, Expr::value(Value::Bytes(sealed)))
            .col_expr(Column::RecoveryHash, Expr::value(Value::Bytes(recovery)))
            .col_expr(Column::TotpLastStep, Expr::value(Value::BigInt(None)))
            .filter(Column::Id.eq(account.0))
            .exec(&transaction)
            .await?;
        end_other_sessions(&transaction, account, kept_session).await?;
        self.store.commit(transaction).await
    }

    /// Consumes the code of this time step. Returns false if it or a later one was used before.
    pub async fn use_totp_step(self, account: AccountId, step: i64) -> Result<bool, StoreError> {
        let taken = Entity::update_many()
            .col_expr(Column::TotpLastStep, Expr::value(step))
            .filter(Column::Id.eq(account.0))
            .filter(Column::TotpLastStep.is_null().or(Column::TotpLastStep.lt(step)))
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(taken)?.rows_affected > 0)
    }

    /// Consumes the recovery code, removes the second factor, and ends the account's sessions except `kept_session`.
    /// Returns false if the code does not match.
    pub async fn use_recovery_code(
        self,
        account: AccountId,
        code_hash: [u8; 32],
        kept_session: Option<SessionId>,
    ) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let taken = Entity::update_many()
            .col_expr(Column::TotpSealed, Expr::value(Value::Bytes(None)))
            .col_expr(Column::RecoveryHash, Expr::value(Value::Bytes(None)))
            .filter(Column::Id.eq(account.0))
            .filter(Column::RecoveryHash.eq(code_hash.to_vec()))
            .exec(&transaction)
            .await?;
        if taken.rows_affected == 0 {
            return Ok(false);
        }
        end_other_sessions(&transaction, account, kept_session).await?;
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Records that the owner has reviewed the keys and endpoints after a password reset.
    pub async fn finish_access_review(self, account: AccountId) -> Result<(), StoreError> {
        let written = Entity::update_many()
            .col_expr(Column::AccessReviewSinceMs, Expr::value(Value::BigInt(None)))
            .filter(Column::Id.eq(account.0))
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(written)?;
        Ok(())
    }

    /// Sets the language of the account's calls; `None` selects the configured language.
    pub async fn set_call_language(
        self,
        account: AccountId,
        language: Option<Language>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let code = language.map(|language| language.code().to_owned());
        let transaction = self.store.begin().await?;
        Entity::update_many()
            .col_expr(Column::Language, Expr::value(Value::String(code)))
            .filter(Column::Id.eq(account.0))
            .exec(&transaction)
            .await?;
        append_change(&transaction, Change::Account(account), at_ms).await?;
        self.store.commit(transaction).await
    }

    /// Sets the language of the account's pages and e-mails.
    pub async fn set_page_language(
        self,
        account: AccountId,
        language: Language,
    ) -> Result<(), StoreError> {
        let written = Entity::update_many()
            .col_expr(Column::PageLanguage, Expr::value(language.code()))
            .filter(Column::Id.eq(account.0))
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(written)?;
        Ok(())
    }

    /// Sets the time zone of the account's pages; `None` selects that of its language or browser.
    pub async fn set_time_zone(
        self,
        account: AccountId,
        zone: Option<Zone>,
    ) -> Result<(), StoreError> {
        let name = zone.map(|zone| zone.name().to_owned());
        let written = Entity::update_many()
            .col_expr(Column::TimeZone, Expr::value(Value::String(name)))
            .filter(Column::Id.eq(account.0))
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(written)?;
        Ok(())
    }
}

/// Whether the account has active API keys, integrations or webhook endpoints.
async fn has_access_to_review(
    transaction: &DatabaseTransaction,
    account: AccountId,
) -> Result<bool, StoreError> {
    let keys = api_key::Entity::find()
        .filter(api_key::Column::AccountId.eq(account.0))
        .filter(api_key::Column::RevokedAtMs.is_null())
        .count(transaction)
        .await?;
    let integrations = integration::Entity::find()
        .filter(integration::Column::AccountId.eq(account.0))
        .filter(integration::Column::RemovedAtMs.is_null())
        .count(transaction)
        .await?;
    let endpoints = endpoint::Entity::find()
        .filter(endpoint::Column::AccountId.eq(account.0))
        .filter(endpoint::Column::RemovedAtMs.is_null())
        .count(transaction)
        .await?;
    Ok(keys + integrations + endpoints > 0)
}

/// Deletes the account's reset links and its pending change of address, so that no e-mailed link works
/// any more.
pub(super) async fn forget_links(
    transaction: &DatabaseTransaction,
    account: AccountId,
) -> Result<(), StoreError> {
    password_reset::Entity::delete_many()
        .filter(password_reset::Column::AccountId.eq(account.0))
        .exec(transaction)
        .await?;
    email_change::Entity::delete_many()
        .filter(email_change::Column::AccountId.eq(account.0))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Ends the account's sessions except `kept`.
pub(super) async fn end_other_sessions(
    transaction: &DatabaseTransaction,
    account: AccountId,
    kept: Option<SessionId>,
) -> Result<(), StoreError> {
    let mut others =
        session::Entity::delete_many().filter(session::Column::AccountId.eq(account.0));
    if let Some(kept) = kept {
        others = others.filter(session::Column::Id.ne(kept.0));
    }
    others.exec(transaction).await?;
    Ok(())
}

async fn write_password(
    transaction: &DatabaseTransaction,
    new: &NewPassword,
) -> Result<bool, StoreError> {
    let mut update = Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(new.hash.as_str()))
        .col_expr(Column::TotpSealed, Expr::value(Value::Bytes(new.totp_sealed.clone())))
        .filter(Column::Id.eq(new.account_id.0))
        .filter(Column::ClosedAtMs.is_null());
    if new.totp_sealed.is_none() {
        update = update.col_expr(Column::RecoveryHash, Expr::value(Value::Bytes(None)));
    }
    if update.exec(transaction).await?.rows_affected == 0 {
        return Ok(false);
    }
    forget_links(transaction, new.account_id).await?;
    end_other_sessions(transaction, new.account_id, new.kept_session).await?;
    Ok(true)
}
