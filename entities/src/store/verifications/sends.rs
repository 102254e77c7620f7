//! The calls that read the codes of verifications.

use std::collections::HashMap;

use nexo_domain::call::outcome::Status;
use nexo_domain::ids::{DeliveryId, VerificationId};
use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::sql::record;
use crate::store::views::Verifications;

/// One call that read the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Send {
    pub delivery_id: DeliveryId,
    /// Of the delivery.
    pub status: Status,
    pub created_at_ms: i64,
}

impl Verifications<'_> {
    /// Returns the calls of each verification, oldest first. Calls that no gateway accepted are not among them.
    pub async fn sends(
        self,
        of: impl IntoIterator<Item = VerificationId>,
    ) -> Result<HashMap<VerificationId, Vec<Send>>, StoreError> {
        let ids: Vec<Value> = of.into_iter().map(|id| id.0.into()).collect();
        let mut sends: HashMap<VerificationId, Vec<Send>> = HashMap::new();
        if ids.is_empty() {
            return Ok(sends);
        }
        let places = vec!["?"; ids.len()].join(",");
        let sql = format!(
            "SELECT verification_id, id, status, created_at_ms FROM deliveries \
             WHERE verification_id IN ({places}) ORDER BY verification_id, id"
        );
        for row in self.store.reader.query_all_raw(self.store.sql(&sql, ids)).await? {
            let (of, id, status, created_at_ms): (Uuid, Uuid, String, i64) =
                row.try_get_many_by_index()?;
            sends.entry(VerificationId(of)).or_default().push(Send {
                delivery_id: DeliveryId(id),
                status: record::status(&status)?,
                created_at_ms,
            });
        }
        Ok(sends)
    }
}
