//! The open phone windows of one SQLite file, in memory.
//!
//! A file has one node, so the process that serves it can remember the windows itself. In a table each
//! claim would change a page of its own, since phones come in no order, and the log would grow by a
//! page an OTP. A restart forgets nothing: the book is read again from the deliveries.
//!
//! Transactions that write are serial, so a book is only changed by who holds the file's write lock.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use nexo_domain::ids::DeliveryId;
use nexo_domain::phone::Phone;

use super::table::OpenWindow;
use crate::store::ledger::posting::{Debit, Settlement};

/// A phone in its realm: test or live.
type Window = (bool, Phone);

/// The book of one file.
#[derive(Debug, Default)]
pub(in crate::store) struct WindowBook(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// Whether what the deliveries say has been read.
    is_read: bool,
    open: HashMap<Window, Claim>,
    /// When claims are over, about in order: for forgetting them.
    ends: VecDeque<(i64, Window)>,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    delivery_id: DeliveryId,
    until_ms: i64,
}

/// The books of this process: two stores on one file share one.
static BOOKS: LazyLock<Mutex<HashMap<PathBuf, Weak<WindowBook>>>> = LazyLock::new(Mutex::default);

impl WindowBook {
    /// The book of the file at `path`, which exists.
    pub fn of(path: &Path) -> Arc<WindowBook> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut books = BOOKS.lock().unwrap_or_else(PoisonError::into_inner);
        books.retain(|_, book| book.strong_count() > 0);
        match books.get(&path).and_then(Weak::upgrade) {
            Some(book) => book,
            None => {
                let book = Arc::default();
                books.insert(path, Arc::downgrade(&book));
                book
            }
        }
    }

    pub fn is_read(&self) -> bool {
        self.pages().is_read
    }

    /// Takes over what the deliveries say.
    pub fn read(&self, windows: &[OpenWindow]) {
        let mut pages = self.pages();
        for window in windows {
            let claim = Claim {
                delivery_id: window.delivery_id,
                until_ms: window.until_ms,
            };
            pages.claim((window.test, window.phone), claim);
        }
        pages.is_read = true;
    }

    /// Those of the debits at `claims` whose windows are taken, and until when. What `ended` gives back
    /// counts as free.
    pub fn lost(
        &self,
        debits: &[Debit],
        claims: &[usize],
        ended: &[&Settlement],
    ) -> HashMap<usize, i64> {
        let pages = self.pages();
        let is_given_back = |claim: &Claim| {
            ended
                .iter()
                .any(|s| s.release_window && s.delivery_id == claim.delivery_id)
        };
        claims
            .iter()
            .filter_map(|place| {
                let debit = &debits[*place];
                let claim = pages.open.get(&(debit.test, debit.phone))?;
                let is_open = claim.until_ms > debit.created_at_ms && !is_given_back(claim);
                is_open.then_some((*place, claim.until_ms))
            })
            .collect()
    }

    /// Writes down what a transaction is about to commit. Unless it is kept, the book forgets
    /// everything and is read again: nobody knows whether the commit came through.
    pub fn write<'b, 'd>(
        &'b self,
        posted: impl Iterator<Item = &'d Debit>,
        ended: &[&Settlement],
    ) -> Written<'b> {
        let mut pages = self.pages();
        for s in ended.iter().filter(|s| s.release_window) {
            let window = (s.test, s.phone);
            if pages.open.get(&window).map(|claim| claim.delivery_id) == Some(s.delivery_id) {
                pages.open.remove(&window);
            }
        }
        for debit in posted {
            pages.forget_until(debit.created_at_ms);
            let claim = Claim {
                delivery_id: debit.delivery_id,
                until_ms: debit.window_until_ms,
            };
            pages.claim((debit.test, debit.phone), claim);
        }
        Written(Some(self))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn claim(&mut self, window: Window, claim: Claim) {
        self.open.insert(window, claim);
        self.ends.push_back((claim.until_ms, window));
    }

    /// Forgets the windows that were over at `now_ms`.
    fn forget_until(&mut self, now_ms: i64) {
        while let Some((until_ms, window)) = self.ends.front().copied() {
            if until_ms > now_ms {
                return;
            }
            self.ends.pop_front();
            // It may have been claimed anew.
            if self.open.get(&window).map(|claim| claim.until_ms) == Some(until_ms) {
                self.open.remove(&window);
            }
        }
    }
}

/// What was written down for a transaction whose commit is under way.
#[must_use]
pub(in crate::store) struct Written<'b>(Option<&'b WindowBook>);

impl Written<'_> {
    /// The transaction is committed.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if let Some(book) = self.0 {
            *book.pages() = Pages::default();
        }
    }
}
