//! The SQL of a batch. Each statement works on both databases.

use crate::store::sql::bulk::Bulk;
use crate::store::sql::bulk::Column::{Bool, Bytes, Int, Text, Uuid as Id};

pub(super) static LOAD_WALLETS: Bulk = Bulk::new(
    "SELECT w.account_id, w.free_micros, w.bonus_micros, w.balance_micros, w.version, \
     COALESCE(a.closed_at_ms, a.suspended_at_ms), r.created_at_ms \
     FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id \
     LEFT JOIN referrals AS r ON r.referred_id = w.account_id AND r.ended_at_ms IS NULL \
     WHERE w.account_id IN (SELECT v.column1",
    &[Id],
    ") ORDER BY w.account_id",
);

/// On PostgreSQL, locks the rows read until the transaction ends. SQLite locks the whole file.
pub(super) static LOCK_WALLETS: Bulk = Bulk::new(
    "SELECT w.account_id, w.free_micros, w.bonus_micros, w.balance_micros, w.version, \
     COALESCE(a.closed_at_ms, a.suspended_at_ms), r.created_at_ms \
     FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id \
     LEFT JOIN referrals AS r ON r.referred_id = w.account_id AND r.ended_at_ms IS NULL \
     WHERE w.account_id IN (SELECT v.column1",
    &[Id],
    ") ORDER BY w.account_id FOR UPDATE OF w",
);

/// `completed_at_ms IS NULL` implies `sent` by a constraint of the table. With a condition on the
/// status SQLite would scan the index of sent deliveries instead of searching by id.
pub(super) static SETTLE: Bulk = Bulk::new(
    "UPDATE deliveries SET status = v.column2, error_code = NULLIF(v.column3, ''), \
     carrier_status = NULLIF(v.column4, ''), completed_at_ms = v.column5, refunded = v.column8",
    &[Id, Text, Text, Text, Int, Text, Int, Bool],
    "WHERE deliveries.id = v.column1 AND deliveries.completed_at_ms IS NULL \
     AND deliveries.node = v.column6 AND deliveries.epoch = v.column7",
);

/// [`SETTLE`], returning the deliveries it found.
pub(super) static SETTLE_RETURNING: Bulk = Bulk::new(
    "UPDATE deliveries SET status = v.column2, error_code = NULLIF(v.column3, ''), \
     carrier_status = NULLIF(v.column4, ''), completed_at_ms = v.column5, refunded = v.column8",
    &[Id, Text, Text, Text, Int, Text, Int, Bool],
    "WHERE deliveries.id = v.column1 AND deliveries.completed_at_ms IS NULL \
     AND deliveries.node = v.column6 AND deliveries.epoch = v.column7 \
     RETURNING deliveries.id",
);

pub(super) static RELEASE_WINDOWS: Bulk = Bulk::new(
    "UPDATE phone_windows SET until_ms = since_ms",
    &[Text, Text, Id],
    "WHERE phone_windows.realm = v.column1 AND phone_windows.phone = v.column2 \
     AND phone_windows.delivery_id = v.column3",
);

/// A window that ends more than 30 s after now, plus 2 s for the difference between the nodes' readings
/// of the database clock, was claimed before that clock was set back, and is over.
pub(super) static CLAIM_WINDOWS: Bulk = Bulk::new(
    "INSERT INTO phone_windows (realm, phone, since_ms, until_ms, delivery_id) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5",
    &[Text, Text, Int, Int, Id],
    "WHERE v.column1 IS NOT NULL \
     ON CONFLICT (realm, phone) DO UPDATE SET since_ms = excluded.since_ms, \
     until_ms = excluded.until_ms, delivery_id = excluded.delivery_id \
     WHERE phone_windows.until_ms <= excluded.since_ms \
     OR phone_windows.until_ms > excluded.since_ms + 32000",
);

pub(super) static READ_WINDOWS: Bulk = Bulk::new(
    "SELECT v.column3, w.until_ms",
    &[Text, Text, Id],
    "JOIN phone_windows AS w ON w.realm = v.column1 AND w.phone = v.column2 \
     WHERE w.delivery_id <> v.column3",
);

pub(super) static WRITE_WALLETS: Bulk = Bulk::new(
    "UPDATE wallets SET free_micros = v.column2, bonus_micros = v.column3, \
     balance_micros = v.column4, version = wallets.version + 1",
    &[Id, Int, Int, Int, Int],
    "WHERE wallets.account_id = v.column1 AND wallets.version = v.column5 \
     RETURNING wallets.account_id",
);

pub(super) static INSERT_DELIVERIES: Bulk = Bulk::new(
    "INSERT INTO deliveries (node, epoch, status, id, account_id, key_id, test, phone, carrier, \
     cost_micros, created_at_ms, sandbox, reference, metadata, verification_id) \
     SELECT ?, ?, 'sent', v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, \
     v.column7, v.column8, v.column9, NULLIF(v.column10, ''), NULLIF(v.column11, ''), \
     NULLIF(v.column12, zeroblob(16))",
    &[Id, Id, Id, Bool, Text, Text, Int, Int, Bool, Text, Text, Id],
    "WHERE v.column1 IS NOT NULL",
);

/// [`INSERT_DELIVERIES`] if other nodes may end our epoch: then nothing is written. The node's row
/// stays locked until the transaction ends, so that a takeover waits and sees all deliveries. Lease
/// renewals do not wait.
pub(super) static INSERT_DELIVERIES_FENCED: Bulk = Bulk::new(
    "WITH fence AS (SELECT name, epoch FROM nodes WHERE name = ? AND epoch = ? FOR KEY SHARE) \
     INSERT INTO deliveries (node, epoch, status, id, account_id, key_id, test, phone, carrier, \
     cost_micros, created_at_ms, sandbox, reference, metadata, verification_id) \
     SELECT fence.name, fence.epoch, 'sent', v.column1, v.column2, v.column3, v.column4, v.column5, \
     v.column6, v.column7, v.column8, v.column9, NULLIF(v.column10, ''), NULLIF(v.column11, ''), \
     NULLIF(v.column12, '00000000-0000-0000-0000-000000000000'::uuid)",
    &[Id, Id, Id, Bool, Text, Text, Int, Int, Bool, Text, Text, Id],
    "CROSS JOIN fence",
);

pub(super) static INSERT_ENTRIES: Bulk = Bulk::new(
    "INSERT INTO ledger_entries (account_id, posting_id, delivery_id, kind, bucket, \
     amount_micros, created_at_ms) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, v.column7",
    &[Id, Id, Id, Text, Text, Int, Int],
    "WHERE v.column1 IS NOT NULL",
);

pub(super) static INSERT_CALL_ATTEMPTS: Bulk = Bulk::new(
    "INSERT INTO call_attempts (id, delivery_id, number, gateway, call_id, started_at_ms, \
     accepted_at_ms, ringing_at_ms, answered_at_ms, ended_at_ms, sip_code, end_reason, codec, \
     packets_sent, packets_received, loss_ppm, jitter_us, round_trip_us, mos_hundredths, \
     steps) \
     SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, \
     NULLIF(v.column7, -1), NULLIF(v.column8, -1), NULLIF(v.column9, -1), v.column10, \
     NULLIF(v.column11, -1), v.column12, NULLIF(v.column13, ''), v.column14, \
     NULLIF(v.column15, -1), NULLIF(v.column16, -1), NULLIF(v.column17, -1), \
     NULLIF(v.column18, -1), NULLIF(v.column19, -1), NULLIF(v.column20, '')",
    &[
        Id, Id, Int, Text, Text, Int, Int, Int, Int, Int, Int, Text, Text, Int, Int, Int, Int, Int,
        Int, Text,
    ],
    "WHERE v.column1 IS NOT NULL",
);

/// Locks the referrals, so that entries are written for the same ones. Ended referrals earn
/// nothing.
pub(super) static ADD_PENDING: Bulk = Bulk::new(
    "UPDATE referrals SET accrued_micros = referrals.accrued_micros + v.column2, \
     pending_micros = referrals.pending_micros + v.column2",
    &[Id, Int],
    "WHERE referrals.referred_id = v.column1 AND referrals.ended_at_ms IS NULL",
);

pub(super) static INSERT_COMMISSIONS: Bulk = Bulk::new(
    "INSERT INTO commission_entries (account_id, referred_id, posting_id, delivery_id, kind, bucket, \
     amount_micros, created_at_ms) \
     SELECT r.referrer_id, r.referred_id, v.column2, v.column2, 'commission', 'pending', v.column3, \
     v.column4",
    &[Id, Id, Int, Int],
    "JOIN referrals AS r ON r.referred_id = v.column1 WHERE r.ended_at_ms IS NULL",
);

/// Answers are stored for a day ([`RETENTION_MS`]); an older one is replaced. So is one that lives as long as its
/// phone's window: the debit has just claimed that window, so it is over.
///
/// [`RETENTION_MS`]: nexo_domain::idempotency::RETENTION_MS
pub(super) static STORE_DEBIT_ANSWERS: Bulk = Bulk::new(
    "INSERT INTO idempotency (status_code, answered, key_id, idempotency_key, fingerprint, \
     delivery_id, answer, created_at_ms, window_until_ms) \
     SELECT ?, FALSE, v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, \
     NULLIF(v.column7, -1)",
    &[Id, Text, Bytes, Id, Text, Int, Int],
    "WHERE v.column1 IS NOT NULL \
     ON CONFLICT (key_id, idempotency_key) DO UPDATE SET status_code = excluded.status_code, \
     answered = excluded.answered, fingerprint = excluded.fingerprint, \
     delivery_id = excluded.delivery_id, answer = excluded.answer, \
     created_at_ms = excluded.created_at_ms, window_until_ms = excluded.window_until_ms \
     WHERE idempotency.created_at_ms <= excluded.created_at_ms - 86400000 \
     OR idempotency.window_until_ms IS NOT NULL",
);

/// The same for refusals, returning those written.
pub(super) static STORE_REFUSALS: Bulk = Bulk::new(
    "INSERT INTO idempotency (answered, key_id, idempotency_key, fingerprint, status_code, \
     answer, created_at_ms) \
     SELECT TRUE, v.column1, v.column2, v.column3, v.column4, v.column5, v.column6",
    &[Id, Text, Bytes, Int, Text, Int],
    "WHERE v.column1 IS NOT NULL \
     ON CONFLICT (key_id, idempotency_key) DO UPDATE SET status_code = excluded.status_code, \
     answered = excluded.answered, fingerprint = excluded.fingerprint, \
     delivery_id = excluded.delivery_id, answer = excluded.answer, \
     created_at_ms = excluded.created_at_ms \
     WHERE idempotency.created_at_ms <= excluded.created_at_ms - 86400000 \
     RETURNING key_id, idempotency_key",
);

/// Selects the keys under which an answer is still stored.
pub(super) static READ_KEYS: Bulk = Bulk::new(
    "SELECT i.key_id, i.idempotency_key",
    &[Id, Text, Int],
    "JOIN idempotency AS i ON i.key_id = v.column1 AND i.idempotency_key = v.column2 \
     WHERE i.created_at_ms > v.column3",
);

pub(super) static CONFIRM_ANSWERS: Bulk = Bulk::new(
    "UPDATE idempotency SET answered = TRUE",
    &[Id, Text, Id],
    "WHERE idempotency.key_id = v.column1 AND idempotency.idempotency_key = v.column2 \
     AND idempotency.delivery_id = v.column3",
);

pub(super) static DELETE_ANSWERS: Bulk = Bulk::new(
    "DELETE FROM idempotency WHERE (key_id, idempotency_key, delivery_id) IN ( \
     SELECT v.column1, v.column2, v.column3",
    &[Id, Text, Id],
    "WHERE v.column1 IS NOT NULL)",
);

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

    use super::*;
    use crate::store::Store;
    use crate::store::webhooks::queue::{LOAD_ENDPOINTS, QUEUE_WEBHOOKS};
    use nexo_domain::idempotency::RETENTION_MS;

    #[test]
    fn an_expired_answer_is_replaced() {
        let limit = format!("excluded.created_at_ms - {RETENTION_MS}");
        for bulk in [&STORE_DEBIT_ANSWERS, &STORE_REFUSALS] {
            assert!(bulk.sqlite_text(1).contains(&limit));
        }
    }

    #[tokio::test]
    async fn no_statement_of_a_batch_scans_a_table_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/plans.db", folder.path().display());
        let store = Store::connect(&url, 1).await.unwrap();
        nexo_migration::up(store.connection()).await.unwrap();
        let mut bulks = vec![
            &LOAD_WALLETS,
            &LOAD_ENDPOINTS,
            &SETTLE,
            &SETTLE_RETURNING,
            &RELEASE_WINDOWS,
            &CLAIM_WINDOWS,
            &READ_WINDOWS,
            &WRITE_WALLETS,
            &INSERT_DELIVERIES,
            &INSERT_ENTRIES,
            &INSERT_CALL_ATTEMPTS,
            &QUEUE_WEBHOOKS,
            &ADD_PENDING,
            &INSERT_COMMISSIONS,
            &STORE_DEBIT_ANSWERS,
            &STORE_REFUSALS,
            &READ_KEYS,
            &CONFIRM_ANSWERS,
            &DELETE_ANSWERS,
        ];
        bulks.extend(crate::store::ledger::posting::verifications::tests::statements());
        for (bulk, rows) in bulks.iter().flat_map(|bulk| [(bulk, 1), (bulk, 2), (bulk, 384)]) {
            let sql = format!("EXPLAIN QUERY PLAN {}", bulk.sqlite_text(rows));
            let explain = Statement::from_string(DatabaseBackend::Sqlite, sql.as_str());
            for step in store.connection().query_all_raw(explain).await.unwrap() {
                let step: String = step.try_get_by_index(3).unwrap();
                let reads_bulk_rows =
                    step == "SCAN v" || step.contains("CONSTANT") || step.contains("VALUES");
                let is_scan = step.starts_with("SCAN") && !reads_bulk_rows;
                assert!(!is_scan && !step.contains("AUTOMATIC"), "{step}: {sql:.120}");
            }
        }
    }
}
