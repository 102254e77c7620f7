//! Invariants of wallets, entries and webhooks.

/// An invariant: a query that counts the rows that violate it.
pub(super) struct Invariant {
    pub name: &'static str,
    /// Describes a counted row.
    pub broken: &'static str,
    pub sql: &'static str,
}

pub(super) const WALLET_INVARIANTS: [Invariant; 10] = [
    Invariant {
        name: "wallets_equal_their_entries",
        broken: "wallets with a bucket that is not the sum of its entries",
        sql: "SELECT COUNT(*) FROM wallets AS w LEFT JOIN ( \
              SELECT account_id, \
              SUM(CASE WHEN bucket = 'free' THEN amount_micros ELSE 0 END) AS free, \
              SUM(CASE WHEN bucket = 'bonus' THEN amount_micros ELSE 0 END) AS bonus, \
              SUM(CASE WHEN bucket = 'balance' THEN amount_micros ELSE 0 END) AS balance \
              FROM ledger_entries GROUP BY account_id) AS e ON e.account_id = w.account_id \
              WHERE w.free_micros <> COALESCE(e.free, 0) \
              OR w.bonus_micros <> COALESCE(e.bonus, 0) \
              OR w.balance_micros <> COALESCE(e.balance, 0)",
    },
    Invariant {
        name: "no_bucket_is_negative",
        broken: "wallets with a negative bucket",
        sql: "SELECT COUNT(*) FROM wallets \
              WHERE free_micros < 0 OR bonus_micros < 0 OR balance_micros < 0",
    },
    Invariant {
        name: "every_entry_has_its_wallet",
        broken: "entries without a wallet",
        sql: "SELECT COUNT(*) FROM ledger_entries AS e \
              WHERE NOT EXISTS (SELECT 1 FROM wallets AS w WHERE w.account_id = e.account_id)",
    },
    Invariant {
        name: "every_delivery_is_paid_exactly",
        broken: "deliveries whose debits are not their cost",
        sql: "SELECT COUNT(*) FROM deliveries AS d LEFT JOIN ( \
              SELECT delivery_id, SUM(amount_micros) AS debited FROM ledger_entries \
              WHERE kind = 'debit' GROUP BY delivery_id) AS e ON e.delivery_id = d.id \
              WHERE d.cost_micros + COALESCE(e.debited, 0) <> 0",
    },
    Invariant {
        name: "every_debit_has_its_delivery",
        broken: "debits or refunds without a delivery of the same account",
        sql: "SELECT COUNT(*) FROM ledger_entries AS e WHERE e.kind IN ('debit', 'refund') \
              AND NOT EXISTS (SELECT 1 FROM deliveries AS d \
              WHERE d.id = e.delivery_id AND d.account_id = e.account_id)",
    },
    Invariant {
        name: "refunds_are_their_debits",
        broken: "refunds of something else than what a failed delivery paid from that bucket",
        sql: "SELECT COUNT(*) FROM ledger_entries AS r WHERE r.kind = 'refund' \
              AND NOT EXISTS (SELECT 1 FROM ledger_entries AS d \
              JOIN deliveries AS o ON o.id = d.delivery_id \
              WHERE d.delivery_id = r.delivery_id AND d.kind = 'debit' \
              AND d.bucket = r.bucket AND d.amount_micros + r.amount_micros = 0 \
              AND o.status = 'failed')",
    },
    Invariant {
        name: "refunds_are_whole",
        broken: "deliveries that were refunded in part",
        sql: "SELECT COUNT(*) FROM (SELECT delivery_id FROM ledger_entries \
              WHERE kind IN ('debit', 'refund') GROUP BY delivery_id \
              HAVING SUM(CASE WHEN kind = 'refund' THEN 1 ELSE 0 END) > 0 \
              AND SUM(amount_micros) <> 0) AS p",
    },
    Invariant {
        name: "deliveries_are_debited_and_refunded_once",
        broken: "deliveries with more than one debit or refund",
        sql: "SELECT COUNT(*) FROM (SELECT delivery_id, kind FROM ledger_entries \
              WHERE kind IN ('debit', 'refund') GROUP BY delivery_id, kind \
              HAVING COUNT(DISTINCT posting_id) > 1) AS p",
    },
    Invariant {
        name: "references_correct_once",
        broken: "references that corrected an account more than once",
        sql: "SELECT COUNT(*) FROM (SELECT account_id, reference FROM ledger_entries \
              WHERE kind = 'correction' \
              GROUP BY account_id, reference HAVING COUNT(*) > 1) AS r",
    },
    Invariant {
        name: "references_credit_once",
        broken: "references that credited an account more than once",
        sql: "SELECT COUNT(*) FROM (SELECT account_id, reference FROM ledger_entries \
              WHERE kind IN ('deposit', 'grant') AND reference IS NOT NULL \
              GROUP BY account_id, reference HAVING COUNT(*) > 1) AS r",
    },
];

/// Ends of deliveries that an endpoint should have received and did not. Deliveries that no gateway
/// accepted send no webhook. An endpoint counts only while it is certainly active and wants the event:
/// of a finished pause only the end is recorded, and of its events only the present ones.
pub(super) const UNSENT: &str = "SELECT COUNT(*) FROM webhook_endpoints AS e \
    JOIN deliveries AS d ON d.account_id = e.account_id \
    WHERE d.completed_at_ms > COALESCE(e.resumed_at_ms, e.created_at_ms) + ? \
    AND d.completed_at_ms > COALESCE(e.events_changed_at_ms, e.created_at_ms) + ? \
    AND (e.paused_at_ms IS NULL OR d.completed_at_ms < e.paused_at_ms - ?) \
    AND (e.removed_at_ms IS NULL OR d.completed_at_ms < e.removed_at_ms - ?) \
    AND COALESCE(d.error_code, '') <> 'no_route' \
    AND (',' || e.events || ',' LIKE '%,otp.*,%' \
    OR ',' || e.events || ',' LIKE '%,otp.' || d.status || ',%') \
    AND NOT EXISTS (SELECT 1 FROM webhook_attempts AS a \
    WHERE a.delivery_id = d.id AND a.endpoint_id = e.id AND a.verification_id IS NULL)";
