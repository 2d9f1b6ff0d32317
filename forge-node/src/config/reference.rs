//! The list of keys: every section's part of the reference, joined in one text.
//!
//! `reference.toml` beside this file is that text, written for people who read the sources; a test keeps it
//! equal, and `FORGE_BLESS=1` writes it anew.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use forge_actors::kernel::similar::nearest;

use super::section::{NODE_SECTIONS, sections};

/// Every key with its default, or an example where the default is "absent"; the comments are the
/// documentation.
pub static TEXT: LazyLock<String> = LazyLock::new(|| {
    let [(_, node), own @ ..] = NODE_SECTIONS;
    let parts = std::iter::once(node).chain(sections().map(|section| section.reference));
    let parts: Vec<&str> = parts.chain(own.map(|(_, text)| text)).collect();
    parts.join("\n")
});

/// `section.key` → its value in the reference.
pub static KEYS: LazyLock<BTreeMap<String, toml::Value>> = LazyLock::new(|| {
    let table: toml::Table = TEXT.parse().expect("a test parses the reference");
    let mut keys = BTreeMap::new();
    collect("", table, &mut keys);
    keys
});

fn collect(prefix: &str, table: toml::Table, keys: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => collect(&path, inner, keys),
            leaf => drop(keys.insert(path, leaf)),
        }
    }
}

/// The environment variable that sets a key. Two underscores separate section and key, so that the variables
/// that Kubernetes makes for a service called `forge-gateway` (FORGE_GATEWAY_PORT=tcp://..) set no key.
pub fn variable_of(key: &str) -> String {
    format!("FORGE_{}", key.replace('.', "__").to_uppercase())
}

/// The key that a variable of the form FORGE_SECTION__KEY names; the key may not exist.
pub fn key_of(variable: &str) -> Option<String> {
    let name = variable.strip_prefix("FORGE_").filter(|name| name.contains("__"))?;
    Some(name.replace("__", ".").to_lowercase())
}

/// Reads the text of a variable or a flag as a value of its key's type.
pub fn typed(key: &str, text: &str) -> Result<toml::Value, String> {
    match KEYS.get(key) {
        Some(toml::Value::Integer(_)) => text
            .trim()
            .parse()
            .map(toml::Value::Integer)
            .map_err(|_| format!("`{text}` is not a whole number")),
        Some(toml::Value::Boolean(_)) => text
            .trim()
            .parse()
            .map(toml::Value::Boolean)
            .map_err(|_| format!("`{text}` is not true or false")),
        Some(toml::Value::Array(_)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect()))
        }
        _ => Ok(toml::Value::String(text.to_owned())),
    }
}

/// The help for a key that does not exist: the key that was probably meant, or the keys that exist.
pub fn advice(unknown: &str) -> String {
    let (section, leaf) = unknown.rsplit_once('.').unwrap_or(("", unknown));
    let named = |key: &&String| key.rsplit_once('.').is_some_and(|(_, name)| name == leaf);
    let elsewhere: Vec<_> = KEYS.keys().filter(named).map(|key| format!("`{key}`")).collect();
    if !elsewhere.is_empty() {
        return format!("`{leaf}` is a key of another section: {}", elsewhere.join(", "));
    }
    let siblings = || {
        KEYS.keys()
            .filter_map(|key| key.rsplit_once('.'))
            .filter(|(of, _)| *of == section)
            .map(|(_, name)| name)
    };
    if siblings().next().is_none() {
        return match nearest(if section.is_empty() { leaf } else { section }, section_names()) {
            Some(near) => format!("did you mean the section `[{near}]`?"),
            None => format!("the sections are {}", section_names().collect::<Vec<_>>().join(", ")),
        };
    }
    match nearest(leaf, siblings()) {
        Some(near) => format!("did you mean `{section}.{near}`?"),
        None => format!("the keys of [{section}] are {}", siblings().collect::<Vec<_>>().join(", ")),
    }
}

fn section_names() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> =
        KEYS.keys().filter_map(|key| key.split_once('.')).map(|(section, _)| section).collect();
    names.dedup();
    names.into_iter()
}
