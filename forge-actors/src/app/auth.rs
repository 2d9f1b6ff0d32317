//! `ctx.auth()`: the identity of the caller.

use std::str::FromStr;

use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Caller, Identity};
use crate::kernel::remedy;

/// The caller's identity, from its verified token.
#[derive(Clone, Copy)]
pub struct Auth<'a> {
    identity: Option<&'a Identity>,
}

impl<'a> Auth<'a> {
    pub(crate) fn new(caller: &'a Caller) -> Self {
        Self { identity: caller.identity.as_deref() }
    }

    /// The identity.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for an anonymous caller of a public handler.
    pub fn identity(&self) -> Result<&'a Identity, Fault> {
        self.identity
            .ok_or_else(|| Fault::new(Code::Unauthenticated, "sign in first").with_help(remedy::TOKEN))
    }

    /// The subject of the token, as the application's own id type: `let me: UserId = ctx.auth().user()?;`
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for an anonymous caller, and for a subject that is not such an id.
    pub fn user<T: FromStr>(&self) -> Result<T, Fault> {
        let subject = &self.identity()?.subject;
        subject.parse().map_err(|_| {
            Fault::new(Code::Unauthenticated, "the token's subject is not a user of this application")
                .with_help(
                    "`forge-node call <function> --as <user id>` signs a token whose subject is a user",
                )
        })
    }

    /// The tenant.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` when the token names none, `UNAUTHENTICATED` for an anonymous caller.
    pub fn tenant(&self) -> Result<&'a str, Fault> {
        self.identity()?.tenant.as_deref().ok_or_else(|| {
            Fault::new(Code::PermissionDenied, "the token names no tenant")
                .with_help("use a token with the claim `tenant`")
        })
    }

    /// True when the token carries this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.identity.is_some_and(|identity| identity.has_role(role))
    }

    /// Every claim of the token; `None` for an anonymous caller.
    pub fn claims(&self) -> Option<&'a serde_json::Map<String, serde_json::Value>> {
        self.identity.map(|identity| &identity.claims)
    }
}
