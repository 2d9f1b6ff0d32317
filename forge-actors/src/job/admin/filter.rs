//! Which jobs an administrator asks for: the filter as it is called with, checked, and the places where its
//! jobs are looked for.

use std::fmt;

use super::action::JobAction;
use crate::app::JobStatus;
use crate::app::job::JobHandler;
use crate::job::state::is_finished;
use crate::kernel::fault::{Code, Fault};

/// Arguments of one filter.
const ARGUMENTS_MAX: usize = 10;

/// Which jobs; every part that is given must hold.
#[forge_app_macros::data]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Jobs in one of these statuses; without any, in all of them.
    #[serde(default)]
    pub statuses: Vec<JobStatus>,
    /// Jobs in status `pending` or `retry` that wait in this way.
    #[serde(default)]
    pub wait: Option<JobWait>,
    /// Jobs of this queue.
    #[serde(default)]
    pub queue: Option<String>,
    /// Jobs of the handler with this wire name.
    #[serde(default)]
    pub handler: Option<String>,
    /// Jobs with all of these arguments.
    #[serde(default)]
    pub args: Vec<JobArgument>,
    /// Jobs of this tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Jobs whose id, handler or last error contains this text; case is ignored.
    #[serde(default)]
    pub text: Option<String>,
}

/// One argument of the jobs that are asked for. Jobs of handlers whose arguments hold secrets, or that this
/// binary does not know, have none of them.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobArgument {
    /// Where it is in the arguments object: `user`, `user.address.city`, `items.0`.
    pub path: String,
    /// Its value as a text: `7` finds the number and the text.
    pub value: String,
}

/// How a job waits.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobWait {
    /// For a worker: its time has come.
    Due,
    /// For its time.
    Scheduled,
    /// For a concurrency or rate limit, or for other jobs.
    Blocked,
}

impl JobWait {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Due, Self::Scheduled, Self::Blocked];

    /// The label on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Scheduled => "scheduled",
            Self::Blocked => "blocked",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wait| wait.as_str() == label)
    }
}

impl fmt::Display for JobFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<&str> = self.statuses.iter().map(|status| status.as_str()).collect();
        let statuses = (!statuses.is_empty()).then(|| statuses.join(","));
        let parts = [
            ("status", statuses.as_deref()),
            ("wait", self.wait.map(JobWait::as_str)),
            ("queue", self.queue.as_deref()),
            ("handler", self.handler.as_deref()),
            ("tenant", self.tenant.as_deref()),
            ("text", self.text.as_deref()),
        ];
        let mut written: Vec<String> =
            parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
        written.extend(self.args.iter().map(|JobArgument { path, value }| format!("args.{path}={value}")));
        f.write_str(&if written.is_empty() { "all jobs".to_owned() } else { written.join(" ") })
    }
}

/// A filter that was checked, with what this binary knows of its handlers.
#[derive(Debug, Clone)]
pub struct JobSearch {
    pub(super) filter: JobFilter,
    /// Handlers whose jobs are left out, because their arguments hold secrets.
    pub(super) unsearched: Vec<String>,
    /// The handlers whose arguments people may see.
    pub(super) open: Vec<String>,
}

impl JobSearch {
    /// Checks a filter.
    ///
    /// # Errors
    /// `BAD_REQUEST` when it names too many arguments or one without a path, or holds a character that no
    /// text in Postgres can hold.
    pub fn new(mut filter: JobFilter, handlers: &[JobHandler]) -> Result<Self, Fault> {
        let refused = |message: String| Fault::new(Code::BadRequest, message);
        if filter.args.len() > ARGUMENTS_MAX {
            let message = format!("the filter names more than {ARGUMENTS_MAX} arguments");
            return Err(refused(message));
        }
        if filter.args.iter().any(|argument| argument.path.split('.').any(str::is_empty)) {
            let message = "the path of an argument has an empty part; it is written `user.address.city`";
            return Err(refused(message.to_owned()));
        }
        let JobFilter { queue, handler, args, tenant, text, .. } = &filter;
        let texts = [queue, handler, tenant, text].into_iter().flatten();
        let arguments = args.iter().flat_map(|JobArgument { path, value }| [path, value]);
        if texts.chain(arguments).any(|text| text.contains('\0')) {
            return Err(refused("the filter holds a NUL character, which no job has".to_owned()));
        }
        filter.text = filter.text.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let names = |hides: bool| {
            let named = handlers.iter().filter(move |handler| handler.hides_arguments == hides);
            named.map(|handler| handler.name.to_owned()).collect::<Vec<_>>()
        };
        let mut unsearched = if filter.args.is_empty() { Vec::new() } else { names(true) };
        unsearched.retain(|name| filter.handler.as_ref().is_none_or(|asked| asked == name));
        let open = names(false);
        Ok(Self { filter, unsearched, open })
    }

    /// The same jobs, without those that an action does not change; `None` when it changes none of them.
    pub(super) fn narrowed_to(mut self, action: JobAction) -> Option<Self> {
        let asked = &self.filter.statuses;
        let statuses = JobStatus::ALL
            .into_iter()
            .filter(|status| action.applies_to(*status) && (asked.is_empty() || asked.contains(status)));
        self.filter.statuses = statuses.collect();
        (!self.filter.statuses.is_empty()).then_some(self)
    }

    /// The handlers whose arguments may be looked into; `None` when no argument is asked for.
    pub(super) fn searchable(&self) -> Option<&[String]> {
        (!self.filter.args.is_empty()).then_some(&self.open)
    }

    /// Where its jobs are.
    pub(super) fn sources(&self) -> JobSources {
        let waits = [JobStatus::Pending, JobStatus::Retry];
        let asked: Vec<JobStatus> = match (&*self.filter.statuses, self.filter.wait) {
            ([], None) => {
                return JobSources {
                    kinds: vec![JobSource::Waiting, JobSource::History],
                    ..JobSources::default()
                };
            }
            ([], Some(_)) => waits.to_vec(),
            (statuses, None) => statuses.to_vec(),
            (statuses, Some(_)) => waits.into_iter().filter(|status| statuses.contains(status)).collect(),
        };
        let has = |status: JobStatus| asked.contains(&status);
        let mut kinds = Vec::new();
        if has(JobStatus::Pending) {
            kinds.push(JobSource::Waiting);
        } else if has(JobStatus::Retry) {
            kinds.push(JobSource::Failing);
        }
        if (has(JobStatus::Claimed) || has(JobStatus::Running)) && !kinds.contains(&JobSource::Waiting) {
            kinds.push(JobSource::Held);
        }
        let mut ended = Vec::new();
        if has(JobStatus::Completed) {
            kinds.push(JobSource::History);
        } else {
            ended.extend(asked.iter().copied().filter(|status| is_finished(*status)));
            ended.sort_unstable();
            ended.dedup();
        }
        JobSources { kinds, ended }
    }

    /// True when every job of its sources matches.
    pub(super) fn takes_all(&self) -> bool {
        let JobFilter { statuses, wait, queue, handler, args, tenant, text } = &self.filter;
        let by_source = statuses.is_empty() || self.sources().kinds.is_empty();
        by_source
            && wait.is_none()
            && [queue, handler, tenant, text].into_iter().all(Option::is_none)
            && args.is_empty()
    }
}

/// A place where jobs are looked for, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobSource {
    /// All jobs that are not finished.
    Waiting,
    /// Those with a last error: the jobs in status `retry`, and few others.
    Failing,
    /// Those that nodes hold.
    Held,
    /// All jobs that are finished.
    History,
}

impl JobSource {
    /// Its name in the statements.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::History => "history",
        }
    }
}

/// The places where the jobs of a filter are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JobSources {
    pub(super) kinds: Vec<JobSource>,
    /// The statuses of finished jobs that are read by the index on them.
    pub(super) ended: Vec<JobStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(filter: JobFilter) -> JobSearch {
        let handler = |name: &str, hides_arguments| JobHandler {
            name: name.to_owned(),
            queue: "mail".to_owned(),
            hides_arguments,
            capability: None,
            resources: Vec::new(),
            concurrency: None,
        };
        JobSearch::new(filter, &[handler("open", false), handler("secret", true)]).expect("a good filter")
    }

    #[test]
    fn the_fewest_rows_are_read_that_hold_the_jobs() {
        use JobSource::{Failing, Held, History, Waiting};
        use JobStatus::{Cancelled, Claimed, Completed, DeadLetter, Failed, Pending, Retry, Running};
        let check = |statuses: &[JobStatus], wait, kinds: &[JobSource], ended: &[JobStatus]| {
            let found =
                search(JobFilter { statuses: statuses.to_vec(), wait, ..JobFilter::default() }).sources();
            assert_eq!((&*found.kinds, &*found.ended), (kinds, ended), "{statuses:?} {wait:?}");
        };
        check(&[], None, &[Waiting, History], &[]);
        check(&[], Some(JobWait::Due), &[Waiting], &[]);
        check(&[Retry, Failed], Some(JobWait::Scheduled), &[Failing], &[]);
        check(&[Completed], Some(JobWait::Due), &[], &[]);
        check(&[Pending, Running], None, &[Waiting], &[]);
        check(&[Retry, Claimed], None, &[Failing, Held], &[]);
        check(&[Cancelled, DeadLetter, Failed, Failed], None, &[], &[Failed, DeadLetter, Cancelled]);
        check(&[Completed, Failed], None, &[History], &[]);
    }

    #[test]
    fn a_bulk_looks_at_what_it_can_change() {
        use JobStatus::{Cancelled, Completed, DeadLetter, Failed, Pending, Retry};
        let check = |statuses: &[JobStatus], action, expected: Option<&[JobStatus]>| {
            let filter = JobFilter { statuses: statuses.to_vec(), ..JobFilter::default() };
            let narrowed = search(filter).narrowed_to(action).map(|search| search.filter.statuses);
            assert_eq!(narrowed.as_deref(), expected, "{statuses:?} {action:?}");
        };
        check(&[], JobAction::Retry, Some(&[Pending, Retry, Failed, DeadLetter, Cancelled]));
        check(&[DeadLetter, Completed], JobAction::Discard, Some(&[DeadLetter]));
        check(&[Completed, Cancelled], JobAction::Cancel, None);
    }

    #[test]
    fn a_filter_is_written_as_it_is_typed() {
        let argument = JobArgument { path: "user".to_owned(), value: "7".to_owned() };
        let filter = JobFilter {
            statuses: vec![JobStatus::Failed, JobStatus::DeadLetter],
            queue: Some("mail".to_owned()),
            args: vec![argument],
            ..JobFilter::default()
        };
        assert_eq!(filter.to_string(), "status=failed,dead_letter queue=mail args.user=7");
        assert_eq!(JobFilter::default().to_string(), "all jobs");
    }

    #[test]
    fn a_filter_that_an_index_answers_takes_every_row_of_it() {
        let of = |filter| search(filter).takes_all();
        assert!(of(JobFilter::default()));
        assert!(of(JobFilter { statuses: vec![JobStatus::Failed], ..JobFilter::default() }));
        assert!(!of(JobFilter { statuses: vec![JobStatus::Retry], ..JobFilter::default() }));
        assert!(!of(JobFilter { queue: Some("mail".to_owned()), ..JobFilter::default() }));
        assert!(of(JobFilter { text: Some("  ".to_owned()), ..JobFilter::default() }));
    }

    #[test]
    fn arguments_that_hold_secrets_are_not_looked_into() {
        let args = vec![JobArgument { path: "user".to_owned(), value: "7".to_owned() }];
        let found = search(JobFilter { args, ..JobFilter::default() });
        assert_eq!(found.searchable(), Some(["open".to_owned()].as_slice()));
        assert_eq!(found.unsearched, ["secret"]);
        assert_eq!(search(JobFilter::default()).searchable(), None);
        for (path, count) in [("user", ARGUMENTS_MAX + 1), ("a..b", 1), ("", 1), ("a\0", 1)] {
            let argument = JobArgument { path: path.to_owned(), value: String::new() };
            let filter = JobFilter { args: vec![argument; count], ..JobFilter::default() };
            assert!(JobSearch::new(filter, &[]).is_err(), "{path:?} × {count}");
        }
    }
}
