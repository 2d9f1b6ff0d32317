//! Who may call a handler from outside the node.

use crate::app::handler::{Access, Meta};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Caller;

/// Characters of an unknown name that an answer repeats, so that a long name does not make a long answer.
const SHOWN_CHARS_MAX: usize = 100;

/// Checks that `caller` may call the handler.
pub(super) fn authorize(meta: &Meta, caller: &Caller) -> Result<(), Fault> {
    let identity = || {
        caller
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
        Access::Internal => Err(unknown_function(&meta.wire_name())),
    }
}

/// `NOT_FOUND`: no handler has this wire name, or only one that is internal.
pub(super) fn unknown_function(name: &str) -> Fault {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    Fault::new(Code::NotFound, format!("there is no function `{shown}`"))
}
