//! The flags of `jobs`.

use clap::{Args, Subcommand};
use forge_actors::app::JobStatus;
use forge_actors::job::admin::{JobArgument, JobFilter, JobWait};
use forge_actors::kernel::ids::JobId;
use forge_actors::kernel::time::Timestamp;

use super::{Target, moment, one_of};

/// `jobs`.
#[derive(Debug, Clone, Args)]
pub struct Jobs {
    /// The command.
    #[command(subcommand)]
    pub step: JobsStep,
}

/// The subcommands of `jobs`.
#[derive(Debug, Clone, Subcommand)]
pub enum JobsStep {
    /// List jobs, newest first.
    Ls {
        /// Which jobs.
        #[command(flatten)]
        filter: FilterFlags,
        /// Only jobs that were dispatched before this one.
        #[arg(long, value_name = "ID", value_parser = job_id)]
        before: Option<JobId>,
        /// The largest number of jobs to list.
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
    /// Show one job with its arguments and its last error.
    Show(OneJob),
    /// Explain why a job has not run yet, or how it ended.
    Why(OneJob),
    /// Run a job again now, with all of its attempts, or all jobs that match.
    Retry(ChosenJobs),
    /// Cancel a job that is not finished, or all that match.
    Cancel(ChosenJobs),
    /// Give a job up, or all that match: end one that waits, take one that failed out of the failures.
    Discard(ChosenJobs),
    /// Dispatch a job like another one, as it was or changed.
    Clone {
        /// The other job.
        #[command(flatten)]
        job: OneJob,
        /// Its arguments, a JSON object; `[redacted]` stands for a secret of the other job.
        #[arg(long, value_name = "JSON")]
        args: Option<String>,
        /// The queue in which it waits.
        #[arg(long, value_name = "QUEUE")]
        queue: Option<String>,
        /// Its priority, 0 to 100.
        #[arg(long, value_name = "N")]
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100), allow_negative_numbers = true)]
        priority: Option<u8>,
        /// When it may run, for example 2030-01-31T09:00:00Z.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        at: Option<Timestamp>,
        /// Discard the other job.
        #[arg(long)]
        replace: bool,
    },
    /// Stop a queue until it is resumed; what runs goes on.
    Pause(OneQueue),
    /// Let the jobs of a paused queue run again.
    Resume(OneQueue),
    /// Let so many jobs of a queue be held at a time, by all nodes together.
    Limit {
        /// The queue.
        #[command(flatten)]
        queue: OneQueue,
        /// How many, or `none`.
        #[arg(value_name = "N", value_parser = queue_limit)]
        most: QueueLimit,
    },
    /// List the queues, with what waits in them.
    Queues {
        /// Print the list again every second.
        #[arg(long, short)]
        watch: bool,
        /// The node, and the token for it.
        #[command(flatten)]
        target: Target,
    },
}

/// Which jobs: those for which all of these hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which jobs")]
pub struct FilterFlags {
    /// Only jobs with this status, or one of these: pending, claimed, running, completed, retry, failed,
    /// dead_letter, cancelled.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    pub status: Vec<JobStatus>,
    /// Only jobs that wait for a worker (due), for their time (scheduled) or for a limit or other jobs
    /// (blocked).
    #[arg(long, value_name = "HOW", value_parser = wait)]
    pub wait: Option<JobWait>,
    /// Only jobs of this queue.
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// Only jobs of this handler.
    #[arg(long, visible_alias = "name", value_name = "NAME")]
    pub handler: Option<String>,
    /// Only jobs with this argument, for example user=7 or address.city=Bonn.
    #[arg(long = "arg", value_name = "PATH=VALUE", value_parser = argument)]
    pub args: Vec<JobArgument>,
    /// Only jobs of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Only jobs whose id, handler or last error contains this text.
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
}

impl FilterFlags {
    /// The filter as a node is called with it.
    pub fn filter(&self) -> JobFilter {
        JobFilter {
            statuses: self.status.to_vec(),
            wait: self.wait,
            queue: self.queue.to_owned(),
            handler: self.handler.to_owned(),
            args: self.args.to_vec(),
            tenant: self.tenant.to_owned(),
            text: self.text.to_owned(),
        }
    }
}

/// One job.
#[derive(Debug, Clone, Args)]
pub struct OneJob {
    /// The job's id, as `jobs ls` prints it.
    #[arg(value_parser = job_id)]
    pub id: JobId,
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
}

/// One job, or all that match.
#[derive(Debug, Clone, Args)]
pub struct ChosenJobs {
    /// The job's id, as `jobs ls` prints it.
    #[arg(value_parser = job_id, required_unless_present = "all", conflicts_with = "all")]
    pub id: Option<JobId>,
    /// All jobs for which the flags hold that say which jobs.
    #[arg(long)]
    pub all: bool,
    /// Do it; without this flag the jobs are only counted.
    #[arg(long, requires = "all")]
    pub yes: bool,
    /// Which jobs.
    #[command(flatten)]
    pub filter: FilterFlags,
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
}

/// One queue.
#[derive(Debug, Clone, Args)]
pub struct OneQueue {
    /// The queue, as `jobs queues` prints it.
    pub queue: String,
    /// The node, and the token for it.
    #[command(flatten)]
    pub target: Target,
}

/// How many jobs of a queue may be held at a time; `None`: as many as there are workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimit(pub Option<u32>);

fn queue_limit(text: &str) -> Result<QueueLimit, &'static str> {
    match text {
        "none" => Ok(QueueLimit(None)),
        number => {
            let number = number.parse().map_err(|_| "a limit is a number of jobs, or `none`")?;
            Ok(QueueLimit(Some(number)))
        }
    }
}

fn job_id(text: &str) -> Result<JobId, &'static str> {
    text.parse().map_err(|_| "not the id of a job, which `jobs ls` prints")
}

fn status(text: &str) -> Result<JobStatus, String> {
    JobStatus::parse(text).ok_or_else(|| one_of(JobStatus::ALL.map(JobStatus::as_str)))
}

fn wait(text: &str) -> Result<JobWait, String> {
    JobWait::parse(text).ok_or_else(|| one_of(JobWait::ALL.map(JobWait::as_str)))
}

fn argument(text: &str) -> Result<JobArgument, &'static str> {
    let parts = text.split_once('=').filter(|(path, _)| !path.is_empty());
    let (path, value) = parts.ok_or("an argument is written PATH=VALUE, for example user=7")?;
    // As a filter of the dashboard names it.
    let path = path.strip_prefix("args.").unwrap_or(path);
    Ok(JobArgument { path: path.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filter: FilterFlags,
    }

    fn parsed(line: &str) -> Result<JobFilter, String> {
        let parsed = Line::try_parse_from(["jobs"].into_iter().chain(line.split_whitespace()));
        parsed.map(|line| line.filter.filter()).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_a_filter() {
        let line = "--status failed,dead_letter --status retry --wait blocked --name mail.send --arg \
                    args.user=7 --arg to.0=a=b --tenant acme --text refused --queue mail";
        let argument =
            |path: &str, value: &str| JobArgument { path: path.to_owned(), value: value.to_owned() };
        let expected = JobFilter {
            statuses: vec![JobStatus::Failed, JobStatus::DeadLetter, JobStatus::Retry],
            wait: Some(JobWait::Blocked),
            queue: Some("mail".to_owned()),
            handler: Some("mail.send".to_owned()),
            args: vec![argument("user", "7"), argument("to.0", "a=b")],
            tenant: Some("acme".to_owned()),
            text: Some("refused".to_owned()),
        };
        assert_eq!(parsed(line), Ok(expected));
    }

    #[test]
    fn a_wrong_value_is_answered_with_the_right_ones() {
        let check = |line: &str, expected: &str| {
            let refused = parsed(line).expect_err("a wrong line");
            assert!(refused.contains(expected), "{line}: {refused}");
        };
        check("--status dead", "pending, claimed, running, completed, retry, failed, dead_letter, cancelled");
        check("--wait later", "due, scheduled, blocked");
        check("--arg user", "PATH=VALUE");
        check("--arg =7", "PATH=VALUE");
    }
}
