//! An OTP that has been debited, and its settlement.

use std::sync::Arc;

use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::call::acceptance::Accepted;
use nexo_domain::call::outcome::Outcome;
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::trace_parent::TraceParent;
use nexo_domain::webhook::Event;
use nexo_entities::store::ledger::posting::{CallAttempt, NodeEpoch, Settlement};

use crate::dispatch::live_deliveries::LiveDelivery;
use crate::dispatch::order::OtpOrder;
use crate::trunk::admission::{Channel, Realm};
use crate::trunk::carrier::Trunk;

/// An OTP that has been debited.
pub(super) struct Paid {
    pub order: OtpOrder,
    pub trunk: Arc<Trunk>,
    pub realm: Realm,
    pub parts: Parts,
    pub after: Buckets,
    pub idempotent: Option<Arc<IdempotentRequest>>,
    /// The parent span of its webhooks.
    pub trace: Option<TraceParent>,
    /// The epoch in which it was debited.
    pub node: Arc<NodeEpoch>,
    /// Held until the call is over.
    #[expect(dead_code, reason = "its drop frees the channel")]
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
            verification: self.order.verification.map(|send| send.sent),
        }
    }

    pub fn settlement(
        &self,
        outcome: Outcome,
        attempts: Vec<CallAttempt>,
        settled: Settled,
    ) -> Settlement {
        let completed_at_ms = self.order.clock.now_ms();
        let event = Event {
            delivery_id: self.order.delivery_id,
            phone: self.order.phone,
            carrier: self.order.carrier,
            status: outcome.status,
            cost: self.order.cost,
            error_code: outcome.error_code,
            created_at_ms: self.order.clock.start_ms(),
            completed_at_ms,
            fields: self.order.fields.clone(),
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
            releases_key: self.idempotent.clone().filter(|_| settled == Settled::NoRoute),
            takes_back: self
                .order
                .verification
                .filter(|_| settled == Settled::NoRoute)
                .map(|send| send.sent.id),
        }
    }
}

/// Which part of the saga a settlement ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// An accepted call.
    Call,
    /// No gateway accepted.
    NoRoute,
}
