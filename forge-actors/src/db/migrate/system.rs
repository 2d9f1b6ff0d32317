//! Forge's own migrations, compiled in.

use super::set::MigrationSet;

/// The name of Forge's own set.
pub const SYSTEM_SET: &str = "forge";

/// A file of `schema/migrations` by its name there.
macro_rules! file {
    ($name:literal) => {
        (concat!("schema/migrations/", $name), include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/migrations/", $name)))
    };
}

const FILES: &[(&str, &str)] = &[file!("0001_create_crashes.sql"), file!("0002_create_changes.sql")];

/// Forge's own migrations.
pub fn system_set() -> MigrationSet {
    MigrationSet::parse(SYSTEM_SET, FILES).expect("a test parses the embedded files")
}
