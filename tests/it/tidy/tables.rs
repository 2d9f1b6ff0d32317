//! Every table has one subsystem that owns it, and all SQL about it.

use super::source::{RUST, TREE};
use super::{Exceptions, Finding, none};

/// A table of the system and the folder of its owner.
const OWNERS: &[(&str, &str)] = &[
    ("forge_audit", "dashboard"),
    ("forge_change_marks", "change"),
    ("forge_change_state", "change"),
    ("forge_changes", "change"),
    ("forge_crashes", "telemetry"),
    ("forge_cron_runs", "cron"),
    ("forge_crons", "cron"),
    ("forge_failed_attempts", "job"),
    ("forge_idempotency", "function"),
    ("forge_job_buffers", "job"),
    ("forge_job_bulks", "job"),
    ("forge_job_dependencies", "job"),
    ("forge_job_history", "job"),
    ("forge_job_keys", "job"),
    ("forge_job_leases", "job"),
    ("forge_job_limits", "job"),
    ("forge_job_log", "job"),
    ("forge_job_progress", "job"),
    ("forge_job_queues", "job"),
    ("forge_jobs", "job"),
    ("forge_leader_history", "leader"),
    ("forge_leaders", "leader"),
    ("forge_migrations", "db"),
    ("forge_nodes", "cluster"),
    ("forge_used_links", "dashboard"),
    ("forge_workflow_attempts", "workflow"),
    ("forge_workflow_events", "workflow"),
    ("forge_workflow_history", "workflow"),
    ("forge_workflow_keys", "workflow"),
    ("forge_workflow_owners", "workflow"),
    ("forge_workflow_progress", "workflow"),
    ("forge_workflow_runs", "workflow"),
    ("forge_workflow_steps", "workflow"),
];

/// `file table` and why another subsystem names it.
const ALLOWED: &[(&str, &str)] = &[];

#[test]
fn every_table_of_the_schema_has_an_owner() {
    let schema = TREE.iter().find(|file| file.path == "schema/schema.sql").expect("the dump of the schema");
    let created = schema.text.lines().filter_map(|line| line.strip_prefix("CREATE TABLE public."));
    let mut created: Vec<_> = created.map(|rest| rest.trim_end_matches(" (")).collect();
    created.sort_unstable();
    assert_eq!(OWNERS.iter().map(|(table, _)| *table).collect::<Vec<_>>(), created);
}

#[test]
fn a_table_belongs_to_one_subsystem() {
    let mut exceptions = Exceptions::new(ALLOWED);
    let mut findings = Vec::new();
    let mut check = |path: &str, line: usize, text: &str| {
        let Some((folder, _)) = path.strip_prefix("forge-actors/src/").and_then(|rest| rest.split_once('/'))
        else {
            return;
        };
        for (table, owner) in OWNERS.iter().filter(|(table, owner)| folder != *owner && text.contains(table))
        {
            if !exceptions.covers(&format!("{path} {table}")) {
                let what = format!("`{table}` in {folder}/");
                findings.push(Finding::new(
                    path,
                    line,
                    format!("{what}, of {owner}/"),
                    "ask its owner for a function",
                ));
            }
        }
    };
    for file in TREE.iter().filter(|file| file.path.ends_with(".sql")) {
        for (index, line) in file.text.lines().enumerate() {
            let code = line.split("--").next().unwrap_or_default();
            check(&file.path, index + 1, code);
        }
    }
    for file in RUST.iter().filter(|file| file.is_product()) {
        for token in file.tokens.iter().filter(|token| token.literal && !file.is_test(token.line)) {
            check(file.path, token.line, &token.text);
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

#[test]
fn a_statement_is_run_by_its_own_subsystem() {
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| file.is_product()) {
        let literals = file.tokens.iter().filter(|token| token.literal && token.text.ends_with(".sql\""));
        for token in literals.filter(|token| !file.is_test(token.line)) {
            // A folder inside of a subsystem's folder shares the statements of that one.
            let depth = file.path.split('/').count().saturating_sub(4);
            if token.text.matches("../").count() <= depth.min(1) {
                continue;
            }
            let why = "reaches into another folder: ask its owner for a function";
            findings.push(Finding::new(file.path, token.line, token.text.as_str(), why));
        }
    }
    none(findings);
}
