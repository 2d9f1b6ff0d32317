//! `workflows start`, `workflows emit`: what an operator begins.

use std::io::Read;
use std::path::Path;

use forge_actors::app::argument_form::ArgumentForm;
use forge_actors::app::startable::{StartableVersion, StartableWorkflow};
use forge_actors::dashboard::workflow_start::{EmittedEvent, StartedWorkflow};
use forge_actors::kernel::integer::Int53;
use serde_json::{Value, json};

use crate::cli::{EmitFlags, StartFlags};
use crate::cmd::client::{Client, decode, print};
use crate::cmd::workflow_list::list_runs;
use crate::cmd::workflow_wait;
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::report::{Exit, Report};
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

/// Starts a run, and waits for its end where that is asked for; without a name, lists what can be started.
pub(super) async fn start(flags: &StartFlags, context: CommandContext<'_>) -> Result<(), Report> {
    let Some(workflow) = &flags.workflow else { return list(flags, context).await };
    let args = arguments(flags)?;
    let ask = json!({
        "workflow": workflow,
        "args": args,
        "version": flags.version,
        "key": flags.key.as_deref().map(|key| checked_json(key, "key")).transpose()?,
        "onConflict": flags.on_conflict,
        "afterMs": flags.after.map(Int53::millis),
        "attributes": flags.attributes,
        "reason": flags.reason,
    });
    let client = Client::of_administrator(&flags.target, context)?;
    let answer = client.call("forge.startWorkflow", &ask).await?;
    if flags.wait.wait {
        let started: StartedWorkflow = decode(&answer)?;
        context.progress(&format!("{}: {}", started.run.id, started.message));
        return workflow_wait::show_end(&client, started.run.id, flags.wait, context).await;
    }
    print(&answer, context, |started: StartedWorkflow| {
        let mut text = list_runs(&[started.run], context.palette());
        text.push(started.message);
        text.push("\n");
        text
    })
}

/// Emits an event, and prints how many runs wait for it.
pub(super) async fn emit(flags: &EmitFlags, context: CommandContext<'_>) -> Result<(), Report> {
    let EmitFlags { event, key, payload, once, reason, target } = flags;
    let ask = json!({
        "event": event,
        "key": checked_json(key, "key")?,
        "payload": checked_json(payload, "payload")?,
        "once": once,
        "reason": reason,
    });
    let answer = Client::of_administrator(target, context)?.call("forge.emitEvent", &ask).await?;
    print(&answer, context, |emitted: EmittedEvent| Text::from(&emitted.message))
}

/// The arguments: of the command line, of a file, or of stdin.
fn arguments(flags: &StartFlags) -> Result<String, Report> {
    let text = match (&flags.args_file, flags.args.as_deref()) {
        (Some(file), _) => read_file(file)?,
        (None, Some("-")) => read_stdin()?,
        (None, Some(args)) => args.to_owned(),
        (None, None) => "{}".to_owned(),
    };
    let refused = || {
        Report::new(Exit::Usage, "bad-arguments", "the arguments are not a JSON object").help(
            r#"quote them for the shell: '{"user": 7}'; `workflows start` lists what each workflow takes"#,
        )
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(_)) => Ok(text),
        Ok(_) => Err(refused().cause("the text is JSON, but no object")),
        Err(error) => Err(refused().cause(error)),
    }
}

fn read_file(file: &Path) -> Result<String, Report> {
    std::fs::read_to_string(file).map_err(|error| {
        Report::new(Exit::Usage, "args-file", "the file of the arguments cannot be read")
            .tried(file.display().to_string())
            .cause(error)
    })
}

fn read_stdin() -> Result<String, Report> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| {
        Report::new(Exit::Usage, "args-stdin", "the arguments cannot be read from stdin").cause(error)
    })?;
    Ok(text)
}

/// A text that must be JSON.
fn checked_json<'a>(text: &'a str, what: &str) -> Result<&'a str, Report> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Report::new(Exit::Usage, "bad-json", format!("the {what} is no JSON"))
            .tried(text)
            .cause(error)
            .help(r#"a text has quotes, which the shell must not take away: '"user-7"'"#)),
    }
}

const COLUMNS: [Column; 3] =
    [Column::Left("workflow"), Column::Left("version"), Column::Left("arguments; what it does")];

/// Lists what can be started.
async fn list(flags: &StartFlags, context: CommandContext<'_>) -> Result<(), Report> {
    let client = Client::of_administrator(&flags.target, context)?;
    let answer = client.call("forge.startableWorkflows", &json!({})).await?;
    print(&answer, context, |workflows: Vec<StartableWorkflow>| render(&workflows, context.palette()))
}

fn render(workflows: &[StartableWorkflow], palette: Palette) -> Text {
    let rows: Vec<_> = workflows
        .iter()
        .flat_map(|workflow| workflow.versions.iter().rev().map(|version| row(workflow, version)))
        .collect();
    if rows.is_empty() {
        return "the binary of the node has no workflows\n".into();
    }
    let (cells, dim): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    table::render_within(width::columns(), COLUMNS, &cells, palette, |index, line| {
        if dim[index] { palette.dim(line) } else { line }
    })
}

/// The cells of a version, and whether it cannot be started.
fn row(workflow: &StartableWorkflow, version: &StartableVersion) -> ([String; COLUMNS.len()], bool) {
    let deprecated = if version.is_deprecated { ", deprecated" } else { "" };
    let arguments = match &version.arguments {
        Some(arguments) => {
            let arguments: Vec<String> = arguments.iter().map(argument).collect();
            format!("{{{}}}", arguments.join(", "))
        }
        None => "a JSON object".to_owned(),
    };
    let doc = workflow.doc.split_whitespace().collect::<Vec<_>>().join(" ");
    let does = if doc.is_empty() { String::new() } else { format!("; {doc}") };
    let cells =
        [workflow.name.to_owned(), format!("{}{deprecated}", version.version), format!("{arguments}{does}")];
    (cells, version.is_deprecated)
}

/// An argument as a line of help has it: `note?: text or null`.
fn argument(argument: &ArgumentForm) -> String {
    let ArgumentForm { name, form, is_required, .. } = argument;
    format!("{name}{}: {form}", if *is_required { "" } else { "?" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_started_is_listed_with_its_arguments() {
        let form = |name: &str, form: &str, is_required: bool| ArgumentForm {
            name: name.to_owned(),
            doc: String::new(),
            form: form.to_owned(),
            is_required,
            placeholder: "null".to_owned(),
        };
        let version = |version: u32, is_deprecated: bool| StartableVersion {
            version,
            is_deprecated,
            arguments: Some(vec![form("user", "id", true), form("note", "text or null", false)]),
            input_bytes_max: Int53::count(1_024),
        };
        let onboard = StartableWorkflow {
            name: "accounts.onboard".to_owned(),
            doc: "Welcomes a user.".to_owned(),
            newest: Some(2),
            versions: vec![version(1, true), version(2, false)],
        };
        let text = render(&[onboard], Palette::PLAIN);
        let lines: Vec<&str> = text.as_str().lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "workflow          version        arguments; what it does",
                "accounts.onboard  2              {user: id, note?: text or null}; Welcomes a",
                "                                 user.",
                "accounts.onboard  1, deprecated  {user: id, note?: text or null}; Welcomes a",
                "                                 user.",
            ]
        );
    }
}
