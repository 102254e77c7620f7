//! Signing up: the account, its wallet and its free credit are one transaction.

use nexo_domain::ids::AccountId;
use nexo_domain::ledger::{Bucket, EntryKind};
use nexo_domain::money::Micros;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    EntityTrait,
};
use uuid::Uuid;

use super::accounts::{Landing, NewAccount, open_account};
use super::{Store, StoreError};
use crate::ledger_entries;

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

impl Store {
    /// Opens an account whose wallet holds the free credit, with the grant's entry.
    ///
    /// # Errors
    /// [`super::Conflict::EmailTaken`]; what the database fails with.
    pub async fn sign_up(&self, new: SignUp<'_>) -> Result<AccountId, StoreError> {
        let transaction = self.begin().await?;
        let id = open_account(&transaction, &new.account, new.landing.as_ref(), new.free).await?;
        if new.free > Micros::ZERO {
            let entry = ledger_entries::ActiveModel {
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
            ledger_entries::Entity::insert(entry)
                .exec(&transaction)
                .await?;
        }
        self.end(transaction).await?;
        Ok(id)
    }
}
