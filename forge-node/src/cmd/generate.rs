//! `generate`: writes what clients compile against, or says that it is out of date.
//!
//! A file is replaced in one step, and only when its text changes: a watching build tool never sees half of
//! it, and is not woken for nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use forge_actors::app::Catalog;
use forge_ts::problem::Refused;
use forge_ts::{Audience, Contract, File, drift};

use crate::cli::Generate;
use crate::cmd::output;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::Scene;

/// The file that says what changed.
const SCHEMA: &str = "schema.json";

/// Writes the files, or compares them.
pub fn run(args: &Generate, scene: Scene<'_>) -> Result<(), Report> {
    let out = match &args.out {
        Some(out) => out.to_owned(),
        None => {
            let loaded = scene.load(&[])?;
            loaded.folder.join(&loaded.config.generate.out)
        }
    };
    let audience = if args.system { Audience::System } else { Audience::Application };
    let catalog = Catalog::build()?;
    let contract = Contract::of(&catalog, audience).map_err(|refused| untyped(&refused))?;
    let names: Vec<_> = scene.apps.iter().map(|app| app.name).collect();
    let title = if args.system { "forge".to_owned() } else { names.join(", ") };
    let files = forge_ts::files(&contract, &title);
    if args.check { check(&files, &out) } else { write(&contract, &files, &out, scene) }
}

fn untyped(Refused(problems): &Refused) -> Report {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Report::new(Exit::Failed, "untyped", "the functions have types that no client can be told")
        .cause(lines.join("\n"))
        .help("change the types as said; a handler that no client calls is `internal`")
}

fn write(contract: &Contract, files: &[File], out: &Path, scene: Scene<'_>) -> Result<(), Report> {
    fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
    let mut written = Vec::new();
    for File { name, text } in files {
        let path = out.join(name);
        if read(&path)?.as_ref() != Some(text) {
            replace(&path, text).map_err(|error| unwritable(&path, &error))?;
            written.push(path);
        }
    }
    if scene.global.json {
        let paths: Vec<_> = written.iter().map(|path| path.display().to_string()).collect();
        output::data(
            &serde_json::json!({ "contract": contract.hash, "functions": contract.functions.len(), "written": paths }).to_string(),
        );
    } else if written.is_empty() {
        scene.progress(&format!("{}: up to date", out.display()));
    } else {
        written.iter().for_each(|path| scene.progress(&format!("wrote {}", path.display())));
    }
    Ok(())
}

/// Writes beside the file and renames: readers see the old text or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let replaced = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        // What is left of the attempt; the error that matters is the one above.
        let _ = fs::remove_file(&beside);
    }
    replaced
}

fn check(files: &[File], out: &Path) -> Result<(), Report> {
    let mut stale = Vec::new();
    let mut changes = Vec::new();
    for File { name, text } in files {
        let found = read(&out.join(name))?;
        if found.as_ref() == Some(text) {
            continue;
        }
        stale.push(match &found {
            Some(_) => (*name).to_owned(),
            None => format!("{name} (missing)"),
        });
        let parsed = |text: &str| serde_json::from_str(text).ok();
        if let Some((written, wanted)) =
            found.as_deref().filter(|_| *name == SCHEMA).and_then(parsed).zip(parsed(text))
        {
            changes = drift::changes(&written, &wanted);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let message = format!("generated files are out of date: {}", stale.join(", "));
    let report = Report::new(Exit::Drift, "generated-drift", message)
        .tried(out.display().to_string())
        .help("forge-node generate");
    Err(if changes.is_empty() { report } else { report.cause(changes.join("\n")) })
}

fn read(path: &Path) -> Result<Option<String>, Report> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Report::new(Exit::Failed, "unreadable", "a generated file cannot be read")
            .tried(path.display().to_string())
            .cause(error)),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Report {
    Report::new(Exit::Failed, "unwritable", "generated files cannot be written")
        .tried(path.display().to_string())
        .cause(error)
}
