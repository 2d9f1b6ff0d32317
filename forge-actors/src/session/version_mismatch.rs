//! Calls of clients that were built for another version of the functions, as there are while the nodes of a
//! cluster are replaced one by one.

use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;

/// The rules of arguments that differ between versions: a name that this node does not know, and one that it
/// misses.
const RULES_OF_VERSIONS: [&str; 2] = ["unknown", "required"];

/// The fault for a subscription that was refused before it ran. An unknown function and refused arguments
/// end a subscription; where the versions differ, another node may accept it.
pub(super) fn of_subscription(fault: Fault) -> Fault {
    match fault.code() {
        Code::NotFound | Code::Validation => mismatch(fault),
        _ => fault,
    }
}

/// The fault for a mutation; `is_known` says whether this node has the function, whose handler may answer
/// with `NOT_FOUND` itself. The values of arguments are refused by every version alike, so only names make a
/// mismatch.
pub(super) fn of_mutation(fault: Fault, is_known: bool) -> Fault {
    match fault.code() {
        Code::NotFound if !is_known => mismatch(fault),
        Code::Validation if names_differ(&fault) => mismatch(fault),
        _ => fault,
    }
}

fn names_differ(fault: &Fault) -> bool {
    let fields = fault.details().and_then(|details| details["fields"].as_array());
    fields.into_iter().flatten().any(|field| {
        let rule = field["rule"].as_str();
        rule.is_some_and(|rule| RULES_OF_VERSIONS.contains(&rule))
    })
}

/// Keeps the details, which name the arguments.
fn mismatch(fault: Fault) -> Fault {
    let message =
        format!("this node serves another version than the client was built for: {}", fault.message());
    let mismatch = Fault::new(Code::VersionMismatch, message)
        .with_help(
            "build the page and the node from the same version: `forge-node generate` writes the client",
        )
        .retry_after(secs(1));
    match fault.details() {
        Some(details) => mismatch.with_details(details.clone()),
        None => mismatch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fault::FieldError;

    #[test]
    fn only_what_differs_between_versions_is_a_mismatch() {
        let refused = |rule: &'static str| Fault::validation(vec![FieldError::new("title", rule, "no")]);
        let codes = |fault: fn(&'static str) -> Fault, rule: &'static str| {
            (of_subscription(fault(rule)).code(), of_mutation(fault(rule), true).code())
        };
        use Code::{Conflict, Validation, VersionMismatch};
        assert_eq!(codes(refused, "unknown"), (VersionMismatch, VersionMismatch));
        assert_eq!(codes(refused, "required"), (VersionMismatch, VersionMismatch));
        assert_eq!(codes(refused, "length"), (VersionMismatch, Validation));
        let other = |code: Code| {
            let fault = || Fault::new(code, "no");
            (of_subscription(fault()).code(), of_mutation(fault(), false).code())
        };
        assert_eq!(other(Code::NotFound), (VersionMismatch, VersionMismatch));
        assert_eq!(other(Conflict), (Conflict, Conflict));
        let answered = of_mutation(Fault::new(Code::NotFound, "there is no such task"), true);
        assert_eq!(answered.code(), Code::NotFound);
        let kept = of_subscription(refused("unknown"));
        assert_eq!(kept.details().map(|details| details["fields"][0]["field"] == "title"), Some(true));
        assert!(kept.retry_delay().is_some());
    }
}
