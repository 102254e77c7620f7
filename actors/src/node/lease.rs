//! This node's lease: how long it may accept OTPs and dial.
//!
//! | event | the lease |
//! |---|---|
//! | a renewal succeeds | lasts [`DURATION`] less [`SAFETY_MARGIN`], counted from before the request |
//! | renewals fail, or the process stood still | expires; the next renewal that succeeds restores it |
//! | another node declared this one dead and ended its epoch | is lost; a new epoch begins |
//! | another process runs under this node's name | stays lost until that process is gone |
//!
//! Its end is compared with the clock at each decision: when an OTP is admitted, when its debit is committed, and
//! when the SIP thread is about to send an INVITE. A process that stood still therefore notices before it acts.
//! The database refuses, by the epoch, what such a process has already sent.
//!
//! The clock is `CLOCK_BOOTTIME`. `CLOCK_MONOTONIC`, which is behind [`std::time::Instant`], stands still while
//! the machine is suspended, but the lease in the database does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use actix_rt::Arbiter;
use arc_swap::ArcSwap;
use metrics::Counter;
use nexo_entities::store::cluster::node_session::NodeSession;
use nexo_entities::store::cluster::nodes::{NodeStart, Predecessor};
use nexo_entities::store::cluster::secret::SecretCheck;
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::{Store, StoreError};
use nexo_voice::endpoint::Permit;
use tokio::sync::oneshot;

use crate::clock;
use crate::clock::WindowClock;

/// How often the lease is renewed.
pub const RENEWAL_INTERVAL: Duration = Duration::from_secs(2);
/// How long the lease lasts in the database.
pub const DURATION: Duration = Duration::from_secs(10);
/// How much earlier the node itself treats the lease as expired.
pub const SAFETY_MARGIN: Duration = Duration::from_secs(1);
/// How long a renewal may take before its connection is closed.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay before a failed renewal is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// What the database keeps of this node.
#[derive(Debug, Clone, Copy)]
pub struct NodeSettings {
    /// How long a call may still be in progress after the end of the lease.
    pub max_call: Duration,
    /// Of the installation's secret. An epoch begins only if all nodes have the same; `None` for a node without one.
    pub secret: Option<SecretCheck>,
}

/// The lease, shared by all parts of the process.
#[derive(Debug)]
pub struct Lease {
    node: ArcSwap<NodeEpoch>,
    /// Milliseconds of the boot clock; `i64::MAX` for a node that is alone.
    ends_at_ms: AtomicI64,
    window_clock: WindowClock,
}

impl Lease {
    /// The lease of the only process that serves a database. It never expires.
    pub fn alone(node: NodeEpoch) -> Arc<Lease> {
        Lease::new(node, WindowClock::of_process())
    }

    fn new(node: NodeEpoch, window_clock: WindowClock) -> Arc<Lease> {
        Arc::new(Lease {
            node: ArcSwap::from_pointee(node),
            ends_at_ms: AtomicI64::new(i64::MAX),
            window_clock,
        })
    }

    /// The clock of the phone windows in the database.
    pub fn window_clock(&self) -> &WindowClock {
        &self.window_clock
    }

    /// The current epoch of this node, whether or not its lease is valid.
    pub fn node(&self) -> Arc<NodeEpoch> {
        self.node.load_full()
    }

    /// The current epoch of this node, if its lease is valid.
    pub fn current(&self) -> Option<Arc<NodeEpoch>> {
        self.is_valid().then(|| self.node())
    }

    pub fn is_valid(&self) -> bool {
        let ends_at_ms = self.ends_at_ms.load(Ordering::Acquire);
        ends_at_ms == i64::MAX || clock::boot_ms() < ends_at_ms
    }

    /// Whether the lease is valid and still belongs to this epoch.
    pub fn is_of(&self, node: &NodeEpoch) -> bool {
        self.current().is_some_and(|now| now.epoch == node.epoch)
    }

    /// The time until the lease expires. `None` for a node that is alone.
    pub fn remaining(&self) -> Option<Duration> {
        let ends_at_ms = self.ends_at_ms.load(Ordering::Acquire);
        let left_ms = ends_at_ms.saturating_sub(clock::boot_ms()).max(0);
        (ends_at_ms != i64::MAX).then(|| Duration::from_millis(left_ms.unsigned_abs()))
    }

    /// Records that the database has ended this epoch.
    pub fn lost(&self, node: &NodeEpoch) {
        if self.node.load().epoch == node.epoch {
            self.ends_at_ms.store(0, Ordering::Release);
        }
    }

    /// Records that a renewal succeeded which was requested at `requested_ms` of the boot clock.
    fn renewed(&self, requested_ms: i64) {
        let ends_at_ms = requested_ms + millis(DURATION - SAFETY_MARGIN);
        self.ends_at_ms.store(ends_at_ms, Ordering::Release);
    }

    fn begin_epoch(&self, node: NodeEpoch, requested_ms: i64) {
        // No reader may see the new epoch with the end of the old lease.
        self.ends_at_ms.store(0, Ordering::Release);
        self.node.store(Arc::new(node));
        self.renewed(requested_ms);
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

/// Renews the lease on a thread of its own, so that no other work delays a renewal.
pub struct LeaseHolder {
    pub lease: Arc<Lease>,
    stop: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

impl LeaseHolder {
    /// Begins an epoch of the node `name`. `on_new_epoch` is called when the node has lost its epoch and begun
    /// another.
    ///
    /// If a predecessor was killed, this returns at once. If the predecessor's connection is still open, for
    /// example after a power cut, this waits until its lease has expired.
    ///
    /// # Errors
    /// [`StoreError::NodeInUse`] when another process renews the lease, [`StoreError::SecretDiffers`], and errors of the
    /// database.
    pub async fn start(
        store: &Store,
        name: &str,
        settings: NodeSettings,
        on_new_epoch: impl Fn() + Send + Sync + 'static,
    ) -> Result<LeaseHolder, StoreError> {
        let (begun, beginning) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (finished, done) = oneshot::channel();
        let (store, name) = (store.clone(), name.to_owned());
        Arbiter::new().spawn(async move {
            match Renewer::begin(&store, &name, settings).await {
                Ok(renewer) => {
                    let _ = begun.send(Ok(Arc::clone(&renewer.lease)));
                    renewer.run(&on_new_epoch, stopped).await;
                }
                Err(error) => {
                    let _ = begun.send(Err(error));
                }
            }
            let _ = finished.send(());
            Arbiter::current().stop();
        });
        let lease = beginning.await.unwrap_or(Err(StoreError::Fenced))?;
        Ok(LeaseHolder { lease, stop, done })
    }

    /// Resigns the lease, so that no other process waits for its end.
    pub async fn stop(self) {
        // An error only says that the thread has ended.
        let _ = self.stop.send(());
        let _ = self.done.await;
    }
}

struct Renewer {
    store: Store,
    lease: Arc<Lease>,
    /// `None` while the connection is lost, and on SQLite.
    session: Option<NodeSession>,
    settings: NodeSettings,
    meters: Meters,
}

struct Meters {
    lost: Counter,
    failed: Counter,
}

impl Renewer {
    async fn begin(
        store: &Store,
        name: &str,
        settings: NodeSettings,
    ) -> Result<Renewer, StoreError> {
        let mut seen_lease_ms = None;
        let seen_since = Instant::now();
        loop {
            // A lease that is not renewed has ended after its duration, also if the database clock was set back.
            let is_silent = seen_since.elapsed() > DURATION + SAFETY_MARGIN;
            match Renewer::try_begin(store, name, settings, is_silent).await {
                Err(StoreError::NodeInUse { lease_until_ms, .. })
                    if seen_lease_ms.is_none_or(|seen| seen == lease_until_ms) =>
                {
                    seen_lease_ms = Some(lease_until_ms);
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                begun => return begun,
            }
        }
    }

    async fn try_begin(
        store: &Store,
        name: &str,
        settings: NodeSettings,
        is_silent: bool,
    ) -> Result<Renewer, StoreError> {
        let session = store.cluster().node_session(name).await?;
        let predecessor = match is_silent {
            true => Predecessor::Dead,
            false => predecessor(session.as_ref()),
        };
        let begun = start(store, name, settings, session.as_ref(), predecessor).await;
        let (requested_ms, node) = begun?;
        let lease = match session {
            None => Lease::alone(node),
            Some(_) => {
                let clock = WindowClock::of_database();
                let asked_ms = clock::boot_ms();
                let database_ms = store.cluster().database_time_ms().await?;
                clock.synchronise(database_ms, asked_ms);
                let lease = Lease::new(node, clock);
                lease.renewed(requested_ms);
                lease
            }
        };
        Ok(Renewer {
            store: store.clone(),
            lease,
            session,
            settings,
            meters: Meters {
                lost: metrics::counter!("nexo_node_lease_lost_total"),
                failed: metrics::counter!("nexo_node_renewals_failed_total"),
            },
        })
    }

    /// Renews the lease until `stop` is sent or dropped, then resigns.
    async fn run(mut self, on_new_epoch: &(dyn Fn() + Sync), stop: oneshot::Receiver<()>) {
        if self.session.is_none() {
            // The node is alone: there is nothing to renew.
            let _ = stop.await;
            return;
        }
        tokio::select! {
            () = self.renew_forever(on_new_epoch) => {}
            _ = stop => {}
        }
        let node = self.lease.node();
        self.lease.lost(&node);
        let Some(session) = self.session.take() else {
            return;
        };
        let resigned = tokio::time::timeout(RENEWAL_TIMEOUT, session.release(&node)).await;
        if !matches!(resigned, Ok(Ok(()))) {
            tracing::warn!("the lease could not be resigned; it expires by itself");
        }
    }

    async fn renew_forever(&mut self, on_new_epoch: &(dyn Fn() + Sync)) {
        let mut due = clock::interval(RENEWAL_INTERVAL);
        loop {
            due.tick().await;
            let was_valid = self.lease.is_valid();
            while !self.renew(on_new_epoch).await {
                self.meters.failed.increment(1);
                tokio::time::sleep(RETRY_DELAY).await;
            }
            if !was_valid && self.lease.is_valid() {
                tracing::info!("the lease is held again");
            }
        }
    }

    /// Renews once. Returns whether the next renewal may wait for the interval.
    async fn renew(&mut self, on_new_epoch: &(dyn Fn() + Sync)) -> bool {
        let node = self.lease.node();
        let requested_ms = clock::boot_ms();
        match tokio::time::timeout(RENEWAL_TIMEOUT, self.renew_session(&node)).await {
            Ok(Ok(Some(database_ms))) => {
                self.lease.renewed(requested_ms);
                let clock = self.lease.window_clock();
                clock.synchronise(database_ms, requested_ms);
                true
            }
            Ok(Ok(None)) => {
                self.lease.lost(&node);
                self.meters.lost.increment(1);
                self.begin_next_epoch(&node, on_new_epoch).await
            }
            Ok(Err(error)) => {
                self.session = None;
                tracing::warn!(%error, "the lease was not renewed");
                false
            }
            Err(_) => {
                self.session = None;
                tracing::warn!("the lease was not renewed: the database did not answer in time");
                false
            }
        }
    }

    async fn renew_session(&mut self, node: &NodeEpoch) -> Result<Option<i64>, StoreError> {
        // Our own last connection may have held the node's lock a moment longer. Try to take the lock again.
        if self.session.as_ref().is_none_or(NodeSession::is_taken) {
            self.session = self.store.cluster().node_session(&node.node).await?;
        }
        match &mut self.session {
            Some(session) => session.renew(node, millis(DURATION)).await,
            None => Ok(None),
        }
    }

    /// Begins a new epoch under the same name, if no other process uses it. Returns whether the next renewal
    /// may wait for the interval.
    async fn begin_next_epoch(
        &mut self,
        old: &NodeEpoch,
        on_new_epoch: &(dyn Fn() + Sync),
    ) -> bool {
        let session = self.session.as_ref();
        let predecessor = predecessor(session);
        let begun = start(&self.store, &old.node, self.settings, session, predecessor);
        match tokio::time::timeout(DURATION, begun).await {
            Ok(Ok((requested_ms, node))) => {
                tracing::warn!(
                    old = old.epoch,
                    new = node.epoch,
                    "another node declared this node dead; it serves again under a new epoch"
                );
                self.lease.begin_epoch(node, requested_ms);
                on_new_epoch();
                true
            }
            Ok(Err(StoreError::NodeInUse { name, .. })) => {
                tracing::error!(
                    name,
                    "another process runs under this node's name; set a different [cluster] node for one of them"
                );
                true
            }
            Ok(Err(StoreError::SecretDiffers)) => {
                tracing::error!(
                    "the secret of the installation was changed; restart this node with the secret of the others"
                );
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "no new epoch could be started");
                false
            }
            Err(_) => false,
        }
    }
}

/// Begins an epoch. Returns it with the time of the boot clock from which its lease counts.
async fn start(
    store: &Store,
    name: &str,
    settings: NodeSettings,
    session: Option<&NodeSession>,
    predecessor: Predecessor,
) -> Result<(i64, NodeEpoch), StoreError> {
    let requested_ms = clock::boot_ms();
    let node = store
        .cluster()
        .start_node(NodeStart {
            name,
            at_ms: clock::unix_ms(),
            lease_ms: millis(DURATION),
            longest_call_ms: millis(settings.max_call),
            secret: settings.secret,
            predecessor,
            is_locked: session.is_some_and(NodeSession::is_locked),
        })
        .await?;
    Ok((requested_ms, node))
}

/// What the lock of the node's name says about the previous process with this name.
fn predecessor(session: Option<&NodeSession>) -> Predecessor {
    match session {
        None => Predecessor::Dead,
        Some(session) if session.is_taken() => Predecessor::MayBeAlive,
        Some(_) => Predecessor::Unlocked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(epoch: i64) -> NodeEpoch {
        NodeEpoch { node: Arc::from("n1"), epoch }
    }

    #[test]
    fn a_lease_expires_before_it_expires_in_the_database() {
        let lease = Lease::alone(node(1));
        let now_ms = clock::boot_ms();
        lease.renewed(now_ms);
        assert!(lease.is_valid());
        let remaining = lease.remaining();
        assert!(remaining < Some(DURATION) && remaining > Some(Duration::from_secs(5)));
        // A renewal counts from its request, not from its answer.
        lease.renewed(now_ms - millis(DURATION - SAFETY_MARGIN));
        assert!(!lease.is_valid());
        assert_eq!(lease.remaining(), Some(Duration::ZERO));
    }

    #[test]
    fn only_the_current_epoch_can_be_lost() {
        let lease = Lease::alone(node(1));
        lease.begin_epoch(node(3), clock::boot_ms());
        lease.lost(&node(1));
        assert_eq!(lease.current().map(|node| node.epoch), Some(3));
        lease.lost(&node(3));
        assert_eq!(lease.current(), None);
    }

    #[test]
    fn the_lease_of_a_node_that_is_alone_never_expires() {
        let lease = Lease::alone(node(1));
        assert!(lease.is_valid());
        assert_eq!(lease.remaining(), None);
    }
}
