//! Forge's own migrations, compiled in.

use super::set::MigrationSet;

/// The name of Forge's own set.
pub const SYSTEM_SET: &str = "forge";

const FILES: &[(&str, &str)] = &[(
    "schema/migrations/0001_create_crashes.sql",
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/migrations/0001_create_crashes.sql")),
)];

/// Forge's own migrations.
pub fn system_set() -> MigrationSet {
    MigrationSet::parse(SYSTEM_SET, FILES).expect("a test parses the embedded files")
}
