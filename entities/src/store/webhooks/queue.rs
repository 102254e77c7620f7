//! Which endpoints an event goes to, and the statements that queue its attempts.
//!
//! The endpoints are read once and cached by their users, so the statements check again that they are active.

use std::collections::{HashMap, HashSet};

use nexo_domain::ids::{AccountId, EndpointId};
use nexo_domain::webhook::events::{EventFilter, EventType};
use nexo_domain::webhook::verification::VerificationEvent;
use sea_orm::DatabaseTransaction;
use uuid::Uuid;

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

/// Queues attempts for the ends of verifications.
static QUEUE_VERIFICATION_EVENTS: Bulk = Bulk::new(
    "INSERT INTO webhook_attempts (id, endpoint_id, account_id, delivery_id, verification_id, \
     event_type, body, status, created_at_ms) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, 'pending', \
     v.column8",
    &[Id, Id, Id, Id, Id, Text, Text, Int],
    "JOIN webhook_endpoints AS e ON e.id = v.column2 \
     WHERE e.removed_at_ms IS NULL AND e.paused_at_ms IS NULL",
);

/// Queues one attempt per ended verification and active endpoint that wants its event, in the transaction that ends
/// them. Returns the number of attempts.
pub(crate) async fn queue_verification_events(
    transaction: &DatabaseTransaction,
    ended: &[(AccountId, VerificationEvent)],
    at_ms: i64,
) -> Result<u64, StoreError> {
    let type_of = |event: &VerificationEvent| EventType::of_verification(event.status);
    let told = ended.iter().filter_map(|(account, event)| Some((account, event, type_of(event)?)));
    let accounts: HashSet<AccountId> = told.clone().map(|(account, ..)| *account).collect();
    if accounts.is_empty() {
        return Ok(0);
    }
    let endpoints = load_endpoints(transaction, &accounts).await?;
    let mut rows = QUEUE_VERIFICATION_EVENTS.rows(0);
    for (account, event, event_type) in told {
        let endpoints = endpoints.get(account).map_or(&[][..], Vec::as_slice);
        for endpoint in endpoints.iter().filter(|one| one.events.wants(event_type)) {
            rows.push([
                Uuid::now_v7().into(),
                endpoint.id.0.into(),
                account.0.into(),
                event.delivery_id.0.into(),
                event.verification_id.0.into(),
                event_type.as_str().into(),
                event.body(event_type).into(),
                at_ms.into(),
            ]);
        }
    }
    Ok(QUEUE_VERIFICATION_EVENTS.execute(transaction, &[], rows).await?)
}

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
