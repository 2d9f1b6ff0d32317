//! Who may call a handler from outside the node.

use crate::app::handler::{Access, Meta};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;

/// Characters of an unknown name that an answer repeats, so that a long name does not make a long answer.
const SHOWN_CHARS_MAX: usize = 100;

/// Checks that the caller of `invocation` may call the handler from outside. An internal handler is answered
/// for like one that does not exist, under the name that the caller used.
pub(super) fn authorize(meta: &Meta, invocation: &Invocation) -> Result<(), Fault> {
    let identity = || {
        invocation
            .caller
            .identity
            .as_deref()
            .ok_or_else(|| Fault::new(Code::Unauthenticated, "this function needs a token"))
    };
    match meta.access {
        Access::Public => Ok(()),
        Access::Authenticated => identity().map(|_| ()),
        Access::Role(role) if identity()?.has_role(role) => Ok(()),
        Access::Role(role) => {
            Err(Fault::new(Code::PermissionDenied, format!("this function needs the role `{role}`")))
        }
        Access::Internal => Err(unknown_function(&invocation.name)),
    }
}

/// `NOT_FOUND`: no handler has this wire name, or only one that is internal.
pub(super) fn unknown_function(name: &str) -> Fault {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    Fault::new(Code::NotFound, format!("there is no function `{shown}`"))
}
