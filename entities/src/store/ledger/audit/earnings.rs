//! Invariants of commissions, payouts and deposits.

use super::invariants::Invariant;

pub(super) const INVARIANTS: [Invariant; 8] = [
    Invariant {
        name: "commissions_are_a_tenth",
        broken: "commissions that are not a tenth of what a referred account's delivered OTP cost",
        sql: "SELECT COUNT(*) FROM commission_entries AS e WHERE e.kind = 'commission' \
              AND NOT EXISTS (SELECT 1 FROM deliveries AS d \
              JOIN referrals AS r ON r.referred_id = d.account_id \
              WHERE d.id = e.delivery_id AND d.account_id = e.referred_id \
              AND r.referrer_id = e.account_id AND d.status = 'delivered' \
              AND e.amount_micros = d.cost_micros / 10)",
    },
    Invariant {
        name: "commissions_accrue_once",
        broken: "deliveries with more than one commission",
        sql: "SELECT COUNT(*) FROM (SELECT delivery_id FROM commission_entries \
              WHERE kind = 'commission' GROUP BY delivery_id HAVING COUNT(*) > 1) AS p",
    },
    Invariant {
        name: "pending_commissions_equal_their_entries",
        broken: "referrals whose pending or accrued sum is not that of their entries",
        sql: "SELECT COUNT(*) FROM referrals AS r LEFT JOIN (SELECT referred_id, \
              SUM(amount_micros) AS pending, \
              SUM(CASE WHEN kind = 'commission' THEN amount_micros ELSE 0 END) AS accrued \
              FROM commission_entries WHERE bucket = 'pending' GROUP BY referred_id) AS e \
              ON e.referred_id = r.referred_id \
              WHERE r.pending_micros <> COALESCE(e.pending, 0) \
              OR r.accrued_micros <> COALESCE(e.accrued, 0)",
    },
    Invariant {
        name: "payouts_equal_their_entries",
        broken: "payouts that are not what left pending, or not what became paid",
        sql: "SELECT COUNT(*) FROM payouts AS p LEFT JOIN (SELECT payout_id, account_id, \
              SUM(CASE WHEN bucket = 'pending' THEN -amount_micros ELSE 0 END) AS taken, \
              SUM(CASE WHEN bucket = 'paid' THEN amount_micros ELSE 0 END) AS given \
              FROM commission_entries WHERE kind = 'payout' GROUP BY payout_id, account_id) AS e \
              ON e.payout_id = p.id AND e.account_id = p.account_id \
              WHERE COALESCE(e.taken, 0) <> p.amount_micros \
              OR COALESCE(e.given, 0) <> p.amount_micros",
    },
    Invariant {
        name: "payout_entries_have_their_payout",
        broken: "payout entries without a payout of the same account",
        sql: "SELECT COUNT(*) FROM commission_entries AS e WHERE e.kind = 'payout' \
              AND NOT EXISTS (SELECT 1 FROM payouts AS p \
              WHERE p.id = e.payout_id AND p.account_id = e.account_id)",
    },
    Invariant {
        name: "commissions_in_wallets_are_payouts",
        broken: "commissions in wallets that are not a payout of the same account and amount",
        sql: "SELECT COUNT(*) FROM ledger_entries AS e WHERE e.kind = 'commission' \
              AND NOT EXISTS (SELECT 1 FROM payouts AS p WHERE p.account_id = e.account_id \
              AND p.wallet_kind = 'balance' AND p.amount_micros = e.amount_micros \
              AND e.reference = 'payout-' || p.month)",
    },
    Invariant {
        name: "top_ups_credit_once",
        broken: "credited top-ups without exactly one matching deposit, or uncredited ones with a deposit",
        sql: "SELECT COUNT(*) FROM deposits AS d WHERE (SELECT COUNT(*) FROM ledger_entries AS e \
              WHERE e.account_id = d.account_id AND e.kind = 'deposit' \
              AND e.reference = d.reference AND e.amount_micros = d.credited_micros) \
              <> CASE WHEN d.status = 'credited' THEN 1 ELSE 0 END",
    },
    Invariant {
        name: "bank_payments_credit_once",
        broken: "top-ups that several bank payments have credited",
        sql: "SELECT COUNT(*) FROM (SELECT d.id FROM deposits AS d \
              JOIN bank_payments AS b ON b.deposit_id = d.id AND b.status = 'credited' \
              AND b.closed_at_ms = d.closed_at_ms GROUP BY d.id HAVING COUNT(*) > 1) AS p",
    },
];

/// Delivered OTPs of referred accounts that earned nothing. Deliveries shortly before the end of a
/// referral are excused.
pub(super) const UNEARNED: &str = "SELECT COUNT(*) FROM referrals AS r \
     JOIN deliveries AS d ON d.account_id = r.referred_id \
     WHERE d.status = 'delivered' AND d.cost_micros >= 10 \
     AND (r.ended_at_ms IS NULL OR d.completed_at_ms < r.ended_at_ms - ?) \
     AND NOT EXISTS (SELECT 1 FROM commission_entries AS e \
     WHERE e.delivery_id = d.id AND e.kind = 'commission')";
