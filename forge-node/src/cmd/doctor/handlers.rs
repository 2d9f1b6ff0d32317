//! Compares the handlers in the source with those in the binary: rustc does not compile a file that no `mod`
//! names, and reports nothing.

use std::fs;
use std::path::{Path, PathBuf};

use forge_actors::app::{App, Catalog, Meta};

use super::Finding;
use crate::terminal::report::{Exit, Report};

/// The beginnings of attributes that make a handler.
const ATTRIBUTES: [&str; 5] =
    ["#[forge::query", "#[forge::mutation", "#[forge::action", "#[forge::job", "#[forge::cron"];

/// Counts the handlers of each application whose source is on this machine, in the source and in the binary.
pub(super) fn examine(apps: &[&App]) -> Vec<Finding> {
    let catalog = match Catalog::build() {
        Ok(catalog) => catalog,
        Err(error) => return vec![Report::from(error).into()],
    };
    apps.iter().flat_map(|app| examine_one(app, &catalog)).collect()
}

fn examine_one(app: &App, catalog: &Catalog) -> Vec<Finding> {
    let own = |meta: &Meta| {
        meta.module.strip_prefix(app.module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let linked: Vec<&Meta> =
        catalog.iter().map(|(_, registration)| &registration.meta).filter(|meta| own(meta)).collect();
    let missing: Vec<_> = missing(Path::new(app.source), &linked);
    if missing.is_empty() {
        return vec![Finding::good(format!("{}: {} handlers are linked", app.name, linked.len()))];
    }
    let finding = |(file, count): &(PathBuf, usize)| {
        let module = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let text = format!("{}: {count} handlers of {} are not in this binary", app.name, file.display());
        Finding::bad(
            Exit::Drift,
            text,
            format!("name the module in its parent (`pub mod {module};`), and build again"),
        )
    };
    missing.iter().map(finding).collect()
}

/// The files that have more handlers than the binary has from them, with the number that is missing.
pub(super) fn missing(package: &Path, linked: &[&Meta]) -> Vec<(PathBuf, usize)> {
    let mut files = Vec::new();
    collect(&package.join("src"), &mut files);
    files.sort();
    let more = |file: PathBuf| {
        let relative = file.strip_prefix(package).ok()?.to_owned();
        let written = fs::read_to_string(&file).map_or(0, |text| count(&text));
        let present = linked.iter().filter(|meta| Path::new(meta.file).ends_with(&relative)).count();
        (written > present).then(|| (relative, written - present))
    };
    files.into_iter().filter_map(more).collect()
}

fn count(text: &str) -> usize {
    let lines = text.lines().map(str::trim_start);
    let is_attribute = |line: &str| {
        ATTRIBUTES
            .iter()
            .any(|attribute| line.strip_prefix(attribute).is_some_and(|rest| rest.starts_with(['(', ']'])))
    };
    lines.filter(|line| is_attribute(line)).count()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    // The source is not on every machine that runs the binary.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
