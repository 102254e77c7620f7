//! Follows the database's feed of changes that commands and other nodes make.
//!
//! PostgreSQL announces a change at once. In any case the feed is read four times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nexo_entities::store::Store;
use nexo_entities::store::cluster::changes::{Change, ChangeListener};
use tokio::sync::Notify;

use crate::clock;

/// How often the feed is read.
pub const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Caches are not used when the feed was last read longer ago than this.
const FRESH_FOR_MS: i64 = 800;
/// Changes are kept for an hour. A process that has not read the feed for this long may have missed some.
const GAP_AFTER_MS: i64 = 1_800_000;
/// The delay before a lost notification channel is opened again.
const RECONNECT_DELAY: Duration = Duration::from_secs(5);

/// How up to date the caches of this process are.
#[derive(Debug, Default)]
pub struct Freshness {
    /// The time of the request of the last completed read of changes, by the boot clock.
    read_at_ms: AtomicI64,
}

impl Freshness {
    /// Whether caches may be used. Otherwise the database must be read, for example after the process stood
    /// still.
    pub fn is_fresh(&self) -> bool {
        clock::boot_ms() - self.read_at_ms.load(Ordering::Acquire) < FRESH_FOR_MS
    }

    /// All changes before `read_at_ms` are known.
    fn update(&self, read_at_ms: i64) {
        self.read_at_ms.store(read_at_ms, Ordering::Release);
    }
}

/// How the process reacts to the feed.
pub struct Follower {
    /// Called for each change once, in order.
    pub on_change: Box<dyn Fn(&Change)>,
    /// Called when changes may have been missed.
    pub on_gap: Box<dyn Fn()>,
    pub freshness: Arc<Freshness>,
}

/// Follows the feed after `seq` until the process ends. Reads it at once when `wake` is notified.
pub async fn follow(store: Store, mut seq: i64, wake: Arc<Notify>, follower: Follower) {
    let mut due = clock::interval(POLL_INTERVAL);
    let mut last_ms = clock::boot_ms();
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = wake.notified() => {}
        }
        let read_at_ms = clock::boot_ms();
        if read_at_ms - last_ms > GAP_AFTER_MS {
            match store.cluster().last_change().await {
                Ok(last) => seq = last,
                Err(_) => continue,
            }
            (follower.on_gap)();
        }
        match store.cluster().changes_since(seq).await {
            Ok(page) => {
                page.changes.iter().for_each(&follower.on_change);
                (seq, last_ms) = (page.seq, read_at_ms);
                match page.is_complete {
                    true => follower.freshness.update(read_at_ms),
                    false => wake.notify_one(),
                }
            }
            Err(error) => tracing::warn!(%error, "the change feed could not be read"),
        }
    }
}

/// Notifies `wake` whenever the database announces a change. Returns if the database cannot announce changes.
pub async fn listen(store: Store, wake: Arc<Notify>) {
    let mut is_logged = false;
    loop {
        match store.cluster().listen().await {
            Ok(None) => return,
            Ok(Some(bell)) => {
                is_logged = false;
                forward(bell, &wake).await;
            }
            Err(error) if !is_logged => {
                is_logged = true;
                tracing::warn!(%error, "the database does not announce changes; they are polled");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

async fn forward(mut bell: ChangeListener, wake: &Notify) {
    // Changes may have been made before the connection listened.
    wake.notify_one();
    while bell.changed().await.is_ok() {
        wake.notify_one();
    }
}
