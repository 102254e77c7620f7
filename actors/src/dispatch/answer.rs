//! What the customer is told of an OTP, and how that is counted.

use std::sync::Arc;

use nexo_domain::call::Refusal;
use nexo_domain::call::acceptance::{ACCEPTED_STATUS, Accepted};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::money::Micros;
use tokio::sync::oneshot;

use crate::dispatch::inflight::{Flight, Landed};
use crate::trunk::carrier::NotPlaced;
use crate::trunk::meters::{CarrierMeters, Verdict};

/// What the customer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatched {
    /// The carrier took the call.
    Accepted(Accepted),
    /// The wallet holds less than the cost.
    FundsShort { total: Micros },
    /// The phone was called less than 30 s ago.
    WindowClosed { retry_after_seconds: u32 },
    /// The carrier throttles; refunded.
    Throttled { retry_after_seconds: u32 },
    /// No gateway is configured: nothing was debited.
    NoGateway,
    /// Every gateway refused or was silent; refunded.
    NoRoute,
    /// A queue, the trunk or the store is full or down, or this node's lease has ended; nothing is spent, or
    /// it is given back within seconds.
    Overloaded,
    /// The account was closed a moment ago; nothing was spent.
    AccountClosed,
    /// An answer is kept under the request's idempotency key, or is about to be; nothing was spent.
    KeyTaken,
    /// The store went away with the debit: if that was posted, the reaper gives it back.
    InDoubt,
    /// The saga died, or the store failed in a way that does not mend itself.
    Lost,
}

/// The customer's answer, given exactly once and counted.
pub(super) struct Telling {
    answer: Option<oneshot::Sender<Dispatched>>,
    meters: Arc<CarrierMeters>,
    flight: Option<Flight>,
}

impl Telling {
    /// `flight` is the request's, where that may be sent again.
    pub fn new(
        answer: oneshot::Sender<Dispatched>,
        meters: Arc<CarrierMeters>,
        flight: Option<Flight>,
    ) -> Telling {
        Telling {
            answer: Some(answer),
            meters,
            flight,
        }
    }

    pub fn request(&self) -> Option<Arc<IdempotentRequest>> {
        self.flight
            .as_ref()
            .map(|flight| Arc::clone(flight.request()))
    }

    /// Answers whoever waits, while the saga goes on: the flight is not over yet.
    pub fn tell_early(&mut self, dispatched: Dispatched) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        if let Some(verdict) = verdict(&dispatched) {
            self.meters.answered(verdict);
        }
        // Nobody may be waiting any more.
        let _ = answer.send(dispatched);
    }

    pub fn tell(mut self, dispatched: Dispatched) {
        if let (Some(flight), Dispatched::Accepted(accepted)) = (self.flight.take(), &dispatched) {
            flight.land(Landed {
                status: ACCEPTED_STATUS,
                body: accepted.body().into(),
            });
        }
        self.tell_early(dispatched);
    }
}

/// How an answer is counted. Whose key is taken is told what was answered under it.
fn verdict(dispatched: &Dispatched) -> Option<Verdict> {
    match dispatched {
        Dispatched::Accepted(_) => Some(Verdict::Accepted),
        Dispatched::FundsShort { .. } => Some(Verdict::FundsShort),
        Dispatched::WindowClosed { .. } => Some(Verdict::WindowClosed),
        Dispatched::Throttled { .. } => Some(Verdict::Throttled),
        Dispatched::NoGateway | Dispatched::NoRoute => Some(Verdict::NoRoute),
        Dispatched::Overloaded => Some(Verdict::Overloaded),
        Dispatched::AccountClosed => Some(Verdict::AccountClosed),
        Dispatched::KeyTaken => None,
        Dispatched::InDoubt | Dispatched::Lost => Some(Verdict::Lost),
    }
}

/// What the customer hears of an OTP that no gateway took: the shortest wait that a gateway asked
/// for, or that there is no route.
pub(super) fn answer_of(refusals: &[Refusal]) -> Dispatched {
    let throttled = refusals.iter().filter_map(Refusal::throttled_seconds).min();
    match throttled {
        Some(seconds) => Dispatched::Throttled {
            retry_after_seconds: seconds.max(1),
        },
        None => Dispatched::NoRoute,
    }
}

/// What it means for a customer that every gateway has asked to be left in peace.
pub(super) fn throttled_refusal(why: NotPlaced) -> Option<Refusal> {
    match why {
        NotPlaced::NoGateway {
            retry_after: Some(left),
        } => Some(Refusal::Rejected {
            code: 503,
            retry_after_seconds: Some(left.as_secs_f64().ceil() as u32),
        }),
        NotPlaced::NoGateway { retry_after: None } | NotPlaced::NoLease => None,
    }
}

pub(super) fn carrier_status_of(refusals: &[Refusal]) -> std::borrow::Cow<'static, str> {
    match refusals.last() {
        Some(Refusal::Rejected { code, .. }) => code.to_string().into(),
        Some(Refusal::Silent) => "silent".into(),
        Some(Refusal::TransportLost) => "transport_lost".into(),
        Some(Refusal::Abandoned) | None => "not_placed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(code: u16, retry_after_seconds: Option<u32>) -> Refusal {
        Refusal::Rejected {
            code,
            retry_after_seconds,
        }
    }

    #[test]
    fn a_throttling_carrier_is_told_from_a_missing_route() {
        let throttled = |seconds| Dispatched::Throttled {
            retry_after_seconds: seconds,
        };
        for (refusals, answer) in [
            (vec![rejected(503, Some(17))], throttled(17)),
            (vec![rejected(429, Some(3)), Refusal::Silent], throttled(3)),
            (
                vec![rejected(503, Some(17)), rejected(503, Some(5))],
                throttled(5),
            ),
            (vec![rejected(503, Some(0))], throttled(1)),
            (vec![rejected(503, None)], Dispatched::NoRoute),
            (vec![rejected(480, Some(17))], Dispatched::NoRoute),
            (
                vec![Refusal::Silent, Refusal::TransportLost],
                Dispatched::NoRoute,
            ),
            (vec![], Dispatched::NoRoute),
        ] {
            assert_eq!(answer_of(&refusals), answer, "{refusals:?}");
        }
    }
}
