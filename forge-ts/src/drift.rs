//! What changed between two versions of `schema.json`, by the names that people know: for `forge-node
//! generate --check`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Changes that are named; the rest is counted.
const CHANGES_MAX: usize = 20;

/// A line for each function, type or field that differs.
pub fn changes(written: &Value, wanted: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    compare_named(&functions(written), &functions(wanted), "function", &mut changes);
    compare_named(&types(written), &types(wanted), "type", &mut changes);
    if changes.len() > CHANGES_MAX {
        let more = changes.len() - CHANGES_MAX;
        changes.truncate(CHANGES_MAX);
        changes.push(format!("and {more} more"));
    }
    changes
}

fn functions(schema: &Value) -> BTreeMap<&str, &Value> {
    let functions = schema["functions"].as_array().into_iter().flatten();
    functions.filter_map(|function| Some((function["name"].as_str()?, function))).collect()
}

fn types(schema: &Value) -> BTreeMap<&str, &Value> {
    schema["$defs"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, definition)| (name.as_str(), definition))
        .collect()
}

fn compare_named(
    written: &BTreeMap<&str, &Value>,
    wanted: &BTreeMap<&str, &Value>,
    what: &str,
    changes: &mut Vec<String>,
) {
    let names: BTreeSet<_> = written.keys().chain(wanted.keys()).collect();
    for name in names {
        match (written.get(name), wanted.get(name)) {
            (Some(_), None) => changes.push(format!("the {what} `{name}` is gone")),
            (None, Some(_)) => changes.push(format!("the {what} `{name}` is new")),
            (Some(written), Some(wanted)) => compare(written, wanted, &format!("{what} `{name}`"), changes),
            (None, None) => {}
        }
    }
}

/// Descends into objects, and stops where the two differ in more than their members.
fn compare(written: &Value, wanted: &Value, place: &str, changes: &mut Vec<String>) {
    match (written, wanted) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for key in keys {
                // The words of JSON Schema itself say nothing that the names below and above them do not.
                let place = if key == "properties" { place.to_owned() } else { format!("{place}.{key}") };
                match (one.get(key), other.get(key)) {
                    (Some(written), Some(wanted)) => compare(written, wanted, &place, changes),
                    (Some(_), None) => changes.push(format!("{place} is gone")),
                    (None, _) => changes.push(format!("{place} is new")),
                }
            }
        }
        (one, other) if one == other => {}
        (one, other) => changes.push(format!("{place}: {one} is now {other}")),
    }
}
