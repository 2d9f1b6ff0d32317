//! Who calls: the bearer token of the `Authorization` header, and no other place.
//!
//! A token in a URL is never looked at, since URLs end up in histories and logs. A token that is sent and not
//! accepted fails the request even where no token is needed: a client that believes to be signed in must
//! learn that it is not.
//!
//! A token that was verified is remembered until it expires: checking the signature and reading the claims
//! took 8 µs of the 14 µs that the gateway added to a request, and the same token comes with every request of
//! a client. Only valid tokens are kept.

use std::net::IpAddr;
use std::sync::Arc;

use dashmap::DashMap;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};

use crate::app::token::Tokens;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Caller, Identity};
use crate::kernel::wire::escape;

/// Role that may read what is about the node itself.
pub const ADMIN_ROLE: &str = "admin";

/// Characters of a `User-Agent` that are kept.
const USER_AGENT_CHARS_MAX: usize = 256;

/// Verified tokens that are remembered; when there are more, all are forgotten and verified again.
const REMEMBERED_MAX: usize = 4 * 1024;
/// Bytes of a token that is remembered; a longer one is verified each time.
const REMEMBERED_BYTES_MAX: usize = 2 * 1024;

/// Finds out who calls.
pub(super) struct Authenticator {
    tokens: Option<Tokens>,
    remembered: DashMap<Box<str>, Remembered>,
}

struct Remembered {
    identity: Arc<Identity>,
    /// The token's `exp`. Leeway is not granted here: in its time a token is verified anew.
    expires: i64,
}

impl Authenticator {
    pub(super) fn new(tokens: Option<Tokens>) -> Self {
        Self { tokens, remembered: DashMap::new() }
    }

    /// The caller of a request from `ip`.
    pub(super) fn caller(&self, headers: &HeaderMap, ip: IpAddr) -> Result<Caller, Fault> {
        Ok(Caller {
            identity: self.identity(headers)?,
            ip: Some(ip),
            user_agent: headers.get(USER_AGENT).map(printable),
        })
    }

    /// The caller is signed in and holds [`ADMIN_ROLE`].
    pub(super) fn require_admin(&self, headers: &HeaderMap) -> Result<(), Fault> {
        match self.identity(headers)? {
            None => Err(Fault::new(Code::Unauthenticated, "a token with the role `admin` is needed")),
            Some(identity) if !identity.has_role(ADMIN_ROLE) => {
                Err(Fault::new(Code::PermissionDenied, "the role `admin` is needed"))
            }
            Some(_) => Ok(()),
        }
    }

    fn identity(&self, headers: &HeaderMap) -> Result<Option<Arc<Identity>>, Fault> {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let Some(header) = sent.next() else { return Ok(None) };
        let refused = |message| Fault::new(Code::Unauthenticated, message);
        if sent.next().is_some() {
            return Err(refused("the request has more than one `Authorization` header"));
        }
        let token = bearer(header).ok_or_else(|| refused("`Authorization` must be `Bearer` and a token"))?;
        let tokens = self
            .tokens
            .as_ref()
            .ok_or_else(|| refused("this server accepts no tokens: no secret is configured"))?;
        self.verify(tokens, token, chrono::Utc::now().timestamp()).map(Some)
    }

    fn verify(&self, tokens: &Tokens, token: &str, now: i64) -> Result<Arc<Identity>, Fault> {
        if let Some(identity) = self.remember(token, now) {
            return Ok(identity);
        }
        let identity = Arc::new(tokens.verify(token)?);
        let expires = identity.claims.get("exp").and_then(serde_json::Value::as_i64);
        if let Some(expires) = expires.filter(|_| token.len() <= REMEMBERED_BYTES_MAX) {
            if self.remembered.len() >= REMEMBERED_MAX {
                self.remembered.clear();
            }
            self.remembered.insert(token.into(), Remembered { identity: Arc::clone(&identity), expires });
        }
        Ok(identity)
    }

    fn remember(&self, token: &str, now: i64) -> Option<Arc<Identity>> {
        self.remembered
            .get(token)
            .filter(|known| now < known.expires)
            .map(|known| Arc::clone(&known.identity))
    }
}

/// The scheme's name is case-insensitive (RFC 9110 §11.1).
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// A header as text that is safe to log: control characters (C1 in UTF-8 included) are escaped, the rest is
/// cut.
pub(super) fn printable(header: &HeaderValue) -> String {
    match header.to_str() {
        Ok(text) if text.len() <= USER_AGENT_CHARS_MAX && !text.contains('\t') => text.to_owned(),
        _ => escape(&String::from_utf8_lossy(header.as_bytes()), USER_AGENT_CHARS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::token::TokenRules;

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let rules = TokenRules { issuer: None, audience: None, leeway: Duration::ZERO };
        let tokens = Tokens::new(&[1; 32], rules).expect("32 bytes are enough");
        let authenticator = Authenticator::new(Some(tokens.clone()));
        let token = tokens.issue("ann", &[], None, Duration::from_secs(60)).expect("a token");
        let now = chrono::Utc::now().timestamp();
        assert!(authenticator.remember(&token, now).is_none());
        let identity = authenticator.verify(&tokens, &token, now).expect("valid");
        assert!(authenticator.remember(&token, now + 30).is_some_and(|known| Arc::ptr_eq(&known, &identity)));
        assert!(authenticator.remember(&token, now + 120).is_none());
        assert!(authenticator.verify(&tokens, &format!("{token}x"), now).is_err());
        assert_eq!(authenticator.remembered.len(), 1);
        for n in 0..=REMEMBERED_MAX {
            let token = tokens.issue(n, &[], None, Duration::from_secs(60)).expect("a token");
            authenticator.verify(&tokens, &token, now).expect("valid");
            assert!(authenticator.remembered.len() <= REMEMBERED_MAX);
        }
    }
}
