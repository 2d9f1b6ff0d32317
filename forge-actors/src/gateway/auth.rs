//! Who calls: the bearer token of the `Authorization` header, and no other place.
//!
//! A token in a URL is never looked at, since URLs end up in histories and logs. A token that is sent and not accepted fails the
//! request even where no token is needed: a client that believes to be signed in must learn that it is not.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};

use crate::app::token::Tokens;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Caller, Identity};

/// Role that may read what is about the node itself.
pub const ADMIN_ROLE: &str = "admin";

/// Characters of a `User-Agent` that are kept.
const USER_AGENT_CHARS_MAX: usize = 256;

/// The caller of a request from `ip`.
pub(super) fn caller(headers: &HeaderMap, ip: IpAddr, tokens: Option<&Tokens>) -> Result<Caller, Fault> {
    Ok(Caller { identity: identity(headers, tokens)?.map(Arc::new), ip: Some(ip), user_agent: headers.get(USER_AGENT).map(printable) })
}

/// The caller is signed in and holds [`ADMIN_ROLE`].
pub(super) fn require_admin(headers: &HeaderMap, tokens: Option<&Tokens>) -> Result<(), Fault> {
    match identity(headers, tokens)? {
        None => Err(Fault::new(Code::Unauthenticated, "a token with the role `admin` is needed")),
        Some(identity) if !identity.has_role(ADMIN_ROLE) => Err(Fault::new(Code::PermissionDenied, "the role `admin` is needed")),
        Some(_) => Ok(()),
    }
}

fn identity(headers: &HeaderMap, tokens: Option<&Tokens>) -> Result<Option<Identity>, Fault> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = sent.next() else { return Ok(None) };
    let refuse = |message| Err(Fault::new(Code::Unauthenticated, message));
    if sent.next().is_some() {
        return refuse("the request has more than one `Authorization` header");
    }
    let Some(token) = bearer(header) else {
        return refuse("`Authorization` must be `Bearer` and a token");
    };
    match tokens {
        None => refuse("this server accepts no tokens: no secret is configured"),
        Some(tokens) => tokens.verify(token).map(Some),
    }
}

/// The scheme's name is case-insensitive (RFC 9110 §11.1).
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// A header as text that is safe to log: control characters (C1 in UTF-8 included) are escaped, the rest is cut.
fn printable(header: &HeaderValue) -> String {
    match header.to_str() {
        Ok(text) if text.len() <= USER_AGENT_CHARS_MAX && !text.contains('\t') => text.to_owned(),
        _ => escape(&String::from_utf8_lossy(header.as_bytes()), USER_AGENT_CHARS_MAX),
    }
}

/// At most `chars_max` characters of `text`, control characters as escapes.
pub(super) fn escape(text: &str, chars_max: usize) -> String {
    let mut escaped = String::new();
    for c in text.chars().take(chars_max) {
        if c.is_control() { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    escaped
}
