//! Passwords are hashed beside the server's threads, as many at a time as there are cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::password::{self, PasswordError};

/// The most hashes that wait for a core. Each takes some 30 ms of one.
const MOST_WAITING: usize = 128;

/// The password of nobody: an unknown address takes as long as a known one.
static NOBODYS: LazyLock<String> = LazyLock::new(|| {
    let anything = super::tokens::new_token();
    password::hash(&anything, "").unwrap_or_default()
});

/// The cores' worth of hashing.
#[derive(Debug, Clone)]
pub struct Hashing {
    cores: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// Too many hashes wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hashing {
    pub fn new() -> Hashing {
        // The first sign-in should not take one hash longer than the second.
        LazyLock::force(&NOBODYS);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Hashing {
            cores: Arc::new(Semaphore::new(cores)),
            waiting: Arc::default(),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let waiting = Waiting(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MOST_WAITING {
            return Err(Busy);
        }
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let core = core.map_err(|_| Busy)?;
        drop(waiting);
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(core);
            done
        });
        work.await.map_err(|_| Busy)
    }

    /// The hash of a new password of the account with this address.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn hash(
        &self,
        password: Zeroizing<String>,
        email: String,
    ) -> Result<Result<String, PasswordError>, Busy> {
        self.run(move || password::hash(&password, &email)).await
    }

    /// Whether this is the password that was hashed; `None` is nobody's hash, and takes as long.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn verify(
        &self,
        password: Zeroizing<String>,
        kept: Option<String>,
    ) -> Result<bool, Busy> {
        self.run(move || match kept {
            Some(kept) => password::verify(&password, &kept),
            None => {
                password::verify(&password, &NOBODYS);
                false
            }
        })
        .await
    }

    /// A key derived from a password: see [`password::derive_key`].
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
    async fn nobody_has_a_password_and_more_than_a_queue_of_them_is_refused() {
        let hashing = Hashing::new();
        let password = || Zeroizing::new("correct horse".to_owned());
        let kept = hashing.hash(password(), String::new()).await;
        let kept = kept.unwrap().unwrap();
        assert_eq!(hashing.verify(password(), Some(kept)).await, Ok(true));
        assert_eq!(hashing.verify(password(), None).await, Ok(false));
        hashing.waiting.store(MOST_WAITING, Ordering::Release);
        assert_eq!(hashing.verify(password(), None).await, Err(Busy));
    }
}
