//! The part of webhook sending that outlives the actor: POSTs in progress, and results not yet written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nexo_domain::ids::EndpointId;
use nexo_entities::store::webhooks::attempts::FinishedAttempt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// The most POSTs to one endpoint at a time.
pub(super) const MAX_PER_ENDPOINT: u32 = 16;
/// The most POSTs at a time.
const MAX_IN_FLIGHT: u32 = 2_048;
/// The most attempts that one scan takes from the outbox.
pub(super) const MAX_CLAIM: u32 = 256;

/// POSTs in progress and results not yet written.
#[derive(Default)]
pub struct WebhookState {
    in_flight: Mutex<HashMap<EndpointId, EndpointSlots>>,
    finished: Mutex<Vec<FinishedAttempt>>,
    /// Scans of the outbox in progress.
    scans: AtomicUsize,
}

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
        scans == 0 && in_flight == 0 && self.finished.lock().is_empty()
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
        self.finished.lock().push(finished);
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

    /// The claimed attempts of each endpoint, and how many more a scan may claim.
    pub(super) fn room(&self) -> (HashMap<EndpointId, u32>, u32) {
        let in_flight: HashMap<EndpointId, u32> = self
            .in_flight
            .lock()
            .iter()
            .map(|(endpoint, slots)| (*endpoint, slots.claimed))
            .collect();
        let total: u32 = in_flight.values().sum();
        (
            in_flight,
            MAX_IN_FLIGHT.saturating_sub(total).min(MAX_CLAIM),
        )
    }

    pub(super) fn take_finished(&self) -> Vec<FinishedAttempt> {
        std::mem::take(&mut self.finished.lock())
    }

    pub(super) fn put_back(&self, finished: Vec<FinishedAttempt>) {
        self.finished.lock().extend(finished);
    }
}
