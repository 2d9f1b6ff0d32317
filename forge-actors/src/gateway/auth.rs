//! Authentication: the bearer token of the header `Authorization`.
//!
//! A token in a URL is not accepted, since URLs end up in histories and logs. A token that is sent and not
//! accepted fails the request even where no token is needed, so that a client that believes to be signed in
//! learns that it is not.
//!
//! A verified token is cached, at most until it expires: checking the signature and reading the claims took
//! 8 µs of the 14 µs that the gateway added to a request, and a client sends the same token with every
//! request. Tokens that are not valid are not kept.

use std::net::IpAddr;
use std::sync::Arc;

use dashmap::DashMap;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};

use crate::app::token::Tokens;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Caller, Identity};
use crate::kernel::printable::escape;
use crate::kernel::remedy;

/// Role of a caller who may read `/metrics`.
pub const ADMIN_ROLE: &str = "admin";

/// Characters of a `User-Agent` that are kept; the rest is cut.
const USER_AGENT_CHARS_MAX: usize = 256;

/// Verified tokens that are kept; one more drops them all, and each is verified again.
const TOKENS_KEPT_MAX: usize = 4 * 1024;
/// Bytes of a token that is kept; a longer token is verified with each request.
const KEPT_TOKEN_BYTES_MAX: usize = 2 * 1024;

/// Verifies the tokens of requests.
pub(super) struct Authenticator {
    tokens: Option<Tokens>,
    verified: DashMap<Box<str>, CachedIdentity>,
}

struct CachedIdentity {
    identity: Arc<Identity>,
    /// `exp` of the token. The leeway for differing clocks is not added: within the leeway the token is
    /// verified again.
    expires: i64,
}

impl Authenticator {
    pub(super) fn new(tokens: Option<Tokens>) -> Self {
        Self { tokens, verified: DashMap::new() }
    }

    /// The caller of a request from `ip`.
    pub(super) fn caller(&self, headers: &HeaderMap, ip: IpAddr) -> Result<Caller, Fault> {
        Ok(Caller {
            identity: self.identity(headers)?,
            ip: Some(ip),
            user_agent: headers.get(USER_AGENT).map(printable),
        })
    }

    /// Checks that the caller has the role [`ADMIN_ROLE`].
    pub(super) fn require_admin(&self, headers: &HeaderMap) -> Result<(), Fault> {
        match self.identity(headers)? {
            None => Err(Fault::new(Code::Unauthenticated, "a token with the role `admin` is needed")
                .with_help(remedy::ADMIN_TOKEN)),
            Some(identity) if !identity.has_role(ADMIN_ROLE) => {
                Err(Fault::new(Code::PermissionDenied, "the role `admin` is needed")
                    .with_help(remedy::ADMIN_TOKEN))
            }
            Some(_) => Ok(()),
        }
    }

    fn identity(&self, headers: &HeaderMap) -> Result<Option<Arc<Identity>>, Fault> {
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
        let refused = |message, help| Fault::new(Code::Unauthenticated, message).with_help(help);
        let malformed = || refused("`Authorization` must be `Bearer` and a token", remedy::TOKEN);
        let token = bearer(header).ok_or_else(malformed)?;
        let tokens = self.tokens.as_ref().ok_or_else(|| {
            refused("this server accepts no tokens: no secret is configured", remedy::SECRET)
        })?;
        self.verify(tokens, token, chrono::Utc::now().timestamp()).map(Some)
    }

    fn verify(&self, tokens: &Tokens, token: &str, now: i64) -> Result<Arc<Identity>, Fault> {
        if let Some(identity) = self.cached(token, now) {
            return Ok(identity);
        }
        let identity = Arc::new(tokens.verify(token)?);
        let expires = identity.claims.get("exp").and_then(serde_json::Value::as_i64);
        if let Some(expires) = expires.filter(|_| token.len() <= KEPT_TOKEN_BYTES_MAX) {
            if self.verified.len() >= TOKENS_KEPT_MAX {
                self.verified.clear();
            }
            self.verified.insert(token.into(), CachedIdentity { identity: Arc::clone(&identity), expires });
        }
        Ok(identity)
    }

    fn cached(&self, token: &str, now: i64) -> Option<Arc<Identity>> {
        self.verified.get(token).filter(|known| now < known.expires).map(|known| Arc::clone(&known.identity))
    }
}

/// The scheme's name is case-insensitive (RFC 9110 §11.1).
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// A header as text that is safe to log: control characters (C1 in UTF-8 included) are escaped, and a long
/// text is cut.
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
    fn a_verified_token_is_kept_until_it_expires() {
        let rules = TokenRules { issuer: None, audience: None, leeway: Duration::ZERO };
        let tokens = Tokens::new(&[1; 32], rules).expect("32 bytes are enough");
        let authenticator = Authenticator::new(Some(tokens.clone()));
        let token = tokens.issue("ann", &[], None, Duration::from_secs(60)).expect("a token");
        let now = chrono::Utc::now().timestamp();
        assert!(authenticator.cached(&token, now).is_none());
        let identity = authenticator.verify(&tokens, &token, now).expect("valid");
        assert!(authenticator.cached(&token, now + 30).is_some_and(|known| Arc::ptr_eq(&known, &identity)));
        assert!(authenticator.cached(&token, now + 120).is_none());
        assert!(authenticator.verify(&tokens, &format!("{token}x"), now).is_err());
        assert_eq!(authenticator.verified.len(), 1);
        for n in 0..=TOKENS_KEPT_MAX {
            let token = tokens.issue(n, &[], None, Duration::from_secs(60)).expect("a token");
            authenticator.verify(&tokens, &token, now).expect("valid");
            assert!(authenticator.verified.len() <= TOKENS_KEPT_MAX);
        }
    }
}
