//! Sign-in settings of an account: password, second factor, e-mail address and languages.

use nexo_domain::ids::{AccountId, SessionId};
use nexo_domain::otp::Language;
use sea_orm::sea_query::{Expr, ExprTrait, Value};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, SqlErr,
};

use super::sessions::TokenHash;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::views::Accounts;
use crate::store::{Conflict, StoreError};
use crate::tables::accounts::account::{Column, Entity};
use crate::tables::accounts::{password_reset, session};

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
    /// Sets a new password, ends the account's other sessions and revokes its reset links. Returns
    /// false if the account is closed or unknown.
    pub async fn set_password(self, new: NewPassword) -> Result<bool, StoreError> {
        let transaction = self.store.begin().await?;
        let is_set = write_password(&transaction, &new).await?;
        match is_set {
            true => self.store.commit(transaction).await?,
            false => transaction.rollback().await?,
        }
        Ok(is_set)
    }

    /// Stores the token of a reset link, replacing earlier ones of the account.
    pub async fn begin_reset(
        self,
        account: AccountId,
        token_hash: TokenHash,
        at_ms: i64,
        expires_at_ms: i64,
    ) -> Result<(), StoreError> {
        let transaction = self.store.begin().await?;
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
        self.store.commit(transaction).await
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

    /// Consumes a reset link and sets the new password. Returns false if the link was used or has
    /// expired.
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
        self.store.commit(transaction).await?;
        Ok(true)
    }

    /// Sets or removes the second factor.
    pub async fn set_totp(
        self,
        account: AccountId,
        factor: Option<NewTotp>,
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
            .exec(self.store.write_connection()?)
            .await;
        self.store.check_write(written)?;
        Ok(())
    }

    /// Consumes the code of this time step. Returns false if it or a later one was used before.
    pub async fn use_totp_step(self, account: AccountId, step: i64) -> Result<bool, StoreError> {
        let taken = Entity::update_many()
            .col_expr(Column::TotpLastStep, Expr::value(step))
            .filter(Column::Id.eq(account.0))
            .filter(
                Column::TotpLastStep
                    .is_null()
                    .or(Column::TotpLastStep.lt(step)),
            )
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(taken)?.rows_affected > 0)
    }

    /// Consumes the recovery code and removes the second factor. Returns false if the code does not
    /// match.
    pub async fn use_recovery_code(
        self,
        account: AccountId,
        code_hash: [u8; 32],
    ) -> Result<bool, StoreError> {
        let taken = Entity::update_many()
            .col_expr(Column::TotpSealed, Expr::value(Value::Bytes(None)))
            .col_expr(Column::RecoveryHash, Expr::value(Value::Bytes(None)))
            .filter(Column::Id.eq(account.0))
            .filter(Column::RecoveryHash.eq(code_hash.to_vec()))
            .exec(self.store.write_connection()?)
            .await;
        Ok(self.store.check_write(taken)?.rows_affected > 0)
    }

    /// Changes the account's e-mail address.
    ///
    /// # Errors
    /// [`Conflict::EmailTaken`].
    pub async fn set_email(self, account: AccountId, email: &str) -> Result<(), StoreError> {
        let written = Entity::update_many()
            .col_expr(Column::Email, Expr::value(email.to_lowercase()))
            .filter(Column::Id.eq(account.0))
            .exec(self.store.write_connection()?)
            .await;
        match written.as_ref().map_err(DbErr::sql_err) {
            Err(Some(SqlErr::UniqueConstraintViolation(_))) => Err(Conflict::EmailTaken.into()),
            Ok(_) | Err(_) => {
                self.store.check_write(written)?;
                Ok(())
            }
        }
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
    if let Some(kept_session) = new.kept_session {
        others = others.filter(session::Column::Id.ne(kept_session.0));
    }
    others.exec(transaction).await?;
    Ok(true)
}
