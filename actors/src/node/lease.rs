//! This node's lease: for how long it may take OTPs and dial.
//!
//! | what happens | the lease |
//! |---|---|
//! | a renewal succeeds | lasts [`LASTS`] less [`MARGIN`], counted from before it was asked for |
//! | renewals fail, or the process stood still | ends by itself; the next that succeeds brings it back |
//! | our epoch is over: we were taken for dead | is lost; a new life begins, under a new epoch |
//! | another process runs under our name | stays lost, until that one is gone |
//!
//! Its end is read from the clock at each decision: when an OTP is admitted, when its debit is committed, and
//! when the SIP thread is about to send an INVITE. So a process that stood still notices before it acts. What
//! it had already handed to the database is refused there, by its epoch.
//!
//! The clock is `CLOCK_BOOTTIME`: `CLOCK_MONOTONIC`, which is behind [`std::time::Instant`], stands still while
//! the machine is suspended, and the lease in the database does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_rt::Arbiter;
use arc_swap::ArcSwap;
use metrics::Counter;
use nexo_entities::store::cluster::node_session::NodeSession;
use nexo_entities::store::cluster::nodes::{NodeStart, Predecessor};
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::{Store, StoreError};
use nexo_voice::endpoint::Permit;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::dispatch::live_deliveries::Live;

/// How often it is renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How long it lasts in the database.
pub const LASTS: Duration = Duration::from_secs(10);
/// How much sooner the node itself takes it for ended.
pub const MARGIN: Duration = Duration::from_secs(1);
/// How long a renewal may take before the connection is given up.
const RENEW_WITHIN: Duration = Duration::from_secs(2);
/// Between two tries while the database does not answer.
const RETRY: Duration = Duration::from_millis(200);

/// The lease as everybody in the process sees it.
#[derive(Debug)]
pub struct Lease {
    node: ArcSwap<NodeEpoch>,
    /// Milliseconds of the boot clock; `i64::MAX` for a node that is alone.
    ends_at_ms: AtomicI64,
}

impl Lease {
    /// Of the only process that serves its database: it never ends.
    pub fn alone(node: NodeEpoch) -> Arc<Lease> {
        Arc::new(Lease {
            node: ArcSwap::from_pointee(node),
            ends_at_ms: AtomicI64::new(i64::MAX),
        })
    }

    /// The present life, whether or not its lease lasts.
    pub fn node(&self) -> Arc<NodeEpoch> {
        self.node.load_full()
    }

    /// The present life, if its lease lasts.
    pub fn current(&self) -> Option<Arc<NodeEpoch>> {
        self.is_valid().then(|| self.node())
    }

    pub fn is_valid(&self) -> bool {
        let ends_at_ms = self.ends_at_ms.load(Ordering::Acquire);
        ends_at_ms == i64::MAX || clock::boot_ms() < ends_at_ms
    }

    /// Whether it lasts, and is still of this life.
    pub fn is_of(&self, node: &NodeEpoch) -> bool {
        self.current().is_some_and(|now| now.epoch == node.epoch)
    }

    /// How long it lasts; `None` for a node that is alone.
    pub fn left(&self) -> Option<Duration> {
        let ends_at_ms = self.ends_at_ms.load(Ordering::Acquire);
        let left_ms = ends_at_ms.saturating_sub(clock::boot_ms()).max(0);
        (ends_at_ms != i64::MAX).then(|| Duration::from_millis(left_ms.unsigned_abs()))
    }

    /// The database said that this epoch is over.
    pub fn lost(&self, node: &NodeEpoch) {
        if self.node.load().epoch == node.epoch {
            self.ends_at_ms.store(0, Ordering::Release);
        }
    }

    /// A renewal that was asked for at `asked_ms` of the boot clock has succeeded.
    fn renewed(&self, asked_ms: i64) {
        let ends_at_ms = asked_ms + millis(LASTS - MARGIN);
        self.ends_at_ms.store(ends_at_ms, Ordering::Release);
    }

    fn begin_anew(&self, node: NodeEpoch, asked_ms: i64) {
        // Nobody sees the new epoch with the old one's end.
        self.ends_at_ms.store(0, Ordering::Release);
        self.node.store(Arc::new(node));
        self.renewed(asked_ms);
    }
}

impl Permit for Lease {
    fn may_dial(&self) -> bool {
        self.is_valid()
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Holds the lease on a thread of its own, so that no other work delays a renewal.
pub struct LeaseHolder {
    pub lease: Arc<Lease>,
    stop: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

impl LeaseHolder {
    /// Begins a life of the node `name`, one of whose calls may still be up for `longest_call` after the
    /// lease's end. `live` are the deliveries that this process works on.
    ///
    /// A predecessor that was killed is succeeded at once; one whose connection still stands, as after a power
    /// cut, when its lease has ended.
    ///
    /// # Errors
    /// [`StoreError::NodeRuns`] when another process renews the lease; what the database fails with.
    pub async fn start(
        store: &Store,
        name: &str,
        longest_call: Duration,
        live: Arc<Live>,
    ) -> Result<LeaseHolder, StoreError> {
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (tell_done, done) = oneshot::channel();
        let (store, name) = (store.clone(), name.to_owned());
        Arbiter::new().spawn(async move {
            match Keeper::begin(&store, &name, longest_call).await {
                Ok(keeper) => {
                    let _ = tell.send(Ok(keeper.lease()));
                    keeper.keep(&live, stopped).await;
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
            let _ = tell_done.send(());
            Arbiter::current().stop();
        });
        let lease = told.await.unwrap_or(Err(StoreError::Fenced))?;
        Ok(LeaseHolder { lease, stop, done })
    }

    /// Gives the lease back, so that nobody waits for its end.
    pub async fn stop(self) {
        // Either it is told, or it is gone.
        let _ = self.stop.send(());
        let _ = self.done.await;
    }
}

struct Keeper {
    store: Store,
    lease: Arc<Lease>,
    /// `None` while it is lost, and on SQLite.
    session: Option<NodeSession>,
    longest_call: Duration,
    meters: Meters,
}

struct Meters {
    lost: Counter,
    failed: Counter,
}

impl Keeper {
    async fn begin(
        store: &Store,
        name: &str,
        longest_call: Duration,
    ) -> Result<Keeper, StoreError> {
        let mut seen_lease_ms = None;
        loop {
            match Keeper::try_begin(store, name, longest_call).await {
                Err(StoreError::NodeRuns { lease_until_ms, .. })
                    if seen_lease_ms.is_none_or(|seen| seen == lease_until_ms) =>
                {
                    seen_lease_ms = Some(lease_until_ms);
                    tokio::time::sleep(RETRY).await;
                }
                begun => return begun,
            }
        }
    }

    async fn try_begin(
        store: &Store,
        name: &str,
        longest_call: Duration,
    ) -> Result<Keeper, StoreError> {
        let session = store.node_session(name).await?;
        let (asked_ms, node) = start(store, name, longest_call, session.as_ref()).await?;
        let lease = Lease::alone(node);
        if session.is_some() {
            lease.renewed(asked_ms);
        }
        Ok(Keeper {
            store: store.clone(),
            lease,
            session,
            longest_call,
            meters: Meters {
                lost: metrics::counter!("nexo_node_lease_lost_total"),
                failed: metrics::counter!("nexo_node_renewals_failed_total"),
            },
        })
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    /// Renews the lease until it is told to stop, or until nobody can tell it any more.
    async fn keep(mut self, live: &Live, stop: oneshot::Receiver<()>) {
        if self.session.is_none() {
            // It is alone: there is nothing to renew.
            let _ = stop.await;
            return;
        }
        tokio::select! {
            () = self.renew_for_ever(live) => {}
            _ = stop => {}
        }
        let node = self.lease.node();
        self.lease.lost(&node);
        let Some(session) = self.session.take() else {
            return;
        };
        let resigned = tokio::time::timeout(RENEW_WITHIN, session.resign(&node)).await;
        if !matches!(resigned, Ok(Ok(()))) {
            tracing::warn!("the lease was not given back: it ends by itself");
        }
    }

    async fn renew_for_ever(&mut self, live: &Live) {
        let mut due = tokio::time::interval(RENEW_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let was_valid = self.lease.is_valid();
            while !self.renew(live).await {
                self.meters.failed.increment(1);
                tokio::time::sleep(RETRY).await;
            }
            if !was_valid && self.lease.is_valid() {
                tracing::info!("the lease is held again");
            }
        }
    }

    /// One renewal; whether the next one may wait for its turn.
    async fn renew(&mut self, live: &Live) -> bool {
        let node = self.lease.node();
        let asked_ms = clock::boot_ms();
        match tokio::time::timeout(RENEW_WITHIN, self.ask(&node)).await {
            Ok(Ok(true)) => {
                self.lease.renewed(asked_ms);
                true
            }
            Ok(Ok(false)) => {
                self.lease.lost(&node);
                self.meters.lost.increment(1);
                self.begin_anew(&node, live).await
            }
            Ok(Err(error)) => {
                self.session = None;
                tracing::warn!(%error, "the lease was not renewed");
                false
            }
            Err(_) => {
                self.session = None;
                tracing::warn!("the lease was not renewed: the database does not answer");
                false
            }
        }
    }

    async fn ask(&mut self, node: &NodeEpoch) -> Result<bool, StoreError> {
        // Our own last connection may have held the name for a moment longer: it is asked for again.
        if self.session.as_ref().is_none_or(NodeSession::is_taken) {
            self.session = self.store.node_session(&node.node).await?;
        }
        match &mut self.session {
            Some(session) => session.renew(node, millis(LASTS)).await,
            None => Ok(false),
        }
    }

    /// Our epoch is over: begins a new life under the same name, if nobody else has it.
    async fn begin_anew(&mut self, old: &NodeEpoch, live: &Live) -> bool {
        let session = self.session.as_ref();
        let begun = start(&self.store, &old.node, self.longest_call, session);
        match tokio::time::timeout(LASTS, begun).await {
            Ok(Ok((asked_ms, node))) => {
                tracing::warn!(
                    old = old.epoch,
                    new = node.epoch,
                    "this node was taken for dead: it serves again under a new epoch"
                );
                self.lease.begin_anew(node, asked_ms);
                // What nobody has settled yet is ours again, as far as no saga works on it.
                live.expect_lost();
                true
            }
            Ok(Err(StoreError::NodeRuns { name, .. })) => {
                tracing::error!(
                    name,
                    "another process runs as this node: give one of them another name in [cluster] node"
                );
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "no new life could be begun");
                false
            }
            Err(_) => false,
        }
    }
}

/// Begins a life, and the time of the boot clock from which its lease counts.
async fn start(
    store: &Store,
    name: &str,
    longest_call: Duration,
    session: Option<&NodeSession>,
) -> Result<(i64, NodeEpoch), StoreError> {
    let asked_ms = clock::boot_ms();
    let node = store
        .start_node(NodeStart {
            name,
            at_ms: clock::unix_ms(),
            lease_ms: millis(LASTS),
            longest_call_ms: millis(longest_call),
            predecessor: match session {
                None => Predecessor::Gone,
                Some(session) if session.is_taken() => Predecessor::MayLive,
                Some(_) => Predecessor::Unlocked,
            },
            is_locked: session.is_some_and(NodeSession::is_locked),
        })
        .await?;
    Ok((asked_ms, node))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(epoch: i64) -> NodeEpoch {
        NodeEpoch {
            node: Arc::from("n1"),
            epoch,
        }
    }

    #[test]
    fn a_lease_ends_by_itself_before_it_ends_in_the_database() {
        let lease = Lease::alone(node(1));
        let now_ms = clock::boot_ms();
        lease.renewed(now_ms);
        assert!(lease.is_valid());
        assert!(lease.left() < Some(LASTS) && lease.left() > Some(Duration::from_secs(5)));
        // A renewal counts from when it was asked for, not from when it was answered.
        lease.renewed(now_ms - millis(LASTS - MARGIN));
        assert!(!lease.is_valid());
        assert_eq!(lease.left(), Some(Duration::ZERO));
    }

    #[test]
    fn only_the_present_epoch_can_be_lost() {
        let lease = Lease::alone(node(1));
        lease.begin_anew(node(3), clock::boot_ms());
        lease.lost(&node(1));
        assert_eq!(lease.current().map(|node| node.epoch), Some(3));
        lease.lost(&node(3));
        assert_eq!(lease.current(), None);
    }

    #[test]
    fn a_node_that_is_alone_has_no_end() {
        let lease = Lease::alone(node(1));
        assert!(lease.is_valid());
        assert_eq!(lease.left(), None);
    }
}
