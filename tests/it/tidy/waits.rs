//! Tests wait for events, not for time.

use super::source::{RUST, Rust};
use super::{Exceptions, Finding, none};

/// Tokens that let time go by.
const SLEEPS: &[&[&str]] = &[&["sleep", "("], &["sleep_until", "("]];
/// Durable sleeps of workflows, whose days a test lets pass.
const DURABLE: &[&[&str]] = &[&["ctx", ".", "sleep", "("], &["ctx", ".", "sleep_until", "("]];

/// `file` and what its sleeps are; none of them hopes that something has happened meanwhile.
const ALLOWED: &[(&str, &str)] = &[
    ("tests/it/function/handlers.rs", "handlers that are slow on purpose, and are cut"),
    ("tests/it/node/disconnects.rs", "cuts connections at any moment of a call, a thousand times"),
    ("tests/it/node/previous.rs", "the pace of the load, and of a page that no node takes"),
    ("tests/it/node/slow_clients.rs", "the pace of slow readers"),
    ("tests/it/node/stage.rs", "the pace of writers while the node refuses them"),
    ("tests/it/node/strangers.rs", "the pace of hostile clients"),
    ("tests/it/node/workflow_faults.rs", "faults that last longer than a lease"),
    ("tests/it/store/embedded.rs", "the pace of writers during an outage"),
];

/// The tests of a package, and the integration tests.
fn is_waiting_test(file: &Rust) -> bool {
    file.path.starts_with("tests/it/") || (file.path.starts_with("forge-") && !file.is_product())
}

#[test]
fn no_test_hopes_by_sleeping() {
    let mut exceptions = Exceptions::new(ALLOWED);
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| is_waiting_test(file)) {
        let durable: Vec<_> = DURABLE.iter().flat_map(|sequence| file.lines_of(sequence)).collect();
        for line in SLEEPS.iter().flat_map(|sequence| file.lines_of(sequence)) {
            if !durable.contains(&line) && !exceptions.covers(file.path) {
                let why =
                    "await the event: a row, a log line, `until`, or a step of `Signals`; a pace is listed";
                findings.push(Finding::new(file.path, line, "sleep", why));
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}
