//! Passwords: argon2id (RFC 9106) with the parameters that OWASP's password storage sheet names first.
//!
//! A hash takes 19 MiB and some 20 ms of one core, so hashes are work of the lane ([`blocking`]): a flood of
//! sign-ins waits for a core there, and takes neither memory nor threads nor places from other calls.
//!
//! [`blocking`]: crate::app::blocking

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::app::context::Ctx;
use crate::app::kind::WaitsForCores;
use crate::kernel::fault::Fault;

/// The hash to compare with when there is no user, so that an unknown user takes as long as a wrong password.
static DUMMY_HASH: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody has this password").ok());

/// Hashes a password with a salt of its own. The text holds parameters and salt (PHC string format).
///
/// # Errors
/// `OVERLOADED` when too much work waits for a core; `INTERNAL` when the machine has no randomness or no
/// memory for it.
pub async fn hash<K: WaitsForCores>(ctx: &Ctx<K>, password: &str) -> Result<String, Fault> {
    let password = password.to_owned();
    ctx.blocking(move || hash_now(&password)).await?.map_err(Fault::internal)
}

/// True when the password is the one that was hashed. Without a hash (no such user) the call does the same
/// work and returns false.
///
/// # Errors
/// `OVERLOADED` when too much work waits for a core; `INTERNAL` when `hash` is not a hash.
pub async fn verify<K: WaitsForCores>(
    ctx: &Ctx<K>,
    password: &str,
    hash: Option<&str>,
) -> Result<bool, Fault> {
    let password = password.to_owned();
    let hash = hash.map(str::to_owned);
    ctx.blocking(move || verify_now(&password, hash.as_deref())).await?.map_err(Fault::internal)
}

fn verify_now(password: &str, hash: Option<&str>) -> Result<bool, String> {
    let Some(compared) = hash.or(DUMMY_HASH.as_deref()) else {
        return Err("argon2 refused its default parameters".to_owned());
    };
    let parsed = PasswordHash::new(compared).map_err(|error| error.to_string())?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some())
}

fn hash_now(password: &str) -> Result<String, String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_verifies_against_its_own_hash_only() {
        let first = hash_now("correct horse").expect("hashes");
        let second = hash_now("correct horse").expect("hashes");
        assert_ne!(first, second, "each hash has its own salt");
        assert!(first.starts_with("$argon2id$"));
        for (password, hash, expected) in [
            ("correct horse", Some(first.as_str()), true),
            ("wrong", Some(second.as_str()), false),
            ("wrong", None, false),
        ] {
            assert_eq!(verify_now(password, hash).expect("compares"), expected, "{password} {hash:?}");
        }
        assert!(
            !verify_now("nobody has this password", None).expect("compares"),
            "the dummy hash verifies nothing"
        );
        assert!(verify_now("x", Some("not a hash")).is_err());
    }
}
