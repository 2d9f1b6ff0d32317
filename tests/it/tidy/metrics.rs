//! The metrics page lists every metric and every label.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{RUST, Rust, TREE};
use super::{Finding, none};

const PAGE: &str = "docs/src/reference/metrics.md";
const RECORDERS: &[&str] = &["counter", "gauge", "histogram"];

/// A metric's row on the page: its labels.
type Rows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_metrics_page_lists_every_metric_with_its_labels() {
    let rows = page_rows();
    let mut findings = Vec::new();
    let mut known = BTreeSet::new();
    for file in RUST.iter().filter(|file| file.is_product() && records(file)) {
        let constants = constants(file);
        for (name, (metric, line)) in &constants {
            known.insert(metric.clone());
            if !rows.contains_key(metric) {
                let why = "has no row in docs/src/reference/metrics.md";
                findings.push(Finding::new(file.path, *line, format!("{name}, `{metric}`"), why));
            }
        }
    }
    let metrics = all_constants();
    for file in RUST.iter().filter(|file| file.is_product()) {
        for (name, line, labels) in recordings(file) {
            let Some(expected) =
                metrics.get(&(folder(file), name.clone())).and_then(|metric| rows.get(metric))
            else {
                continue;
            };
            if *expected != labels {
                let what = format!("{name} has the labels {labels:?}, the metrics page says {expected:?}");
                findings.push(Finding::new(file.path, line, what, "the page and the code must agree"));
            }
        }
    }
    for metric in rows.keys().filter(|metric| !known.contains(*metric)) {
        findings.push(Finding::new(PAGE, 1, metric.as_str(), "no code records this metric"));
    }
    none(findings);
}

/// The rows of the page's tables: a metric's name in the first cell, its labels in the third.
fn page_rows() -> Rows {
    let page = TREE.iter().find(|file| file.path == PAGE).expect("the metrics page exists");
    let mut rows = Rows::new();
    for line in page.text.lines().filter(|line| line.starts_with("| `forge_")) {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next().expect("a row has cells").trim_matches('`').to_owned();
        let labels = cells.nth(1).expect("a row has labels").split('`').skip(1).step_by(2);
        rows.insert(name, labels.map(str::to_owned).collect());
    }
    assert!(rows.len() > 30, "{} rows on the metrics page", rows.len());
    rows
}

/// True for a file that names metrics: `signals.rs` by the house's layout, and any file that records one.
fn records(file: &Rust) -> bool {
    file.path.ends_with("/signals.rs")
        || RECORDERS.iter().any(|recorder| !file.product_lines_of(&[recorder, "!"]).is_empty())
}

/// Constants with the name of a metric: their name, the metric and the line.
fn constants(file: &Rust) -> BTreeMap<String, (String, usize)> {
    let windows = file.tokens.windows(7);
    let named = windows.filter(|window| {
        window[0].text == "const" && window[6].literal && window[6].text.contains("\"forge_")
    });
    named
        .map(|window| (window[1].text.clone(), (window[6].text.trim_matches('"').to_owned(), window[1].line)))
        .collect()
}

/// The constants of all folders, by folder and name: another file of the folder may record them.
fn all_constants() -> BTreeMap<(String, String), String> {
    let files = RUST.iter().filter(|file| file.is_product() && records(file));
    let all = files.flat_map(|file| {
        constants(file).into_iter().map(move |(name, (metric, _))| ((folder(file), name), metric))
    });
    all.collect()
}

fn folder(file: &Rust) -> String {
    file.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()
}

/// The calls of the recording macros: the constant, the line, and the labels.
fn recordings(file: &Rust) -> Vec<(String, usize, BTreeSet<String>)> {
    let mut found = Vec::new();
    for (index, token) in file.tokens.iter().enumerate() {
        let is_call = RECORDERS.contains(&token.text.as_str())
            && file.tokens.get(index + 1).is_some_and(|next| next.text == "!")
            && !file.is_test(token.line);
        if !is_call {
            continue;
        }
        let arguments = arguments(&file.tokens[index + 2..]);
        let name = arguments.iter().take_while(|token| token.text != ",").last();
        let labels = arguments.windows(2).filter(|pair| pair[0].literal && pair[1].text == "=");
        let labels = labels.map(|pair| pair[0].text.trim_matches('"').to_owned()).collect();
        found.extend(name.map(|name| (name.text.clone(), token.line, labels)));
    }
    found
}

/// The tokens between the first parenthesis and its end.
fn arguments(tokens: &[super::source::Token]) -> &[super::source::Token] {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &tokens[1..index];
        }
    }
    &[]
}
