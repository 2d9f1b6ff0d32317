//! Import directions: data walks one way, and so do the names.

use std::collections::BTreeMap;

use forge_tests::workspace;

use super::source::{RUST, Rust};
use super::{Exceptions, Finding, none};

/// A folder and the folders whose names it may use; `lib.rs` and `tree.rs` put them together and may use all.
const FOLDERS: &[(&str, &[&str])] = &[
    ("kernel", &[]),
    ("supervise", &["kernel"]),
    ("subsystem", &["kernel", "supervise"]),
    ("db", &["kernel", "supervise", "subsystem"]),
    ("leader", &["kernel", "supervise", "subsystem", "db"]),
    ("telemetry", &["kernel", "supervise", "subsystem", "db", "leader"]),
    // Contexts show the node's own handlers the supervision tree.
    ("app", &["kernel", "supervise", "subsystem", "db"]),
    ("change", &["kernel", "supervise", "subsystem", "db", "leader"]),
    ("function", &["kernel", "supervise", "subsystem", "db", "leader", "telemetry", "app", "change"]),
    ("job", &["kernel", "supervise", "subsystem", "db", "leader", "telemetry", "app", "change", "function"]),
    (
        "cron",
        &[
            "kernel",
            "supervise",
            "subsystem",
            "db",
            "leader",
            "telemetry",
            "app",
            "change",
            "function",
            "job",
        ],
    ),
    ("workflow", &["kernel", "supervise", "subsystem", "db", "leader", "app", "change", "function", "job"]),
    ("cluster", &["kernel", "supervise", "subsystem", "db", "leader", "app", "change"]),
    ("reactor", &["kernel", "supervise", "subsystem", "db", "telemetry", "app", "change", "function"]),
    ("session", &["kernel", "supervise", "subsystem", "db", "telemetry", "app", "function", "reactor"]),
    (
        "gateway",
        &["kernel", "supervise", "subsystem", "db", "telemetry", "app", "function", "reactor", "session"],
    ),
    // An application among others, which happens to report on the node.
    (
        "dashboard",
        &["kernel", "supervise", "subsystem", "leader", "app", "job", "cron", "workflow", "telemetry"],
    ),
];

/// A crate and the crates of the workspace that it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("forge-cron", &[]),
    ("forge-app-macros", &["forge-cron"]),
    ("forge-actors", &["forge-app-macros", "forge-cron"]),
    ("forge-ts", &["forge-actors", "forge-app-macros"]),
    // Its development depends on itself, with the feature `testing`.
    ("forge-node", &["forge-actors", "forge-app-macros", "forge-node", "forge-ts"]),
    ("forge-tests", &["forge-actors", "forge-app-macros", "forge-node", "forge-ts"]),
];

/// Names of the database driver that only the database folder utters: a pool that someone else holds escapes
/// its limits.
const DRIVER_NAMES: &[&str] = &["PgPool", "PgPoolOptions", "PgConnection", "PgConnectOptions", "deadpool"];

/// `file` and why it names the driver.
const DRIVER_OUTSIDE: &[(&str, &str)] = &[];

#[test]
fn folders_import_downwards_only() {
    let allowed: BTreeMap<&str, &[&str]> = FOLDERS.iter().copied().collect();
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| file.is_product()) {
        let Some(folder) = file.folder() else { continue };
        let Some(below) = allowed.get(folder) else {
            findings.push(Finding::new(
                file.path,
                1,
                format!("folder `{folder}`"),
                "is missing from the table of tests/it/tidy/imports.rs",
            ));
            continue;
        };
        for (line, imported) in imports(file) {
            let is_folder = allowed.contains_key(imported.as_str());
            if is_folder && imported != folder && !below.contains(&imported.as_str()) && !file.is_test(line) {
                let what = format!("`{folder}` imports `{imported}`");
                findings.push(Finding::new(
                    file.path,
                    line,
                    what,
                    "points against the flow; let the other side send a message instead",
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn crates_depend_downwards_only() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .current_dir(workspace())
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .expect("run cargo metadata");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata answers JSON");
    let packages = metadata["packages"].as_array().expect("a workspace has packages");
    assert_eq!(packages.len(), CRATES.len(), "every crate of the workspace stands in the table");
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        let (_, allowed) = CRATES
            .iter()
            .find(|(krate, _)| *krate == name)
            .unwrap_or_else(|| panic!("`{name}` is missing from the table"));
        let dependencies = package["dependencies"].as_array().expect("a package has dependencies");
        for dependency in dependencies
            .iter()
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|name| name.starts_with("forge-"))
        {
            assert!(
                allowed.contains(&dependency),
                "{name} depends on {dependency}: crates go cron ← macros ← actors ← ts ← node ← tests"
            );
        }
    }
}

#[test]
fn only_the_database_folder_names_the_driver() {
    let mut exceptions = Exceptions::new(DRIVER_OUTSIDE);
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| file.is_product() && file.folder() != Some("db")) {
        for name in DRIVER_NAMES {
            let lines = file.product_lines_of(&[name]);
            if !lines.is_empty() && !exceptions.covers(file.path) {
                let found = lines
                    .iter()
                    .map(|line| Finding::new(file.path, *line, *name, "only db/ holds connections; ask it"));
                findings.extend(found);
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

/// Names that follow `crate::`, also inside of `crate::{…}`.
fn imports(file: &Rust) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, token) in file.tokens.iter().enumerate() {
        // A macro's `$crate::…` is a name in the code that uses the macro.
        let of_a_macro = index > 0 && file.tokens[index - 1].text == "$";
        if token.text != "crate"
            || of_a_macro
            || file.tokens.get(index + 1).is_none_or(|next| next.text != "::")
        {
            continue;
        }
        let mut depth = 0;
        for next in &file.tokens[index + 2..] {
            match next.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," | "::" | "as" | "self" => {}
                name if depth <= 1 => found.push((next.line, name.to_owned())),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn imports_are_found_in_every_form() {
    let names: Vec<String> = RUST
        .iter()
        .filter(|file| file.path.ends_with("app/context.rs"))
        .flat_map(imports)
        .map(|(_, name)| name)
        .collect();
    assert!(
        names.iter().any(|name| name == "db") && names.iter().any(|name| name == "kernel"),
        "found only {names:?}"
    );
}
