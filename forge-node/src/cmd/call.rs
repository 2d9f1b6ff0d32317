//! `call`: calls a function of a running node.

use serde_json::Value;

use crate::cli::Call;
use crate::cmd::client::{Client, RequestIdentity};
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;

/// Calls the function, and prints its result.
pub async fn run(args: &Call, context: CommandContext<'_>) -> Result<(), Report> {
    let object: Value =
        serde_json::from_str(&args.args).map_err(|error| not_arguments(&args.args).cause(error))?;
    if !object.is_object() {
        return Err(not_arguments(&args.args).cause("the text is JSON, but no object"));
    }
    if !args.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return Err(Report::new(
            Exit::Usage,
            "no-function-name",
            format!("`{}` is no function name", args.name),
        )
        .help("a name has the form tasks.list"));
    }
    let loaded = context.load(&[])?;
    let identity = args.subject.as_deref().map_or(RequestIdentity::Environment, |subject| {
        RequestIdentity::Signed { subject, roles: &args.role }
    });
    let client = Client::new(&loaded, &args.target, identity)?;
    let answer = client.post(&format!("/rpc/{}", args.name), args.args.clone()).await?;
    let data = answer.get("data").unwrap_or(&Value::Null);
    output::data(if context.global.json { Text::json(data) } else { Text::pretty_json(data) });
    Ok(())
}

fn not_arguments(args: &str) -> Report {
    Report::new(Exit::Usage, "bad-arguments", "the arguments are not a JSON object")
        .tried(args.to_owned())
        .help(r#"quote them for the shell: '{"key": "value"}'"#)
}
