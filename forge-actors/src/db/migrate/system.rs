//! Forge's own migrations, compiled in.

use super::set::MigrationSet;

/// The set of the first migrations. It is closed: the binaries of that time refuse a row of the set that they
/// do not know, and look at no row of another set.
const FIRST: &str = "forge";
/// The set of all further migrations.
const LATER: &str = "forge_later";

/// The files of `schema/migrations`, by their names there.
macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$((
            concat!("schema/migrations/", $name),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/migrations/", $name)),
        )),+]
    };
}

const FIRST_FILES: &[(&str, &str)] = files![
    "0001_create_crashes.sql",
    "0002_create_changes.sql",
    "0003_create_jobs.sql",
    "0004_create_nodes.sql",
    "0005_create_audit.sql",
    "0006_create_idempotency.sql",
    "0007_create_leaders.sql"
];

const LATER_FILES: &[(&str, &str)] = files![
    "later/0001_add_builds.sql",
    "later/0002_add_node_clocks.sql",
    "later/0003_add_job_leases.sql",
    "later/0004_create_crons.sql",
    "later/0005_add_job_limits.sql",
    "later/0006_add_job_operations.sql",
    "later/0007_add_job_results.sql",
    "later/0008_create_failed_attempts.sql",
    "later/0009_add_job_dependencies.sql",
    "later/0010_create_job_buffers.sql",
    "later/0011_calm_idle_tables.sql",
    "later/0012_create_workflows.sql",
    "later/0013_create_workflow_attempts.sql",
    "later/0014_refine_workflows.sql",
];

/// Forge's own migrations, in the order in which the sets are applied.
pub fn system_sets() -> [MigrationSet; 2] {
    [(FIRST, FIRST_FILES), (LATER, LATER_FILES)]
        .map(|(name, files)| MigrationSet::parse(name, files).expect("a test parses the embedded files"))
}

/// True for the name of one of Forge's own sets.
pub fn is_system_set(name: &str) -> bool {
    [FIRST, LATER].contains(&name)
}
