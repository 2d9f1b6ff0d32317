//! Workflows by name, as an operator starts them: with arguments that arrive as JSON text.

use std::collections::BTreeMap;

use crate::app::argument_form::argument_forms;
use crate::app::startable::{StartableVersion, StartableWorkflow};
use crate::app::workflow::WorkflowMeta;
use crate::app::workflow::start::run_of;
use crate::app::workflow_run::new_run::NewRun;
use crate::app::{Catalog, Registration};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::integer::Int53;
use crate::kernel::similar::nearest;

/// Characters of an unknown name that its refusal repeats.
const SHOWN_CHARS_MAX: usize = 200;
/// Refused arguments that the message of a refusal names; its details have more.
const NAMED_MAX: usize = 5;

/// The workflows of a catalog, by name.
pub(super) fn startable(catalog: &Catalog) -> Vec<StartableWorkflow> {
    let mut known: BTreeMap<&str, Vec<&'static Registration>> = BTreeMap::new();
    for (name, _, registration) in catalog.workflows() {
        // Aliases are for rows that exist.
        if registration.meta.wire_name() == name {
            known.entry(name).or_default().push(registration);
        }
    }
    let workflow = |(name, versions): (&str, Vec<&'static Registration>)| {
        let newest = versions.iter().rev().find(|known| !meta_of(known).deprecated);
        let doc = newest.or(versions.last()).map(|known| known.meta.doc.to_owned());
        StartableWorkflow {
            name: name.to_owned(),
            doc: doc.unwrap_or_default(),
            newest: newest.map(|known| meta_of(known).version),
            versions: versions.into_iter().map(version_of).collect(),
        }
    };
    known.into_iter().map(workflow).collect()
}

fn version_of(known: &'static Registration) -> StartableVersion {
    let WorkflowMeta { version, deprecated, .. } = meta_of(known);
    StartableVersion {
        version,
        is_deprecated: deprecated,
        arguments: argument_forms(known.signature.args),
        input_bytes_max: Int53::count(known.meta.input_bytes_max as u64),
    }
}

fn meta_of(known: &Registration) -> WorkflowMeta {
    known.meta.workflow_meta().unwrap_or(WorkflowMeta::DEFAULT)
}

/// The run of a workflow with these arguments, a JSON object; of its newest version that is not deprecated,
/// where none is given.
///
/// # Errors
/// `BAD_REQUEST` when there is no such workflow or version, the version is deprecated, or the arguments are
/// none of the workflow; `PAYLOAD_TOO_LARGE` when they are larger than its `input_max`.
pub(super) fn run_by_name(
    catalog: &Catalog,
    name: &str,
    version: Option<u32>,
    args: &str,
) -> Result<NewRun, Fault> {
    let known = find(catalog, name, version)?;
    let args = if args.trim().is_empty() { "{}" } else { args };
    let run = run_of(&known.meta, args.to_owned())?;
    match known.decode(args.as_bytes()) {
        Ok(_) => Ok(run),
        Err(fault) => Err(misfit(&run, &fault)),
    }
}

/// Finds the code, and refuses a version that only goes on with runs that exist.
fn find(catalog: &Catalog, name: &str, version: Option<u32>) -> Result<&'static Registration, Fault> {
    let refused = |text: String| Fault::new(Code::BadRequest, text);
    let mut versions: Vec<(u32, &'static Registration)> = Vec::new();
    versions
        .extend(catalog.workflows().filter(|(of, ..)| *of == name).map(|(_, found, known)| (found, known)));
    if versions.is_empty() {
        return Err(refused(unknown(catalog, name)));
    }
    let startable: Vec<u32> =
        versions.iter().filter(|(_, known)| !meta_of(known).deprecated).map(|(found, _)| *found).collect();
    let Some(wanted) = version.or(startable.last().copied()) else {
        let text = format!("all versions of `{name}` are deprecated: none can be started");
        return Err(Fault::new(Code::Conflict, text));
    };
    let Some((_, known)) = versions.iter().find(|(found, _)| *found == wanted) else {
        let linked = listed(versions.iter().map(|(found, _)| *found));
        let text = format!("the binary of this node has no version {wanted} of `{name}`; it has: {linked}");
        return Err(refused(text));
    };
    if !startable.contains(&wanted) {
        let others = listed(startable.into_iter());
        let refused = |text: String| Fault::new(Code::Conflict, text);
        let text = format!(
            "version {wanted} of `{name}` is deprecated: it only goes on with runs that exist; versions that \
             can be started: {others}"
        );
        return Err(refused(text));
    }
    Ok(known)
}

fn listed(versions: impl Iterator<Item = u32>) -> String {
    let versions: Vec<String> = versions.map(|version| version.to_string()).collect();
    if versions.is_empty() { "none".to_owned() } else { versions.join(", ") }
}

/// Why there is no workflow of this name, and which one was probably meant.
fn unknown(catalog: &Catalog, name: &str) -> String {
    if let Some(other) = catalog.get(name) {
        return format!("`{name}` is of the kind {}, and no workflow", other.meta.kind().as_str());
    }
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    let meant = nearest(&shown, catalog.workflows().map(|(known, ..)| known));
    let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    format!("the binary of this node has no workflow `{shown}`{meant}")
}

/// The arguments do not fit the workflow.
fn misfit(run: &NewRun, fault: &Fault) -> Fault {
    let fields = fault.details().and_then(|details| details["fields"].as_array());
    let text = |field: &serde_json::Value, key: &str| field[key].as_str().unwrap_or_default().to_owned();
    let named = |field: &serde_json::Value| {
        let (name, why) = (text(field, "field"), text(field, "message"));
        if name.is_empty() { why } else { format!("`{name}` {why}") }
    };
    let why = match fields {
        Some(fields) => fields.iter().take(NAMED_MAX).map(named).collect::<Vec<_>>().join("; "),
        None => fault.message().to_owned(),
    };
    let NewRun { workflow, version, .. } = run;
    let text = format!("the arguments do not fit version {version} of `{workflow}`: {why}");
    let refused = Fault::new(Code::BadRequest, text);
    match fault.details() {
        Some(details) => refused.with_details(details.clone()),
        None => refused,
    }
}
