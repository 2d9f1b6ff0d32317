//! Why a job is where it is, in types and in a sentence. Pure.

use super::totals::BoundedCount;
use crate::app::JobStatus;
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::time::Timestamp;

/// How times are written in sentences.
const TIME: &str = "%Y-%m-%d %H:%M:%S UTC";

/// Why a job is where it is.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct JobExplanation {
    /// The job.
    pub id: JobId,
    /// Its status.
    pub status: JobStatus,
    /// The causes as a sentence.
    pub sentence: String,
    /// What holds the job up, the most important cause first.
    pub causes: Vec<JobCause>,
}

/// One cause.
#[forge_app_macros::data]
#[serde(tag = "is")]
#[derive(Debug, Clone, PartialEq)]
pub enum JobCause {
    /// It has ended.
    Finished {
        /// How.
        status: JobStatus,
        /// When.
        at: Timestamp,
    },
    /// An attempt runs.
    Running {
        /// Where.
        node: NodeId,
        /// The name of that node, while it is known.
        node_name: Option<String>,
        /// The attempt.
        attempt: i32,
        /// When its node claimed it; `None` where its row does not say.
        since: Option<Timestamp>,
    },
    /// A node has claimed it, and begins it when a worker is free.
    Claimed {
        /// The node.
        node: NodeId,
        /// The name of that node, while it is known.
        node_name: Option<String>,
        /// When; `None` where its row does not say.
        since: Option<Timestamp>,
    },
    /// Its time has not come.
    Scheduled {
        /// When it comes.
        at: Timestamp,
    },
    /// An attempt failed, and the wait for the next one is not over.
    Retry {
        /// When it is.
        at: Timestamp,
        /// Attempts that have begun.
        attempt: i32,
        /// Attempts until it is a dead letter.
        attempts_max: i32,
        /// Why the last one failed.
        error: Option<String>,
    },
    /// No live node runs jobs.
    NoWorker,
    /// No live node has its handler.
    NoHandler {
        /// The handler.
        handler: String,
    },
    /// No live node with its handler has the capability that this names.
    NoCapability {
        /// The capability.
        capability: String,
    },
    /// No live node that could run it has as much as an attempt takes.
    NoResources,
    /// Its queue is paused.
    QueuePaused {
        /// The queue.
        queue: String,
        /// Since when.
        since: Timestamp,
        /// By whom.
        by: String,
    },
    /// As many jobs of its queue are held as the queue's limit allows.
    QueueLimit {
        /// The queue.
        queue: String,
        /// The limit.
        max: u32,
        /// Jobs that are held.
        held: u32,
    },
    /// As many jobs with its key are held as a concurrency limit allows.
    ConcurrencyLimit {
        /// The key.
        key: String,
        /// The limit; `None` where the node that answers does not know the handler.
        max: Option<u32>,
        /// Jobs that are held.
        held: u32,
    },
    /// A rate limit has let as many jobs with its key pass as it does in its time.
    RateLimit {
        /// The key.
        key: String,
        /// When it lets the next one pass.
        next_at: Option<Timestamp>,
    },
    /// It waits for jobs that have not ended: its children, or those before it in its batch or chain.
    Jobs {
        /// How many.
        open: u32,
    },
    /// It waits until the job before it in its chain, which has ended without success, is tried again.
    BrokenChain {
        /// The job before it.
        job: JobId,
        /// The handler of that job.
        handler: String,
        /// How that job has ended.
        status: JobStatus,
    },
    /// Versions of the application cannot read its arguments; it waits for another version.
    Refused {
        /// Their builds.
        builds: Vec<String>,
        /// What the last one said.
        error: Option<String>,
    },
    /// Other jobs of its queue run first.
    Behind {
        /// How many.
        jobs: BoundedCount,
    },
    /// Nothing holds it up: the next free worker takes it.
    Next,
}

impl JobCause {
    /// The cause as a clause, without a full stop.
    fn clause(&self) -> String {
        match self {
            Self::Finished { status, at: ended } => {
                format!("it has ended as {} at {}", status.as_str(), at(ended))
            }
            Self::Running { node, node_name, attempt, since: began } => {
                let claimed = began.as_ref().map(|began| format!(", which claimed it at {}", at(began)));
                let holder = holder(node, node_name.as_deref());
                format!("attempt {attempt} runs on {holder}{}", claimed.unwrap_or_default())
            }
            Self::Claimed { node, node_name, since: claimed } => {
                let holder = holder(node, node_name.as_deref());
                format!("{holder} holds it{}, and begins it when a worker is free", since(claimed.as_ref()))
            }
            Self::Scheduled { at: due } => format!("it is scheduled for {}", at(due)),
            Self::Retry { at: due, attempt, attempts_max, error } => {
                let failed = format!("attempt {attempt} of {attempts_max} failed{}", why(error.as_deref()));
                format!("it is tried again at {}, because {failed}", at(due))
            }
            Self::NoWorker => "no live node runs jobs".to_owned(),
            Self::NoHandler { handler } => format!("no live node has a handler for `{handler}`"),
            Self::NoCapability { capability } => {
                format!("no live node with its handler has the capability `{capability}`")
            }
            Self::NoResources => "no live node has the resources that an attempt takes".to_owned(),
            Self::QueuePaused { queue, since, by } => {
                format!("its queue `{queue}` has been paused by {by} since {}", at(since))
            }
            Self::QueueLimit { queue, max, held } => {
                format!(
                    "its queue `{queue}` has a limit of {} at a time, and {held} {} held",
                    jobs(*max),
                    are(*held)
                )
            }
            Self::ConcurrencyLimit { key, max, held } => {
                let limit = max.map(|max| format!(" of {max}")).unwrap_or_default();
                format!("the concurrency limit{limit} of `{key}` is reached: {held} {} held", are(*held))
            }
            Self::RateLimit { key, next_at } => {
                let next = next_at.as_ref().map(|next| format!(" until {}", at(next))).unwrap_or_default();
                format!("the rate limit of `{key}` is reached{next}")
            }
            Self::Jobs { open: 1 } => "it waits for another job to end".to_owned(),
            Self::Jobs { open } => format!("it waits for {open} other jobs to end"),
            Self::BrokenChain { job, handler, status } => {
                let ended = format!("{handler} {job}, has ended as {}", status.as_str());
                format!("the job before it in its chain, {ended}: retry that one")
            }
            Self::Refused { builds, error } => {
                let versions = match builds.len() {
                    1 => "the running version of the application cannot".to_owned(),
                    count => format!("{count} running versions of the application cannot"),
                };
                format!("{versions} read its arguments{}", why(error.as_deref()))
            }
            Self::Behind { jobs: count } => {
                let more = if count.is_more { "more than " } else { "" };
                let run = if count.count == 1 { "runs" } else { "run" };
                format!("{more}{} of its queue {run} first", jobs(count.count))
            }
            Self::Next => "nothing holds it up: the next free worker takes it".to_owned(),
        }
    }
}

fn at(time: &Timestamp) -> String {
    time.format(TIME).to_string()
}

fn since(time: Option<&Timestamp>) -> String {
    time.map(|time| format!(" since {}", at(time))).unwrap_or_default()
}

fn holder(node: &NodeId, name: Option<&str>) -> String {
    name.map_or_else(|| format!("node {node}"), str::to_owned)
}

/// The first line of an error.
fn why(error: Option<&str>) -> String {
    let line = error.and_then(|error| error.lines().next());
    line.map(|line| format!(": {line}")).unwrap_or_default()
}

fn jobs(count: u32) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

fn are(count: u32) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// The causes as a sentence.
pub(super) fn sentence(causes: &[JobCause]) -> String {
    let clauses: Vec<String> = causes.iter().map(JobCause::clause).collect();
    let text = clauses.join("; also, ");
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).chain(['.']).collect()
}

/// What is known of a job and its surroundings.
#[derive(Debug, Clone)]
pub(super) struct JobFacts {
    pub(super) status: JobStatus,
    pub(super) queue: String,
    pub(super) run_at: Option<Timestamp>,
    /// Its time has not come.
    pub(super) is_later: bool,
    pub(super) attempt: i32,
    pub(super) attempts_max: i32,
    /// What holds it, with the name of that node, and since when.
    pub(super) holder: Option<(NodeId, Option<String>, Option<Timestamp>)>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) last_error: Option<String>,
    pub(super) refused_by: Vec<String>,
    /// The limit of its key, or the jobs, that it waits for.
    pub(super) blocked: Option<JobCause>,
    /// Why no live node can run it.
    pub(super) unserved: Option<JobCause>,
    pub(super) paused: Option<(Timestamp, String)>,
    /// The limit of its queue, and how many jobs of it are held.
    pub(super) queue_limit: Option<(u32, u32)>,
    /// Jobs of its queue that are claimed before it.
    pub(super) before: BoundedCount,
}

impl JobFacts {
    /// What holds the job up, the most important cause first.
    pub(super) fn causes(&self) -> Vec<JobCause> {
        if let Some(at) = self.finished_at {
            return vec![JobCause::Finished { status: self.status, at }];
        }
        if let Some((node, node_name, since)) = self.holder.to_owned() {
            return vec![match self.status {
                JobStatus::Running => JobCause::Running { node, node_name, attempt: self.attempt, since },
                _ => JobCause::Claimed { node, node_name, since },
            }];
        }
        let mut causes = Vec::new();
        causes.extend(self.wait());
        causes.extend(self.unserved.to_owned());
        if let Some((since, by)) = self.paused.to_owned() {
            causes.push(JobCause::QueuePaused { queue: self.queue.to_owned(), since, by });
        }
        causes.extend(self.blocked.to_owned());
        let is_due = !self.is_later && self.blocked.is_none();
        if let Some((max, held)) = self.queue_limit.filter(|(max, held)| is_due && held >= max) {
            causes.push(JobCause::QueueLimit { queue: self.queue.to_owned(), max, held });
        }
        if causes.is_empty() {
            causes.push(match self.before.count {
                0 => JobCause::Next,
                _ => JobCause::Behind { jobs: self.before },
            });
        }
        causes
    }

    /// What it waits for by itself.
    fn wait(&self) -> Option<JobCause> {
        let refused = (!self.refused_by.is_empty() && self.status == JobStatus::Pending).then(|| {
            JobCause::Refused { builds: self.refused_by.to_vec(), error: self.last_error.to_owned() }
        });
        let at = self.run_at.filter(|_| self.is_later);
        let waits = at.map(|at| match self.status {
            JobStatus::Retry => JobCause::Retry {
                at,
                attempt: self.attempt,
                attempts_max: self.attempts_max,
                error: self.last_error.to_owned(),
            },
            _ => JobCause::Scheduled { at },
        });
        refused.or(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// A job that is due in a queue without other jobs.
    fn due() -> JobFacts {
        JobFacts {
            status: JobStatus::Pending,
            queue: "mail".to_owned(),
            run_at: Some(at("2030-01-31T09:00:00Z")),
            is_later: false,
            attempt: 0,
            attempts_max: 10,
            holder: None,
            finished_at: None,
            last_error: None,
            refused_by: Vec::new(),
            blocked: None,
            unserved: None,
            paused: None,
            queue_limit: None,
            before: BoundedCount::default(),
        }
    }

    fn check(facts: JobFacts, expected: &str) {
        assert_eq!(sentence(&facts.causes()), expected, "{facts:?}");
    }

    #[test]
    fn what_a_job_does_or_waits_for_by_itself_is_said_in_a_sentence() {
        let node: NodeId = "01900000-0000-7000-8000-000000000001".parse().expect("an id");
        let since = Some(at("2030-01-31T08:59:00Z"));
        let paused = Some((at("2030-01-31T08:00:00Z"), "ana".to_owned()));
        check(due(), "Nothing holds it up: the next free worker takes it.");
        check(
            JobFacts { status: JobStatus::DeadLetter, finished_at: since, ..due() },
            "It has ended as dead_letter at 2030-01-31 08:59:00 UTC.",
        );
        let holder = Some((node, Some("node-1".to_owned()), since));
        check(
            JobFacts { status: JobStatus::Running, attempt: 2, holder: holder.clone(), ..due() },
            "Attempt 2 runs on node-1, which claimed it at 2030-01-31 08:59:00 UTC.",
        );
        check(
            JobFacts { status: JobStatus::Claimed, holder: Some((node, None, None)), ..due() },
            "Node 01900000-0000-7000-8000-000000000001 holds it, and begins it when a worker is free.",
        );
        check(
            JobFacts { is_later: true, paused: paused.clone(), ..due() },
            "It is scheduled for 2030-01-31 09:00:00 UTC; also, its queue `mail` has been paused by ana since \
             2030-01-31 08:00:00 UTC.",
        );
        let failed = Some("connection refused\nby 10.0.0.1".to_owned());
        check(
            JobFacts {
                status: JobStatus::Retry,
                is_later: true,
                attempt: 1,
                last_error: failed.clone(),
                ..due()
            },
            "It is tried again at 2030-01-31 09:00:00 UTC, because attempt 1 of 10 failed: connection \
             refused.",
        );
        check(
            JobFacts { is_later: true, refused_by: vec!["a1".to_owned()], last_error: failed, ..due() },
            "The running version of the application cannot read its arguments: connection refused.",
        );
    }

    #[test]
    fn what_others_hold_up_is_said_in_a_sentence() {
        let count = |count, is_more| BoundedCount { count, is_more };
        let key = || "concurrency:mail.send:[\"acme\"]".to_owned();
        let limit = JobCause::ConcurrencyLimit { key: key(), max: Some(2), held: 2 };
        check(
            JobFacts { blocked: Some(limit), queue_limit: Some((3, 3)), ..due() },
            "The concurrency limit of 2 of `concurrency:mail.send:[\"acme\"]` is reached: 2 are held.",
        );
        let rate = JobCause::RateLimit { key: key(), next_at: Some(at("2030-01-31T09:00:07Z")) };
        check(
            JobFacts { blocked: Some(rate), ..due() },
            "The rate limit of `concurrency:mail.send:[\"acme\"]` is reached until 2030-01-31 09:00:07 UTC.",
        );
        check(
            JobFacts { blocked: Some(JobCause::Jobs { open: 2 }), before: count(7, false), ..due() },
            "It waits for 2 other jobs to end.",
        );
        let job: JobId = "01900000-0000-7000-8000-000000000001".parse().expect("an id");
        let status = JobStatus::DeadLetter;
        let broken = JobCause::BrokenChain { job, handler: "mail.send".to_owned(), status };
        check(
            JobFacts { blocked: Some(broken), ..due() },
            "The job before it in its chain, mail.send 01900000-0000-7000-8000-000000000001, has ended as \
             dead_letter: retry that one.",
        );
        check(
            JobFacts { queue_limit: Some((3, 3)), before: count(7, false), ..due() },
            "Its queue `mail` has a limit of 3 jobs at a time, and 3 are held.",
        );
        check(
            JobFacts { queue_limit: Some((1, 1)), ..due() },
            "Its queue `mail` has a limit of 1 job at a time, and 1 is held.",
        );
        check(JobFacts { before: count(1, false), ..due() }, "1 job of its queue runs first.");
        check(
            JobFacts { queue_limit: Some((3, 2)), before: count(7, false), ..due() },
            "7 jobs of its queue run first.",
        );
        check(
            JobFacts { before: count(10_000, true), ..due() },
            "More than 10000 jobs of its queue run first.",
        );
        let unserved = Some(JobCause::NoHandler { handler: "gone.job".to_owned() });
        check(
            JobFacts { unserved, before: count(7, false), ..due() },
            "No live node has a handler for `gone.job`.",
        );
        for (unserved, expected) in [
            (JobCause::NoWorker, "No live node runs jobs."),
            (
                JobCause::NoCapability { capability: "gpu".to_owned() },
                "No live node with its handler has the capability `gpu`.",
            ),
            (JobCause::NoResources, "No live node has the resources that an attempt takes."),
        ] {
            check(JobFacts { unserved: Some(unserved), ..due() }, expected);
        }
    }
}
