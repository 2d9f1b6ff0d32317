//! The flags of `workflows`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use forge_actors::app::workflow::IdConflict;
use forge_actors::kernel::ids::RunId;
use forge_actors::kernel::time::Timestamp;
use forge_actors::workflow::admin::{
    RunPrefix, WorkflowAction, WorkflowAttribute, WorkflowFilter, WorkflowStatus,
};

use super::{Target, duration, moment, one_of};

/// `workflows`.
#[derive(Debug, Clone, Args)]
pub struct Workflows {
    /// The command.
    #[command(subcommand)]
    pub step: WorkflowsStep,
}

/// The subcommands of `workflows`.
#[derive(Debug, Clone, Subcommand)]
pub enum WorkflowsStep {
    /// List runs, newest first.
    Ls {
        /// Which runs.
        #[command(flatten)]
        filter: RunFilterFlags,
        /// Only runs that were started before this one.
        #[arg(long, value_name = "ID", value_parser = run_id)]
        before: Option<RunId>,
        /// The largest number of runs to list.
        #[arg(long, value_name = "N", default_value_t = 50)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=1_000), allow_negative_numbers = true)]
        limit: u16,
        /// Print the list again every second.
        #[arg(long, short)]
        watch: bool,
        /// The node, and the token for it.
        #[command(flatten)]
        target: Target,
    },
    /// Show one run with its steps, and what it waits for.
    Show {
        /// The run.
        #[command(flatten)]
        run: OneRun,
        /// Whether its end is waited for.
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Start a run, or list what can be started.
    #[command(disable_version_flag = true)]
    Start(StartFlags),
    /// Emit an event for the runs that wait for it now or later.
    Emit(EmitFlags),
    /// Print the history of one run, which a test replays.
    History(OneRun),
    /// Send a signal to one run.
    Signal {
        /// The run.
        #[command(flatten)]
        run: OneRun,
        /// The name of the event, for example accounts.approved.
        name: String,
        /// What it says.
        #[arg(default_value = "null", value_name = "JSON")]
        payload: String,
    },
    /// Take back what a run has completed, and end it.
    Cancel {
        /// The run.
        #[command(flatten)]
        run: OneRun,
        /// Why, for the audit and the run's history.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End a run as it is; nothing is compensated.
    Terminate {
        /// The run.
        #[command(flatten)]
        run: OneRun,
        /// Why, for the audit and the run's history.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a run go on no further until it is resumed.
    Pause(OneRun),
    /// Let a paused run go on.
    Resume(OneRun),
    /// Try a run again that has diverged, whose compensation has failed, or that ended without success.
    Retry {
        /// The run.
        #[command(flatten)]
        run: OneRun,
        /// The step, by position or name, from which on a run that has ended executes again [default: the one
        /// that has failed].
        #[arg(long, value_name = "STEP")]
        from_step: Option<String>,
    },
    /// Mark the failed compensation of a run as done, and go on with the next one.
    Skip {
        /// The run.
        #[command(flatten)]
        run: OneRun,
        /// Why, for the audit.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Start a new run with the first steps of another one.
    Fork {
        /// The run.
        #[command(flatten)]
        run: OneRun,
        /// The step, by position or name, from which on the new run executes.
        #[arg(long, value_name = "STEP")]
        from_step: Option<String>,
        /// The version of the new run [default: that of the other one].
        #[arg(long, value_name = "N")]
        to_version: Option<u32>,
    },
    /// Do something to all runs that match.
    Bulk {
        /// What is done: cancel, terminate, pause, resume, retry.
        #[arg(value_name = "ACTION", value_parser = action)]
        action: WorkflowAction,
        /// Do it; without this flag the runs are only counted.
        #[arg(long)]
        yes: bool,
        /// Why, for the audit and the runs' history.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Which runs.
        #[command(flatten)]
        filter: RunFilterFlags,
        /// The node, and the token for it.
        #[command(flatten)]
        target: Target,
    },
    /// Compare the workflows of this binary with the runs that have not ended; fails when they do not fit.
    Check {
        /// Compare so many runs at most, the newest ones [default: all].
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The database [default: that of the configuration].
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
    },
}

/// Which runs: those for which all of these hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which runs")]
pub struct RunFilterFlags {
    /// Only runs with this status, or one of these: ready, running, waiting, compensating, paused, diverged,
    /// compensation_failed, completed, failed, cancelled, terminated, continued; `live` are the first seven,
    /// `ended` the others.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = statuses)]
    pub status: Vec<StatusGroup>,
    /// Only runs of this workflow.
    #[arg(long, visible_alias = "name", value_name = "NAME")]
    pub workflow: Option<String>,
    /// Only runs of this version.
    #[arg(long, value_name = "N")]
    pub of_version: Option<u32>,
    /// Only runs whose start gave this id: a text, or its JSON.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Only children of this run.
    #[arg(long, value_name = "ID", value_parser = run_id)]
    pub parent: Option<RunId>,
    /// Only runs that were started at this time or later, for example 2030-01-31T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub started_from: Option<Timestamp>,
    /// Only runs that were started before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub started_before: Option<Timestamp>,
    /// Only runs with this attribute, for example plan=gold or seats=7.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    pub attributes: Vec<WorkflowAttribute>,
    /// Only runs whose id, workflow, id of the application or error contains this text.
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
}

impl RunFilterFlags {
    /// The filter as a node is called with it.
    pub fn filter(&self) -> WorkflowFilter {
        let mut statuses: Vec<WorkflowStatus> =
            self.status.iter().flat_map(|StatusGroup(statuses)| statuses).copied().collect();
        statuses.sort_unstable();
        statuses.dedup();
        WorkflowFilter {
            statuses,
            is_ended: None,
            workflow: self.workflow.to_owned(),
            version: self.of_version,
            key: self.key.to_owned(),
            id: None,
            parent: self.parent,
            started_from: self.started_from,
            started_before: self.started_before,
            attributes: self.attributes.to_vec(),
            text: self.text.to_owned(),
        }
    }
}

/// The statuses that one word stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusGroup(pub Vec<WorkflowStatus>);

/// What is started, and how.
#[derive(Debug, Clone, Args)]
pub struct StartFlags {
    /// The workflow, for example accounts.onboard; without it, those that can be started are listed.
    pub workflow: Option<String>,
    /// Its arguments, a JSON object; `-` reads them from stdin.
    #[arg(value_name = "ARGS")]
    pub args: Option<String>,
    /// The file that holds its arguments.
    #[arg(long, value_name = "FILE", conflicts_with = "args")]
    pub args_file: Option<PathBuf>,
    /// The version of the code [default: the newest one that is not deprecated].
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
    /// The key that makes the start idempotent while its run is kept, as JSON: what the application gives
    /// with `.id(..)`.
    #[arg(long, value_name = "JSON")]
    pub key: Option<String>,
    /// What happens when the key names a run: return, return-running, fail, replace [default: return].
    #[arg(long, value_name = "RULE", value_parser = rule, requires = "key")]
    pub on_conflict: Option<IdConflict>,
    /// How long after its start the run begins, for example 5m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub after: Option<Duration>,
    /// An attribute by which the run is found, for example plan=gold or seats=7.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    pub attributes: Vec<WorkflowAttribute>,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Whether the end of the run is waited for.
    #[command(flatten)]
    pub wait: WaitFlags,
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
}

/// What is emitted.
#[derive(Debug, Clone, Args)]
pub struct EmitFlags {
    /// The name of the event, for example accounts.email_verified.
    pub event: String,
    /// Its key, as JSON: 7, '"user-7"'; null for an event without one.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// The whole event as JSON, the field of its key included.
    #[arg(value_name = "JSON")]
    pub payload: String,
    /// Of all events of this name and key with the same idempotency key, the first one counts.
    #[arg(long, value_name = "KEY")]
    pub once: Option<String>,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
}

/// Whether the end of a run is waited for.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitFlags {
    /// Wait until the run has ended; the exit code is 0 when it has completed, and 9 when it has not.
    #[arg(long)]
    pub wait: bool,
    /// The longest wait, for example 5m; the exit code is 8 then [default: without end].
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "wait")]
    pub timeout: Option<Duration>,
}

/// A run as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunName {
    /// By its id.
    Whole(RunId),
    /// By the first digits of its id.
    Beginning(RunPrefix),
}

/// One run.
#[derive(Debug, Clone, Args)]
pub struct OneRun {
    /// The run's id, as `workflows ls` prints it, or its first digits: 6 or more that name one run.
    #[arg(value_parser = run_name, value_name = "ID")]
    pub run: RunName,
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
}

fn run_id(text: &str) -> Result<RunId, &'static str> {
    text.parse().map_err(|_| "not the id of a run, which `workflows ls` prints")
}

fn run_name(text: &str) -> Result<RunName, String> {
    let whole = text.parse().map(RunName::Whole);
    whole.or_else(|_| text.parse().map(RunName::Beginning)).map_err(|_| {
        let digits = RunPrefix::DIGITS_MIN;
        format!("not the id of a run, which `workflows ls` prints, nor {digits} or more of its first digits")
    })
}

const RULES: [(&str, IdConflict); 4] = [
    ("return", IdConflict::Return),
    ("return-running", IdConflict::ReturnRunning),
    ("fail", IdConflict::Fail),
    ("replace", IdConflict::Replace),
];

fn rule(text: &str) -> Result<IdConflict, String> {
    let found = RULES.iter().find(|(label, _)| *label == text).map(|(_, rule)| *rule);
    found.ok_or_else(|| one_of(RULES.map(|(label, _)| label)))
}

fn statuses(text: &str) -> Result<StatusGroup, String> {
    let group =
        |is_ended| WorkflowStatus::ALL.into_iter().filter(move |status| status.is_ended() == is_ended);
    match text {
        "live" => Ok(StatusGroup(group(false).collect())),
        "ended" => Ok(StatusGroup(group(true).collect())),
        label => match WorkflowStatus::parse(label) {
            Some(status) => Ok(StatusGroup(vec![status])),
            None => {
                let labels = WorkflowStatus::ALL.map(WorkflowStatus::as_str).join(", ");
                Err(format!("it is one of live, ended, {labels}"))
            }
        },
    }
}

fn action(text: &str) -> Result<WorkflowAction, String> {
    WorkflowAction::parse(text).ok_or_else(|| one_of(WorkflowAction::ALL.map(WorkflowAction::as_str)))
}

fn attribute(text: &str) -> Result<WorkflowAttribute, &'static str> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("an attribute is written NAME=VALUE, for example plan=gold")?;
    Ok(WorkflowAttribute { name: name.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct FilterLine {
        #[command(flatten)]
        filter: RunFilterFlags,
    }

    fn parsed(line: &str) -> Result<WorkflowFilter, String> {
        let parsed = FilterLine::try_parse_from(["workflows"].into_iter().chain(line.split_whitespace()));
        parsed.map(|line| line.filter.filter()).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_a_filter_of_runs() {
        let line = "--status failed,paused --status failed --name onboard --of-version 2 --key u7 \
                    --started-from 2030-01-31T09:00:00Z --attribute plan=gold --text refused";
        let expected = WorkflowFilter {
            statuses: vec![WorkflowStatus::Paused, WorkflowStatus::Failed],
            workflow: Some("onboard".to_owned()),
            version: Some(2),
            key: Some("u7".to_owned()),
            started_from: "2030-01-31T09:00:00Z".parse().ok(),
            attributes: vec![WorkflowAttribute { name: "plan".to_owned(), value: "gold".to_owned() }],
            text: Some("refused".to_owned()),
            ..WorkflowFilter::default()
        };
        assert_eq!(parsed(line), Ok(expected));
        let live = parsed("--status live").expect("a good line").statuses;
        assert!(live.len() == 7 && live.iter().all(|status| !status.is_ended()), "{live:?}");
    }

    #[test]
    fn a_wrong_value_about_runs_is_answered_with_the_right_ones() {
        for (line, expected) in [
            ("--status dead", "live, ended, ready, running"),
            ("--attribute plan", "NAME=VALUE"),
            ("--started-before tomorrow", "2030-01-31T09:00:00Z"),
            ("--parent x", "workflows ls"),
        ] {
            let refused = parsed(line).expect_err("a wrong line");
            assert!(refused.contains(expected), "{line}: {refused}");
        }
    }

    #[test]
    fn a_run_is_named_by_its_id_or_its_first_digits() {
        let id = "01900000-0000-7000-8000-000000000001";
        assert_eq!(run_name(id), Ok(RunName::Whole(id.parse().expect("an id"))));
        assert_eq!(run_name("0190AB"), Ok(RunName::Beginning("0190ab".parse().expect("digits"))));
        for wrong in ["", "0190a", "a run", "0190ag"] {
            let refused = run_name(wrong).expect_err("no name of a run");
            assert!(refused.contains("`workflows ls`") && refused.contains("6 or more"), "{refused}");
        }
    }
}
