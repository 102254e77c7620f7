//! An OTP that has been paid for, and what its end writes.

use std::sync::Arc;

use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::call::acceptance::Accepted;
use nexo_domain::call::outcome::Outcome;
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::trace_parent::TraceParent;
use nexo_domain::webhook::Event;
use nexo_entities::store::ledger::posting::{CallAttempt, NodeEpoch, Settlement};

use super::OtpOrder;
use crate::clock;
use crate::dispatch::live_deliveries::LiveDelivery;
use crate::trunk::admission::{Channel, Realm};
use crate::trunk::carrier::Trunk;

/// An OTP that has been debited.
pub(super) struct Paid {
    pub order: OtpOrder,
    pub trunk: Arc<Trunk>,
    pub realm: Realm,
    pub parts: Parts,
    pub after: Buckets,
    pub created_at_ms: i64,
    pub idempotent: Option<Arc<IdempotentRequest>>,
    /// What its webhooks are put under.
    pub trace: Option<TraceParent>,
    /// The life in which it was paid for.
    pub node: Arc<NodeEpoch>,
    /// Held until the call is over.
    #[expect(dead_code, reason = "its end frees it")]
    pub channel: Channel,
    pub live: LiveDelivery,
}

impl Paid {
    pub fn accepted(&self) -> Accepted {
        Accepted {
            id: self.order.delivery_id,
            carrier: self.order.carrier,
            cost: self.order.cost,
            after: self.after,
        }
    }

    pub fn settlement(
        &self,
        outcome: Outcome,
        attempts: Vec<CallAttempt>,
        settled: Settled,
    ) -> Settlement {
        let completed_at_ms = clock::unix_ms();
        let event = Event {
            delivery_id: self.order.delivery_id,
            phone: self.order.phone,
            carrier: self.order.carrier,
            status: outcome.status,
            cost: self.order.cost,
            error_code: outcome.error_code,
            created_at_ms: self.created_at_ms,
            completed_at_ms,
        };
        Settlement {
            delivery_id: self.order.delivery_id,
            account_id: self.order.account_id,
            test: self.order.test,
            phone: self.order.phone,
            status: outcome.status,
            error_code: outcome.error_code,
            event: (settled == Settled::Call).then_some(event),
            trace: self.trace,
            carrier_status: Some(outcome.carrier_status),
            completed_at_ms,
            parts: self.parts,
            refund: outcome.refund,
            release_window: settled == Settled::NoRoute,
            attempts,
            frees: self
                .idempotent
                .clone()
                .filter(|_| settled == Settled::NoRoute),
        }
    }
}

/// Which part of the saga a settlement closes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// A call that had been accepted.
    Call,
    /// No gateway accepted.
    NoRoute,
}
