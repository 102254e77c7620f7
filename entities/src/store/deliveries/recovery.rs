//! Settles deliveries that a terminated process or a panic left unfinished.

use std::collections::HashMap;

use nexo_domain::billing::ledger::{Bucket, EntryKind, Parts};
use nexo_domain::ids::DeliveryId;
use nexo_domain::money::Micros;
use nexo_domain::phone::Phone;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::Delivery;
use crate::store::StoreError;
use crate::store::ledger::posting::{NodeEpoch, Settlement, WalletCache};
use crate::store::views::Deliveries;
use crate::tables::deliveries::delivery;
use crate::tables::ledger::entry;

/// Number of deliveries settled in one transaction.
const PAGE: u64 = 256;

/// A delivery without a running call, and what it paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedDelivery {
    pub delivery: Delivery,
    pub phone: Phone,
    pub paid: Parts,
}

impl Deliveries<'_> {
    /// Settles the node's `sent` deliveries for which `is_live` is false, with the result of
    /// `settlement`. Deliveries of other epochs are skipped. Returns the number settled.
    ///
    /// `is_live` is called after a delivery was read. A delivery becomes live before it is written, so one
    /// that was read and is not live has ended: either it is settled, and settling it again has no effect,
    /// or it was lost. This needs no clock.
    ///
    /// # Errors
    /// As [`Ledger::commit`]; earlier pages stay settled.
    pub async fn settle_unfinished(
        self,
        cache: &mut WalletCache,
        node: &NodeEpoch,
        is_live: impl Fn(DeliveryId) -> bool,
        settlement: impl Fn(&UnfinishedDelivery) -> Settlement,
    ) -> Result<usize, StoreError> {
        let mut settled = 0;
        let mut after = None;
        loop {
            let page = self.sent_deliveries(node, after).await?;
            let Some(last) = page.last() else {
                return Ok(settled);
            };
            after = Some((last.created_at_ms, last.id));
            let dead: Vec<Delivery> =
                page.into_iter().filter(|delivery| !is_live(delivery.id)).collect();
            let mut paid = self.paid(&dead).await?;
            let settlements: Vec<Settlement> = dead
                .into_iter()
                .map(|delivery| {
                    let paid = paid.remove(&delivery.id.0).unwrap_or_default();
                    // Only ended deliveries are masked.
                    let phone = delivery
                        .phone
                        .whole()
                        .ok_or(StoreError::unreadable("deliveries", "phone"))?;
                    Ok(settlement(&UnfinishedDelivery { delivery, phone, paid }))
                })
                .collect::<Result<_, StoreError>>()?;
            let committed = self.store.ledger().commit(cache, node, &[], &settlements).await?;
            settled += committed.settled.iter().filter(|done| **done).count();
        }
    }

    async fn sent_deliveries(
        self,
        node: &NodeEpoch,
        after: Option<(i64, DeliveryId)>,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut find = delivery::Entity::find()
            // As text, so that the index of sent deliveries is used.
            .filter(Expr::cust("status = 'sent'"))
            .filter(delivery::Column::Node.eq(node.node.as_ref()))
            .order_by_asc(delivery::Column::CreatedAtMs)
            .order_by_asc(delivery::Column::Id)
            .limit(PAGE);
        if let Some((at_ms, id)) = after {
            let later = Condition::all()
                .add(delivery::Column::CreatedAtMs.eq(at_ms))
                .add(delivery::Column::Id.gt(id.0));
            find = find
                .filter(Condition::any().add(delivery::Column::CreatedAtMs.gt(at_ms)).add(later));
        }
        let rows = find.all(&self.store.core_reader).await?;
        rows.into_iter().map(Delivery::from_row).collect()
    }

    /// Returns what each delivery paid, by the entries of its debit.
    async fn paid(self, deliveries: &[Delivery]) -> Result<HashMap<Uuid, Parts>, StoreError> {
        let ids = deliveries.iter().map(|delivery| delivery.id.0);
        let entries = entry::Entity::find()
            .filter(entry::Column::DeliveryId.is_in(ids))
            .filter(entry::Column::Kind.eq(EntryKind::Debit.as_str()))
            .all(&self.store.core_reader)
            .await?;
        let mut paid: HashMap<Uuid, Parts> = HashMap::new();
        for entry in entries {
            let parts = paid.entry(entry.delivery_id.unwrap_or_default()).or_default();
            let part = match Bucket::named(&entry.bucket) {
                Some(Bucket::Free) => &mut parts.free,
                Some(Bucket::Bonus) => &mut parts.bonus,
                Some(Bucket::Balance) => &mut parts.balance,
                None => {
                    return Err(StoreError::unreadable("ledger_entries", "bucket"));
                }
            };
            *part = Micros::new(-entry.amount_micros);
        }
        Ok(paid)
    }
}
