//! The open phone windows of one SQLite file, in memory.
//!
//! An SQLite file is served by one process, so that process can keep the windows itself. In a
//! table, each claim would change a different page, because phones arrive in random order, and the
//! WAL would grow by one page per OTP. A restart loses nothing: the windows are rebuilt from the
//! deliveries.
//!
//! Write transactions are serial, so only the holder of the file's write lock changes a cache.

use std::collections::{HashMap, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;
use parking_lot::Mutex;

/// A phone and whether its window is a test window.
pub(crate) type Window = (bool, Phone);

/// A delivery's claim on a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub window: Window,
    pub delivery_id: DeliveryId,
    pub from_ms: i64,
    pub until_ms: i64,
}

/// The windows of one file.
#[derive(Debug, Default)]
pub(crate) struct PhoneWindowCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the windows were loaded from the deliveries.
    is_loaded: bool,
    open: HashMap<Window, Claim>,
    /// Ends of the claims, roughly in order, for expiry.
    ends: VecDeque<(i64, Window)>,
}

/// The caches of this process: two stores on one file share one.
static CACHES: LazyLock<Mutex<HashMap<FileId, Weak<PhoneWindowCache>>>> =
    LazyLock::new(Mutex::default);

/// Identifies a file by device and inode, so that links to it lead to the same cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum FileId {
    Inode { device: u64, inode: u64 },
    Path(PathBuf),
}

impl FileId {
    fn of(path: &Path) -> FileId {
        match path.metadata() {
            Ok(file) => FileId::Inode { device: file.dev(), inode: file.ino() },
            Err(_) => FileId::Path(path.to_owned()),
        }
    }
}

impl PhoneWindowCache {
    /// Returns the cache of the file at `path`, which must exist.
    pub fn of(path: &Path) -> Arc<PhoneWindowCache> {
        let file = FileId::of(path);
        let mut caches = CACHES.lock();
        caches.retain(|_, cache| cache.strong_count() > 0);
        match caches.get(&file).and_then(Weak::upgrade) {
            Some(cache) => cache,
            None => {
                let cache = Arc::default();
                caches.insert(file, Arc::downgrade(&cache));
                cache
            }
        }
    }

    pub fn is_loaded(&self) -> bool {
        self.0.lock().is_loaded
    }

    /// Adds the windows loaded from the deliveries.
    pub fn load(&self, claims: impl Iterator<Item = Claim>) {
        let mut state = self.0.lock();
        claims.for_each(|claim| state.claim(claim));
        state.is_loaded = true;
    }

    /// Returns which of the numbered claims another delivery prevents, and until when. Claims of deliveries
    /// that `is_released` accepts do not count.
    pub fn lost(
        &self,
        claims: impl Iterator<Item = (usize, Claim)>,
        is_released: impl Fn(DeliveryId) -> bool,
    ) -> HashMap<usize, i64> {
        let state = self.0.lock();
        claims
            .filter_map(|(index, claim)| {
                let holder = state.open.get(&claim.window)?;
                let is_open = holder.until_ms > claim.from_ms && !is_released(holder.delivery_id);
                is_open.then_some((index, holder.until_ms))
            })
            .collect()
    }

    /// Records the changes of a transaction that is about to commit. Unless they are confirmed by
    /// [`PendingChanges::committed`], the outcome is unknown: the cache is cleared and loaded again.
    pub fn record(
        &self,
        released: impl Iterator<Item = (Window, DeliveryId)>,
        claimed: impl Iterator<Item = Claim>,
    ) -> PendingChanges<'_> {
        let mut state = self.0.lock();
        for (window, delivery) in released {
            if state.open.get(&window).map(|claim| claim.delivery_id) == Some(delivery) {
                state.open.remove(&window);
            }
        }
        for claim in claimed {
            state.expire_until(claim.from_ms);
            state.claim(claim);
        }
        PendingChanges(Some(self))
    }
}

impl State {
    fn claim(&mut self, claim: Claim) {
        self.open.insert(claim.window, claim);
        self.ends.push_back((claim.until_ms, claim.window));
    }

    /// Drops the windows that ended by `now_ms`.
    fn expire_until(&mut self, now_ms: i64) {
        while let Some((until_ms, window)) = self.ends.front().copied() {
            if until_ms > now_ms {
                return;
            }
            self.ends.pop_front();
            // The phone may have been claimed again.
            if self.open.get(&window).map(|claim| claim.until_ms) == Some(until_ms) {
                self.open.remove(&window);
            }
        }
    }
}

/// Changes recorded for a transaction that is being committed.
#[must_use]
pub(crate) struct PendingChanges<'c>(Option<&'c PhoneWindowCache>);

impl PendingChanges<'_> {
    /// Confirms that the transaction was committed.
    pub fn committed(mut self) {
        self.0 = None;
    }
}

impl Drop for PendingChanges<'_> {
    fn drop(&mut self) {
        if let Some(cache) = self.0 {
            *cache.0.lock() = State::default();
        }
    }
}
