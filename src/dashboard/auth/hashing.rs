//! Hashes passwords on blocking threads, at most one per core at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use nexo_domain::account::password::PasswordContext;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::password::{self, PasswordError};

/// The largest number of hashes that wait for a core. Each takes about 30 ms of one core.
const MAX_WAITING: usize = 128;
/// The part of it that strangers may use. The rest is for proven callers, so that a flood of sign-ins from many
/// networks does not turn them away.
const MAX_WAITING_STRANGERS: usize = 96;

/// Whose hash it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    Stranger,
    /// Has a session, or a browser that signed in before.
    Proven,
}

impl Priority {
    fn max_waiting(self) -> usize {
        match self {
            Priority::Stranger => MAX_WAITING_STRANGERS,
            Priority::Proven => MAX_WAITING,
        }
    }
}

/// The hash of a random password. Checking it for an unknown address takes as long as for a known one.
static DUMMY_HASH: LazyLock<String> = LazyLock::new(|| {
    let password = super::tokens::new_token();
    password::hash(&password, &PasswordContext::default()).unwrap_or_default()
});

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct PasswordHasher {
    cores: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// Too many hashes are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl PasswordHasher {
    pub fn new() -> PasswordHasher {
        // Otherwise the first sign-in would take one hash longer than the second.
        LazyLock::force(&DUMMY_HASH);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        PasswordHasher { cores: Arc::new(Semaphore::new(cores)), waiting: Arc::default() }
    }

    async fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let waiting = Waiting(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= priority.max_waiting() {
            return Err(Busy);
        }
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let core = core.map_err(|_| Busy)?;
        drop(waiting);
        let work = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(core);
            result
        });
        work.await.map_err(|_| Busy)
    }

    /// Hashes a new password of the account with this address, on the site with this host name.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(
        &self,
        priority: Priority,
        password: Zeroizing<String>,
        email: String,
        host: String,
    ) -> Result<Result<String, PasswordError>, Busy> {
        self.run(priority, move || {
            let context = PasswordContext { email: &email, host: &host };
            password::hash(&password, &context)
        })
        .await
    }

    /// Checks a password against a hash. Without a hash the answer is false, after the same time.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(
        &self,
        priority: Priority,
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> Result<bool, Busy> {
        self.run(priority, move || match hash {
            Some(hash) => password::verify(&password, &hash),
            None => {
                password::verify(&password, &DUMMY_HASH);
                false
            }
        })
        .await
    }

    /// Derives a key from a password: see [`password::derive_key`].
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn derive_key(
        &self,
        password: Zeroizing<String>,
        salt: [u8; 16],
    ) -> Result<Option<Zeroizing<[u8; 32]>>, Busy> {
        // The password was found to be right before.
        self.run(Priority::Proven, move || password::derive_key(&password, &salt).ok()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_hash_matches_no_password_and_a_full_queue_is_busy_for_strangers_first() {
        let hasher = PasswordHasher::new();
        let password = || Zeroizing::new("correct horse".to_owned());
        let (proven, stranger) = (Priority::Proven, Priority::Stranger);
        let hash = hasher.hash(stranger, password(), String::new(), String::new());
        let hash = hash.await.unwrap().unwrap();
        let verify = |priority, hash| hasher.verify(priority, password(), hash);
        assert_eq!(verify(stranger, Some(hash)).await, Ok(true));
        assert_eq!(verify(stranger, None).await, Ok(false));
        let waiting = |count| hasher.waiting.store(count, Ordering::Release);
        waiting(MAX_WAITING_STRANGERS);
        assert_eq!(verify(stranger, None).await, Err(Busy));
        assert_eq!(verify(proven, None).await, Ok(false));
        waiting(MAX_WAITING);
        assert_eq!(verify(proven, None).await, Err(Busy));
    }
}
