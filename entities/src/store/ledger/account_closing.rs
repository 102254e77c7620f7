//! Closing an account: its keys end, its cash is to be paid out, what could only be spent is gone.
//!
//! | what comes meanwhile | what happens |
//! |---|---|
//! | a debit that was committed before | its delivery ends as ever |
//! | a debit that comes later, though its wallet was cached | refused: the wallet's version has moved |
//! | a refund that comes later | posted as ever, into the closed wallet: what paid gets it back |
//! | closing the closed account again | empties the wallet of what such refunds brought, by another posting |
//!
//! So nothing is lost or paid twice whatever the order, and the sums of a wallet's entries hold at any time.

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::AccountId;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
};
use uuid::Uuid;

use super::wallets::buckets;
use crate::store::cluster::changes::{Change, append};
use crate::store::{Store, StoreError};
use crate::tables::accounts::{account, api_key};
use crate::tables::ledger::{entry, wallet};

/// What closing an account came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// False when it was closed before.
    pub new: bool,
    /// What this closing took: the balance is to be paid out, the rest is forfeited.
    pub taken: Buckets,
    /// What its entries are known by; `None` where nothing was there to be taken.
    pub reference: Option<String>,
    /// Deliveries that have not ended. What they are refunded is for the next closing.
    pub under_way: u64,
}

impl Store {
    /// Closes an account for good, revokes its keys and empties its wallet. Of a closed account it empties
    /// the wallet again; `None` for an unknown one.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn close_account(
        &self,
        id: AccountId,
        at_ms: i64,
    ) -> Result<Option<Closing>, StoreError> {
        let transaction = self.begin().await?;
        let new = mark_closed(&transaction, id, at_ms).await?;
        if new {
            revoke_keys(&transaction, id, at_ms).await?;
        }
        // Moves the version, so that whoever decided on the wallet decides again, and holds the row.
        let version = wallet::Column::Version;
        let held = wallet::Entity::update_many()
            .col_expr(version, Expr::col(version).add(1))
            .filter(wallet::Column::AccountId.eq(id.0))
            .exec(&transaction)
            .await?;
        if held.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        let wallet = wallet::Entity::find_by_id(id.0).one(&transaction).await?;
        let taken = wallet.as_ref().map(buckets).unwrap_or_default();
        let reference = match taken == Buckets::default() {
            true => None,
            false => Some(empty(&transaction, id, taken, at_ms).await?),
        };
        let under_way = self.under_way(&transaction, id).await?;
        if new {
            self.end_referrals(&transaction, id, at_ms).await?;
            append(&transaction, Change::Account(id), at_ms).await?;
        } else if reference.is_some() {
            append(&transaction, Change::Wallet(id), at_ms).await?;
        }
        self.end(transaction).await?;
        Ok(Some(Closing {
            new,
            taken,
            reference,
            under_way,
        }))
    }

    /// Who has gone earns nothing more. What is pending stays to be paid out.
    async fn end_referrals(
        &self,
        transaction: &DatabaseTransaction,
        referrer: AccountId,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let end = "UPDATE referrals SET ended_at_ms = ?, ended_by = 'closing' \
                   WHERE referrer_id = ? AND ended_at_ms IS NULL";
        let values = [at_ms.into(), referrer.0.into()];
        transaction.execute_raw(self.sql(end, values)).await?;
        Ok(())
    }

    async fn under_way(
        &self,
        transaction: &DatabaseTransaction,
        id: AccountId,
    ) -> Result<u64, StoreError> {
        // All that are sent are few; all of an account may be many.
        let statement = self.sql(
            "WITH sent AS MATERIALIZED (SELECT account_id FROM deliveries WHERE status = 'sent') \
             SELECT COUNT(*) FROM sent WHERE account_id = ?",
            [id.0.into()],
        );
        let row = transaction.query_one_raw(statement).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        Ok(count.unsigned_abs())
    }
}

async fn mark_closed(
    transaction: &DatabaseTransaction,
    id: AccountId,
    at_ms: i64,
) -> Result<bool, StoreError> {
    let closed = account::Entity::update_many()
        .col_expr(account::Column::ClosedAtMs, Expr::value(at_ms))
        .filter(account::Column::Id.eq(id.0))
        .filter(account::Column::ClosedAtMs.is_null())
        .exec(transaction)
        .await?;
    Ok(closed.rows_affected > 0)
}

async fn revoke_keys(
    transaction: &DatabaseTransaction,
    id: AccountId,
    at_ms: i64,
) -> Result<(), StoreError> {
    api_key::Entity::update_many()
        .col_expr(api_key::Column::RevokedAtMs, Expr::value(at_ms))
        .filter(api_key::Column::AccountId.eq(id.0))
        .filter(api_key::Column::RevokedAtMs.is_null())
        .exec(transaction)
        .await?;
    Ok(())
}

/// Takes all that a wallet, whose row is held, holds. Returns the reference of the entries.
async fn empty(
    transaction: &DatabaseTransaction,
    id: AccountId,
    taken: Buckets,
    at_ms: i64,
) -> Result<String, StoreError> {
    let kinds = Bucket::ALL.map(|bucket| EntryKind::of_closing(bucket).as_str());
    let earlier: Vec<Uuid> = entry::Entity::find()
        .select_only()
        .column(entry::Column::PostingId)
        .distinct()
        .filter(entry::Column::AccountId.eq(id.0))
        .filter(entry::Column::Kind.is_in(kinds))
        .filter(entry::Column::Reference.starts_with("closing-"))
        .into_tuple()
        .all(transaction)
        .await?;
    let reference = format!("closing-{}", earlier.len() + 1);
    let posting = Uuid::now_v7();
    let entries = Bucket::ALL
        .into_iter()
        .filter(|bucket| taken.of(*bucket).get() != 0)
        .map(|bucket| entry::ActiveModel {
            id: NotSet,
            account_id: Set(id.0),
            posting_id: Set(posting),
            delivery_id: Set(None),
            kind: Set(EntryKind::of_closing(bucket).as_str().to_owned()),
            bucket: Set(bucket.as_str().to_owned()),
            amount_micros: Set(-taken.of(bucket).get()),
            reference: Set(Some(reference.clone())),
            note: Set(Some("the account was closed".to_owned())),
            created_at_ms: Set(at_ms),
        });
    entry::Entity::insert_many(entries)
        .exec(transaction)
        .await?;
    wallet::Entity::update_many()
        .col_expr(wallet::Column::FreeMicros, Expr::value(0))
        .col_expr(wallet::Column::BonusMicros, Expr::value(0))
        .col_expr(wallet::Column::BalanceMicros, Expr::value(0))
        .filter(wallet::Column::AccountId.eq(id.0))
        .exec(transaction)
        .await?;
    Ok(reference)
}
