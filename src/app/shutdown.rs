//! Ending a gateway without losing a call or a webhook.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexo_actors::clock::unix_ms;
use nexo_actors::webhook::WebhookState;
use nexo_entities::store::Store;

use super::App;

/// How long shutdown waits for calls in progress.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(90);
/// How long the calls that are hung up after that may take to be settled.
pub(crate) const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long shutdown waits for webhooks after the last call: an endpoint has 5 s to answer.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the SIP endpoint may take to send its last BYEs.
const BYE_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

impl App {
    /// Stops accepting OTPs, waits for the calls in progress and their webhooks, and closes everything in order.
    ///
    /// A call lasts at most a minute. Calls still up after [`DRAIN_TIMEOUT`] are hung up and settled within
    /// [`SETTLE_TIMEOUT`]. Webhooks that cannot be sent by then wait for the next start or another node.
    pub async fn shutdown(self) {
        let started = Instant::now();
        self.draining.store(true, Ordering::Relaxed);
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        while started.elapsed() < DRAIN_TIMEOUT {
            poll.tick().await;
            if self.engine.live.is_empty() && started.elapsed() >= self.min_drain {
                break;
            }
        }
        if let Some(watch) = self.reloader.watch.lock().await.take() {
            watch.stop().await;
        }
        self.endpoint.shutdown(BYE_TIMEOUT).await;
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while Instant::now() < deadline && !self.engine.live.is_empty() {
            poll.tick().await;
        }
        let deadline = started + DRAIN_TIMEOUT + SETTLE_TIMEOUT;
        flush_webhooks(&self.store, &self.engine.webhook_state, deadline).await;
        for server in self.servers {
            server.stop(true).await;
        }
        self.jobs.stop().await;
        self.keys.write_uses(&self.store).await;
        self.integrations.write_uses(&self.store).await;
        self.quotas.write_counts().await;
        self.engine.stop().await;
        self.lease.stop().await;
        if let Some(sandbox) = self.sandbox {
            sandbox.shutdown().await;
        }
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "closing the database failed");
        }
    }
}

/// Waits until the webhooks of our calls are sent and their results stored. Does not wait for endpoints that do not
/// answer: the next start sends their webhooks.
async fn flush_webhooks(store: &Store, webhooks: &WebhookState, deadline: Instant) {
    let deadline = deadline.min(Instant::now() + FLUSH_TIMEOUT);
    // Younger webhooks belong to other nodes.
    let started_ms = unix_ms();
    let mut poll = tokio::time::interval(POLL_INTERVAL);
    while Instant::now() < deadline {
        poll.tick().await;
        let are_sent = match store.webhooks().oldest_pending_ms().await {
            Ok(oldest_ms) => oldest_ms.is_none_or(|oldest| oldest > started_ms),
            Err(_) => store.stop_reason().is_some(),
        };
        if are_sent && webhooks.is_idle() {
            return;
        }
    }
    tracing::warn!("some webhooks could not be sent; the next start sends them");
}
