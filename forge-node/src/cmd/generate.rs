//! `generate`: writes the TypeScript, JSON Schema and OpenAPI of the functions, or checks that they are up to
//! date.
//!
//! A file is replaced in one step, and only when its text changes: a build tool that watches it never reads
//! an incomplete file, and does not build again without need.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use forge_actors::app::Catalog;
use forge_ts::problem::Refused;
use forge_ts::{Audience, Contract, File, drift};

use crate::cli::Generate;
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;

/// The file whose two versions are compared to list the changes.
const SCHEMA: &str = "schema.json";

/// Writes the files, or compares them with those on disk.
pub fn run(args: &Generate, context: CommandContext<'_>) -> Result<(), Report> {
    let out = match &args.out {
        Some(out) => out.to_owned(),
        None => {
            let loaded = context.load(&[])?;
            loaded.folder.join(&loaded.config.generate.out)
        }
    };
    let audience = if args.system { Audience::System } else { Audience::Application };
    let catalog = Catalog::build()?;
    let contract = Contract::of(&catalog, audience).map_err(|refused| untyped(&refused))?;
    let names: Vec<_> = context.apps.iter().map(|app| app.name).collect();
    let title = if args.system { "forge".to_owned() } else { names.join(", ") };
    let files = forge_ts::files(&contract, &title);
    if args.check { check(&files, &out) } else { write(&contract, &files, &out, context) }
}

fn untyped(Refused(problems): &Refused) -> Report {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Report::new(Exit::Failed, "untyped", "the functions have types that no client can be generated for")
        .cause(lines.join("\n"))
        .help("change the types as the messages say; mark a handler that no client calls `internal`")
}

fn write(contract: &Contract, files: &[File], out: &Path, context: CommandContext<'_>) -> Result<(), Report> {
    fs::create_dir_all(out).map_err(|error| unwritable(out, &error))?;
    let mut written = Vec::new();
    for File { name, text } in files {
        let path = out.join(name);
        if read(&path)?.as_ref() != Some(text) {
            replace(&path, text).map_err(|error| unwritable(&path, &error))?;
            written.push(path);
        }
    }
    if context.global.json {
        let paths: Vec<_> = written.iter().map(|path| path.display().to_string()).collect();
        output::data(Text::json(&serde_json::json!({
            "contract": contract.hash, "functions": contract.functions.len(), "written": paths
        })));
    } else if written.is_empty() {
        context.progress(&format!("{}: up to date", out.display()));
    } else {
        written.iter().for_each(|path| context.progress(&format!("wrote {}", path.display())));
    }
    Ok(())
}

/// Writes another file and renames it, so that readers see either the old text or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let replaced = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        // Removing the unfinished file may fail too; the first error is the one that is reported.
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
