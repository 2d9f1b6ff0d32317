//! Passwords: argon2id (RFC 9106) with the parameters that OWASP's password storage sheet names first.
//!
//! A hash takes 19 MiB and some 20 ms of one core, so hashes run outside the async threads and never more at
//! a time than there are cores. A flood of sign-ins waits for a core, each until its own deadline, and takes
//! neither memory nor threads from other calls.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::kernel::fault::Fault;

/// Hashes that run at the same time.
static RUNNING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)))
});

/// The hash to compare with when there is no user, so that an unknown user takes as long as a wrong password.
static DUMMY_HASH: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody has this password").ok());

/// Hashes a password with a salt of its own. The text holds parameters and salt (PHC string format).
///
/// # Errors
/// `INTERNAL` when the machine has no randomness or no memory for it.
pub async fn hash(password: &str) -> Result<String, Fault> {
    let password = password.to_owned();
    bounded(move || hash_now(&password).map_err(Fault::internal)).await
}

/// True when the password is the one that was hashed. Without a hash (no such user) the call does the same
/// work and returns false.
///
/// # Errors
/// `INTERNAL` when `hash` is not a hash.
pub async fn verify(password: &str, hash: Option<&str>) -> Result<bool, Fault> {
    let password = password.to_owned();
    let hash = hash.map(str::to_owned);
    bounded(move || {
        let known = hash.is_some();
        let Some(hash) = hash.as_deref().or(DUMMY_HASH.as_deref()) else {
            return Err(Fault::internal("argon2 refused its default parameters"));
        };
        let parsed = PasswordHash::new(hash).map_err(|error| Fault::internal(error.to_string()))?;
        Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && known)
    })
    .await
}

fn hash_now(password: &str) -> Result<String, String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

async fn bounded<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let permit = Arc::clone(&RUNNING).acquire_owned().await.map_err(Fault::internal)?;
    let running = tokio::task::spawn_blocking(move || {
        // The thread cannot be interrupted, so it holds the permit itself: the caller may be cut before it
        // ends.
        let _permit = permit;
        work()
    });
    running.await.map_err(Fault::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let first = hash("correct horse").await.expect("hashes");
        let second = hash("correct horse").await.expect("hashes");
        assert_ne!(first, second, "each hash has its own salt");
        assert!(first.starts_with("$argon2id$"));
        for (password, hash, expected) in [
            ("correct horse", Some(first.as_str()), true),
            ("wrong", Some(second.as_str()), false),
            ("wrong", None, false),
        ] {
            assert_eq!(verify(password, hash).await.expect("compares"), expected, "{password} {hash:?}");
        }
        assert!(
            !verify("nobody has this password", None).await.expect("compares"),
            "the dummy hash verifies nothing"
        );
        assert!(verify("x", Some("not a hash")).await.is_err());
    }
}
