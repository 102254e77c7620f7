//! Closing an account: revokes its keys, removes its integrations, pays out its balance and forfeits its credit.
//!
//! | concurrent event | effect |
//! |---|---|
//! | a debit committed before | its delivery ends normally |
//! | a debit after, with a cached wallet | refused, because the wallet's version changed |
//! | a refund after | posted to the closed wallet, into the buckets that paid |
//! | closing again | empties the wallet of such refunds by another posting |
//!
//! So nothing is lost or paid twice in any order, and the sums of the entries always match the
//! wallet.

use nexo_domain::billing::ledger::{Bucket, Buckets, EntryKind};
use nexo_domain::ids::AccountId;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
};
use uuid::Uuid;

use super::wallets::buckets;
use crate::store::StoreError;
use crate::store::accounts::integrations::remove_integrations;
use crate::store::cluster::changes::{Change, append_change};
use crate::store::sql::rows::scalar;
use crate::store::views::Ledger;
use crate::tables::accounts::{account, api_key};
use crate::tables::ledger::{entry, wallet};

/// The result of closing an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedAccount {
    /// False if it was closed before.
    pub new: bool,
    /// What this closing took: the balance is paid out, the rest is forfeited.
    pub taken: Buckets,
    /// The reference of its entries; `None` if the wallet was empty.
    pub reference: Option<String>,
    /// Deliveries that have not ended. Their refunds are for the next closing.
    pub under_way: u64,
}

impl Ledger<'_> {
    /// Closes an account permanently, revokes its keys, removes its integrations and empties its wallet. Empties the wallet
    /// of a closed account again. Returns `None` for an unknown account.
    pub async fn close_account(
        self,
        id: AccountId,
        at_ms: i64,
    ) -> Result<Option<ClosedAccount>, StoreError> {
        let transaction = self.store.begin().await?;
        let new = mark_closed(&transaction, id, at_ms).await?;
        if new {
            revoke_keys(&transaction, id, at_ms).await?;
            remove_integrations(&transaction, id, at_ms).await?;
        }
        // Changes the version, so that concurrent decisions on the wallet are repeated, and locks
        // the row.
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
        let under_way = self.count_sent(&transaction, id).await?;
        if new {
            self.end_referrals(&transaction, id, at_ms).await?;
            append_change(&transaction, Change::Account(id), at_ms).await?;
        } else if reference.is_some() {
            append_change(&transaction, Change::Wallet(id), at_ms).await?;
        }
        self.store.commit(transaction).await?;
        Ok(Some(ClosedAccount { new, taken, reference, under_way }))
    }

    /// Ends the account's referrals: it earns nothing more. Pending commissions are still paid out.
    async fn end_referrals(
        self,
        transaction: &DatabaseTransaction,
        referrer: AccountId,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let end = "UPDATE referrals SET ended_at_ms = ?, ended_by = 'closing' \
                   WHERE referrer_id = ? AND ended_at_ms IS NULL";
        let values = [at_ms.into(), referrer.0.into()];
        transaction.execute_raw(self.store.sql(end, values)).await?;
        Ok(())
    }

    async fn count_sent(
        self,
        transaction: &DatabaseTransaction,
        id: AccountId,
    ) -> Result<u64, StoreError> {
        // There are few `sent` deliveries; an account may have many deliveries.
        let statement = self.store.sql(
            "WITH sent AS MATERIALIZED (SELECT account_id FROM deliveries WHERE status = 'sent') \
             SELECT COUNT(*) FROM sent WHERE account_id = ?",
            [id.0.into()],
        );
        let count: Option<i64> = scalar(transaction, statement).await?;
        Ok(count.unwrap_or(0).unsigned_abs())
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

/// Takes everything that the locked wallet holds. Returns the reference of the entries.
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
    let entries =
        Bucket::ALL.into_iter().filter(|bucket| taken.of(*bucket).get() != 0).map(|bucket| {
            entry::ActiveModel {
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
            }
        });
    entry::Entity::insert_many(entries).exec(transaction).await?;
    wallet::Entity::update_many()
        .col_expr(wallet::Column::FreeMicros, Expr::value(0))
        .col_expr(wallet::Column::BonusMicros, Expr::value(0))
        .col_expr(wallet::Column::BalanceMicros, Expr::value(0))
        .filter(wallet::Column::AccountId.eq(id.0))
        .exec(transaction)
        .await?;
    Ok(reference)
}
