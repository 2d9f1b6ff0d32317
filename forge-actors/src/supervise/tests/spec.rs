//! Specs that are refused, and their errors.

use super::*;
use crate::supervise::{DynamicSpec, SpecError};

fn check(spec: &SupervisorSpec, expected: Result<(), &str>) {
    assert_eq!(spec.validate().map_err(|error| error.to_string()), expected.map_err(str::to_owned));
}

#[test]
fn ids_are_path_segments_and_unique() {
    for id in ["a", "database", "node-1", "v1.2_x"] {
        check(&quick(Strategy::OneForOne, vec![puppet(id).0]), Ok(()));
    }
    for id in ["", "A", "a/b", "a b", "ä"] {
        let message = format!(
            "`{id}` cannot name a child: an id has 1 to 64 of the characters a-z, 0-9, `_`, `.` and `-`"
        );
        check(&quick(Strategy::OneForOne, vec![puppet(id).0]), Err(&message));
    }
    assert_eq!(puppet(&"x".repeat(65)).0.validate(), Err(SpecError::InvalidId { id: "x".repeat(65) }));
    let message = "two children are called `a`: an id is unique under its supervisor";
    check(&quick(Strategy::OneForOne, vec![puppet("a").0, puppet("a").0]), Err(message));
}

#[test]
fn a_budget_that_the_backoff_outlasts_is_refused_wherever_it_stands() {
    let budget = Budget { restarts_max: 4, window: secs(7) };
    let backoff = Backoff::exponential(secs(1), secs(2));
    let wrong = SupervisorSpec { budget, backoff, ..quick(Strategy::OneForOne, Vec::new()) };
    let message = "the budget can never be exhausted: 4 restarts wait up to 7s in all, \
                   and the window is only 7s; widen `window`, or lower `restarts_max` or the backoff";
    check(&wrong, Err(message));
    check(
        &SupervisorSpec {
            budget: Budget { window: secs(8), ..budget },
            ..quick(Strategy::OneForOne, Vec::new())
        },
        Ok(()),
    );
    let below = quick(Strategy::OneForOne, vec![ChildSpec::supervisor("inner", wrong)]);
    check(&below, Err(&format!("below `inner`: {message}")));
    let (dynamic, _) = ChildSpec::dynamic("pool", DynamicSpec { budget, backoff, ..DynamicSpec::new(1) });
    check(&quick(Strategy::OneForOne, vec![dynamic]), Err(&format!("below `pool`: {message}")));
}

#[test]
fn the_defaults_are_valid() {
    check(
        &SupervisorSpec::new(Strategy::OneForAll, vec![ChildSpec::dynamic("pool", DynamicSpec::new(1)).0]),
        Ok(()),
    );
}
