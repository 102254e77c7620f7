//! Invariants of verifications. Records of test keys are deleted after some days, so only live ones are checked.

use super::invariants::Invariant;

/// Ends of verifications that an endpoint should have received and did not, as for the ends of deliveries. An expiry is
/// recorded later than it happens, by an unknown time.
pub(super) const UNSENT: &str = "SELECT COUNT(*) FROM webhook_endpoints AS e \
    JOIN verifications AS v ON v.account_id = e.account_id \
    WHERE v.status IN ('approved', 'failed') AND NOT v.test \
    AND v.closed_at_ms > COALESCE(e.resumed_at_ms, e.created_at_ms) + ? \
    AND v.closed_at_ms > COALESCE(e.events_changed_at_ms, e.created_at_ms) + ? \
    AND (e.paused_at_ms IS NULL OR v.closed_at_ms < e.paused_at_ms - ?) \
    AND (e.removed_at_ms IS NULL OR v.closed_at_ms < e.removed_at_ms - ?) \
    AND (',' || e.events || ',' LIKE '%,verification.*,%' \
    OR ',' || e.events || ',' LIKE '%,verification.' || v.status || ',%') \
    AND NOT EXISTS (SELECT 1 FROM webhook_attempts AS a \
    WHERE a.verification_id = v.id AND a.endpoint_id = e.id)";

pub(super) const INVARIANTS: [Invariant; 5] = [
    Invariant {
        name: "verifications_have_their_calls",
        broken: "verifications whose last call is not an OTP of the same account that reads their code",
        sql: "SELECT COUNT(*) FROM verifications AS v WHERE NOT v.test \
              AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.id = v.last_delivery_id \
              AND d.account_id = v.account_id AND d.verification_id = v.id AND NOT d.test)",
    },
    Invariant {
        name: "calls_of_verifications_are_counted",
        broken: "verifications with another number of calls than was counted",
        sql: "SELECT COUNT(*) FROM verifications AS v WHERE NOT v.test \
              AND v.sends <> (SELECT COUNT(*) FROM deliveries AS d WHERE d.verification_id = v.id)",
    },
    Invariant {
        name: "calls_have_their_verifications",
        broken: "OTPs that read the code of no verification of the same account",
        sql: "SELECT COUNT(*) FROM deliveries AS d WHERE d.verification_id IS NOT NULL AND NOT d.test \
              AND NOT EXISTS (SELECT 1 FROM verifications AS v WHERE v.id = d.verification_id \
              AND v.account_id = d.account_id AND NOT v.test)",
    },
    Invariant {
        name: "approvals_mark_their_call",
        broken: "approved verifications whose last call is not marked as converted",
        sql: "SELECT COUNT(*) FROM verifications AS v JOIN deliveries AS d ON d.id = v.last_delivery_id \
              WHERE v.status = 'approved' AND d.converted IS NULL",
    },
    Invariant {
        // `+ 0` makes SQLite search by the phone, not through all verifications of the account since then.
        name: "a_phone_has_one_pending_verification",
        broken: "verifications that are pending beside a newer one of the same account and phone",
        sql: "SELECT COUNT(*) FROM verifications AS v WHERE v.status = 'pending' \
              AND EXISTS (SELECT 1 FROM verifications AS o WHERE o.account_id = v.account_id \
              AND o.phone = v.phone AND o.status = 'pending' AND o.test = v.test AND o.id <> v.id \
              AND o.created_at_ms + 0 >= v.created_at_ms AND o.created_at_ms + 0 < v.expires_at_ms)",
    },
];
