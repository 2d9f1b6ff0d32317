//! One-time links into the dashboard: a link carries a code, which a node exchanges for the token of an
//! administrator, once.
//!
//! A code stands in a line of a terminal and in an address bar, so it is short and no token: 26 digits of
//! base 32, which are 16 bytes. Four say when the link expires, four are random, and eight are the beginning
//! of a signature of the others. A guess at those is one request, and right once in 2^64.

use std::time::Duration;

use aws_lc_rs::{constant_time, hmac, rand};
use uuid::Uuid;

use crate::kernel::fault::{Code, Fault};

/// Subject of the token that a link is exchanged for: an id that no application generates.
pub const DEVELOPER: &str = "00000000-0000-7000-8000-000000000000";

/// Digits of a code. The letters I, L, O and U are left out, which are mistaken for others.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits in a code: 128 bits, five in each.
const CODE_DIGITS: usize = 26;
/// Bytes of a code that are signed.
const SIGNED_BYTES: usize = 8;

crate::id! {
    /// Names a one-time link.
    pub LinkId,
}

/// A link whose code was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInLink {
    /// Id of the link.
    pub id: LinkId,
    /// When the link expires, in seconds since 1970.
    pub expires_at: u32,
}

/// Signs and verifies the codes of links.
pub(super) struct SignInKey(hmac::Key);

impl SignInKey {
    /// Derives the key from the secret of the tokens. Links have a key of their own, so that no part of a
    /// token is the signature of a code.
    pub(super) fn derived_from(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&root, b"forge sign-in link");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// A new code, which can be used for `ttl`.
    pub(super) fn issue(&self, ttl: Duration) -> Result<String, Fault> {
        let expires_at = chrono::Utc::now().timestamp().saturating_add_unsigned(ttl.as_secs());
        let mut code = [0; size_of::<u128>()];
        code[..4].copy_from_slice(&u32::try_from(expires_at).unwrap_or(u32::MAX).to_be_bytes());
        rand::fill(&mut code[4..SIGNED_BYTES]).map_err(|_| Fault::internal("no randomness for a link"))?;
        let signature = hmac::sign(&self.0, &code[..SIGNED_BYTES]);
        code[SIGNED_BYTES..].copy_from_slice(&signature.as_ref()[..SIGNED_BYTES]);
        Ok(text_of(u128::from_be_bytes(code)))
    }

    /// Verifies a code until `leeway` after it has expired. Whether the link was used is checked by the
    /// caller.
    pub(super) fn verify(&self, code: &str, leeway: Duration) -> Result<SignInLink, Fault> {
        let number = number_of(code).ok_or_else(|| invalid("the code has another form"))?;
        let code = number.to_be_bytes();
        let (signed, signature) = code.split_at(SIGNED_BYTES);
        let right = hmac::sign(&self.0, signed);
        constant_time::verify_slices_are_equal(&right.as_ref()[..SIGNED_BYTES], signature)
            .map_err(|_| invalid("the signature is another one"))?;
        let expires_at = u32::from_be_bytes([code[0], code[1], code[2], code[3]]);
        let link = SignInLink { id: LinkId::from_uuid(Uuid::from_u128(number)), expires_at };
        if chrono::Utc::now().timestamp() > accepted_until(&link, leeway) {
            return Err(invalid("the link has expired"));
        }
        Ok(link)
    }
}

/// The last second, since 1970, in which a link is accepted: its expiry and the leeway for differing clocks.
pub(super) fn accepted_until(link: &SignInLink, leeway: Duration) -> i64 {
    i64::from(link.expires_at).saturating_add_unsigned(leeway.as_secs())
}

/// Refuses a link. A token, which is what else helps against `UNAUTHENTICATED`, is no remedy for it.
pub(crate) fn refused(message: &'static str) -> Fault {
    Fault::new(Code::Unauthenticated, message).with_help("open the link that `forge-node dashboard` prints")
}

fn invalid(reason: &'static str) -> Fault {
    refused("the link is not valid, or has expired; `forge-node dashboard` prints another").because(reason)
}

fn text_of(number: u128) -> String {
    let digit = |place: usize| DIGITS[(number >> (5 * place)) as usize % DIGITS.len()];
    (0..CODE_DIGITS).rev().map(|place| char::from(digit(place))).collect()
}

/// The number that a code is. A person may have typed the code in small letters.
fn number_of(code: &str) -> Option<u128> {
    if code.len() != CODE_DIGITS {
        return None;
    }
    code.bytes().try_fold(0_u128, |number, byte| {
        let digit = DIGITS.iter().position(|digit| *digit == byte.to_ascii_uppercase())?;
        // The first digit has three bits only.
        number.checked_mul(32)?.checked_add(digit as u128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SignInKey {
        SignInKey::derived_from(b"an example secret of 32 bytes or more")
    }

    #[test]
    fn a_code_is_short_and_every_digit_of_it_counts() {
        let minute = Duration::from_secs(60);
        let code = key().issue(minute).expect("issued");
        assert_eq!(code.len(), CODE_DIGITS);
        let link = key().verify(&code, Duration::ZERO).expect("its own code");
        assert_eq!(key().verify(&code.to_lowercase(), Duration::ZERO).expect("typed"), link);
        for index in 0..CODE_DIGITS {
            let mut digits = code.clone().into_bytes();
            digits[index] = if digits[index] == b'3' { b'4' } else { b'3' };
            let forged = String::from_utf8(digits).expect("digits");
            assert!(key().verify(&forged, minute).is_err(), "{code} and {forged}");
        }
        let other = SignInKey::derived_from(b"another secret of 32 bytes or more too");
        assert!(other.verify(&code, minute).is_err());
        assert_ne!(key().issue(minute).expect("issued"), code);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for text in ["", "0", &"Z".repeat(CODE_DIGITS), &"é".repeat(13), &"I".repeat(CODE_DIGITS)] {
            let fault = key().verify(text, Duration::ZERO).expect_err(text);
            assert!(fault.help().is_some_and(|help| help.contains("forge-node dashboard")), "{text}");
        }
    }

    #[test]
    fn a_link_is_accepted_until_its_leeway_ends() {
        let hour = Duration::from_secs(3_600);
        let code = key().issue(Duration::ZERO).expect("issued");
        let link = key().verify(&code, hour).expect("within the leeway");
        assert_eq!(accepted_until(&link, hour), i64::from(link.expires_at) + 3_600);
        let long_ago = SignInLink { expires_at: 1_000_000_000, ..link };
        let mut signed = [0; 16];
        signed[..4].copy_from_slice(&long_ago.expires_at.to_be_bytes());
        let signature = hmac::sign(&key().0, &signed[..SIGNED_BYTES]);
        signed[SIGNED_BYTES..].copy_from_slice(&signature.as_ref()[..SIGNED_BYTES]);
        assert!(key().verify(&text_of(u128::from_be_bytes(signed)), hour).is_err(), "expired long ago");
    }
}
