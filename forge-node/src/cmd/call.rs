//! `call`: one function of a running node, from the shell.

use serde_json::Value;

use crate::cli::Call;
use crate::cmd::client::{Asker, Client};
use crate::cmd::output;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::Scene;

/// Calls it, and prints what it answers.
pub async fn run(args: &Call, scene: Scene<'_>) -> Result<(), Report> {
    let object: Value =
        serde_json::from_str(&args.args).map_err(|error| not_arguments(&args.args).cause(error))?;
    if !object.is_object() {
        return Err(not_arguments(&args.args).cause("it is JSON, but no object"));
    }
    if !args.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return Err(Report::new(
            Exit::Usage,
            "no-function-name",
            format!("`{}` is no name of a function", args.name),
        )
        .help("names look like tasks.list"));
    }
    let loaded = scene.load(&[])?;
    let asker =
        args.subject.as_deref().map_or(Asker::Anyone, |subject| Asker::Signed { subject, roles: &args.role });
    let client = Client::new(&loaded, &args.target, asker)?;
    let answer = client.post(&format!("/rpc/{}", args.name), args.args.clone()).await?;
    let data = answer.get("data").unwrap_or(&Value::Null);
    output::data(&if scene.global.json { data.to_string() } else { format!("{data:#}") });
    Ok(())
}

fn not_arguments(args: &str) -> Report {
    Report::new(Exit::Usage, "bad-arguments", "the arguments are not a JSON object")
        .tried(args.to_owned())
        .help(r#"quote them for the shell: '{"key": "value"}'"#)
}
