//! Who may call a handler from outside the node and with how large arguments, and what callers of an unknown
//! one are answered.

use crate::app::handler::{Access, Meta};
use crate::app::{Catalog, KindName};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::{Invocation, is_system};
use crate::kernel::remedy;
use crate::kernel::similar::nearest;
use crate::kernel::wire::reveals_causes;

/// Characters of an unknown name that an answer repeats, so that a long name does not make a long answer.
const SHOWN_CHARS_MAX: usize = 100;

/// Checks that the caller of `invocation` may call the handler from outside. An internal handler is answered
/// for like one that does not exist, under the name that the caller used.
pub(super) fn authorize(catalog: &Catalog, meta: &Meta, invocation: &Invocation) -> Result<(), Fault> {
    let identity = || {
        invocation.caller.identity.as_deref().ok_or_else(|| {
            Fault::new(Code::Unauthenticated, "this function needs a token").with_help(remedy::TOKEN)
        })
    };
    match meta.access {
        Access::Public => Ok(()),
        Access::Authenticated => identity().map(|_| ()),
        Access::Role(role) if identity()?.has_role(role) => Ok(()),
        Access::Role(role) => {
            let help = format!(
                "use a token with the role: `forge-node call {} --as <subject> --role {role}` signs one",
                invocation.name
            );
            Err(Fault::new(Code::PermissionDenied, format!("this function needs the role `{role}`"))
                .with_help(help))
        }
        Access::Internal => Err(unknown_function(catalog, &invocation.name)),
    }
}

/// Refuses arguments that are larger than the handler takes.
pub(super) fn check_size(meta: &Meta, invocation: &Invocation) -> Result<(), Fault> {
    if invocation.args.len() <= meta.input_bytes_max {
        return Ok(());
    }
    let message = format!("the arguments are larger than {} bytes", meta.input_bytes_max);
    Err(Fault::new(Code::PayloadTooLarge, message)
        .with_details(serde_json::json!({ "bytesMax": meta.input_bytes_max }))
        .with_help(remedy::INPUT_MAX))
}

/// `NOT_FOUND`: no handler has this wire name, or only one that is internal. In development the answer says
/// which of the two, and which name was probably meant.
pub(super) fn unknown_function(catalog: &Catalog, name: &str) -> Fault {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let fault = Fault::new(Code::NotFound, format!("there is no function `{shown}`"));
    if reveals_causes() { fault.with_help(advice(catalog, &shown)) } else { fault }
}

/// What the caller of an unknown function can do.
fn advice(catalog: &Catalog, name: &str) -> String {
    let Some(known) = catalog.get(name) else {
        let callable = catalog.iter().filter(|(callable, known)| {
            known.meta.access != Access::Internal && is_system(callable) == is_system(name)
        });
        return match nearest(name, callable.map(|(callable, _)| callable)) {
            Some(near) => format!("did you mean `{near}`? `forge-node functions` lists all"),
            None => "`forge-node functions` lists all".to_owned(),
        };
    };
    match known.meta.kind() {
        KindName::Job => format!("`{name}` is a job: a handler dispatches it with `ctx.dispatch(..)`"),
        KindName::Cron => {
            format!("`{name}` is a cron: it runs on its schedule; `forge-node cron run` runs it now")
        }
        KindName::Workflow => {
            format!("`{name}` is a workflow: a handler starts it with `ctx.start(..)`")
        }
        KindName::Query | KindName::Mutation | KindName::Action => {
            format!("`{name}` is internal: other handlers call it with `ctx.call(..)`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_what_helps() {
        let catalog = Catalog::build().expect("the node's own handlers");
        let check = |name: &str, expected: &str| {
            let said = advice(&catalog, name);
            assert!(said.starts_with(expected), "{name}: {said}");
        };
        check("forge.overveiw", "did you mean `forge.overview`?");
        check("forge.report", "`forge.report` is internal: other handlers call it");
        check("invoices.pay", "`forge-node functions` lists all");
        assert_eq!(unknown_function(&catalog, "x").help(), None, "only developers get it");
    }
}
