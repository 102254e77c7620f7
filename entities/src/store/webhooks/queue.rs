//! Which endpoints an event goes to, and the statements that queue its attempts.
//!
//! The endpoints are read once and cached by their users, so the statements check again that they are active.

use std::collections::{HashMap, HashSet};

use nexo_domain::ids::{AccountId, EndpointId};
use nexo_domain::webhook::events::EventFilter;
use sea_orm::DatabaseTransaction;

use crate::store::StoreError;
use crate::store::sql::bulk::Bulk;
use crate::store::sql::bulk::Column::{Int, Text, Uuid as Id};
use crate::store::sql::rows::Columns;

/// An active endpoint, and the events that it receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ActiveEndpoint {
    pub id: EndpointId,
    pub events: EventFilter,
}

pub(crate) static LOAD_ENDPOINTS: Bulk = Bulk::new(
    "SELECT account_id, id, events FROM webhook_endpoints \
     WHERE removed_at_ms IS NULL AND paused_at_ms IS NULL \
     AND account_id IN (SELECT v.column1",
    &[Id],
    ") ORDER BY created_at_ms, id",
);

/// Queues attempts for the ends of OTPs. Endpoints removed or paused since they were cached get nothing.
pub(crate) static QUEUE_WEBHOOKS: Bulk = Bulk::new(
    "INSERT INTO webhook_attempts (id, endpoint_id, account_id, delivery_id, event_type, body, \
     status, created_at_ms, traceparent) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, 'pending', \
     v.column7, NULLIF(v.column8, '')",
    &[Id, Id, Id, Id, Text, Text, Int, Text],
    "JOIN webhook_endpoints AS e ON e.id = v.column2 \
     WHERE e.removed_at_ms IS NULL AND e.paused_at_ms IS NULL",
);

/// Reads the active endpoints of each of `accounts`, including empty lists.
pub(crate) async fn load_endpoints(
    transaction: &DatabaseTransaction,
    accounts: &HashSet<AccountId>,
) -> Result<HashMap<AccountId, Vec<ActiveEndpoint>>, StoreError> {
    let mut rows = LOAD_ENDPOINTS.rows(accounts.len());
    let mut endpoints: HashMap<AccountId, Vec<ActiveEndpoint>> = HashMap::new();
    for account in accounts {
        rows.push([account.0.into()]);
        endpoints.insert(*account, Vec::new());
    }
    for row in LOAD_ENDPOINTS.query(transaction, &[], rows).await? {
        let mut row = Columns::of(&row);
        let of_account = endpoints.entry(AccountId(row.get()?)).or_default();
        of_account.push(ActiveEndpoint {
            id: EndpointId(row.get()?),
            events: EventFilter::from_record(&row.get::<String>()?),
        });
    }
    Ok(endpoints)
}
