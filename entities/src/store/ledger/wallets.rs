//! Wallets outside the hot path: reading, and crediting or correcting once per reference.

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
};
use uuid::Uuid;

use crate::store::accounts::accounts::hold_open_account;
use crate::store::cluster::changes::{Change, append};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::{Conflict, Store, StoreError};
use crate::tables::ledger::{entry, wallet};

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

/// What an operator puts right by hand. Nothing is undone: a posting stands against another.
#[derive(Debug, Clone, Copy)]
pub struct Correction<'a> {
    pub account_id: AccountId,
    pub bucket: Bucket,
    /// Less than zero takes from the bucket, at most what is there.
    pub amount: Micros,
    /// Corrects this account once only, whatever the bucket or amount.
    pub reference: &'a str,
    /// Why, in an operator's words.
    pub note: Option<&'a str>,
    pub at_ms: i64,
}

/// What a [`Credit`] or [`Correction`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credited {
    /// What the wallet holds now.
    pub buckets: Buckets,
    /// False when the reference was used before: nothing was posted.
    pub new: bool,
}

/// One entry that is posted by hand.
pub(in crate::store) struct ByHand<'a> {
    pub account_id: AccountId,
    pub kind: EntryKind,
    pub bucket: Bucket,
    pub amount: Micros,
    pub reference: &'a str,
    pub note: Option<&'a str>,
    pub at_ms: i64,
}

impl Store {
    /// What the account holds; `None` for an unknown account.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn wallet(&self, account: AccountId) -> Result<Option<Buckets>, StoreError> {
        let row = wallet::Entity::find_by_id(account.0)
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
        self.credit(None, credit).await
    }

    /// [`Store::credit_wallet`], as an operator's logged action.
    ///
    /// # Errors
    /// As [`Store::credit_wallet`].
    pub async fn credit_wallet_as(
        &self,
        by: Operator<'_>,
        credit: Credit<'_>,
    ) -> Result<Credited, StoreError> {
        self.credit(Some(by), credit).await
    }

    async fn credit(
        &self,
        by: Option<Operator<'_>>,
        credit: Credit<'_>,
    ) -> Result<Credited, StoreError> {
        if credit.amount <= Micros::ZERO {
            return Err(Conflict::CreditNotPositive.into());
        }
        let credits = Bucket::ALL.map(EntryKind::of_credit);
        let entry = ByHand {
            account_id: credit.account_id,
            kind: EntryKind::of_credit(credit.bucket),
            bucket: credit.bucket,
            amount: credit.amount,
            reference: credit.reference,
            note: None,
            at_ms: credit.at_ms,
        };
        self.post_once(by, &entry, &credits).await
    }

    /// Adds to one bucket or takes from it, with its ledger entry, once per reference.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::CorrectionZero`], [`Conflict::BucketShort`],
    /// [`Conflict::WalletFull`]; what the database fails with.
    pub async fn correct_wallet(&self, correction: Correction<'_>) -> Result<Credited, StoreError> {
        self.correct(None, correction).await
    }

    /// [`Store::correct_wallet`], as an operator's logged action.
    ///
    /// # Errors
    /// As [`Store::correct_wallet`].
    pub async fn correct_wallet_as(
        &self,
        by: Operator<'_>,
        correction: Correction<'_>,
    ) -> Result<Credited, StoreError> {
        self.correct(Some(by), correction).await
    }

    async fn correct(
        &self,
        by: Option<Operator<'_>>,
        correction: Correction<'_>,
    ) -> Result<Credited, StoreError> {
        if correction.amount == Micros::ZERO {
            return Err(Conflict::CorrectionZero.into());
        }
        let entry = ByHand {
            account_id: correction.account_id,
            kind: EntryKind::Correction,
            bucket: correction.bucket,
            amount: correction.amount,
            reference: correction.reference,
            note: correction.note,
            at_ms: correction.at_ms,
        };
        self.post_once(by, &entry, &[EntryKind::Correction]).await
    }

    /// Posts `entry`, unless its reference is on an entry of one of `kinds`.
    async fn post_once(
        &self,
        by: Option<Operator<'_>>,
        entry: &ByHand<'_>,
        kinds: &[EntryKind],
    ) -> Result<Credited, StoreError> {
        let account = entry.account_id;
        let transaction = self.begin().await?;
        hold_open_account(&transaction, account).await?;
        let earlier = entry::Entity::find()
            .filter(entry::Column::AccountId.eq(account.0))
            .filter(entry::Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())))
            .filter(entry::Column::Reference.eq(entry.reference))
            .count(&transaction)
            .await?;
        let new = earlier == 0;
        if new {
            post(&transaction, entry).await?;
            if let Some(by) = by {
                let bucket = entry.bucket.as_str();
                let action = Action {
                    action: match entry.kind {
                        EntryKind::Correction => "correct",
                        _ => "credit",
                    },
                    account: Some(account),
                    subject: Some(entry.reference),
                    detail: Some(&format!("{} USD to {bucket}", entry.amount)),
                };
                self.log(&transaction, by, action, entry.at_ms).await?;
            }
            append(&transaction, Change::Wallet(account), entry.at_ms).await?;
        }
        let row = wallet::Entity::find_by_id(account.0)
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
pub(in crate::store) async fn post(
    transaction: &DatabaseTransaction,
    by_hand: &ByHand<'_>,
) -> Result<(), StoreError> {
    let column = match by_hand.bucket {
        Bucket::Free => wallet::Column::FreeMicros,
        Bucket::Bonus => wallet::Column::BonusMicros,
        Bucket::Balance => wallet::Column::BalanceMicros,
    };
    let amount = by_hand.amount.get();
    let version = wallet::Column::Version;
    let added = wallet::Entity::update_many()
        .col_expr(column, Expr::col(column).add(amount))
        .col_expr(version, Expr::col(version).add(1))
        .filter(wallet::Column::AccountId.eq(by_hand.account_id.0))
        .filter(Expr::col(column).gte(amount.saturating_neg()))
        .filter(Expr::col(column).lte(LARGEST.get() - Ord::max(amount, 0)))
        .exec(transaction)
        .await?;
    if added.rows_affected == 0 {
        return Err(refusal(transaction, by_hand).await?.into());
    }
    let entry = entry::ActiveModel {
        id: NotSet,
        account_id: Set(by_hand.account_id.0),
        posting_id: Set(Uuid::now_v7()),
        delivery_id: Set(None),
        kind: Set(by_hand.kind.as_str().to_owned()),
        bucket: Set(by_hand.bucket.as_str().to_owned()),
        amount_micros: Set(amount),
        reference: Set(Some(by_hand.reference.to_owned())),
        note: Set(by_hand.note.map(str::to_owned)),
        created_at_ms: Set(by_hand.at_ms),
    };
    entry::Entity::insert(entry).exec(transaction).await?;
    Ok(())
}

/// Why an amount did not fit the bucket.
async fn refusal(
    transaction: &DatabaseTransaction,
    by_hand: &ByHand<'_>,
) -> Result<Conflict, StoreError> {
    if !by_hand.amount.is_negative() {
        return Ok(Conflict::WalletFull);
    }
    let row = wallet::Entity::find_by_id(by_hand.account_id.0)
        .one(transaction)
        .await?;
    let held = row.as_ref().map(buckets).unwrap_or_default();
    Ok(Conflict::BucketShort {
        held: held.of(by_hand.bucket),
    })
}

/// The most that a bucket may hold, so that the sum of three never leaves 64 bits.
const LARGEST: Micros = Micros::new(i64::MAX / 4);

pub(in crate::store) fn buckets(row: &wallet::Model) -> Buckets {
    Buckets {
        free: Micros::new(row.free_micros),
        bonus: Micros::new(row.bonus_micros),
        balance: Micros::new(row.balance_micros),
    }
}
