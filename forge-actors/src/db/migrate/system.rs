//! Forge's own migrations, compiled in.

use super::set::MigrationSet;

/// The name of Forge's own set.
pub const SYSTEM_SET: &str = "forge";

/// The files of `schema/migrations`, by their names there.
macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$((
            concat!("schema/migrations/", $name),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/migrations/", $name)),
        )),+]
    };
}

const FILES: &[(&str, &str)] = files![
    "0001_create_crashes.sql",
    "0002_create_changes.sql",
    "0003_create_jobs.sql",
    "0004_create_nodes.sql",
    "0005_create_audit.sql",
    "0006_create_idempotency.sql",
    "0007_create_leaders.sql"
];

/// Forge's own migrations.
pub fn system_set() -> MigrationSet {
    MigrationSet::parse(SYSTEM_SET, FILES).expect("a test parses the embedded files")
}
