//! Words that must not occur, and heads that must.

use super::source::{RUST, TREE, Text};
use super::{Exceptions, Finding, none};

/// Tokens that product code does not contain, and why.
const FORBIDDEN: &[(&[&str], &str)] = &[
    (&[".", "unwrap", "("], "say why it holds: `expect(\"…\")`, or return the error"),
    (&["todo", "!"], "finish it or leave it out"),
    (&["unimplemented", "!"], "finish it or leave it out"),
    (&["dbg", "!"], "use tracing"),
    (&["allow", "(", "dead_code"], "delete the code"),
];

/// Only the command line talks to people.
const PRINTING: &[&[&str]] = &[&["println", "!"], &["eprintln", "!"], &["print", "!"], &["eprint", "!"]];

/// `file word` and why the word is right there.
const FORBIDDEN_ALLOWED: &[(&str, &str)] = &[
    (
        "forge-actors/src/kernel/ids.rs allow(dead_code",
        "expands in applications, which need not call every method of an identifier",
    ),
    ("forge-app-macros/src/enumeration.rs allow(dead_code", "expands in applications, as above"),
    ("forge-app-macros/src/validated.rs allow(dead_code", "expands in applications, as above"),
];

/// Tokens that tests do not contain, and why.
const FORBIDDEN_IN_TESTS: &[(&[&str], &str)] = &[
    (&["#", "[", "ignore"], "a test that does not run proves nothing"),
    (&["#", "[", "should_panic"], "assert what the failure says"),
];

/// Files that start tasks or threads, and who owns the handles.
const SPAWNS: &[(&str, &str)] = &[(
    "forge-actors/src/supervise/context.rs",
    "timers and tasks of an actor: it keeps the handles and aborts them when it ends",
)];

/// Shared mutable state belongs to actors; these folders build what actors stand on.
const LOCK_FOLDERS: &[&str] = &["kernel", "db"];

/// `file` and why it shares a lock.
const LOCKS_ALLOWED: &[(&str, &str)] = &[];

/// Files longer than this say in their head what they are.
const HEADLESS_LINES_MAX: usize = 20;

#[test]
fn product_code_is_finished() {
    let mut exceptions = Exceptions::new(FORBIDDEN_ALLOWED);
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| file.is_product()) {
        for (sequence, why) in FORBIDDEN {
            let word = sequence.concat();
            let lines = file.product_lines_of(sequence);
            if !lines.is_empty() && !exceptions.covers(&format!("{} {word}", file.path)) {
                findings.extend(lines.iter().map(|line| Finding::new(file.path, *line, word.as_str(), why)));
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

#[test]
fn only_the_command_line_prints() {
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| file.is_product() && file.krate() != "forge-node") {
        for line in PRINTING.iter().flat_map(|sequence| file.product_lines_of(sequence)) {
            findings.push(Finding::new(file.path, line, "print", "a library has no terminal; use tracing"));
        }
    }
    none(findings);
}

#[test]
fn every_test_runs() {
    let all = RUST.iter().flat_map(|file| FORBIDDEN_IN_TESTS.iter().map(move |rule| (file, rule)));
    let findings = all.flat_map(|(file, (sequence, why))| {
        let lines = file.lines_of(sequence).into_iter();
        lines.map(move |line| Finding::new(file.path, line, sequence.concat(), why))
    });
    none(findings.collect());
}

#[test]
fn nothing_is_left_for_later() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK")];
    none(occurrences(|_| true, &words, "do it now, or write an issue"));
}

#[test]
fn no_path_of_a_machine_is_written_down() {
    let words =
        [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/"), concat!("/home", "/dev")];
    none(occurrences(|_| true, &words, "another machine has other folders"));
}

#[test]
fn no_statement_notifies() {
    let sql = |file: &Text| file.path.ends_with(".sql");
    let why = "NOTIFY in a writing transaction serialises all commits (ARCHITECTURE.md); cast a hint after the commit";
    let mut findings = occurrences(sql, &["NOTIFY", "notify "], why);
    for file in RUST.iter().filter(|file| file.is_product()) {
        let literals = file.tokens.iter().filter(|token| token.literal && !file.is_test(token.line));
        let loud = literals
            .filter(|token| ["pg_notify", "NOTIFY ", "notify "].iter().any(|word| token.text.contains(word)));
        findings.extend(loud.map(|token| Finding::new(file.path, token.line, "NOTIFY", why)));
    }
    none(findings);
}

#[test]
fn log_lines_are_for_people() {
    let is_product = |file: &Text| file.path.starts_with("forge-") && file.path.ends_with(".rs");
    let debug = ["?fault", "?error", "?err,", "?cause", "?result", "fault = ?", "error = ?", "cause = ?"];
    none(occurrences(
        is_product,
        &debug,
        "write `error = error_chain(&error)`: Rust's own form has Postgres' C source in it",
    ));
    let unrounded = ["as_secs_f64() * 1_000", "as_secs_f64() * 1e3"];
    none(occurrences(is_product, &unrounded, "write `fractional_millis`, which rounds"));
}

#[test]
fn every_task_has_an_owner() {
    let mut exceptions = Exceptions::new(SPAWNS);
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| file.is_product()) {
        let spawns = [["tokio", "::", "spawn"], ["task", "::", "spawn"], ["thread", "::", "spawn"]];
        for line in spawns.iter().flat_map(|sequence| file.product_lines_of(sequence)) {
            if !exceptions.covers(file.path) {
                findings.push(Finding::new(
                    file.path,
                    line,
                    "spawn",
                    "an actor or a JoinSet owns each task; list the file with its owner",
                ));
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

#[test]
fn locks_are_not_shared_outside_of_the_foundations() {
    let mut exceptions = Exceptions::new(LOCKS_ALLOWED);
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| {
        file.is_product() && !file.folder().is_some_and(|folder| LOCK_FOLDERS.contains(&folder))
    }) {
        for lock in ["Mutex", "RwLock"] {
            let types = file.product_lines_of(&["Arc", "<", lock]);
            let values = file.product_lines_of(&["Arc", "::", "new", "(", lock]);
            for line in types.into_iter().chain(values) {
                if !exceptions.covers(file.path) {
                    let why = "state that many change belongs to an actor; list the file with a reason";
                    findings.push(Finding::new(file.path, line, format!("Arc<{lock}>"), why));
                }
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

#[test]
fn every_module_says_what_it_is() {
    let headless = RUST.iter().filter(|file| {
        let unit_test = file.path.starts_with("forge-") && !file.is_product();
        let large = file.path.ends_with("/mod.rs") || file.text.lines().count() > HEADLESS_LINES_MAX;
        large && !unit_test && !file.text.trim_start().starts_with("//!")
    });
    let why = "begins with `//!`: what it is, its states, its invariants, what happens on failure";
    none(headless.map(|file| Finding::new(file.path, 1, "head", why)).collect());
}

#[test]
fn every_statement_says_who_calls_it() {
    let statements = TREE.iter().filter(|file| {
        file.path.ends_with(".sql") && !file.path.contains("/tests/") && !file.text.starts_with("--")
    });
    let why = "begins with a comment: who calls it, which index it uses, which lock it takes";
    none(statements.map(|file| Finding::new(&file.path, 1, "head", why)).collect());
}

#[test]
fn statements_are_ascii() {
    let statements =
        TREE.iter().filter(|file| file.path.ends_with(".sql") && !file.path.starts_with("tests/"));
    let why = "a database whose encoding lacks the character refuses the statement, also in a comment";
    let lines = statements.flat_map(|file| file.text.lines().enumerate().map(move |line| (file, line)));
    let foreign = lines.filter(|(_, (_, line))| !line.is_ascii());
    none(foreign.map(|(file, (at, _))| Finding::new(&file.path, at + 1, "not ASCII", why)).collect());
}

#[test]
fn comments_draw_no_lines() {
    let banners = ["// ---", "// ===", "// ***", "//---", "//==="];
    none(occurrences(|file| file.path.ends_with(".rs"), &banners, "a file that needs chapters is two files"));
}

/// Every occurrence of one of the words in the files, except in this one, which lists them.
fn occurrences(files: impl Fn(&Text) -> bool, words: &[&str], why: &'static str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in TREE.iter().filter(|file| files(file) && file.path != "tests/it/tidy/words.rs") {
        for (index, line) in file.text.lines().enumerate() {
            let found = words.iter().filter(|word| line.contains(**word));
            findings.extend(found.map(|word| Finding::new(&file.path, index + 1, *word, why)));
        }
    }
    findings
}
