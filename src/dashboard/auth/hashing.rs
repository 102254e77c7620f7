//! Hashes passwords on blocking threads, at most one per core at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use nexo_domain::account::password::PasswordContext;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::password::{self, PasswordError};

/// The largest number of hashes that wait for a core. Each takes about 30 ms of one core.
const MAX_WAITING: usize = 128;

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
        PasswordHasher {
            cores: Arc::new(Semaphore::new(cores)),
            waiting: Arc::default(),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let waiting = Waiting(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING {
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
        password: Zeroizing<String>,
        email: String,
        host: String,
    ) -> Result<Result<String, PasswordError>, Busy> {
        self.run(move || {
            let context = PasswordContext {
                email: &email,
                host: &host,
            };
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
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> Result<bool, Busy> {
        self.run(move || match hash {
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
        self.run(move || password::derive_key(&password, &salt).ok())
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_hash_matches_no_password_and_a_full_queue_is_busy() {
        let hasher = PasswordHasher::new();
        let password = || Zeroizing::new("correct horse".to_owned());
        let hash = hasher.hash(password(), String::new(), String::new()).await;
        let hash = hash.unwrap().unwrap();
        assert_eq!(hasher.verify(password(), Some(hash)).await, Ok(true));
        assert_eq!(hasher.verify(password(), None).await, Ok(false));
        hasher.waiting.store(MAX_WAITING, Ordering::Release);
        assert_eq!(hasher.verify(password(), None).await, Err(Busy));
    }
}
