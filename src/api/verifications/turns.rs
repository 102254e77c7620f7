//! The checks of one verification take turns within this process, so that a thousand guesses at once do not all go to the
//! database: those after the last attempt learn from the ones before them that it is closed.
//!
//! This only saves work. What counts is decided by the database.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use nexo_domain::ids::{AccountId, VerificationId};
use nexo_domain::verification::Status;
use tokio::sync::{Mutex, MutexGuard};

/// How long a check waits for those before it.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The final status, once a check has seen it.
type Turn = Arc<Mutex<Option<Status>>>;

/// An account, whether a test key checks, and the verification: others do not find it, so they learn nothing here.
type Checked = (AccountId, bool, VerificationId);

/// The verifications that are being checked: at most as many as there are requests.
#[derive(Debug, Default)]
pub struct Turns(DashMap<Checked, Turn>);

/// A check among those of its verification, until this is dropped.
pub(super) struct Check<'t> {
    turns: &'t Turns,
    checked: Checked,
    turn: Turn,
}

impl Turns {
    pub(super) fn enter(&self, account: AccountId, test: bool, id: VerificationId) -> Check<'_> {
        let checked = (account, test, id);
        let turn = Arc::clone(&self.0.entry(checked).or_default());
        Check { turns: self, checked, turn }
    }
}

impl Check<'_> {
    /// Waits until the checks before this one have ended. `None` if they take too long.
    pub(super) async fn turn(&self) -> Option<MutexGuard<'_, Option<Status>>> {
        tokio::time::timeout(MAX_WAIT, self.turn.lock()).await.ok()
    }
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        // The map and this check have one reference each. Others are added under the lock of the map only.
        self.turns.0.remove_if(&self.checked, |_, turn| Arc::strong_count(turn) <= 2);
    }
}

/// Whether the status can never change again. A canceled verification is pending again if the call of the one that
/// replaced it is not accepted.
pub(super) fn is_final(status: Status) -> bool {
    match status {
        Status::Approved | Status::Failed | Status::Expired => true,
        Status::Pending | Status::Canceled => false,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn later_checks_learn_the_final_status_and_nothing_remains() {
        let turns = Turns::default();
        let (account, id) = (AccountId(Uuid::from_u128(1)), VerificationId(Uuid::from_u128(2)));
        let (first, second) = (turns.enter(account, false, id), turns.enter(account, false, id));
        let foreign = turns.enter(AccountId(Uuid::from_u128(3)), false, id);
        let of_test = turns.enter(account, true, id);
        *first.turn().await.unwrap() = Some(Status::Failed);
        drop(first);
        assert_eq!(*second.turn().await.unwrap(), Some(Status::Failed));
        assert_eq!(*foreign.turn().await.unwrap(), None);
        assert_eq!(*of_test.turn().await.unwrap(), None);
        drop((second, foreign, of_test));
        assert!(turns.0.is_empty());
    }
}
