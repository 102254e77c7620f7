//! The answer to a request for an OTP, and its metrics.

use std::sync::Arc;

use nexo_domain::call::acceptance::{ACCEPTED_STATUS, Accepted};
use nexo_domain::call::{Refusal, WeakChallenge};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::money::Micros;
use tokio::sync::oneshot;

use crate::dispatch::inflight::{InFlight, StoredResponse};
use crate::trunk::carrier::NotPlaced;
use crate::trunk::meters::{CarrierMeters, Verdict};

/// The answer to a request for an OTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatched {
    /// A gateway accepted the call.
    Accepted(Accepted),
    /// The wallet holds less than the cost.
    FundsShort { total: Micros },
    /// The phone received an OTP less than 30 s ago.
    WindowHeld { retry_after_seconds: u32 },
    /// The carrier throttles. Refunded.
    Throttled { retry_after_seconds: u32 },
    /// No gateway is configured. Nothing was debited.
    NoGateway,
    /// Every gateway refused or was silent. Refunded.
    NoRoute,
    /// A queue, the trunk or the store is full or down, or this node's lease has expired. Nothing was debited, or
    /// it is refunded within seconds.
    Overloaded,
    /// The account was closed a moment ago. Nothing was debited.
    AccountClosed,
    /// A response is stored under the request's idempotency key, or is about to be. Nothing was debited.
    KeyTaken,
    /// The verification whose code was to be sent again is closed, has expired or has no send left. Nothing was
    /// debited.
    NotResendable,
    /// The connection to the store broke during the debit. If the debit was posted, the reaper refunds it.
    InDoubt,
    /// The saga died, or the store failed permanently.
    Lost,
}

/// Sends the answer exactly once, and counts it.
pub(super) struct Replier {
    answer: Option<oneshot::Sender<Dispatched>>,
    meters: Arc<CarrierMeters>,
    is_sandbox: bool,
    in_flight: Option<InFlight>,
}

impl Replier {
    /// `is_sandbox`: whether the sandbox takes the call. `in_flight`: present if the request has an idempotency key.
    pub fn new(
        answer: oneshot::Sender<Dispatched>,
        meters: Arc<CarrierMeters>,
        is_sandbox: bool,
        in_flight: Option<InFlight>,
    ) -> Replier {
        Replier { answer: Some(answer), meters, is_sandbox, in_flight }
    }

    pub fn request(&self) -> Option<Arc<IdempotentRequest>> {
        self.in_flight.as_ref().map(|in_flight| Arc::clone(in_flight.request()))
    }

    /// Records that the debit is durable.
    pub fn paid(&self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.paid();
        }
    }

    /// Answers the caller while the saga continues: the request stays in flight.
    pub fn send_early(&mut self, dispatched: Dispatched) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        if let Some(verdict) = verdict(&dispatched) {
            self.meters.of(self.is_sandbox).answered(verdict);
        }
        // The client may have disconnected.
        let _ = answer.send(dispatched);
    }

    /// Answers the caller. The request is no longer in flight.
    pub fn send(mut self, dispatched: Dispatched) {
        let in_flight = self.in_flight.take();
        if let (Some(in_flight), Dispatched::Accepted(accepted)) = (in_flight, &dispatched) {
            in_flight
                .complete(StoredResponse { status: ACCEPTED_STATUS, body: accepted.body().into() });
        }
        self.send_early(dispatched);
    }
}

/// How an answer is counted. `KeyTaken` is not: the client receives the stored response instead. Nor is
/// `NotResendable`: no OTP was to be sent.
fn verdict(dispatched: &Dispatched) -> Option<Verdict> {
    match dispatched {
        Dispatched::Accepted(_) => Some(Verdict::Accepted),
        Dispatched::FundsShort { .. } => Some(Verdict::FundsShort),
        Dispatched::WindowHeld { .. } => Some(Verdict::WindowHeld),
        Dispatched::Throttled { .. } => Some(Verdict::Throttled),
        Dispatched::NoGateway | Dispatched::NoRoute => Some(Verdict::NoRoute),
        Dispatched::Overloaded => Some(Verdict::Overloaded),
        Dispatched::AccountClosed => Some(Verdict::AccountClosed),
        Dispatched::KeyTaken | Dispatched::NotResendable => None,
        Dispatched::InDoubt | Dispatched::Lost => Some(Verdict::Lost),
    }
}

/// The answer when no gateway accepted the call: the shortest `Retry-After` of the gateways, or no route.
pub(super) fn answer_of(refusals: &[Refusal]) -> Dispatched {
    let throttled = refusals.iter().filter_map(Refusal::throttled_seconds).min();
    match throttled {
        Some(seconds) => Dispatched::Throttled { retry_after_seconds: seconds.max(1) },
        None => Dispatched::NoRoute,
    }
}

/// The refusal that stands for all gateways throttling, if that is why no call was placed.
pub(super) fn throttled_refusal(why: NotPlaced) -> Option<Refusal> {
    match why {
        NotPlaced::NoGateway { retry_after: Some(wait) } => Some(Refusal::Rejected {
            code: 503,
            retry_after_seconds: Some(wait.as_secs_f64().ceil() as u32),
        }),
        NotPlaced::NoGateway { retry_after: None } | NotPlaced::NoLease => None,
    }
}

pub(super) fn carrier_status_of(refusals: &[Refusal]) -> std::borrow::Cow<'static, str> {
    match refusals.last() {
        Some(
            Refusal::Rejected { code, .. } | Refusal::WeakChallenge(WeakChallenge { code, .. }),
        ) => code.to_string().into(),
        Some(Refusal::Silent) => "silent".into(),
        Some(Refusal::TransportLost) => "transport_lost".into(),
        Some(Refusal::Abandoned) | None => "not_placed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(code: u16, retry_after_seconds: Option<u32>) -> Refusal {
        Refusal::Rejected { code, retry_after_seconds }
    }

    #[test]
    fn a_throttling_carrier_is_distinguished_from_a_missing_route() {
        let throttled = |seconds| Dispatched::Throttled { retry_after_seconds: seconds };
        for (refusals, answer) in [
            (vec![rejected(503, Some(17))], throttled(17)),
            (vec![rejected(429, Some(3)), Refusal::Silent], throttled(3)),
            (vec![rejected(503, Some(17)), rejected(503, Some(5))], throttled(5)),
            (vec![rejected(503, Some(0))], throttled(1)),
            (vec![rejected(503, None)], Dispatched::NoRoute),
            (vec![rejected(480, Some(17))], Dispatched::NoRoute),
            (vec![Refusal::Silent, Refusal::TransportLost], Dispatched::NoRoute),
            (vec![], Dispatched::NoRoute),
        ] {
            assert_eq!(answer_of(&refusals), answer, "{refusals:?}");
        }
    }
}
