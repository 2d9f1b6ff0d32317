//! Each claim names a test: the rows of the feature index and of the promises, and the sentences of the
//! README.
//!
//! A row names its tests as `name` in `file`. A test in Rust is a function with a test attribute, one in
//! TypeScript a `test("name", …)`. That a test fails when its feature is taken away is judged by people; that
//! it exists, and that no sentence was added without one, is checked here.

use std::fs;

use forge_tests::workspace;

use super::{Finding, none};

const PAGES: &[&str] = &["docs/src/reference/features.md", "docs/src/reference/promises.md"];

/// The claims of the README: how each item of "What it is" begins, and its tests.
const README: &[(&str, &[(&str, &str)])] = &[
    (
        "A **query** reads",
        &[
            ("postgres_refuses_a_querys_write_wherever_it_runs", "tests/it/function/transactions.rs"),
            ("lost_races_are_run_again_and_nothing_is_counted_twice", "tests/it/function/transactions.rs"),
            ("mistakes_are_explained", "tests/it/mistakes.rs"),
        ],
    ),
    (
        "From outside, a handler needs a valid token",
        &[
            ("access_is_checked_before_arguments_are_read", "tests/it/function/limits.rs"),
            ("what_is_internal_or_unknown_does_not_exist", "tests/it/function/limits.rs"),
            ("a_timeout_cancels_in_postgres", "tests/it/node/timeouts.rs"),
            ("ten_thousand_panics_cost_nobody_else_anything", "tests/it/node/panics.rs"),
        ],
    ),
    (
        "Every query can be **live**",
        &[
            ("with_the_mesh_cut_live_queries_and_jobs_cross_nodes_by_polling", "tests/it/node/links.rs"),
            ("a_hundred_thousand_deliveries_are_consistent", "tests/it/reactor/consistency.rs"),
            ("a_dispatch_commits_with_its_mutation", "tests/it/function/dispatch.rs"),
            ("a_worker_killed_after_its_commit_leaves_nothing_to_do", "tests/it/node/jobs.rs"),
        ],
    ),
    (
        "A **workflow** is an async function",
        &[
            ("runs_end_rightly_whichever_step_their_nodes_are_killed_at", "tests/it/node/workflow_kills.rs"),
            ("a_run_that_sleeps_for_days_goes_on_when_they_have_passed", "tests/it/workflow/waits.rs"),
            ("a_run_keeps_its_version_and_a_new_one_begins_with_the_newest", "tests/it/workflow/versions.rs"),
            ("a_run_that_fails_takes_back_what_has_completed_in_reverse_order", "tests/it/workflow/sagas.rs"),
        ],
    ),
    (
        "The browser gets typed functions",
        &[("the_compiler_accepts_what_is_right_and_nothing_else", "tests/it/generate/typescript.rs")],
    ),
    (
        "Every subsystem is an actor",
        &[
            ("a_node_runs_the_actors_that_its_subsystems_name", "tests/it/node/tree.rs"),
            ("the_tree_of_a_running_node_is_printed", "tests/it/node/commands.rs"),
            ("a_node_whose_database_cannot_come_back_gives_up_in_order", "tests/it/node/surrender.rs"),
        ],
    ),
    (
        "A 2xx response to a mutation",
        &[
            ("a_commit_without_an_answer_is_neither_done_nor_failed", "tests/it/store/transaction.rs"),
            ("a_crash_of_postgres_is_a_state_and_not_a_restart", "tests/it/node/outage.rs"),
        ],
    ),
];

#[test]
fn every_row_names_tests_that_exist() {
    let mut findings = Vec::new();
    for page in PAGES {
        let rows: Vec<_> = rows(page);
        assert!(rows.len() > 10, "{page} is not the table that it was");
        for (line, claim, tests) in rows {
            if tests.is_empty() {
                findings.push(Finding::new(page, line, claim, "a claim without a test"));
            }
            for (name, file) in tests {
                if !has_test(&file, &name) {
                    let what = format!("`{name}` in `{file}`");
                    findings.push(Finding::new(page, line, what, "there is no such test"));
                }
            }
        }
    }
    none(findings);
}

#[test]
fn every_claim_of_the_readme_has_tests_that_exist() {
    let text = fs::read_to_string(workspace().join("README.md")).expect("the README is readable");
    let section = text.split("## What it is").nth(1).and_then(|rest| rest.split("\n## ").next());
    let items: Vec<_> =
        section.expect("the section").lines().filter_map(|line| line.strip_prefix("- ")).collect();
    let mut findings = Vec::new();
    for item in &items {
        if !README.iter().any(|(begins, _)| item.starts_with(begins)) {
            findings.push(Finding::new("README.md", 0, *item, "name its tests in tests/it/tidy/claims.rs"));
        }
    }
    for (begins, tests) in README {
        if !items.iter().any(|item| item.starts_with(begins)) {
            findings.push(Finding::new("README.md", 0, *begins, "the README does not say this any more"));
        }
        for (name, file) in *tests {
            if !has_test(file, name) {
                findings.push(Finding::new("README.md", 0, *name, "there is no such test"));
            }
        }
    }
    none(findings);
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    assert!(has_test("tests/it/tidy/claims.rs", "a_test_that_does_not_exist_is_found"));
    assert!(has_test("tests/it/testing/mod.rs", "a_test_sees_no_other_test"), "`#[forge::test]`");
    assert!(!has_test("tests/it/tidy/claims.rs", "has_test"), "a function without the attribute is no test");
    assert!(!has_test("tests/it/tidy/claims.rs", "a_test_that_does_not"), "a name counts as a whole");
    assert!(!has_test("tests/it/tidy/no_such_file.rs", "a_test_that_does_not_exist_is_found"));
}

/// A row of a page: its line, its claim, and its tests as pairs of name and file.
type Row = (usize, String, Vec<(String, String)>);

/// The rows of a page's table.
fn rows(page: &str) -> Vec<Row> {
    let text = fs::read_to_string(workspace().join(page)).expect("a page is readable");
    let rows = text.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    let rows = rows.filter(|(_, line)| !line.contains("Tested by"));
    rows.map(|(index, line)| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let claim = cells.first().copied().unwrap_or_default().to_owned();
        let tests = cells.last().copied().unwrap_or_default();
        (index + 1, claim, tests.split("; ").filter_map(named).collect())
    })
    .collect()
}

/// Reads "`name` in `file`".
fn named(text: &str) -> Option<(String, String)> {
    let (name, file) = text.split_once("` in `")?;
    Some((name.strip_prefix('`')?.to_owned(), file.strip_suffix('`')?.to_owned()))
}

/// True when the file has a test of that name.
fn has_test(file: &str, name: &str) -> bool {
    let Ok(text) = fs::read_to_string(workspace().join(file)) else { return false };
    if file.ends_with(".ts") {
        return text.contains(&format!("test(\"{name}\""));
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let function = format!("fn {name}(");
    lines.iter().enumerate().any(|(index, line)| {
        let is_function = line.trim_start_matches("async ").starts_with(&function);
        is_function
            && lines[..index]
                .iter()
                .rev()
                .take_while(|above| above.starts_with("#["))
                .any(|above| is_test(above))
    })
}

/// True for the attribute of a test.
fn is_test(attribute: &str) -> bool {
    ["#[test]", "#[tokio::test", "#[forge::test"].iter().any(|test| attribute.starts_with(test))
}
