//! The steps of a saga: claim, debit, call, settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nexo_domain::billing::ledger::{Buckets, Parts};
use nexo_domain::call::outcome::{Ending, NO_ROUTE, Outcome, Status};
use nexo_domain::call::{CallEnd, Refusal};
use nexo_domain::idempotency::{IdempotentRequest, Lifetime};
use nexo_domain::phone::window::{retry_after_seconds, window_until_ms};
use nexo_entities::store::ledger::posting::{
    CallAttempt, Debit, DebitOutcome, IdempotencyWrite, NodeEpoch,
};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::clock;
use crate::dispatch::answer::{Dispatched, Replier, answer_of, carrier_status_of};
use crate::dispatch::attempts::{AcceptedCall, follow};
use crate::dispatch::dispatcher::{DEBIT_TIMEOUT, Dispatcher};
use crate::dispatch::inflight::InFlight;
use crate::dispatch::order::OtpOrder;
use crate::dispatch::paid::{Paid, Settled};
use crate::dispatch::start_permit::StartPermit;
use crate::trunk::admission::{Admitted, Realm};
use crate::trunk::meters::Verdict;
use crate::wallet::{DebitError, PostDebit, SettleDelivery, StoreStopped};
use crate::webhook::traces;

/// The delay before a settlement is sent again. Doubles up to the maximum.
const MIN_SETTLEMENT_DELAY: Duration = Duration::from_millis(20);
const MAX_SETTLEMENT_DELAY: Duration = Duration::from_secs(1);
/// How long a client waits for the refund of an OTP that no gateway accepted. Afterwards the refund is still
/// pending, and the answer is `Overloaded`.
const REFUND_TIMEOUT: Duration = Duration::from_secs(3);

/// Why an OTP was not debited.
enum DebitFailure {
    /// Nothing was debited.
    Refused(Dispatched),
    /// Nothing was debited: another node's OTP holds the window for this long.
    WindowHeld { left_ms: i64 },
    /// It is not known whether the debit was posted.
    InDoubt,
}

impl Dispatcher {
    /// Starts the saga of one OTP. The receiver yields the answer for the client. The saga continues if the
    /// receiver is dropped. `in_flight`: present if the request has an idempotency key.
    pub fn dispatch(
        self: &Arc<Self>,
        order: OtpOrder,
        in_flight: Option<InFlight>,
    ) -> oneshot::Receiver<Dispatched> {
        let (answer, answered) = oneshot::channel();
        let Some(permit) = StartPermit::acquire(&self.pending_starts) else {
            let route = self.route(order.carrier);
            let is_sandbox = route.trunk.current().is_sandbox(Realm::of(order.test));
            route.meters.of(is_sandbox).answered(Verdict::Overloaded);
            let _ = answer.send(Dispatched::Overloaded);
            return answered;
        };
        let span = tracing::error_span!(
            "otp",
            delivery = %order.delivery_id,
            phone = %order.phone.masked(),
            carrier = order.carrier.name(),
            outcome = tracing::field::Empty,
        );
        let dispatcher = Arc::clone(self);
        let lane = &self.lanes[self.wallets.lane(order.account_id)];
        let saga = async move {
            drop(permit);
            let route = dispatcher.route(order.carrier);
            let is_sandbox = route.trunk.current().is_sandbox(Realm::of(order.test));
            let replier = Replier::new(answer, Arc::clone(&route.meters), is_sandbox, in_flight);
            dispatcher.run(order, replier).await;
        };
        // If the thread has ended, the saga is dropped, and with it the sender of the answer.
        lane.spawn(saga.instrument(span));
        answered
    }

    /// Claims, debits and calls, or answers why not.
    async fn run(&self, order: OtpOrder, replier: Replier) {
        let route = self.route(order.carrier);
        let realm = Realm::of(order.test);
        let trunk = route.trunk.current();
        if trunk.gateways(realm).is_empty() {
            return replier.send(Dispatched::NoGateway);
        }
        let Some(node) = self.lease.current() else {
            return replier.send(Dispatched::Overloaded);
        };
        let now_ms = clock::boot_ms();
        let window_held = |until_ms| Dispatched::WindowHeld {
            retry_after_seconds: retry_after_seconds(until_ms, now_ms).unwrap_or(1),
        };
        let short = self.short_wallets.known(order.account_id, order.cost, Instant::now());
        if let Some(total) = short {
            return replier.send(match route.admission.held_until(realm, order.phone, now_ms) {
                Some(until_ms) => window_held(until_ms),
                None => Dispatched::FundsShort { total },
            });
        }
        let until_ms = window_until_ms(now_ms);
        let claimed =
            route.admission.claim(realm, order.phone, order.delivery_id, now_ms, until_ms);
        let channel = match claimed {
            Admitted::Granted(channel) => channel,
            Admitted::Full => return replier.send(Dispatched::Overloaded),
            Admitted::WindowHeld { until_ms } => return replier.send(window_held(until_ms)),
        };
        let sandbox = trunk.is_sandbox(realm);
        let live = self.live.begin(order.delivery_id);
        let idempotent = replier.request();
        match self
            .debit(&order, sandbox, &node, &idempotent, now_ms)
            .instrument(tracing::debug_span!("debit"))
            .await
        {
            Ok((parts, after)) => {
                replier.paid();
                let paid = Paid {
                    order,
                    trunk,
                    realm,
                    parts,
                    after,
                    idempotent,
                    trace: traces::parent_of(&Span::current()),
                    node,
                    channel,
                    live,
                };
                self.call(paid, replier).await;
            }
            Err(DebitFailure::InDoubt) => {
                // The phone is not called. If the debit was posted, the reaper refunds it. The phone's window is
                // then in the database, which refuses the next OTP.
                live.in_doubt(idempotent);
                route.admission.release(realm, order.phone, order.delivery_id);
                replier.send(Dispatched::InDoubt);
            }
            Err(DebitFailure::WindowHeld { left_ms }) => {
                live.settled();
                route.admission.release(realm, order.phone, order.delivery_id);
                // Remember the other node's claim, to save the next query.
                let until_ms = clock::boot_ms() + left_ms;
                route.admission.hold(realm, order.phone, order.delivery_id, until_ms);
                replier.send(Dispatched::WindowHeld {
                    retry_after_seconds: retry_after_seconds(left_ms, 0).unwrap_or(1),
                });
            }
            Err(DebitFailure::Refused(refused)) => {
                live.settled();
                route.admission.release(realm, order.phone, order.delivery_id);
                replier.send(refused);
            }
        }
    }

    async fn debit(
        &self,
        order: &OtpOrder,
        sandbox: bool,
        node: &Arc<NodeEpoch>,
        idempotent: &Option<Arc<IdempotentRequest>>,
        claimed_at_boot_ms: i64,
    ) -> Result<(Parts, Buckets), DebitFailure> {
        let windows = self.lease.window_clock();
        let waited_ms = clock::boot_ms() - claimed_at_boot_ms;
        let window_from_ms = windows.now_ms() - waited_ms;
        let debit = Debit {
            delivery_id: order.delivery_id,
            account_id: order.account_id,
            key_id: order.key_id,
            test: order.test,
            sandbox,
            phone: order.phone,
            carrier: order.carrier,
            cost: order.cost,
            created_at_ms: order.clock.start_ms(),
            fields: order.fields.clone(),
            window_from_ms,
            window_until_ms: window_until_ms(window_from_ms),
            idempotent: idempotent.clone(),
            verification: order.verification,
        };
        let (reply, outcome) = oneshot::channel();
        let wallet = self.wallets.of(order.account_id);
        let post = PostDebit { debit, node: Arc::clone(node), reply };
        let refused = |dispatched| Err(DebitFailure::Refused(dispatched));
        if wallet.try_send(post).is_err() {
            return refused(Dispatched::Overloaded);
        }
        match tokio::time::timeout(DEBIT_TIMEOUT, outcome).await {
            Ok(Ok(Ok(DebitOutcome::Posted { parts, after }))) => {
                self.short_wallets.note_paid(order.account_id);
                Ok((parts, after))
            }
            Ok(Ok(Ok(DebitOutcome::FundsShort { total }))) => {
                self.short_wallets.note(order.account_id, total, Instant::now());
                refused(Dispatched::FundsShort { total })
            }
            Ok(Ok(Ok(DebitOutcome::WindowHeld { until_ms }))) => {
                Err(DebitFailure::WindowHeld { left_ms: until_ms - windows.now_ms() })
            }
            Ok(Ok(Ok(DebitOutcome::AccountClosed))) => refused(Dispatched::AccountClosed),
            Ok(Ok(Ok(DebitOutcome::KeyTaken))) => refused(Dispatched::KeyTaken),
            Ok(Ok(Ok(DebitOutcome::NotResendable))) => refused(Dispatched::NotResendable),
            Ok(Ok(Err(DebitError::Overloaded))) => refused(Dispatched::Overloaded),
            Ok(Ok(Err(DebitError::Failed))) => refused(Dispatched::Lost),
            Ok(Ok(Err(DebitError::InDoubt))) | Ok(Err(_)) | Err(_) => Err(DebitFailure::InDoubt),
        }
    }

    /// Calls the phone, answers the client, follows the call to its end and settles the delivery.
    async fn call(&self, paid: Paid, replier: Replier) {
        let mut attempts = Vec::new();
        match self.place_call(&paid, &mut attempts).await {
            Ok(call) => self.finish_call(paid, call, attempts, replier).await,
            Err(refusals) => self.settle_unaccepted(paid, &refusals, attempts, replier).await,
        }
    }

    /// Answers that the call was accepted, follows it to its end and settles the delivery.
    async fn finish_call(
        &self,
        paid: Paid,
        call: AcceptedCall,
        mut attempts: Vec<CallAttempt>,
        replier: Replier,
    ) {
        let answered = async {
            self.confirm_stored_response(&paid).await;
            replier.send(Dispatched::Accepted(paid.accepted()));
        };
        let ((), end) = tokio::join!(answered, follow(call, &paid.live, &mut attempts));
        let ending = Ending::Call(end.unwrap_or(CallEnd::TransportLost));
        let outcome = Outcome::of(&ending, self.settings().refund);
        self.record_outcome(&paid, &outcome);
        let settled = self
            .settle(&paid, outcome, attempts, Settled::Call)
            .instrument(tracing::debug_span!("settle"))
            .await;
        if settled.is_ok() {
            paid.live.settled();
        }
    }

    /// Settles a delivery that no gateway accepted, and then answers the client.
    async fn settle_unaccepted(
        &self,
        paid: Paid,
        refusals: &[Refusal],
        attempts: Vec<CallAttempt>,
        mut replier: Replier,
    ) {
        let dispatched = answer_of(refusals);
        if !self.lease.is_of(&paid.node) {
            // This node, not the carrier, is why the phone was not called, and the refund may take any time.
            replier.send_early(Dispatched::Overloaded);
        }
        let outcome = Outcome {
            status: Status::Failed,
            error_code: Some(NO_ROUTE),
            carrier_status: carrier_status_of(refusals),
            refund: true,
        };
        self.record_outcome(&paid, &outcome);
        let settled = {
            let settled = self.settle(&paid, outcome, attempts, Settled::NoRoute);
            let mut settled = std::pin::pin!(settled);
            match tokio::time::timeout(REFUND_TIMEOUT, &mut settled).await {
                Ok(settled) => settled,
                Err(_) => {
                    replier.send_early(Dispatched::Overloaded);
                    settled.await
                }
            }
        };
        match settled {
            Ok(()) => {
                let order = &paid.order;
                let admission = &self.route(order.carrier).admission;
                paid.live.settled();
                admission.release(paid.realm, order.phone, order.delivery_id);
                replier.send(dispatched);
            }
            Err(StoreStopped) => replier.send(Dispatched::Lost),
        }
    }

    /// Makes every node return the response that was stored with the debit. If this fails, the call continues, and
    /// another node that receives the same request waits for the end of the call.
    ///
    /// A process that is alone knows its sagas. So a response that lives no longer than a call needs no other write.
    async fn confirm_stored_response(&self, paid: &Paid) {
        let Some(request) = paid.idempotent.clone() else {
            return;
        };
        if request.lifetime == Lifetime::PhoneWindow && !self.lease.window_clock().is_shared() {
            return;
        }
        let delivery_id = paid.order.delivery_id;
        let keep = IdempotencyWrite::Accepted { request, delivery_id };
        if self.store_response(paid.order.account_id, keep).await.is_none() {
            tracing::warn!(%delivery_id, "the stored response of an accepted OTP could not be confirmed");
        }
    }

    /// Sends the final state to the wallet's actor until it is durable.
    ///
    /// # Errors
    /// When the store has stopped. The next start settles the delivery.
    async fn settle(
        &self,
        paid: &Paid,
        outcome: Outcome,
        attempts: Vec<CallAttempt>,
        settled: Settled,
    ) -> Result<(), StoreStopped> {
        let is_refunded = outcome.refund;
        let settlement = paid.settlement(outcome, attempts, settled);
        let wallet = self.wallets.of(paid.order.account_id);
        let mut wait = MIN_SETTLEMENT_DELAY;
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
                if is_refunded {
                    self.short_wallets.forget(paid.order.account_id);
                }
                return outcome;
            }
            // The actor died or is full, or the store is down. Settling twice has the effect of settling once.
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_SETTLEMENT_DELAY);
        }
    }

    /// Records the outcome in the carrier's metrics and in the saga's span.
    fn record_outcome(&self, paid: &Paid, outcome: &Outcome) {
        let is_sandbox = paid.trunk.is_sandbox(paid.realm);
        self.route(paid.order.carrier).meters.of(is_sandbox).ended(outcome);
        let outcome = outcome.error_code.unwrap_or("delivered");
        Span::current().record("outcome", outcome);
    }
}
