//! Places the call of a debited OTP: one gateway after another, until one accepts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_domain::call::Refusal;
use nexo_entities::store::ledger::posting::CallAttempt;
use nexo_voice::sip::message::hop::Hop;
use tracing::Span;

use crate::dispatch::answer::throttled_refusal;
use crate::dispatch::attempts::{AcceptedCall, first_answer, refusal_of, refused_attempt};
use crate::dispatch::dispatcher::Dispatcher;
use crate::dispatch::paid::Paid;
use crate::supervision::handle::Undelivered;
use crate::trunk::carrier::{CallParams, NotPlaced, PlaceCall, Placed};

/// How long a carrier's actor may take to answer.
const ACTOR_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay before a carrier's actor that is being replaced is asked again.
const CARRIER_RETRY_DELAY: Duration = Duration::from_millis(20);

impl Dispatcher {
    /// Tries one gateway after another until one accepts, one refuses finally, or the time is up.
    pub(super) async fn place_call(
        &self,
        paid: &Paid,
        attempts: &mut Vec<CallAttempt>,
    ) -> Result<AcceptedCall, Vec<Refusal>> {
        let settings = self.settings();
        let give_up = Instant::now() + settings.dispatch_timeout;
        let mut tried = Vec::new();
        let mut refusals = Vec::new();
        loop {
            let mut placed = match self.place_on_next_gateway(paid, &tried, give_up).await {
                Ok(placed) => placed,
                Err(why) => {
                    refusals.extend(why.and_then(throttled_refusal));
                    break;
                }
            };
            tried.push((placed.gateway, placed.target));
            let span = call_span(&placed);
            let clock = paid.order.clock;
            let started_at_ms = clock.now_ms();
            let within = tokio::time::timeout_at(give_up.into(), first_answer(&mut placed, clock));
            let refusal = match within.await {
                Ok(Ok(ringing_at_ms)) => {
                    placed.state.call_accepted();
                    span.in_scope(|| tracing::debug!("accepted"));
                    return Ok(AcceptedCall {
                        span,
                        number: tried.len(),
                        placed,
                        clock,
                        accepted_at_ms: clock.now_ms(),
                        ringing_at_ms,
                        started_at_ms,
                    });
                }
                Ok(Err(report)) => refusal_of(&report),
                // Dropping the events abandons the call: a late answer is cancelled or hung up.
                Err(_) => Refusal::Silent,
            };
            attempts.push(refused_attempt(
                &placed,
                tried.len(),
                (started_at_ms, clock.now_ms()),
                &refusal,
            ));
            span.record("end", tracing::field::debug(&refusal));
            // If the process stood still, it missed the answers, and the gateway is not to blame.
            if self.lease.is_of(&paid.node) {
                placed.state.call_refused(&refusal, placed.target);
            }
            let may_fail_over = refusal.may_fail_over();
            refusals.push(refusal);
            if !may_fail_over || Instant::now() >= give_up {
                break;
            }
        }
        Err(refusals)
    }

    /// Asks the carrier's actor for a call, repeatedly while the actor is being replaced.
    /// `Err(None)`: the actor was not back in time.
    async fn place_on_next_gateway(
        &self,
        paid: &Paid,
        tried: &[(usize, Hop)],
        give_up: Instant,
    ) -> Result<Placed, Option<NotPlaced>> {
        let carrier = &self.route(paid.order.carrier).actor;
        let settings = self.settings();
        loop {
            let call = PlaceCall {
                trunk: Arc::clone(&paid.trunk),
                delivery_id: paid.order.delivery_id,
                params: CallParams {
                    realm: paid.realm,
                    phone: paid.order.phone,
                    code: paid.order.code.clone(),
                    reading: paid.order.reading,
                    limits: settings.limits,
                    media_timeout: settings.media_timeout,
                },
                tried: tried.to_vec(),
                give_up,
            };
            match carrier.ask(call, ACTOR_TIMEOUT).await {
                Ok(placed) => return placed.map_err(Some),
                Err(Undelivered::Down | Undelivered::Full) if Instant::now() < give_up => {
                    tokio::time::sleep(CARRIER_RETRY_DELAY).await;
                }
                Err(Undelivered::Down | Undelivered::Full) => return Err(None),
            }
        }
    }
}

/// The span of one call, from its INVITE to its BYE.
fn call_span(placed: &Placed) -> Span {
    tracing::debug_span!(
        "call",
        gateway = placed.gateway_name,
        call_id = placed.call_id,
        sip_code = tracing::field::Empty,
        ringing_ms = tracing::field::Empty,
        answered_ms = tracing::field::Empty,
        end = tracing::field::Empty,
    )
}
