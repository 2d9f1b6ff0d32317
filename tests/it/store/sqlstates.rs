//! The table of SQLSTATE codes against the server's own list.

use std::collections::BTreeSet;
use std::process::Command;

use forge_actors::kernel::sqlstate::TABLE;
use forge_tests::postgres_binaries;

/// Classes and codes of a list as Postgres installs it (`errcodes.txt`).
fn listed(text: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let classes = text.lines().filter_map(|line| line.strip_prefix("Section: Class ")?.get(..2));
    let codes = text.lines().filter_map(|line| line.split_whitespace().next());
    (classes.collect(), codes.filter(|code| code.len() == 5 && !code.starts_with('#')).collect())
}

#[test]
fn every_class_of_the_server_has_a_row_and_every_row_is_one_of_the_servers_codes() {
    let output = Command::new(postgres_binaries().join("pg_config")).arg("--sharedir").output().unwrap();
    let folder = String::from_utf8(output.stdout).unwrap();
    let text = std::fs::read_to_string(format!("{}/errcodes.txt", folder.trim())).unwrap();
    let (classes, codes) = listed(&text);
    assert!(classes.len() >= 43 && codes.len() > 200, "{} classes, {} codes", classes.len(), codes.len());
    let rows: BTreeSet<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> = classes.difference(&rows).collect();
    assert!(missing.is_empty(), "classes without a row: {missing:?}");
    // A code of a later version.
    let unknown: Vec<_> = rows
        .iter()
        .filter(|name| !classes.contains(*name) && !codes.contains(*name) && **name != "25P04")
        .collect();
    assert!(unknown.is_empty(), "rows that the server does not know: {unknown:?}");
}
