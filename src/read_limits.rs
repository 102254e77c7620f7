//! Bounds what one account reads at the same time, so that no account takes the database from the others.
//!
//! | what | bound | beyond it |
//! |---|---|---|
//! | lists and pages | [`Bounds::reads_per_account`] at once | wait in turn for up to [`MAX_WAIT`], then 429 |
//! | exports (CSV streams) | [`Bounds::exports_per_account`], and [`Bounds::exports`] of all accounts | 429 |
//!
//! An export takes a turn among its account's reads for each page, and none while the client receives the page. If
//! an export's client stops reading, the export keeps its place until another export needs it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, counter, gauge};
use nexo_actors::test_hooks;
use nexo_domain::ids::AccountId;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::config::server::ServerConfig;

/// How many reads of one account may wait.
const MAX_WAITING: usize = 256;
/// How long a read waits for its turn.
pub const MAX_WAIT: Duration = Duration::from_secs(2);
/// How long a page of an export waits for its turn.
const MAX_EXPORT_WAIT: Duration = Duration::from_secs(30);
/// An export whose client has taken nothing for this long loses its place to another export.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// After this time a refused read may be tried again.
const READ_RETRY_SECONDS: u32 = 1;
/// After this time a refused export may be tried again.
const EXPORT_RETRY_SECONDS: u32 = 5;

/// How much is read at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub reads_per_account: u32,
    pub exports_per_account: u32,
    /// Of all accounts together.
    pub exports: u32,
}

impl Bounds {
    pub fn of(config: &ServerConfig) -> Bounds {
        Bounds {
            reads_per_account: config.reads_per_account,
            exports_per_account: config.exports_per_account,
            exports: config.exports,
        }
    }
}

/// Why a read or an export is refused. Nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TooManyReads {
    #[error("Too many requests of this account are waiting; send fewer at the same time.")]
    Reads,
    #[error(
        "An account can have {max} CSV downloads at the same time; wait until one has ended, or stop it."
    )]
    AccountExports { max: u32 },
    #[error("The gateway is serving as many CSV downloads as it can; try again in a few seconds.")]
    Exports,
}

impl TooManyReads {
    /// When the same request may succeed.
    pub fn retry_after_seconds(self) -> u32 {
        match self {
            TooManyReads::Reads => READ_RETRY_SECONDS,
            TooManyReads::AccountExports { .. } | TooManyReads::Exports => EXPORT_RETRY_SECONDS,
        }
    }
}

/// The reads of all accounts in progress.
pub struct ReadLimits {
    state: Mutex<State>,
    stalled_after: Duration,
    meters: Meters,
}

struct State {
    bounds: Bounds,
    reads: HashMap<AccountId, Reads>,
    exports: HashMap<u64, Running>,
    next_export: u64,
}

/// The reads of one account.
#[derive(Default)]
struct Reads {
    running: u32,
    waiting: VecDeque<oneshot::Sender<ReadTurn>>,
}

/// An export in progress.
struct Running {
    account: AccountId,
    /// Since when the client has a page to receive; `None` while the next page is read.
    idle_since: Option<Instant>,
}

struct Meters {
    exports: Gauge,
    reads_refused: Counter,
    account_exports_refused: Counter,
    exports_refused: Counter,
    stalled: Counter,
}

impl Meters {
    fn new() -> Meters {
        let refused = |limit: &'static str| counter!("nexo_reads_refused_total", "limit" => limit);
        Meters {
            exports: gauge!("nexo_exports_in_progress"),
            reads_refused: refused("account_reads"),
            account_exports_refused: refused("account_exports"),
            exports_refused: refused("exports"),
            stalled: counter!("nexo_exports_stalled_total"),
        }
    }
}

impl ReadLimits {
    pub fn new(bounds: Bounds) -> Arc<ReadLimits> {
        let stalled_after = test_hooks::duration("NEXO_TEST_EXPORT_STALL_MS", STALLED_AFTER);
        Arc::new(ReadLimits {
            state: Mutex::new(State {
                bounds,
                reads: HashMap::new(),
                exports: HashMap::new(),
                next_export: 0,
            }),
            stalled_after,
            meters: Meters::new(),
        })
    }

    /// Sets other bounds. What is in progress continues.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.state.lock().bounds = bounds;
    }

    /// Waits for the account's turn to read.
    ///
    /// # Errors
    /// [`TooManyReads::Reads`] if too many reads of the account wait, or this one waited for too long.
    pub async fn read(self: &Arc<Self>, account: AccountId) -> Result<ReadTurn, TooManyReads> {
        let turn = self.turn(account, MAX_WAITING, MAX_WAIT).await;
        turn.ok_or_else(|| {
            self.meters.reads_refused.increment(1);
            TooManyReads::Reads
        })
    }

    async fn turn(
        self: &Arc<Self>,
        account: AccountId,
        max_waiting: usize,
        max_wait: Duration,
    ) -> Option<ReadTurn> {
        let turn = {
            let mut state = self.state.lock();
            let limit = state.bounds.reads_per_account;
            let reads = state.reads.entry(account).or_default();
            if reads.running < limit {
                reads.running += 1;
                drop(state);
                return Some(ReadTurn { limits: Arc::clone(self), account });
            }
            if reads.waiting.len() >= max_waiting {
                return None;
            }
            let (sender, turn) = oneshot::channel();
            reads.waiting.push_back(sender);
            turn
        };
        tokio::time::timeout(max_wait, turn).await.ok()?.ok()
    }

    /// Begins an export of the account.
    ///
    /// # Errors
    /// [`TooManyReads::AccountExports`] or [`TooManyReads::Exports`].
    pub fn export(self: &Arc<Self>, account: AccountId) -> Result<ExportSlot, TooManyReads> {
        let mut state = self.state.lock();
        let Bounds { exports_per_account, exports, .. } = state.bounds;
        let of_account = state.exports.values().filter(|run| run.account == account);
        if of_account.count() >= exports_per_account as usize
            && !self.evict_stalled(&mut state, |run| run.account == account)
        {
            self.meters.account_exports_refused.increment(1);
            return Err(TooManyReads::AccountExports { max: exports_per_account });
        }
        if state.exports.len() >= exports as usize && !self.evict_stalled(&mut state, |_| true) {
            self.meters.exports_refused.increment(1);
            return Err(TooManyReads::Exports);
        }
        let number = state.next_export;
        state.next_export += 1;
        let idle_since = None;
        let run = Running { account, idle_since };
        state.exports.insert(number, run);
        self.meters.exports.set(state.exports.len() as f64);
        Ok(ExportSlot { limits: Arc::clone(self), account, number })
    }

    /// Removes the export among `candidates` whose client has been silent for longest, if that is too long. Returns
    /// whether there was one.
    fn evict_stalled(&self, state: &mut State, candidates: impl Fn(&Running) -> bool) -> bool {
        let idle = state.exports.iter().filter(|(_, run)| candidates(run));
        let idle = idle.filter_map(|(number, run)| Some((run.idle_since?, *number)));
        let Some((since, number)) = idle.min() else {
            return false;
        };
        if since.elapsed() < self.stalled_after {
            return false;
        }
        state.exports.remove(&number);
        self.meters.stalled.increment(1);
        true
    }
}

/// An account's turn to read. Dropping it lets the next read of the account begin.
pub struct ReadTurn {
    limits: Arc<ReadLimits>,
    account: AccountId,
}

impl Drop for ReadTurn {
    fn drop(&mut self) {
        let next = {
            let mut state = self.limits.state.lock();
            let limit = state.bounds.reads_per_account;
            let Some(reads) = state.reads.get_mut(&self.account) else {
                return;
            };
            let next = match reads.running <= limit {
                true => reads.waiting.pop_front(),
                false => None,
            };
            if next.is_none() {
                reads.running -= 1;
                if reads.running == 0 && reads.waiting.is_empty() {
                    state.reads.remove(&self.account);
                }
            }
            next
        };
        if let Some(next) = next {
            let turn = ReadTurn { limits: Arc::clone(&self.limits), account: self.account };
            // If the waiting request is gone, the turn is dropped here and goes to the next one.
            drop(next.send(turn));
        }
    }
}

/// The place of an export in progress, until it is dropped.
pub struct ExportSlot {
    limits: Arc<ReadLimits>,
    account: AccountId,
    number: u64,
}

impl ExportSlot {
    /// Waits for the account's turn to read the next page. `None` if the export has lost its place, or the turn does
    /// not come in time.
    pub async fn next_page(&self) -> Option<ReadTurn> {
        self.note(None)?;
        let limits = &self.limits;
        limits.turn(self.account, usize::MAX, MAX_EXPORT_WAIT).await
    }

    /// Notes that a page is ready, and that the client has to take it.
    pub fn page_ready(&self) {
        self.note(Some(Instant::now()));
    }

    fn note(&self, idle_since: Option<Instant>) -> Option<()> {
        let mut state = self.limits.state.lock();
        state.exports.get_mut(&self.number)?.idle_since = idle_since;
        Some(())
    }
}

impl Drop for ExportSlot {
    fn drop(&mut self) {
        let mut state = self.limits.state.lock();
        state.exports.remove(&self.number);
        self.limits.meters.exports.set(state.exports.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    const BOUNDS: Bounds = Bounds { reads_per_account: 2, exports_per_account: 2, exports: 3 };

    fn account(number: u128) -> AccountId {
        AccountId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn reads_of_one_account_take_turns_and_others_do_not_wait() {
        let limits = ReadLimits::new(BOUNDS);
        let first = limits.read(account(1)).await.unwrap();
        let second = limits.read(account(1)).await.unwrap();
        let mut third = Box::pin(limits.read(account(1)));
        assert!((&mut third).now_or_never().is_none());
        assert!(limits.read(account(2)).now_or_never().unwrap().is_ok());
        drop(first);
        let third = (&mut third).now_or_never().unwrap().unwrap();
        drop((second, third));
        assert!(limits.state.lock().reads.is_empty());
    }

    #[tokio::test]
    async fn a_read_that_was_abandoned_passes_its_turn_on() {
        let limits = ReadLimits::new(Bounds { reads_per_account: 1, ..BOUNDS });
        let running = limits.read(account(1)).await.unwrap();
        let mut abandoned = Box::pin(limits.read(account(1)));
        assert!((&mut abandoned).now_or_never().is_none());
        let mut waiting = Box::pin(limits.read(account(1)));
        assert!((&mut waiting).now_or_never().is_none());
        drop(abandoned);
        drop(running);
        assert!((&mut waiting).now_or_never().unwrap().is_ok());
        drop(waiting);
        assert!(limits.state.lock().reads.is_empty());
    }

    #[tokio::test]
    async fn a_read_whose_turn_does_not_come_gives_up_its_place() {
        let limits = ReadLimits::new(BOUNDS);
        let first = limits.read(account(1)).await.unwrap();
        let second = limits.read(account(1)).await.unwrap();
        let late = limits.turn(account(1), 1, Duration::from_millis(1)).await;
        assert!(late.is_none());
        drop((first, second));
        assert!(limits.state.lock().reads.is_empty());
    }

    #[tokio::test]
    async fn only_so_many_reads_wait() {
        let limits = ReadLimits::new(BOUNDS);
        let mut reads: Vec<_> =
            (0..2 + MAX_WAITING).map(|_| Box::pin(limits.read(account(1)))).collect();
        let turns: Vec<_> = reads.iter_mut().map(|r| r.now_or_never()).collect();
        assert_eq!(turns.iter().filter(|turn| turn.is_some()).count(), 2);
        let refused = limits.read(account(1)).now_or_never().unwrap().err();
        assert_eq!(refused, Some(TooManyReads::Reads));
    }

    #[tokio::test]
    async fn a_lower_bound_applies_when_the_reads_in_progress_have_ended() {
        let limits = ReadLimits::new(BOUNDS);
        let first = limits.read(account(1)).await.unwrap();
        let second = limits.read(account(1)).await.unwrap();
        limits.set_bounds(Bounds { reads_per_account: 1, ..BOUNDS });
        let mut third = Box::pin(limits.read(account(1)));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        drop(second);
        assert!((&mut third).now_or_never().unwrap().is_ok());
    }

    #[test]
    fn exports_are_bounded_by_account_and_together() {
        let limits = ReadLimits::new(BOUNDS);
        let first = limits.export(account(1)).unwrap();
        let _second = limits.export(account(1)).unwrap();
        let refused = limits.export(account(1)).err();
        assert_eq!(refused, Some(TooManyReads::AccountExports { max: 2 }));
        let _third = limits.export(account(2)).unwrap();
        let refused = limits.export(account(3)).err();
        assert_eq!(refused, Some(TooManyReads::Exports));
        drop(first);
        assert!(limits.export(account(3)).is_ok());
    }

    #[tokio::test]
    async fn an_export_whose_client_stopped_reading_loses_its_place_when_it_is_needed() {
        let mut limits = ReadLimits::new(BOUNDS);
        Arc::get_mut(&mut limits).unwrap().stalled_after = Duration::ZERO;
        let stalled = limits.export(account(1)).unwrap();
        let reading = limits.export(account(1)).unwrap();
        stalled.page_ready();
        assert!(stalled.next_page().await.is_some());
        stalled.page_ready();
        // Only the export whose client has a page to receive is stalled.
        let another = limits.export(account(1)).unwrap();
        assert!(stalled.next_page().await.is_none());
        assert!(reading.next_page().await.is_some());
        drop(stalled);
        assert!(limits.export(account(1)).is_err());
        drop(another);
        assert!(limits.export(account(1)).is_ok());
    }
}
