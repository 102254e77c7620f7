//! A batch of debits and settlements, and what follows from its settlements.

use std::collections::HashSet;
use std::time::Instant;

use nexo_domain::billing::referral::commission;
use nexo_domain::call::outcome::Status;
use nexo_domain::ids::{AccountId, DeliveryId};
use nexo_domain::money::Micros;

use super::records::{Debit, IdempotencyWrite, NodeEpoch, Settlement};
use crate::store::StoreError;

/// The work of one transaction.
pub(super) struct Batch<'a> {
    pub node: &'a NodeEpoch,
    pub debits: &'a [Debit],
    pub settlements: &'a [Settlement],
    pub answers: &'a [IdempotencyWrite],
    /// By when everything but the COMMIT must be written.
    pub deadline: Instant,
    pub mode: WriteMode,
}

/// How a transaction writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WriteMode {
    /// Everything at once, assuming that no window is lost and no wallet changed. On failure the
    /// transaction is rolled back and retried stepwise.
    Optimistic,
    /// Windows, then wallets, then the rest, each checked.
    Stepwise,
}

/// Why a transaction was abandoned.
pub(super) enum Abort {
    /// A window or key was lost, or a wallet changed, in an optimistic write.
    OptimismFailed,
    /// A wallet differs from the cache, or a key was taken a moment ago.
    Stale,
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Abort {
    fn from(error: E) -> Self {
        Abort::Failed(error.into())
    }
}

/// The commission that one delivered OTP earns for the referrer of its account.
pub(super) struct Commission {
    pub account_id: AccountId,
    pub delivery_id: DeliveryId,
    pub amount: Micros,
    pub at_ms: i64,
}

impl Commission {
    /// Returns what a settlement earns if its account was referred.
    pub(super) fn of(settlement: &Settlement) -> Option<Commission> {
        let amount = commission(settlement.parts.total());
        (settlement.status == Status::Delivered && amount > Micros::ZERO).then_some(Commission {
            account_id: settlement.account_id,
            delivery_id: settlement.delivery_id,
            amount,
            at_ms: settlement.completed_at_ms,
        })
    }
}

/// Returns the settlements that took effect.
pub(super) fn ended<'s>(settlements: &'s [Settlement], settled: &[bool]) -> Vec<&'s Settlement> {
    let both = settlements.iter().zip(settled);
    both.filter(|(_, settled)| **settled).map(|(settlement, _)| settlement).collect()
}

/// Marks the first settlement of each delivery; the others have no effect.
pub(super) fn first_of_each(settlements: &[Settlement]) -> Vec<bool> {
    let mut seen = HashSet::with_capacity(settlements.len());
    settlements.iter().map(|s| seen.insert(s.delivery_id)).collect()
}

/// Returns the accounts that settlements refund.
pub(super) fn refunded(settlements: &[Settlement]) -> impl Iterator<Item = AccountId> {
    settlements.iter().filter(|s| s.refund).map(|s| s.account_id)
}
