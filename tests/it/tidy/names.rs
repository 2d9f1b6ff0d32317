//! One name for one type, and no word of the private language that this project once had.

use std::collections::BTreeMap;

use super::source::{RUST, TREE, Text};
use super::{Finding, none};

/// Words that the field has no use for, and what to write. They are looked for as whole words, in lower case,
/// in comments, code, SQL and documentation.
const WORDS: &[(&str, &str)] = &[
    ("room", "subsystem, `Shared`, or capacity"),
    ("rooms", "subsystems"),
    ("desk", "planner"),
    ("steward", "restarter"),
    ("persona", "caller"),
    ("vitals", "stats"),
    ("newcomer", "pending peer, or new user"),
    ("expendable", "safe to stop"),
    ("passengers", "connections"),
    ("ripe", "due"),
    ("outlet", "send buffer"),
    ("told", "delivered, sent, reported"),
    ("heard", "received, announced"),
    ("deaf", "not listening"),
    ("strikes", "failures"),
];

/// Names of types that stood for something else than they said.
const TYPES: &[&str] = &[
    "Absence",
    "Blind",
    "Board",
    "Border",
    "Conclude",
    "Cookie",
    "Crew",
    "Desk",
    "Disposal",
    "Door",
    "Ear",
    "Ending",
    "Exchange",
    "Gate",
    "Heard",
    "Held",
    "Knock",
    "Look",
    "Newcomer",
    "News",
    "Outlet",
    "Passengers",
    "Persona",
    "Place",
    "Pulse",
    "Question",
    "Room",
    "Scene",
    "Seats",
    "Share",
    "Steward",
    "Ticket",
    "Told",
    "TurnedAway",
    "Verdict",
    "Vitals",
];

/// `file word` and why the word is right there.
const ALLOWED: &[(&str, &str)] = &[
    ("forge-actors/src/app/node.rs vitals", "the name on the wire that the version before reads"),
    ("forge-actors/src/dashboard/collector.rs vitals", "the name on the wire"),
    ("forge-actors/src/dashboard/tests.rs vitals", "the name on the wire"),
];

/// Where people read words.
const READ: &[&str] = &[".rs", ".sql", ".md", ".toml", ".ts", ".svelte"];

#[test]
fn words_are_the_fields_own() {
    let mut exceptions = super::Exceptions::new(ALLOWED);
    let mut findings = Vec::new();
    for file in TREE.iter().filter(|file| is_read(file)) {
        for (index, line) in file.text.lines().enumerate() {
            let lower = line.to_lowercase();
            let words = lower.split(|c: char| !c.is_alphanumeric());
            for (word, instead) in words.filter_map(|word| WORDS.iter().find(|(banned, _)| *banned == word)) {
                if !exceptions.covers(&format!("{} {word}", file.path)) {
                    findings.push(Finding::new(&file.path, index + 1, *word, instead));
                }
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

fn is_read(file: &Text) -> bool {
    // An applied migration is never edited, so its comments stay as they were, and so does the dump of them.
    let old = file.path.contains("migrations/") || file.path == "schema/schema.sql";
    let itself = file.path == "tests/it/tidy/names.rs";
    READ.iter().any(|ending| file.path.ends_with(ending)) && !itself && !old
}

#[test]
fn types_say_what_they_are() {
    let mut findings = Vec::new();
    for file in RUST.iter().filter(|file| file.is_product()) {
        for (name, line) in &file.types {
            if TYPES.contains(&name.as_str()) {
                findings.push(Finding::new(
                    file.path,
                    *line,
                    name,
                    "stood for something else: use the field's word",
                ));
            }
        }
    }
    none(findings);
}

#[test]
fn a_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for file in RUST.iter().filter(|file| file.is_product()) {
        for (name, line) in file.types.iter().filter(|(_, line)| !file.is_test(*line)) {
            places.entry((file.krate(), name)).or_default().push(format!("{}:{line}", file.path));
        }
    }
    let twice = places.into_iter().filter(|(_, places)| places.len() > 1);
    let findings = twice.map(|((krate, name), places)| {
        Finding::new(
            krate,
            0,
            format!("`{name}` in {}", places.join(", ")),
            "one name, one type: qualify the others",
        )
    });
    none(findings.collect());
}
