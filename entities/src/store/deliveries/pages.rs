//! Pages of an account's deliveries, newest first.
//!
//! A page starts after a position and not after a number of rows, so its cost does not depend on
//! its depth, and new deliveries cause no duplicates or gaps. Within a millisecond the order is
//! that of the index: by id, ascending.
//!
//! Matches for a phone or carrier may be rare. Such a page is collected from the time ranges in
//! which matches may exist ([`super::filters`]).

use nexo_domain::call::outcome::Status;
use nexo_domain::customer_fields::Reference;
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use sea_orm::{EntityTrait, Statement, Value};

use super::Delivery;
use super::filters::{Range, SearchQuery};
use crate::store::StoreError;
use crate::store::views::Deliveries;
use crate::tables::deliveries::delivery::Entity;

/// Selects deliveries of an account; the default selects all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    pub status: Option<Status>,
    pub carrier: Option<Carrier>,
    pub phone: Option<Phone>,
    pub reference: Option<Reference>,
    /// Accepted at this time or later.
    pub from_ms: Option<i64>,
    /// Accepted before this time.
    pub to_ms: Option<i64>,
}

/// A position in the order of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryCursor {
    pub created_at_ms: i64,
    pub id: DeliveryId,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPage {
    pub deliveries: Vec<Delivery>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<DeliveryCursor>,
}

impl Deliveries<'_> {
    /// Returns at most `limit` deliveries of the account that match `filter`, newest first, after
    /// the position `after`.
    pub async fn page(
        self,
        account: AccountId,
        filter: &DeliveryFilter,
        after: Option<DeliveryCursor>,
        limit: u32,
    ) -> Result<DeliveryPage, StoreError> {
        let mut rows = Vec::new();
        for part in self.filters_to_search(account, filter, after).await? {
            let missing = limit.saturating_sub(rows.len() as u32);
            let statement = self.select_page(account, &part, after, missing);
            rows.extend(Entity::find().from_raw_sql(statement).all(&self.store.reader).await?);
            if rows.len() > limit as usize {
                break;
            }
        }
        let is_last = rows.len() <= limit as usize;
        rows.truncate(limit as usize);
        let next = rows
            .last()
            .filter(|_| !is_last)
            .map(|row| DeliveryCursor { created_at_ms: row.created_at_ms, id: DeliveryId(row.id) });
        let deliveries: Result<_, _> = rows.into_iter().map(Delivery::from_row).collect();
        Ok(DeliveryPage { deliveries: deliveries?, next })
    }
}

impl Deliveries<'_> {
    /// Returns the filter, or one filter per time range to search, newest first.
    async fn filters_to_search(
        self,
        account: AccountId,
        filter: &DeliveryFilter,
        after: Option<DeliveryCursor>,
    ) -> Result<Vec<DeliveryFilter>, StoreError> {
        let may_be_rare = filter.phone.is_some() || filter.carrier.is_some();
        // There are few `sent` deliveries; all are read. References have an index.
        if !may_be_rare || filter.reference.is_some() || filter.status == Some(Status::Sent) {
            return Ok(vec![filter.clone()]);
        }
        let to_ms = after.map_or(i64::MAX, |place| place.created_at_ms.saturating_add(1));
        let searched = DeliveryFilter {
            to_ms: Some(filter.to_ms.unwrap_or(i64::MAX).min(to_ms)),
            ..filter.clone()
        };
        let query = SearchQuery {
            account,
            phone: filter.phone,
            carrier: filter.carrier,
            from_ms: searched.from_ms.unwrap_or(i64::MIN),
            to_ms: searched.to_ms.unwrap_or(i64::MAX),
        };
        let ranges = self.ranges(&query).await?.into_iter();
        let within = ranges.filter_map(|range| within(&searched, range));
        Ok(within.collect())
    }
}

/// Restricts the filter to the range; `None` if they do not overlap.
fn within(filter: &DeliveryFilter, range: Range) -> Option<DeliveryFilter> {
    let from_ms = filter.from_ms.map_or(range.from_ms, |from| from.max(range.from_ms));
    let end_ms = range.to_ms.saturating_add(1);
    let to_ms = filter.to_ms.map_or(end_ms, |to| to.min(end_ms));
    (from_ms < to_ms).then_some(DeliveryFilter {
        from_ms: Some(from_ms),
        to_ms: Some(to_ms),
        ..filter.clone()
    })
}

/// There are few `sent` deliveries, and all are read. With the account in this condition SQLite
/// would rather scan everything that the account ever sent.
const SENT: &str = "WITH deliveries_meant AS MATERIALIZED \
     (SELECT * FROM deliveries WHERE status = 'sent') ";

/// The conditions of a page and their values.
#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.text.push_str(" AND ");
            self.text.push_str(condition);
            self.values.push(value.into());
        }
    }

    fn of(filter: &DeliveryFilter, after: Option<DeliveryCursor>) -> Conditions {
        let mut conditions = Conditions::default();
        // With the exact condition of the partial index: with a parameter a database cannot know
        // that the index covers the query.
        conditions.text.push_str(match filter.status {
            None | Some(Status::Sent) => "",
            Some(Status::Delivered) => " AND status = 'delivered' AND status <> 'sent'",
            Some(Status::Failed) => " AND status = 'failed' AND status <> 'sent'",
        });
        conditions.add("created_at_ms >= ?", filter.from_ms);
        conditions.add("created_at_ms < ?", filter.to_ms);
        conditions.add("carrier = ?", filter.carrier.map(|c| c.name()));
        conditions.add("phone = ?", filter.phone.map(|p| p.to_string()));
        conditions.add("reference = ?", filter.reference.as_ref().map(Reference::as_str));
        // The bound for the index search, then the order within a millisecond.
        let at = after.map(|place| place.created_at_ms);
        conditions.add("created_at_ms <= ?", at);
        conditions.add("(created_at_ms < ?", at);
        if let Some(place) = after {
            conditions.text.push_str(" OR id > ?)");
            conditions.values.push(place.id.0.into());
        }
        conditions
    }
}

impl Deliveries<'_> {
    /// The ids come from a covering index, and only the rows of the page are read.
    fn select_page(
        self,
        account: AccountId,
        filter: &DeliveryFilter,
        after: Option<DeliveryCursor>,
        limit: u32,
    ) -> Statement {
        let (meant, source) = match filter.status {
            Some(Status::Sent) => (SENT, "deliveries_meant"),
            _ => ("", "deliveries"),
        };
        let conditions = Conditions::of(filter, after);
        let sql = format!(
            "{meant}SELECT * FROM deliveries WHERE id IN ( \
             SELECT id FROM {source} WHERE account_id = ?{} \
             ORDER BY created_at_ms DESC, id LIMIT ?) ORDER BY created_at_ms DESC, id",
            conditions.text
        );
        let account = [Value::from(account.0)].into_iter();
        let limit = Value::from(i64::from(limit) + 1);
        self.store.sql(&sql, account.chain(conditions.values).chain([limit]))
    }
}

#[cfg(test)]
mod tests {
    use nexo_domain::phone::carrier_plan::CarrierPlan;
    use sea_orm::ConnectionTrait;
    use uuid::Uuid;

    use super::*;
    use crate::store::Store;

    async fn plan(store: &Store, filter: &DeliveryFilter) -> String {
        let after = Some(DeliveryCursor { created_at_ms: 1, id: DeliveryId(Uuid::nil()) });
        let mut statement =
            store.deliveries().select_page(AccountId(Uuid::nil()), filter, after, 50);
        statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let rows = store.connection().query_all_raw(statement).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.try_get_by_index(3).unwrap()).collect();
        steps.join("; ")
    }

    #[tokio::test]
    async fn every_page_is_found_by_a_covering_index_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/plans.db", folder.path().display());
        let store = Store::connect(&url, 1).await.unwrap();
        nexo_migration::up(store.connection()).await.unwrap();
        let none = DeliveryFilter::default;
        let phone = Phone::parse("+84981234567", &CarrierPlan::vietnam()).ok();
        let carrier = Carrier::named("viettel");
        for (filter, index) in [
            (none(), "deliveries_by_account"),
            (DeliveryFilter { phone, ..none() }, "deliveries_by_account"),
            (DeliveryFilter { carrier, ..none() }, "deliveries_by_account"),
            (
                DeliveryFilter {
                    status: Some(Status::Failed),
                    from_ms: Some(0),
                    to_ms: Some(9),
                    ..none()
                },
                "deliveries_ended",
            ),
            (
                DeliveryFilter { status: Some(Status::Delivered), phone, carrier, ..none() },
                "deliveries_ended",
            ),
        ] {
            let plan = plan(&store, &filter).await;
            let found = format!("SEARCH deliveries USING COVERING INDEX {index} (account_id=?");
            assert!(plan.contains(&found), "{filter:?}: {plan}");
            // Only the page's own rows are sorted.
            assert_eq!(plan.matches("TEMP B-TREE").count(), 1, "{filter:?}: {plan}");
        }
        let reference = Reference::parse("order-42");
        let filter = DeliveryFilter { reference, from_ms: Some(0), ..none() };
        let plan_by_reference = plan(&store, &filter).await;
        let found = "USING COVERING INDEX deliveries_by_reference (account_id=? AND reference=? AND created_at_ms";
        assert!(plan_by_reference.contains(found), "{plan_by_reference}");
        let sent = DeliveryFilter { status: Some(Status::Sent), ..none() };
        let plan = plan(&store, &sent).await;
        assert!(plan.contains("USING INDEX deliveries_sent"), "{plan}");
    }
}
