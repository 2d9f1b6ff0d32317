//! Passwords: argon2id (RFC 9106) with the parameters that OWASP's password storage sheet names first.
//!
//! A hash takes 19 MiB and some 20 ms of one core, so hashes are work of the pool ([`blocking`]): a flood of
//! sign-ins waits for a core there, and takes neither memory nor threads nor places from other calls. A
//! thread of the pool keeps the memory for its next hash: given back to the allocator, the memory of one hash
//! would be resident beside that of the next.
//!
//! [`blocking`]: crate::app::blocking

use std::cell::Cell;
use std::sync::LazyLock;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{self, CustomizedPasswordHasher, PasswordVerifier, try_generate_salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::app::context::Ctx;
use crate::app::kind::WaitsForCores;
use crate::kernel::fault::Fault;

/// The hash to compare with when there is no user, so that an unknown user takes as long as a wrong password.
static DUMMY_HASH: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody has this password").ok());

thread_local! {
    /// The memory of the last hash that this thread made with the default parameters.
    static MEMORY: Cell<Vec<Block>> = const { Cell::new(Vec::new()) };
}

/// Argon2 over the memory that this thread keeps.
struct Hasher;

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
    Ok(Hasher.verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some())
}

fn hash_now(password: &str) -> Result<String, String> {
    let salt = try_generate_salt().map_err(|error| error.to_string())?;
    let hashed = Hasher.hash_password_with_params(password.as_bytes(), &salt, Params::default());
    hashed.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

impl CustomizedPasswordHasher<PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let (salt, stored) = (Salt::new(salt)?, ParamsString::try_from(&params)?);
        let blocks = params.block_count();
        let mut memory = MEMORY.take();
        memory
            .try_reserve_exact(blocks.saturating_sub(memory.len()))
            .map_err(|_| argon2::Error::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        let mut bytes = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = bytes.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let hashing = Argon2::new(algorithm, version, params);
        hashing.hash_password_into_with_memory(password, &salt, output, &mut memory)?;
        // A hash with parameters of its own may have taken much more.
        if blocks == Params::default().block_count() {
            MEMORY.set(memory);
        }
        let hash = Some(Output::new(output)?);
        let (algorithm, version) = (algorithm.ident(), Some(version.into()));
        Ok(PasswordHash { algorithm, version, params: stored, salt: Some(salt), hash })
    }
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

    #[test]
    fn a_thread_keeps_the_memory_of_one_hash_with_the_default_parameters() {
        let kept = || {
            let memory = MEMORY.take();
            let blocks = memory.len();
            MEMORY.set(memory);
            blocks
        };
        for _ in 0..2 {
            hash_now("correct horse").expect("hashes");
            assert_eq!(kept(), Params::default().block_count());
        }
        let large = Params::new(2 * Params::DEFAULT_M_COST, 1, 1, None).expect("parameters");
        Hasher.hash_password_with_params(b"correct horse", b"a known salt", large).expect("hashes");
        assert_eq!(kept(), 0, "a larger one is given back");
    }

    #[test]
    fn hashes_are_those_of_the_library_whatever_the_memory_was_used_for() {
        let library = Argon2::default();
        for params in [Params::default(), Params::new(64, 2, 1, None).expect("parameters"), Params::default()]
        {
            let own = Hasher.hash_password_with_params(b"correct horse", b"a known salt", params.clone());
            let other = library.hash_password_with_params(b"correct horse", b"a known salt", params);
            assert_eq!(own.expect("hashes").to_string(), other.expect("hashes").to_string());
        }
    }
}
