//! Notices what commands and other nodes change in the database: at once where the database rings, and by
//! looking four times a second in any case.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nexo_entities::store::Store;
use nexo_entities::store::cluster::changes::{Change, ChangeBell};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::clock;

/// How often the feed is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What was remembered longer ago than the feed was last read is not to be relied on.
const FRESH_FOR_MS: i64 = 800;
/// Changes are kept for an hour: who has not looked for so long may have missed some.
const MISSED_AFTER_MS: i64 = 1_800_000;
/// How soon a bell that fell silent is asked for again.
const BELL_AGAIN: Duration = Duration::from_secs(5);

/// How up to date this process is.
#[derive(Debug, Default)]
pub struct Freshness {
    /// When the feed was last asked for what is known by now, by the boot clock.
    asked_ms: AtomicI64,
}

impl Freshness {
    /// Whether what is remembered may be relied on. Otherwise the database must be asked, as after the
    /// process stood still.
    pub fn is_fresh(&self) -> bool {
        clock::boot_ms() - self.asked_ms.load(Ordering::Acquire) < FRESH_FOR_MS
    }

    /// What was asked for at `asked_ms` is known.
    fn knows(&self, asked_ms: i64) {
        self.asked_ms.store(asked_ms, Ordering::Release);
    }
}

/// What is done about news.
pub struct Follower {
    /// Hears of each change once, in order.
    pub tell: Box<dyn Fn(&Change)>,
    /// Called when changes may have been missed.
    pub forget_all: Box<dyn Fn()>,
    pub freshness: Arc<Freshness>,
}

/// Follows the feed after `seq` until the process ends, looking at once whenever `rung` is notified.
pub async fn follow(store: Store, mut seq: i64, rung: Arc<Notify>, follower: Follower) {
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_ms = clock::boot_ms();
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = rung.notified() => {}
        }
        let asked_ms = clock::boot_ms();
        if asked_ms - last_ms > MISSED_AFTER_MS {
            match store.last_change().await {
                Ok(last) => seq = last,
                Err(_) => continue,
            }
            (follower.forget_all)();
        }
        match store.changes_since(seq).await {
            Ok(page) => {
                page.changes.iter().for_each(&follower.tell);
                (seq, last_ms) = (page.seq, asked_ms);
                match page.is_whole {
                    true => follower.freshness.knows(asked_ms),
                    false => rung.notify_one(),
                }
            }
            Err(error) => tracing::warn!(%error, "the change feed could not be read"),
        }
    }
}

/// Notifies `rung` when the database rings; for ever. Where it cannot ring, looking is all there is.
pub async fn listen(store: Store, rung: Arc<Notify>) {
    let mut said = false;
    loop {
        match store.change_bell().await {
            Ok(None) => return,
            Ok(Some(bell)) => {
                said = false;
                ring_on(bell, &rung).await;
            }
            Err(error) if !said => {
                said = true;
                tracing::warn!(%error, "the database does not ring: changes are noticed by looking");
            }
            Err(_) => {}
        }
        tokio::time::sleep(BELL_AGAIN).await;
    }
}

async fn ring_on(mut bell: ChangeBell, rung: &Notify) {
    // Something may have changed before the bell was there.
    rung.notify_one();
    while bell.rung().await.is_ok() {
        rung.notify_one();
    }
}
