//! Deletes what test keys and test events left: deliveries without cost, their call attempts and webhook attempts.
//!
//! Test deliveries have no ledger entries, so the ledger and its audit do not change. A batch is one short
//! transaction, and concurrent jobs do no harm.

use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::views::Deliveries;

impl Deliveries<'_> {
    /// Deletes up to `limit` ended deliveries of test keys that were accepted before `before_ms`, oldest first, with
    /// their call and webhook attempts. Returns their number.
    pub async fn delete_test_deliveries(
        self,
        before_ms: i64,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let found = self.store.sql(
            "SELECT id FROM deliveries WHERE test AND created_at_ms < ? \
             AND completed_at_ms IS NOT NULL AND cost_micros = 0 \
             ORDER BY created_at_ms LIMIT ?",
            [before_ms.into(), i64::from(limit).into()],
        );
        let mut ids = Vec::new();
        for row in self.store.reader.query_all_raw(found).await? {
            ids.push(row.try_get_by_index::<Uuid>(0)?);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let places = vec!["?"; ids.len()].join(",");
        let transaction = self.store.begin().await?;
        let mut deleted = 0;
        for (table, column) in [
            ("webhook_attempts", "delivery_id"),
            ("call_attempts", "delivery_id"),
            ("deliveries", "id"),
        ] {
            let sql = format!("DELETE FROM {table} WHERE {column} IN ({places})");
            let values = ids.iter().map(|id| Value::from(*id));
            let delete = self.store.sql(&sql, values);
            deleted = transaction.execute_raw(delete).await?.rows_affected();
        }
        self.store.commit(transaction).await?;
        Ok(deleted)
    }

    /// Deletes up to `limit` test events to webhook endpoints that were queued before `before_ms`, oldest first.
    /// Returns their number.
    pub async fn delete_test_events(self, before_ms: i64, limit: u32) -> Result<u64, StoreError> {
        let delete = self.store.sql(
            "DELETE FROM webhook_attempts WHERE id IN (SELECT id FROM webhook_attempts \
             WHERE event_type = 'webhook.test' AND created_at_ms < ? \
             ORDER BY created_at_ms LIMIT ?)",
            [before_ms.into(), i64::from(limit).into()],
        );
        let deleted = self.store.write_connection()?.execute_raw(delete).await;
        Ok(self.store.check_write(deleted)?.rows_affected())
    }
}
