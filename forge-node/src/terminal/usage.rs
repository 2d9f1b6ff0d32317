//! The report of a command line that cannot be read, from clap's error.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::terminal::report::{Exit, Report};

/// The report, with the word that was probably meant, or else the usage of the command.
pub fn report(error: &clap::Error) -> Report {
    let meant = meant(error).map(|word| format!("did you mean `{word}`?"));
    let help = meant.or_else(|| usage(error)).unwrap_or_else(|| "--help says what the command takes".into());
    Report::new(Exit::Usage, "usage", message(error)).help(help)
}

/// True for a command line without a command, for which the whole help is printed.
pub fn is_help(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// The first paragraph of clap's text, on one line.
fn message(error: &clap::Error) -> String {
    if is_help(error) || error.kind() == ErrorKind::MissingSubcommand {
        return "a command is missing".to_owned();
    }
    let rendered = error.render().to_string();
    let text = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let lines: Vec<_> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    lines.join(" ")
}

fn meant(error: &clap::Error) -> Option<&str> {
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.as_str()),
        // clap sorts them from the least similar one to the most similar.
        ContextValue::Strings(words) => words.last().map(String::as_str),
        _ => None,
    })
}

fn usage(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::Usage)? {
        ContextValue::StyledStr(usage) => {
            let usage = usage.to_string();
            Some(format!("usage: {}", usage.strip_prefix("Usage: ").unwrap_or(&usage).trim()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Developer;

    #[track_caller]
    fn check(line: &str, message: &str, help: &str) {
        let failed = Developer::command().try_get_matches_from(line.split(' ')).expect_err("a wrong line");
        let report = report(&failed);
        let json: serde_json::Value = serde_json::from_str(report.text(true).as_str()).expect("JSON");
        let field = |name: &str| json["error"][name].as_str().unwrap_or_default().to_owned();
        assert!(field("message").contains(message), "{line}: {json}");
        assert!(field("help").contains(help), "{line}: {json}");
        assert_eq!(
            (field("code").as_str(), &json["error"]["exit"]),
            ("usage", &serde_json::json!(2)),
            "{json}"
        );
    }

    #[test]
    fn a_wrong_line_is_answered_with_what_was_meant() {
        check("forge-node functoins", "functoins", "did you mean `functions`?");
        check("forge-node start --prot 80", "--prot", "did you mean `--port`?");
        check("forge-node start --color nevr", "nevr", "did you mean `never`?");
        check("forge-node jobs show nope", "which `jobs ls` prints", "--help");
        check("forge-node jobs show", "<ID>", "usage: forge-node jobs show <ID>");
        check("forge-node jobs ls --limit 0", "0", "--help");
        check("forge-node", "a command is missing", "");
        check("forge-node --json", "a command is missing", "");
    }
}
