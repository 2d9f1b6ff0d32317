//! What does not compile, and what the compiler says then: the mistakes that people make with the attributes.
//!
//! Each `ui/*.rs` is compiled against the `forge` that this run has built, and its messages are compared with
//! the `.stderr` beside it. (The crate trybuild does the same in a target folder of its own, with other
//! compiler flags for its second step: it builds every dependency twice, aws-lc included, which took over ten
//! minutes here; this takes a second a file.) `FORGE_BLESS=1` writes the files instead; read the difference
//! before committing it. What does compile is in `attributes`.
//!
//! A comment `//~` ends the line of each mistake (`//~ 2` where there are two): a mistake has exactly one
//! error, on its line. No message names a crate that the application does not depend on, since it cannot act
//! on that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use forge_tests::workspace;

#[test]
fn mistakes_are_explained() {
    let forge = forge_library();
    let out = tempfile::tempdir().expect("a scratch folder");
    let folder = workspace().join("tests/ui");
    let mut cases: Vec<_> =
        std::fs::read_dir(&folder).expect("the cases").map(|entry| entry.expect("a case").path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    cases.sort();
    assert!(!cases.is_empty());
    let wrong: Vec<_> = cases.iter().filter_map(|case| check(case, &forge, out.path()).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn check(case: &Path, forge: &Path, out: &Path) -> Result<(), String> {
    let actual = messages(case, forge, out)?;
    let source = std::fs::read_to_string(case).map_err(|error| format!("{}: {error}", case.display()))?;
    let (expected, found) = (marked(&source), reported(&actual));
    if expected != found {
        let name = case.display();
        return Err(format!("{name}: errors by line are {found:?} instead of {expected:?}:\n{actual}"));
    }
    if let Some(line) = actual.lines().find(|line| names_foreign_crate(line)) {
        return Err(format!("{} names a crate that the application does not have:\n{line}", case.display()));
    }
    let file = case.with_extension("stderr");
    if std::env::var_os("FORGE_BLESS").is_some() {
        return std::fs::write(&file, actual).map_err(|error| format!("{}: {error}", file.display()));
    }
    let expected = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{} says:\n{actual}\ninstead of:\n{expected}", case.display()))
    }
}

/// Mistakes by line, as the case marks them.
fn marked(source: &str) -> BTreeMap<usize, usize> {
    let marks = source.lines().enumerate().filter_map(|(index, line)| {
        let (_, mark) = line.split_once("//~")?;
        Some((index + 1, mark.trim().parse().unwrap_or(1)))
    });
    marks.collect()
}

/// Errors by the line that they point to.
fn reported(messages: &str) -> BTreeMap<usize, usize> {
    let mut errors = BTreeMap::new();
    let mut lines = messages.lines();
    while let Some(line) = lines.next() {
        let is_error = line.starts_with("error: ") || line.starts_with("error[");
        if !is_error || line.starts_with("error: aborting due to") {
            continue;
        }
        let place = lines.by_ref().find_map(|line| line.trim().strip_prefix("--> tests/ui/"));
        let line = place.and_then(|place| place.split(':').nth(1)?.parse().ok());
        *errors.entry(line.expect("an error points into its case")).or_default() += 1;
    }
    errors
}

/// An application depends on `forge` alone. Excerpts are its own text, and places are not for it to act on.
fn names_foreign_crate(line: &str) -> bool {
    const FOREIGN: &[&str] =
        &["serde", "serde_json", "serde_core", "specta", "sqlx", "inventory", "forge_actors", "tracing_core"];
    let excerpt = line.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '|');
    let words = || line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    !excerpt && !line.trim_start().starts_with("-->") && words().any(|word| FOREIGN.contains(&word))
}

/// What rustc says about the case.
fn messages(case: &Path, forge: &Path, out: &Path) -> Result<String, String> {
    let dependencies = forge.parent().expect("a library is in a folder");
    let dependencies =
        if dependencies.ends_with("deps") { dependencies.to_owned() } else { dependencies.join("deps") };
    let relative = case.strip_prefix(workspace()).expect("cases are in the workspace");
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition=2024",
            "--emit=metadata",
            "--color=never",
            "--diagnostic-width=140",
            "--crate-name=case",
        ])
        .args(["-A", "unused", "-A", "dead_code", "--out-dir"])
        .arg(out)
        .arg("--extern")
        .arg(format!("forge={}", forge.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg(relative)
        // The application macro reads it, and rustc alone does not set it.
        .env("CARGO_MANIFEST_DIR", workspace().join("tests"))
        .current_dir(workspace())
        .output()
        .expect("run rustc");
    if output.status.success() {
        return Err(format!("{} compiles", relative.display()));
    }
    let text = String::from_utf8(output.stderr).expect("rustc writes UTF-8");
    Ok(portable(&text))
}

/// The messages without what changes when other files do: places and excerpts outside of the cases, and how
/// far a margin that is as wide as the largest line number reaches.
fn portable(text: &str) -> String {
    let mut lines = Vec::new();
    let mut elsewhere = false;
    for line in text.lines() {
        let trimmed = line.trim();
        let number = trimmed
            .split(" |")
            .next()
            .filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        let excerpt = number.is_some() || trimmed.starts_with('|') || trimmed.starts_with("...");
        if let Some(place) = trimmed.strip_prefix("--> ").or_else(|| trimmed.strip_prefix("::: ")) {
            elsewhere = !place.starts_with("tests/ui/");
            let file = place.split(".rs:").next().unwrap_or(place);
            let known = elsewhere && file.starts_with("forge-");
            match (elsewhere, known) {
                (false, _) => lines.push(format!("  --> {place}")),
                (true, true) => lines.push(format!("  --> {file}.rs")),
                (true, false) => {}
            }
        } else if excerpt && elsewhere || trimmed.starts_with("and ") && trimmed.ends_with(" others") {
        } else if let Some(number) = number {
            lines.push(format!("{number:>4}{}", &trimmed[number.len()..]));
        } else if excerpt || trimmed.starts_with("= ") {
            lines.push(format!("     {trimmed}"));
        } else {
            elsewhere = false;
            let indent = if line.starts_with(' ') { "        " } else { "" };
            lines.push(format!("{indent}{trimmed}"));
        }
    }
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// The library `forge` as cargo built it for this binary; fresh, so cargo only prints where it is.
fn forge_library() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--offline",
            "--locked",
            "--package",
            "forge-tests",
            "--lib",
            "--message-format=json",
        ])
        .current_dir(workspace())
        .output()
        .expect("run cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let artifacts = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let forge = artifacts.filter(|artifact| artifact["target"]["name"] == "forge").find_map(|artifact| {
        let files = artifact["filenames"].as_array()?.iter().filter_map(|file| file.as_str());
        files.map(PathBuf::from).find(|file| file.extension().is_some_and(|extension| extension == "rlib"))
    });
    forge.expect("cargo names the library")
}
