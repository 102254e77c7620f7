//! Wallets outside the hot path: reading, and crediting once per reference.

use nexo_domain::ids::AccountId;
use nexo_domain::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::money::Micros;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
};
use uuid::Uuid;

use super::accounts::hold_open_account;
use super::changes::{Change, append};
use super::{Conflict, Store, StoreError};
use crate::{ledger_entries, wallets};

/// Money or credit that comes in.
#[derive(Debug, Clone, Copy)]
pub struct Credit<'a> {
    pub account_id: AccountId,
    pub bucket: Bucket,
    /// More than zero.
    pub amount: Micros,
    /// Credits this account once only, whatever the bucket or amount.
    pub reference: &'a str,
    pub at_ms: i64,
}

/// What a [`Credit`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credited {
    /// What the wallet holds now.
    pub buckets: Buckets,
    /// False when the reference had credited before: nothing was added.
    pub new: bool,
}

impl Store {
    /// What the account holds; `None` for an unknown account.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn wallet(&self, account: AccountId) -> Result<Option<Buckets>, StoreError> {
        let row = wallets::Entity::find_by_id(account.0)
            .one(&self.reader)
            .await?;
        Ok(row.as_ref().map(buckets))
    }

    /// Adds to one bucket, with its ledger entry, once per reference.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::CreditNotPositive`], [`Conflict::WalletFull`]; what the
    /// database fails with.
    pub async fn credit_wallet(&self, credit: Credit<'_>) -> Result<Credited, StoreError> {
        if credit.amount <= Micros::ZERO {
            return Err(Conflict::CreditNotPositive.into());
        }
        let account = credit.account_id;
        let transaction = self.begin().await?;
        hold_open_account(&transaction, account).await?;
        let kinds = Bucket::ALL.map(|bucket| EntryKind::of_credit(bucket).as_str());
        let earlier = ledger_entries::Entity::find()
            .filter(ledger_entries::Column::AccountId.eq(account.0))
            .filter(ledger_entries::Column::Kind.is_in(kinds))
            .filter(ledger_entries::Column::Reference.eq(credit.reference))
            .count(&transaction)
            .await?;
        let new = earlier == 0;
        if new {
            post(&transaction, &credit).await?;
            append(&transaction, Change::Wallet(account), credit.at_ms).await?;
        }
        let row = wallets::Entity::find_by_id(account.0)
            .one(&transaction)
            .await?
            .ok_or(Conflict::AccountClosed)?;
        self.end(transaction).await?;
        Ok(Credited {
            buckets: buckets(&row),
            new,
        })
    }
}

/// Adds the amount in the database, since a wallet's actor may write the row until this statement.
async fn post(transaction: &DatabaseTransaction, credit: &Credit<'_>) -> Result<(), StoreError> {
    let column = match credit.bucket {
        Bucket::Free => wallets::Column::FreeMicros,
        Bucket::Bonus => wallets::Column::BonusMicros,
        Bucket::Balance => wallets::Column::BalanceMicros,
    };
    let version = wallets::Column::Version;
    let added = wallets::Entity::update_many()
        .col_expr(column, Expr::col(column).add(credit.amount.get()))
        .col_expr(version, Expr::col(version).add(1))
        .filter(wallets::Column::AccountId.eq(credit.account_id.0))
        .filter(Expr::col(column).lte(LARGEST.get() - credit.amount.get()))
        .exec(transaction)
        .await?;
    if added.rows_affected == 0 {
        return Err(Conflict::WalletFull.into());
    }
    let entry = ledger_entries::ActiveModel {
        id: NotSet,
        account_id: Set(credit.account_id.0),
        posting_id: Set(Uuid::now_v7()),
        delivery_id: Set(None),
        kind: Set(EntryKind::of_credit(credit.bucket).as_str().to_owned()),
        bucket: Set(credit.bucket.as_str().to_owned()),
        amount_micros: Set(credit.amount.get()),
        reference: Set(Some(credit.reference.to_owned())),
        created_at_ms: Set(credit.at_ms),
    };
    ledger_entries::Entity::insert(entry)
        .exec(transaction)
        .await?;
    Ok(())
}

/// The most that a bucket may hold, so that the sum of three never leaves 64 bits.
const LARGEST: Micros = Micros::new(i64::MAX / 4);

fn buckets(row: &wallets::Model) -> Buckets {
    Buckets {
        free: Micros::new(row.free_micros),
        bonus: Micros::new(row.bonus_micros),
        balance: Micros::new(row.balance_micros),
    }
}
