//! `doctor`: checks what a node needs, and names one command for each problem.

use serde::Serialize;

use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;

mod database;
mod handlers;
mod machine;
#[cfg(test)]
mod tests;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Good,
    Note,
    Bad,
}

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    level: Level,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    /// The exit code of the command, when this is the first bad finding.
    #[serde(skip)]
    exit: Exit,
}

impl Finding {
    fn good(text: impl Into<String>) -> Self {
        Self { level: Level::Good, text: text.into(), help: None, exit: Exit::Failed }
    }

    fn note(text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { level: Level::Note, text: text.into(), help: Some(help.into()), exit: Exit::Failed }
    }

    fn bad(exit: Exit, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { level: Level::Bad, text: text.into(), help: Some(help.into()), exit }
    }

    fn line(&self, palette: Palette) -> Text {
        let mark = match self.level {
            Level::Good => palette.green("ok"),
            Level::Note => palette.yellow("!!"),
            Level::Bad => palette.red("xx"),
        };
        let help = self.help.as_deref().map(|help| format!("   -> {}", first_line(help))).unwrap_or_default();
        ["  ".into(), mark, format!("  {}{help}", first_line(&self.text)).into()].into_iter().collect()
    }
}

impl From<Report> for Finding {
    fn from(report: Report) -> Self {
        let cause = report.cause.as_deref().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self {
            level: Level::Bad,
            text: format!("{}{cause}", report.message),
            help: report.help.map(Into::into),
            exit: report.exit,
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Runs all checks and prints their findings. An error when a finding is bad.
pub async fn run(context: CommandContext<'_>) -> Result<(), Report> {
    let mut findings = machine::toolchain();
    match context.load(&[]) {
        Ok(loaded) => {
            let file = loaded.file.as_ref().map_or_else(
                || "no forge.toml: the defaults are used".to_owned(),
                |file| format!("{} is well-formed", file.display()),
            );
            findings.push(Finding::good(file));
            findings.push(machine::secret(&loaded));
            findings.extend(machine::postgres(&loaded).await);
            findings.extend(database::examine(&loaded, context).await);
            findings.push(machine::port(&loaded).await);
        }
        Err(report) => findings.push(report.into()),
    }
    findings.extend(handlers::examine(context.apps));
    if context.global.json {
        output::data(Text::json(&serde_json::json!(findings)));
    } else {
        findings.iter().for_each(|finding| output::data(finding.line(context.palette())));
    }
    let bad: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Bad).collect();
    match bad.first() {
        None => Ok(()),
        Some(first) => Err(Report::new(
            first.exit,
            "doctor",
            format!("{} of {} checks failed", bad.len(), findings.len()),
        )),
    }
}
