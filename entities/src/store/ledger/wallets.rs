//! Wallets outside the hot path: reads, and credits and corrections posted once per reference.

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::AccountId;
use nexo_domain::money::Micros;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
};
use uuid::Uuid;

use crate::store::accounts::lock_open_account;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::operations::operator_log::{Action, Operator};
use crate::store::views::Ledger;
use crate::store::{Conflict, StoreError};
use crate::tables::ledger::{entry, wallet};

/// An incoming payment or credit.
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

/// A manual correction by an operator. Entries are not undone; another posting compensates them.
#[derive(Debug, Clone, Copy)]
pub struct Correction<'a> {
    pub account_id: AccountId,
    pub bucket: Bucket,
    /// A negative amount takes from the bucket, at most what it holds.
    pub amount: Micros,
    /// Corrects this account once only, whatever the bucket or amount.
    pub reference: &'a str,
    /// The operator's reason.
    pub note: Option<&'a str>,
    pub at_ms: i64,
}

/// The result of a [`Credit`] or [`Correction`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credited {
    /// The wallet's buckets afterwards.
    pub buckets: Buckets,
    /// False if the reference was used before; nothing was posted then.
    pub new: bool,
}

/// One entry outside the hot path.
pub(crate) struct ManualEntry<'a> {
    pub account_id: AccountId,
    pub kind: EntryKind,
    pub bucket: Bucket,
    pub amount: Micros,
    pub reference: &'a str,
    pub note: Option<&'a str>,
    pub at_ms: i64,
}

impl Ledger<'_> {
    /// Returns the account's buckets; `None` for an unknown account.
    pub async fn wallet(self, account: AccountId) -> Result<Option<Buckets>, StoreError> {
        let row = wallet::Entity::find_by_id(account.0).one(&self.store.reader).await?;
        Ok(row.as_ref().map(buckets))
    }

    /// Credits one bucket and writes the ledger entry, once per reference.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::CreditNotPositive`], [`Conflict::WalletFull`].
    pub async fn credit_wallet(self, credit: Credit<'_>) -> Result<Credited, StoreError> {
        self.credit(None, credit).await
    }

    /// Like [`Ledger::credit_wallet`], as a logged operator action.
    ///
    /// # Errors
    /// As [`Ledger::credit_wallet`].
    pub async fn credit_wallet_as(
        self,
        by: Operator<'_>,
        credit: Credit<'_>,
    ) -> Result<Credited, StoreError> {
        self.credit(Some(by), credit).await
    }

    async fn credit(
        self,
        by: Option<Operator<'_>>,
        credit: Credit<'_>,
    ) -> Result<Credited, StoreError> {
        if credit.amount <= Micros::ZERO {
            return Err(Conflict::CreditNotPositive.into());
        }
        let credits = Bucket::ALL.map(EntryKind::of_credit);
        let entry = ManualEntry {
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

    /// Adds to or takes from one bucket and writes the ledger entry, once per reference.
    ///
    /// # Errors
    /// [`Conflict::AccountClosed`], [`Conflict::CorrectionZero`], [`Conflict::BucketShort`],
    /// [`Conflict::WalletFull`].
    pub async fn correct_wallet(self, correction: Correction<'_>) -> Result<Credited, StoreError> {
        self.correct(None, correction).await
    }

    /// Like [`Ledger::correct_wallet`], as a logged operator action.
    ///
    /// # Errors
    /// As [`Ledger::correct_wallet`].
    pub async fn correct_wallet_as(
        self,
        by: Operator<'_>,
        correction: Correction<'_>,
    ) -> Result<Credited, StoreError> {
        self.correct(Some(by), correction).await
    }

    async fn correct(
        self,
        by: Option<Operator<'_>>,
        correction: Correction<'_>,
    ) -> Result<Credited, StoreError> {
        if correction.amount == Micros::ZERO {
            return Err(Conflict::CorrectionZero.into());
        }
        let entry = ManualEntry {
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

    /// Posts `entry` unless an entry of one of `kinds` has its reference.
    async fn post_once(
        self,
        by: Option<Operator<'_>>,
        entry: &ManualEntry<'_>,
        kinds: &[EntryKind],
    ) -> Result<Credited, StoreError> {
        let account = entry.account_id;
        let transaction = self.store.begin().await?;
        lock_open_account(&transaction, account).await?;
        let earlier = entry::Entity::find()
            .filter(entry::Column::AccountId.eq(account.0))
            .filter(entry::Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())))
            .filter(entry::Column::Reference.eq(entry.reference))
            .count(&transaction)
            .await?;
        let new = earlier == 0;
        if new {
            post_entry(&transaction, entry).await?;
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
                self.store.operations().log(&transaction, by, action, entry.at_ms).await?;
            }
            append_change(&transaction, Change::Wallet(account), entry.at_ms).await?;
        }
        let row = wallet::Entity::find_by_id(account.0)
            .one(&transaction)
            .await?
            .ok_or(Conflict::AccountClosed)?;
        self.store.commit(transaction).await?;
        Ok(Credited { buckets: buckets(&row), new })
    }
}

/// Adds the amount in the database, because a wallet actor may write the row until this statement.
pub(crate) async fn post_entry(
    transaction: &DatabaseTransaction,
    by_hand: &ManualEntry<'_>,
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
        .filter(Expr::col(column).lte(MAX_BUCKET.get() - Ord::max(amount, 0)))
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

/// Returns why an amount did not fit the bucket.
async fn refusal(
    transaction: &DatabaseTransaction,
    by_hand: &ManualEntry<'_>,
) -> Result<Conflict, StoreError> {
    if !by_hand.amount.is_negative() {
        return Ok(Conflict::WalletFull);
    }
    let row = wallet::Entity::find_by_id(by_hand.account_id.0).one(transaction).await?;
    let held = row.as_ref().map(buckets).unwrap_or_default();
    Ok(Conflict::BucketShort { held: held.of(by_hand.bucket) })
}

/// Maximum of one bucket, so that the sum of three stays within 64 bits.
const MAX_BUCKET: Micros = Micros::new(i64::MAX / 4);

pub(crate) fn buckets(row: &wallet::Model) -> Buckets {
    Buckets {
        free: Micros::new(row.free_micros),
        bonus: Micros::new(row.bonus_micros),
        balance: Micros::new(row.balance_micros),
    }
}
