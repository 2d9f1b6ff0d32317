//! Sizes: of files, of functions, of the number of copies.

use super::source::{RUST, Rust};
use super::{Exceptions, Finding, none};

const FILE_LINES_MAX: usize = 700;
const FILE_LINES_P95: usize = 500;
const FILE_LINES_MEDIAN: usize = 180;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 110;

const CLONES_PER_1000_LINES: usize = 8;

/// `file function` and why it is long.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

#[test]
fn no_file_is_too_long() {
    let too_long = RUST.iter().filter(|file| lines(file) > FILE_LINES_MAX);
    none(
        too_long
            .map(|file| {
                Finding::new(
                    file.path,
                    lines(file),
                    "file of this many lines",
                    "over 700 nobody reads it whole",
                )
            })
            .collect(),
    );
}

#[test]
fn files_are_short_as_a_rule() {
    let mut sizes: Vec<usize> = RUST.iter().map(lines).collect();
    sizes.sort_unstable();
    let at = |percent: usize| sizes[(sizes.len() - 1) * percent / 100];
    println!("{} files: median {}, p95 {}, longest {}", sizes.len(), at(50), at(95), at(100));
    assert!(
        at(50) <= FILE_LINES_MEDIAN,
        "the median file has {} lines, more than {FILE_LINES_MEDIAN}",
        at(50)
    );
    assert!(at(95) <= FILE_LINES_P95, "p95 of the files is {} lines, more than {FILE_LINES_P95}", at(95));
}

#[test]
fn lines_fit_beside_each_other() {
    let mut findings = Vec::new();
    for file in RUST.iter() {
        // What a test expects is easier to compare in one piece.
        let literals = file.literal_lines();
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            let is_expected = file.is_test(index + 1) && literals.contains(&(index + 1));
            if columns > COLUMNS_MAX && !is_expected {
                let what = format!("{columns} columns");
                findings.push(Finding::new(
                    file.path,
                    index + 1,
                    what,
                    "over 110 two files do not fit on a screen",
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut exceptions = Exceptions::new(LONG_FUNCTIONS);
    let mut findings = Vec::new();
    for file in RUST.iter() {
        for function in file.functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            if !exceptions.covers(&format!("{} {}", file.path, function.name)) {
                let what = format!("`{}` has {} lines", function.name, function.lines);
                findings.push(Finding::new(
                    file.path,
                    function.line,
                    what,
                    "over 70 it does two things; split it, or list it with a reason",
                ));
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

#[test]
fn values_are_moved_and_not_copied() {
    for krate in ["forge-actors", "forge-app-macros", "forge-node", "forge-ts"] {
        let files = || RUST.iter().filter(move |file| file.krate() == krate && file.is_product());
        let clones: usize = files().map(|file| file.product_lines_of(&[".", "clone", "("]).len()).sum();
        let total: usize = files().map(lines).sum();
        println!(
            "{krate}: {clones} clones in {total} lines, {:.1} per 1,000",
            clones as f64 * 1_000.0 / total as f64
        );
        // A crate of a few lines has no rate.
        let limit = (CLONES_PER_1000_LINES * total).div_ceil(1_000).max(CLONES_PER_1000_LINES);
        let places: Vec<String> = files()
            .map(|file| (file.path, file.product_lines_of(&[".", "clone", "("])))
            .filter(|(_, lines)| !lines.is_empty())
            .map(|(path, lines)| format!("{path}: {lines:?}"))
            .collect();
        assert!(
            clones <= limit,
            "{krate} has {clones} `.clone()`, more than {limit}:\n{}",
            places.join("\n")
        );
    }
}

fn lines(file: &Rust) -> usize {
    file.text.lines().count()
}
