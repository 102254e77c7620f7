//! What an account's owner changes about signing in: the password, the second factor, the languages.

use nexo_domain::ids::{AccountId, SessionId};
use nexo_domain::otp::Language;
use sea_orm::sea_query::{Expr, ExprTrait, Value};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, SqlErr,
};

use super::sessions::TokenHash;
use crate::store::cluster::changes::{Change, append};
use crate::store::{Conflict, Store, StoreError};
use crate::tables::accounts::account::{Column, Entity};
use crate::tables::accounts::{password_reset, session};

/// A new password.
#[derive(Clone)]
pub struct NewPassword {
    pub account_id: AccountId,
    /// Argon2id, in PHC's text form.
    pub hash: String,
    /// The second factor's secret, sealed under the new password; `None` takes the factor away.
    pub totp_sealed: Option<Vec<u8>>,
    /// The one session that goes on.
    pub spared: Option<SessionId>,
    pub at_ms: i64,
}

/// A second factor that is put in place.
#[derive(Clone)]
pub struct NewFactor {
    /// Its secret, sealed under the password.
    pub sealed: Vec<u8>,
    /// SHA-256 of the code that stands for it when it is lost.
    pub recovery_hash: [u8; 32],
}

impl Store {
    /// Sets a new password, ends the account's other sessions and voids its reset links. False when the
    /// account is closed or unknown.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn set_password(&self, new: NewPassword) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
        let is_set = write_password(&transaction, &new).await?;
        match is_set {
            true => self.end(transaction).await?,
            false => transaction.rollback().await?,
        }
        Ok(is_set)
    }

    /// Keeps the token of a reset link in the place of all earlier ones of the account.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn begin_reset(
        &self,
        account: AccountId,
        token_hash: TokenHash,
        at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.begin().await?;
        forget_resets(&transaction, account).await?;
        let reset = password_reset::ActiveModel {
            token_hash: Set(token_hash.to_vec()),
            account_id: Set(account.0),
            created_at_ms: Set(at_ms),
            expires_at_ms: Set(expires_at_ms),
        };
        password_reset::Entity::insert(reset)
            .exec_without_returning(&transaction)
            .await?;
        self.end(transaction).await
    }

    /// The account that a reset link is for, if the link still counts at `now_ms`.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn reset_account(
        &self,
        token_hash: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<AccountId>, StoreError> {
        let row = password_reset::Entity::find_by_id(token_hash.to_vec())
            .filter(password_reset::Column::ExpiresAtMs.gt(now_ms))
            .one(&self.reader)
            .await?;
        Ok(row.map(|row| AccountId(row.account_id)))
    }

    /// Uses a reset link up and sets the new password. False when the link was used or has run out.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn finish_reset(
        &self,
        token_hash: &TokenHash,
        new: NewPassword,
    ) -> Result<bool, StoreError> {
        let transaction = self.begin().await?;
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
        self.end(transaction).await?;
        Ok(true)
    }

    /// Puts a second factor in place, or takes it away.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn set_factor(
        &self,
        account: AccountId,
        factor: Option<NewFactor>,
    ) -> Result<(), StoreError> {
        let (sealed, recovery) = match factor {
            Some(factor) => (Some(factor.sealed), Some(factor.recovery_hash.to_vec())),
            None => (None, None),
        };
        let written = Entity::update_many()
            .col_expr(Column::TotpSealed, Expr::value(Value::Bytes(sealed)))
            .col_expr(Column::RecoveryHash, Expr::value(Value::Bytes(recovery)))
            .col_expr(Column::TotpLastStep, Expr::value(Value::BigInt(None)))
            .filter(Column::Id.eq(account.0))
            .exec(self.writing()?)
            .await;
        self.noted(written)?;
        Ok(())
    }

    /// Takes the code of this time step, once: false when it, or a later one, was taken before.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn take_factor_step(
        &self,
        account: AccountId,
        step: i64,
    ) -> Result<bool, StoreError> {
        let taken = Entity::update_many()
            .col_expr(Column::TotpLastStep, Expr::value(step))
            .filter(Column::Id.eq(account.0))
            .filter(
                Column::TotpLastStep
                    .is_null()
                    .or(Column::TotpLastStep.lt(step)),
            )
            .exec(self.writing()?)
            .await;
        Ok(self.noted(taken)?.rows_affected > 0)
    }

    /// Takes the recovery code, once, and the second factor away with it. False when it is not the code.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn take_recovery_code(
        &self,
        account: AccountId,
        code_hash: [u8; 32],
    ) -> Result<bool, StoreError> {
        let taken = Entity::update_many()
            .col_expr(Column::TotpSealed, Expr::value(Value::Bytes(None)))
            .col_expr(Column::RecoveryHash, Expr::value(Value::Bytes(None)))
            .filter(Column::Id.eq(account.0))
            .filter(Column::RecoveryHash.eq(code_hash.to_vec()))
            .exec(self.writing()?)
            .await;
        Ok(self.noted(taken)?.rows_affected > 0)
    }

    /// Gives the account another address.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`]; what the database fails with.
    pub async fn set_email(&self, account: AccountId, email: &str) -> Result<(), StoreError> {
        let written = Entity::update_many()
            .col_expr(Column::Email, Expr::value(email.to_lowercase()))
            .filter(Column::Id.eq(account.0))
            .exec(self.writing()?)
            .await;
        match written.as_ref().map_err(DbErr::sql_err) {
            Err(Some(SqlErr::UniqueConstraintViolation(_))) => Err(Conflict::EmailTaken.into()),
            Ok(_) | Err(_) => {
                self.noted(written)?;
                Ok(())
            }
        }
    }

    /// Sets the language of the account's calls; `None` leaves it to the configuration.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn set_call_language(
        &self,
        account: AccountId,
        language: Option<Language>,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let code = language.map(|language| language.code().to_owned());
        let transaction = self.begin().await?;
        Entity::update_many()
            .col_expr(Column::Language, Expr::value(Value::String(code)))
            .filter(Column::Id.eq(account.0))
            .exec(&transaction)
            .await?;
        append(&transaction, Change::Account(account), at_ms).await?;
        self.end(transaction).await
    }

    /// Sets the language of the account's pages and mails.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn set_page_language(
        &self,
        account: AccountId,
        language: Language,
    ) -> Result<(), StoreError> {
        let written = Entity::update_many()
            .col_expr(Column::PageLanguage, Expr::value(language.code()))
            .filter(Column::Id.eq(account.0))
            .exec(self.writing()?)
            .await;
        self.noted(written)?;
        Ok(())
    }
}

async fn forget_resets(
    transaction: &DatabaseTransaction,
    account: AccountId,
) -> Result<(), StoreError> {
    password_reset::Entity::delete_many()
        .filter(password_reset::Column::AccountId.eq(account.0))
        .exec(transaction)
        .await?;
    Ok(())
}

async fn write_password(
    transaction: &DatabaseTransaction,
    new: &NewPassword,
) -> Result<bool, StoreError> {
    let mut update = Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(new.hash.as_str()))
        .col_expr(
            Column::TotpSealed,
            Expr::value(Value::Bytes(new.totp_sealed.clone())),
        )
        .filter(Column::Id.eq(new.account_id.0))
        .filter(Column::ClosedAtMs.is_null());
    if new.totp_sealed.is_none() {
        update = update.col_expr(Column::RecoveryHash, Expr::value(Value::Bytes(None)));
    }
    if update.exec(transaction).await?.rows_affected == 0 {
        return Ok(false);
    }
    forget_resets(transaction, new.account_id).await?;
    let mut others =
        session::Entity::delete_many().filter(session::Column::AccountId.eq(new.account_id.0));
    if let Some(spared) = new.spared {
        others = others.filter(session::Column::Id.ne(spared.0));
    }
    others.exec(transaction).await?;
    Ok(true)
}
