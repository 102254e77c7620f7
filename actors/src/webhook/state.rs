//! The part of webhook sending that outlives the actor: POSTs in progress, and results not yet written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nexo_domain::ids::{EndpointId, WebhookAttemptId};
use nexo_entities::store::ledger::posting::NodeEpoch;
use nexo_entities::store::webhooks::attempts::FinishedAttempt;
use nexo_voice::net::shortage::Shortage;
use nix::sys::resource::{Resource, getrlimit};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::webhook::back_off::BackOff;

/// The most POSTs to one endpoint at a time.
pub(super) const MAX_PER_ENDPOINT: u32 = 16;
/// The most POSTs at a time, if the process may open enough files.
const MAX_IN_FLIGHT: u32 = 2_048;
/// One POST per this many files that the process may open.
const FILES_PER_POST: u64 = 8;
/// The most attempts that one scan takes from the outbox.
pub(super) const MAX_CLAIM: u32 = 256;

/// The most POSTs at a time. Each takes a file descriptor.
fn max_in_flight() -> u32 {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let posts = u32::try_from(files / FILES_PER_POST).unwrap_or(MAX_IN_FLIGHT);
    posts.clamp(MAX_PER_ENDPOINT, MAX_IN_FLIGHT)
}

/// POSTs in progress and results not yet written.
#[derive(Default)]
pub struct WebhookState {
    in_flight: Mutex<HashMap<EndpointId, EndpointSlots>>,
    finished: Mutex<Vec<FinishedAttempt>>,
    /// Attempts that were not sent because of a shortage, not yet `pending` again.
    postponed: Mutex<Vec<Claimed>>,
    back_off: Mutex<BackOff>,
    /// Scans of the outbox in progress.
    scans: AtomicUsize,
}

/// A claimed attempt, and the epoch that claimed it.
pub(super) type Claimed = (WebhookAttemptId, Arc<NodeEpoch>);

/// The attempts of one endpoint.
struct EndpointSlots {
    claimed: u32,
    slots: Arc<Semaphore>,
}

/// A scan of the outbox that is in progress until this is dropped.
pub(super) struct Scan(Arc<WebhookState>);

impl Scan {
    pub fn begin(state: &Arc<WebhookState>) -> Scan {
        state.scans.fetch_add(1, Ordering::AcqRel);
        Scan(Arc::clone(state))
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.0.scans.fetch_sub(1, Ordering::AcqRel);
    }
}

impl WebhookState {
    /// The number of POSTs that are in progress or claimed.
    pub fn in_flight(&self) -> u32 {
        let in_flight = self.in_flight.lock();
        in_flight.values().map(|endpoint| endpoint.claimed).sum()
    }

    /// Whether no POST is in progress or claimed, and all results are written.
    pub fn is_idle(&self) -> bool {
        // In this order: a scan ends with claimed POSTs, and a POST ends with a result.
        let scans = self.scans.load(Ordering::Acquire);
        let in_flight = self.in_flight();
        let are_written = self.finished.lock().is_empty() && self.postponed.lock().is_empty();
        scans == 0 && in_flight == 0 && are_written
    }

    /// Records a claimed attempt. It may be sent when it has acquired one of the returned slots.
    pub(super) fn begin(&self, endpoint: EndpointId) -> Arc<Semaphore> {
        let mut in_flight = self.in_flight.lock();
        let endpoint = in_flight.entry(endpoint).or_insert_with(|| EndpointSlots {
            claimed: 0,
            slots: Arc::new(Semaphore::new(MAX_PER_ENDPOINT as usize)),
        });
        endpoint.claimed += 1;
        Arc::clone(&endpoint.slots)
    }

    /// Records the result of a claimed attempt.
    pub(super) fn finish(&self, endpoint: EndpointId, finished: FinishedAttempt) {
        self.back_off.lock().succeeded(endpoint);
        self.finished.lock().push(finished);
        self.cancel(endpoint);
    }

    /// Records that a claimed attempt was not sent because this host lacked something. It is sent later.
    pub(super) fn postpone(
        &self,
        endpoint: EndpointId,
        attempt: Claimed,
        shortage: Shortage,
        now: Instant,
    ) {
        self.back_off.lock().failed(endpoint, shortage, now);
        self.postponed.lock().push(attempt);
        self.cancel(endpoint);
    }

    /// Removes a claimed attempt that has ended or is not sent.
    pub(super) fn cancel(&self, endpoint: EndpointId) {
        let mut in_flight = self.in_flight.lock();
        if let Some(slots) = in_flight.get_mut(&endpoint) {
            slots.claimed -= 1;
            if slots.claimed == 0 {
                in_flight.remove(&endpoint);
            }
        }
    }

    /// The claimed attempts of each endpoint, and how many more a scan may claim. Endpoints that wait after a shortage
    /// count as full.
    pub(super) fn room(&self, now: Instant) -> (HashMap<EndpointId, u32>, u32) {
        let mut in_flight: HashMap<EndpointId, u32> = self
            .in_flight
            .lock()
            .iter()
            .map(|(endpoint, slots)| (*endpoint, slots.claimed))
            .collect();
        let total: u32 = in_flight.values().sum();
        let back_off = self.back_off.lock();
        let room = match back_off.may_send(now) {
            true => max_in_flight().saturating_sub(total).min(MAX_CLAIM),
            false => 0,
        };
        for endpoint in back_off.waiting_endpoints(now) {
            in_flight.insert(endpoint, MAX_PER_ENDPOINT);
        }
        (in_flight, room)
    }

    pub(super) fn take_finished(&self) -> Vec<FinishedAttempt> {
        std::mem::take(&mut self.finished.lock())
    }

    pub(super) fn take_postponed(&self) -> Vec<Claimed> {
        std::mem::take(&mut self.postponed.lock())
    }

    pub(super) fn put_back_postponed(&self, postponed: Vec<Claimed>) {
        self.postponed.lock().extend(postponed);
    }

    pub(super) fn put_back(&self, finished: Vec<FinishedAttempt>) {
        self.finished.lock().extend(finished);
    }
}
