//! The saga of one OTP, from its admission to its terminal state.
//!
//! | step | fails as | undone |
//! |---|---|---|
//! | claim the phone's window and a channel | `WindowClosed`, `Overloaded` | nothing to undo |
//! | debit, durably | `FundsShort`, `WindowClosed`, `KeyTaken`, `Overloaded` | window and channel; by the reaper, where the connection broke in its commit |
//! | INVITE, gateway after gateway, until one accepts | `NoRoute`, `Throttled` | refund, window and channel |
//! | the call, to its end | never: it ends as the final states say | by the refund policy |
//!
//! The saga is a task of its own: a customer who hangs up on us changes nothing. Should it die,
//! its delivery is no longer live, and the reaper settles it.
//!
//! Where the request carries an idempotency key, the saga holds its [`Flight`]. The answer is kept with the
//! debit, stands once a gateway has taken the call, and is dropped with the refund where none has.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use actix_rt::ArbiterHandle;
use arc_swap::ArcSwap;
use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::call::outcome::{Ending, NO_ROUTE, Outcome, RefundPolicy, Status};
use nexo_domain::call::{CallEnd, CallLimits, Refusal};
use nexo_domain::idempotency::IdempotentRequest;
use nexo_domain::ids::{AccountId, DeliveryId, KeyId};
use nexo_domain::money::Micros;
use nexo_domain::otp::{Code, Reading};
use nexo_domain::phone::Phone;
use nexo_domain::phone::carrier_plan::Carrier;
use nexo_domain::phone::window::{retry_after_seconds, window_until_ms};
use nexo_entities::store::ledger::posting::{CallAttempt, Debit, DebitOutcome, Keep, NodeEpoch};
use nexo_voice::sip::message::hop::Hop;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::clock;
use crate::dispatch::attempts::{Taken, first_answer, follow, refusal_of, refused_attempt};
use crate::dispatch::inflight::{Flight, Flights};
use crate::dispatch::live_deliveries::Live;
use crate::node::lease::Lease;
use crate::supervision::supervisor::{Handle, Undelivered};
use crate::trunk::admission::{Admission, Admitted, Realm};
use crate::trunk::carrier::{CarrierDesk, NotPlaced, PlaceCall, Placed, Trunk};
use crate::trunk::live_trunk::LiveTrunk;
use crate::trunk::meters::{CarrierMeters, Verdict};
use crate::wallet::{KeepAnswer, PostDebit, Refused, SettleDelivery, StoreStopped, Wallets};
use crate::webhook::traces;

mod answer;
pub(super) mod attempts;
pub mod inflight;
pub mod live_deliveries;
mod paid;
mod ticket;

pub use answer::Dispatched;
use answer::{Telling, answer_of, carrier_status_of, throttled_refusal};
use paid::{Paid, Settled};
use ticket::Ticket;

/// How long an actor may take to answer before the saga gives up on it.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a debit may wait for its commit.
const DEBIT_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries to reach a carrier's actor that is being replaced.
const RETRY_CARRIER: Duration = Duration::from_millis(20);
/// Between two tries to settle: the first wait, which doubles up to the longest.
const RETRY_SETTLEMENT: Duration = Duration::from_millis(20);
const LONGEST_RETRY_SETTLEMENT: Duration = Duration::from_secs(1);
/// How long a customer waits for the refund of an OTP that no gateway took. Past it the refund is still to
/// come, and he is told that we are overloaded.
const REFUND_WITHIN: Duration = Duration::from_secs(3);
/// One OTP, checked and routed by the edge.
#[derive(Debug)]
pub struct OtpOrder {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub key_id: KeyId,
    pub test: bool,
    pub phone: Phone,
    pub code: Code,
    pub carrier: Carrier,
    pub cost: Micros,
    pub reading: Reading,
}

/// A carrier as the edge and the saga see it.
#[derive(Clone)]
pub struct CarrierRoute {
    pub trunk: Arc<LiveTrunk>,
    pub admission: Arc<Admission>,
    pub desk: Handle<CarrierDesk>,
    pub meters: Arc<CarrierMeters>,
}

/// The settings of dispatching that may change while the gateway runs.
#[derive(Debug, Clone, Copy)]
pub struct DispatchSettings {
    /// All gateways together.
    pub dispatch_timeout: Duration,
    pub limits: CallLimits,
    /// How long a far end that has been heard may fall silent. 0: for ever.
    pub media_timeout: Duration,
    pub refund: RefundPolicy,
}

/// Everything that a saga needs.
pub struct DispatchDesk {
    /// By [`Carrier::index`].
    pub carriers: Vec<CarrierRoute>,
    pub wallets: Wallets,
    /// The threads of the wallet actors, in their order. An account's sagas run beside its wallet, so that
    /// what a commit brings wakes one thread for all of them.
    pub lanes: Vec<ArbiterHandle>,
    pub live: Arc<Live>,
    /// The requests with an idempotency key that are under way.
    pub flights: Arc<Flights>,
    /// Whether this node may take OTPs and dial.
    pub lease: Arc<Lease>,
    /// How many sagas their threads have not begun.
    pub to_begin: Arc<AtomicUsize>,
    pub settings: ArcSwap<DispatchSettings>,
}

impl DispatchDesk {
    /// The settings in force.
    pub fn settings(&self) -> DispatchSettings {
        **self.settings.load()
    }

    /// Other trunks, limits and settings, for the OTPs that come from here on. `trunks`: one for each carrier
    /// of the numbering plan, in its order.
    pub fn reconfigure(&self, trunks: Vec<Trunk>, settings: DispatchSettings) {
        self.settings.store(Arc::new(settings));
        for (route, trunk) in self.carriers.iter().zip(trunks) {
            route
                .admission
                .set_limits(trunk.channels, trunk.calls_per_second);
            route.trunk.replace(trunk);
        }
    }

    /// Starts the saga of one OTP; the answer for the customer comes through the receiver, and the
    /// saga goes on whether or not anybody still waits for it. `flight` is the request's, where that
    /// carries an idempotency key.
    pub fn dispatch(
        self: &Arc<Self>,
        order: OtpOrder,
        flight: Option<Flight>,
    ) -> oneshot::Receiver<Dispatched> {
        let (answer, answered) = oneshot::channel();
        let Some(ticket) = Ticket::draw(&self.to_begin) else {
            let verdict = Dispatched::Overloaded;
            self.route(order.carrier)
                .meters
                .answered(Verdict::Overloaded);
            let _ = answer.send(verdict);
            return answered;
        };
        let span = tracing::error_span!(
            "otp",
            delivery = %order.delivery_id,
            phone = %order.phone.masked(),
            carrier = order.carrier.name(),
            outcome = tracing::field::Empty,
        );
        let desk = Arc::clone(self);
        let lane = &self.lanes[self.wallets.lane(order.account_id)];
        let saga = async move {
            drop(ticket);
            let meters = Arc::clone(&desk.route(order.carrier).meters);
            desk.run(order, Telling::new(answer, meters, flight)).await;
        };
        // On a thread that is gone the saga is dropped, which whoever waits sees.
        lane.spawn(saga.instrument(span));
        answered
    }

    /// Keeps an answer under an idempotency key. Returns whether it was written, once that is durable;
    /// `None` when it is not known to be.
    pub async fn keep(&self, account: AccountId, keep: Keep) -> Option<bool> {
        let (reply, written) = oneshot::channel();
        let order = KeepAnswer { keep, reply };
        self.wallets.of(account).try_send(order).ok()?;
        let written = tokio::time::timeout(ANSWER_WITHIN, written).await;
        written.ok()?.ok()
    }

    /// The longest that a customer waits for an answer while the store works.
    pub fn answers_within(&self) -> Duration {
        DEBIT_WITHIN + self.settings().dispatch_timeout
    }

    fn route(&self, carrier: Carrier) -> &CarrierRoute {
        &self.carriers[carrier.index()]
    }

    async fn run(&self, order: OtpOrder, told: Telling) {
        let route = self.route(order.carrier);
        let realm = Realm::of(order.test);
        let trunk = route.trunk.now();
        if trunk.gateways(realm).is_empty() {
            return told.tell(Dispatched::NoGateway);
        }
        let Some(node) = self.lease.current() else {
            return told.tell(Dispatched::Overloaded);
        };
        let now_ms = clock::unix_ms();
        let until_ms = window_until_ms(now_ms);
        let claimed =
            route
                .admission
                .claim(realm, order.phone, order.delivery_id, now_ms, until_ms);
        let channel = match claimed {
            Admitted::Granted(channel) => channel,
            Admitted::Full => return told.tell(Dispatched::Overloaded),
            Admitted::WindowClosed { until_ms } => {
                return told.tell(Dispatched::WindowClosed {
                    retry_after_seconds: retry_after_seconds(until_ms, now_ms).unwrap_or(1),
                });
            }
        };
        let live = self.live.begin(order.delivery_id);
        let idempotent = told.request();
        match self
            .debit(&order, &node, &idempotent, now_ms, until_ms)
            .instrument(tracing::debug_span!("debit"))
            .await
        {
            Ok((parts, after)) => {
                let paid = Paid {
                    order,
                    trunk,
                    realm,
                    parts,
                    after,
                    created_at_ms: now_ms,
                    idempotent,
                    trace: traces::parent_of(&Span::current()),
                    node,
                    channel,
                    live,
                };
                self.call(paid, told).await;
            }
            Err(Unpaid::InDoubt) => {
                // Nobody is called. Should it have been paid, the reaper gives it back; its window is then in
                // the database, which says so to the next one.
                live.in_doubt(idempotent);
                route
                    .admission
                    .release(realm, order.phone, order.delivery_id);
                told.tell(Dispatched::InDoubt);
            }
            Err(Unpaid::Refused(refused)) => {
                live.settled();
                route
                    .admission
                    .release(realm, order.phone, order.delivery_id);
                if let Dispatched::WindowClosed {
                    retry_after_seconds,
                } = refused
                {
                    // Another node's claim: known from now on without asking the database.
                    let until_ms = now_ms + i64::from(retry_after_seconds) * 1000;
                    route
                        .admission
                        .learn(realm, order.phone, order.delivery_id, until_ms);
                }
                told.tell(refused);
            }
        }
    }

    async fn debit(
        &self,
        order: &OtpOrder,
        node: &Arc<NodeEpoch>,
        idempotent: &Option<Arc<IdempotentRequest>>,
        created_at_ms: i64,
        window_until_ms: i64,
    ) -> Result<(Parts, Buckets), Unpaid> {
        let debit = Debit {
            delivery_id: order.delivery_id,
            account_id: order.account_id,
            key_id: order.key_id,
            test: order.test,
            phone: order.phone,
            carrier: order.carrier,
            cost: order.cost,
            created_at_ms,
            window_until_ms,
            idempotent: idempotent.clone(),
        };
        let (reply, outcome) = oneshot::channel();
        let wallet = self.wallets.of(order.account_id);
        let post = PostDebit {
            debit,
            node: Arc::clone(node),
            reply,
        };
        let refused = |dispatched| Err(Unpaid::Refused(dispatched));
        if wallet.try_send(post).is_err() {
            return refused(Dispatched::Overloaded);
        }
        match tokio::time::timeout(DEBIT_WITHIN, outcome).await {
            Ok(Ok(Ok(DebitOutcome::Posted { parts, after }))) => Ok((parts, after)),
            Ok(Ok(Ok(DebitOutcome::FundsShort { total }))) => {
                refused(Dispatched::FundsShort { total })
            }
            Ok(Ok(Ok(DebitOutcome::WindowClosed { until_ms }))) => {
                refused(Dispatched::WindowClosed {
                    retry_after_seconds: retry_after_seconds(until_ms, clock::unix_ms())
                        .unwrap_or(1),
                })
            }
            Ok(Ok(Ok(DebitOutcome::AccountClosed))) => refused(Dispatched::AccountClosed),
            Ok(Ok(Ok(DebitOutcome::KeyTaken))) => refused(Dispatched::KeyTaken),
            Ok(Ok(Err(Refused::Overloaded))) => refused(Dispatched::Overloaded),
            Ok(Ok(Err(Refused::Failed))) => refused(Dispatched::Lost),
            Ok(Ok(Err(Refused::InDoubt))) | Ok(Err(_)) | Err(_) => Err(Unpaid::InDoubt),
        }
    }

    /// Rings the phone, tells the customer, follows the call to its end and settles it.
    async fn call(&self, paid: Paid, mut told: Telling) {
        let route = self.route(paid.order.carrier);
        let meters = Arc::clone(&route.meters);
        let mut attempts = Vec::new();
        match self.accepted_call(&paid, &mut attempts).await {
            Ok(placed) => {
                let answered = async {
                    self.let_answer_stand(&paid).await;
                    told.tell(Dispatched::Accepted(paid.accepted()));
                };
                let ((), report) =
                    tokio::join!(answered, follow(placed, &paid.live, &mut attempts));
                let ending = match report {
                    Some(end) => Ending::Call(end),
                    None => Ending::Call(CallEnd::TransportLost),
                };
                let outcome = Outcome::of(&ending, self.settings().refund);
                meters.ended(&outcome);
                note(&outcome);
                let settled = self
                    .settle(&paid, outcome, attempts, Settled::Call)
                    .instrument(tracing::debug_span!("settle"))
                    .await;
                if settled.is_ok() {
                    paid.live.settled();
                }
            }
            Err(refusals) => {
                let dispatched = answer_of(&refusals);
                if !self.lease.is_of(&paid.node) {
                    // We, not the carrier, are why nobody was called; and nobody knows when it can be
                    // written that nothing is spent.
                    told.tell_early(Dispatched::Overloaded);
                }
                let outcome = Outcome {
                    status: Status::Failed,
                    error_code: Some(NO_ROUTE),
                    carrier_status: carrier_status_of(&refusals),
                    refund: true,
                };
                meters.ended(&outcome);
                note(&outcome);
                let order = (paid.realm, paid.order.phone, paid.order.delivery_id);
                let settled = {
                    let settled = self.settle(&paid, outcome, attempts, Settled::NoRoute);
                    let mut settled = std::pin::pin!(settled);
                    match tokio::time::timeout(REFUND_WITHIN, &mut settled).await {
                        Ok(settled) => settled,
                        Err(_) => {
                            told.tell_early(Dispatched::Overloaded);
                            settled.await
                        }
                    }
                };
                match settled {
                    Ok(()) => {
                        paid.live.settled();
                        route.admission.release(order.0, order.1, order.2);
                        told.tell(dispatched);
                    }
                    Err(StoreStopped) => told.tell(Dispatched::Lost),
                }
            }
        }
    }

    /// From here on every node repeats the answer that was kept with the debit. Where this fails, the call
    /// goes on all the same, and another node that has the same request waits for its end.
    async fn let_answer_stand(&self, paid: &Paid) {
        let Some(request) = paid.idempotent.clone() else {
            return;
        };
        let delivery_id = paid.order.delivery_id;
        let keep = Keep::Accepted {
            request,
            delivery_id,
        };
        if self.keep(paid.order.account_id, keep).await.is_none() {
            tracing::warn!(%delivery_id, "the answer kept for an accepted OTP is not known to stand");
        }
    }

    /// Tries gateway after gateway until one accepts, one refuses for good, or time is up.
    async fn accepted_call(
        &self,
        paid: &Paid,
        attempts: &mut Vec<CallAttempt>,
    ) -> Result<Taken, Vec<Refusal>> {
        let settings = self.settings();
        let give_up = Instant::now() + settings.dispatch_timeout;
        let mut tried = Vec::new();
        let mut refusals = Vec::new();
        loop {
            let mut placed = match self.place(paid, &tried, give_up).await {
                Ok(placed) => placed,
                Err(why) => {
                    refusals.extend(why.and_then(throttled_refusal));
                    break;
                }
            };
            tried.push((placed.gateway, placed.target));
            let span = call_span(&placed);
            let started_at_ms = clock::unix_ms();
            let within = tokio::time::timeout_at(give_up.into(), first_answer(&mut placed));
            let refusal = match within.await {
                Ok(Ok(ringing_at_ms)) => {
                    placed.state.accepted();
                    span.in_scope(|| tracing::debug!("accepted"));
                    return Ok(Taken {
                        span,
                        number: tried.len(),
                        placed,
                        accepted_at_ms: clock::unix_ms(),
                        ringing_at_ms,
                        started_at_ms,
                    });
                }
                Ok(Err(report)) => {
                    let refusal = refusal_of(&report);
                    attempts.push(refused_attempt(
                        &placed,
                        tried.len(),
                        started_at_ms,
                        &refusal,
                    ));
                    refusal
                }
                // Dropping the events gives the call up: a late answer is cancelled or hung up.
                Err(_) => {
                    let silent = Refusal::Silent;
                    attempts.push(refused_attempt(
                        &placed,
                        tried.len(),
                        started_at_ms,
                        &silent,
                    ));
                    silent
                }
            };
            span.record("end", tracing::field::debug(&refusal));
            // A process that stood still has heard nobody.
            if self.lease.is_of(&paid.node) {
                placed.state.refused(&refusal, placed.target);
            }
            let next = refusal.may_fail_over();
            refusals.push(refusal);
            if !next || Instant::now() >= give_up {
                break;
            }
        }
        Err(refusals)
    }

    /// Asks the carrier's actor for a call, and again while it is being replaced.
    /// `Err(None)`: the actor did not come back in time.
    async fn place(
        &self,
        paid: &Paid,
        tried: &[(usize, Hop)],
        give_up: Instant,
    ) -> Result<Placed, Option<NotPlaced>> {
        let desk = &self.route(paid.order.carrier).desk;
        let settings = self.settings();
        loop {
            let call = PlaceCall {
                trunk: Arc::clone(&paid.trunk),
                delivery_id: paid.order.delivery_id,
                realm: paid.realm,
                phone: paid.order.phone,
                code: paid.order.code.clone(),
                reading: paid.order.reading,
                limits: settings.limits,
                media_timeout: settings.media_timeout,
                tried: tried.to_vec(),
                give_up,
            };
            match desk.ask(call, ANSWER_WITHIN).await {
                Ok(placed) => return placed.map_err(Some),
                Err(Undelivered::Down | Undelivered::Full) if Instant::now() < give_up => {
                    tokio::time::sleep(RETRY_CARRIER).await;
                }
                Err(Undelivered::Down | Undelivered::Full) => return Err(None),
            }
        }
    }

    /// Hands the final state to the wallet's actor, again and again until it is durable.
    ///
    /// # Errors
    /// When it never will be: the next start settles the delivery.
    async fn settle(
        &self,
        paid: &Paid,
        outcome: Outcome,
        attempts: Vec<CallAttempt>,
        settled: Settled,
    ) -> Result<(), StoreStopped> {
        let settlement = paid.settlement(outcome, attempts, settled);
        let wallet = self.wallets.of(paid.order.account_id);
        let mut wait = RETRY_SETTLEMENT;
        loop {
            let (reply, done) = oneshot::channel();
            let order = SettleDelivery {
                settlement: settlement.clone(),
                node: Arc::clone(&paid.node),
                reply,
            };
            if wallet.try_send(order).is_ok()
                && let Ok(outcome) = done.await
            {
                return outcome;
            }
            // The actor died with it or is full, or the store is down: settling twice settles once.
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_RETRY_SETTLEMENT);
        }
    }
}

/// Tells the OTP's span how it ended.
fn note(outcome: &Outcome) {
    let outcome = outcome.error_code.unwrap_or("delivered");
    Span::current().record("outcome", outcome);
}

/// One call, from its INVITE to its BYE.
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

/// Why an OTP is not paid for.
enum Unpaid {
    /// Nothing was taken.
    Refused(Dispatched),
    /// Nobody knows whether it was.
    InDoubt,
}
