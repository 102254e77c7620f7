//! What a life that is over has left unfinished, and what is to be done with it.

use std::collections::{HashMap, HashSet};

use nexo_domain::billing::ledger::{Bucket, EntryKind, Parts};
use nexo_domain::ids::DeliveryId;
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::deliveries::Delivery;
use crate::store::ledger::posting::{NodeEpoch, Settlement, WalletCache};
use crate::store::{Store, StoreError};
use crate::tables::deliveries::delivery;
use crate::tables::ledger::entry;

/// How many deliveries are settled in one transaction.
const PAGE: u64 = 256;

/// A delivery that nobody is calling any more, and what it paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub delivery: Delivery,
    pub phone: Phone,
    pub paid: Parts,
}

impl Store {
    /// Settles a node's `sent` deliveries that were accepted before `before_ms` and are not in `live`,
    /// as `settlement` says, as far as they are of this epoch. Returns how many it settled.
    ///
    /// With nothing live and no limit of time this is the recovery at start; later it is the reaper of
    /// what a panic left behind.
    ///
    /// # Errors
    /// As [`Store::commit`]; what was settled before stays so.
    pub async fn settle_unfinished(
        &self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        before_ms: i64,
        live: &HashSet<DeliveryId>,
        settlement: impl Fn(&Unfinished) -> Settlement,
    ) -> Result<usize, StoreError> {
        let mut settled = 0;
        let mut after = None;
        loop {
            let page = self.sent_deliveries(node, before_ms, after).await?;
            let Some(last) = page.last() else {
                return Ok(settled);
            };
            after = Some((last.created_at_ms, last.id));
            let dead: Vec<Delivery> = page
                .into_iter()
                .filter(|delivery| !live.contains(&delivery.id))
                .collect();
            let mut paid = self.paid(&dead).await?;
            let settlements: Vec<Settlement> = dead
                .into_iter()
                .map(|delivery| {
                    let paid = paid.remove(&delivery.id.0).unwrap_or_default();
                    // Only what has ended is masked.
                    let phone = delivery.phone.whole().ok_or(StoreError::Unreadable {
                        table: "deliveries",
                        column: "phone",
                    })?;
                    Ok(settlement(&Unfinished {
                        delivery,
                        phone,
                        paid,
                    }))
                })
                .collect::<Result<_, StoreError>>()?;
            let committed = self.commit(cache, node, &[], &settlements).await?;
            settled += committed.settled.iter().filter(|done| **done).count();
        }
    }

    async fn sent_deliveries(
        &self,
        node: &NodeEpoch,
        before_ms: i64,
        after: Option<(i64, DeliveryId)>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut find = delivery::Entity::find()
            // As text, so that the index of what is sent is used.
            .filter(Expr::cust("status = 'sent'"))
            .filter(delivery::Column::Node.eq(node.node.as_ref()))
            .filter(delivery::Column::CreatedAtMs.lt(before_ms))
            .order_by_asc(delivery::Column::CreatedAtMs)
            .order_by_asc(delivery::Column::Id)
            .limit(PAGE);
        if let Some((at_ms, id)) = after {
            let later = Condition::all()
                .add(delivery::Column::CreatedAtMs.eq(at_ms))
                .add(delivery::Column::Id.gt(id.0));
            find = find.filter(
                Condition::any()
                    .add(delivery::Column::CreatedAtMs.gt(at_ms))
                    .add(later),
            );
        }
        let rows = find.all(&self.reader).await?;
        rows.into_iter().map(Delivery::from_row).collect()
    }

    /// What each of `deliveries` paid, by its debit's entries.
    async fn paid(&self, deliveries: &[Delivery]) -> Result<HashMap<Uuid, Parts>, StoreError> {
        let ids = deliveries.iter().map(|delivery| delivery.id.0);
        let entries = entry::Entity::find()
            .filter(entry::Column::DeliveryId.is_in(ids))
            .filter(entry::Column::Kind.eq(EntryKind::Debit.as_str()))
            .all(&self.reader)
            .await?;
        let mut paid: HashMap<Uuid, Parts> = HashMap::new();
        for entry in entries {
            let parts = paid
                .entry(entry.delivery_id.unwrap_or_default())
                .or_default();
            let part = match Bucket::named(&entry.bucket) {
                Some(Bucket::Free) => &mut parts.free,
                Some(Bucket::Bonus) => &mut parts.bonus,
                Some(Bucket::Balance) => &mut parts.balance,
                None => {
                    return Err(StoreError::Unreadable {
                        table: "ledger_entries",
                        column: "bucket",
                    });
                }
            };
            *part = Micros::new(-entry.amount_micros);
        }
        Ok(paid)
    }
}
