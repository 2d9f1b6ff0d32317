//! What the attempts of this node say about their jobs and is not written yet: begins, progress, log lines,
//! ends. Newer reports of a job are merged into older ones, so that a job that reports without a pause costs
//! as much as one that reports four times a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;

use super::store::{JobRecord, JobReport, LogLine};
use crate::app::log::JobLogLevel;
use crate::kernel::ids::JobId;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::storable::without_nul;

/// Bytes of a message or a log line; the rest is cut off.
const TEXT_BYTES_MAX: usize = 1_024;
/// Log lines of one node that wait to be written; beyond them the oldest line of the job that logs is
/// dropped.
const LINES_MAX: usize = 10_000;

/// Where reports wait for the reporter. Put by attempts and by the acknowledger; taken by the reporter, which
/// is woken with a message when the first one comes.
#[derive(Default)]
pub(super) struct PendingReports {
    slot: MergeSlot<GatheredReports>,
}

#[derive(Default)]
struct GatheredReports {
    jobs: HashMap<JobId, JobReport>,
    lines: usize,
    /// Some of the reports are urgent.
    has_urgent: bool,
}

/// A job about which its node has written something else than a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct EndedJob<'a> {
    pub(super) record: &'a JobRecord,
    /// Its state is copied: clients follow the job, or there is progress of it.
    pub(super) is_followed: bool,
    /// It is finished, and others wait for it.
    pub(super) is_awaited: bool,
}

impl<'a> EndedJob<'a> {
    /// The job of `record`, when its state is passed on. `has_reported`: there is progress of it.
    pub(super) fn of(record: &'a JobRecord, has_reported: bool, is_finished: bool) -> Option<Self> {
        let ended = Self {
            record,
            is_followed: record.followed || has_reported,
            is_awaited: record.awaited && is_finished,
        };
        (ended.is_followed || ended.is_awaited).then_some(ended)
    }
}

/// Which reports wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportsWaiting {
    /// Those that may gather.
    Some,
    /// Those that are to be written at once, among others.
    Urgent,
}

/// What one attempt has said so far.
#[derive(Default)]
pub(super) struct AttemptReports {
    has_reported: AtomicBool,
    lines: AtomicI32,
}

impl AttemptReports {
    /// True when the attempt has reported progress or logged a line.
    pub(super) fn has_reported(&self) -> bool {
        self.has_reported.load(Ordering::Acquire)
    }

    fn note(&self) {
        self.has_reported.store(true, Ordering::Release);
    }

    /// Reports how far the job of `record` is.
    pub(super) fn progress(
        &self,
        record: &JobRecord,
        pending: &PendingReports,
        progress: f64,
        message: &str,
    ) -> Option<ReportsWaiting> {
        self.note();
        pending.add(record, |report| {
            report.progress = progress.is_finite().then(|| progress.clamp(0.0, 1.0)).or(report.progress);
            report.message = Some(shortened(message));
        })
    }

    /// Adds a line to the log of the job of `record`, of which the last `lines_max` are kept.
    pub(super) fn line(
        &self,
        record: &JobRecord,
        pending: &PendingReports,
        lines_max: usize,
        level: JobLogLevel,
        text: &str,
    ) -> Option<ReportsWaiting> {
        if lines_max == 0 {
            return None;
        }
        self.note();
        let number = self.lines.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        let (claim, at, text) = (record.claim, Instant::now(), shortened(text));
        pending.add_line(record, LogLine { claim, number, at, level, text }, lines_max)
    }
}

impl GatheredReports {
    fn of(&mut self, record: &JobRecord) -> &mut JobReport {
        let report = self.jobs.entry(record.id).or_insert_with(|| JobReport::of(record));
        report.advance(record);
        report
    }
}

impl PendingReports {
    /// Notes that an attempt has begun, whose job clients follow.
    pub(super) fn begun(&self, record: &JobRecord) -> Option<ReportsWaiting> {
        self.put(|gathered| {
            let report = gathered.of(record);
            report.is_running = true;
            report.is_urgent = true;
            gathered.has_urgent = true;
        })
    }

    /// Notes that the tables of jobs say now what became of these jobs.
    pub(super) fn ended(&self, jobs: &[EndedJob<'_>]) -> Option<ReportsWaiting> {
        if jobs.is_empty() {
            return None;
        }
        self.put(|gathered| {
            for job in jobs {
                let report = gathered.of(job.record);
                report.has_ended |= job.is_followed;
                report.is_awaited |= job.is_awaited;
                report.is_urgent = true;
            }
            gathered.has_urgent = true;
        })
    }

    fn add(&self, record: &JobRecord, change: impl FnOnce(&mut JobReport)) -> Option<ReportsWaiting> {
        self.put(|gathered| {
            let report = gathered.of(record);
            // A report of an attempt whose job this node has claimed again.
            if report.claim == record.claim {
                report.is_running = true;
                change(report);
            }
        })
    }

    fn add_line(&self, record: &JobRecord, line: LogLine, lines_max: usize) -> Option<ReportsWaiting> {
        self.put(|gathered| {
            let is_full = gathered.lines >= LINES_MAX;
            let report = gathered.of(record);
            report.is_running = true;
            let drops = report.lines.len() >= lines_max || is_full && !report.lines.is_empty();
            if drops {
                report.lines.pop_front();
            }
            if drops || !is_full {
                report.lines.push_back(line);
                gathered.lines += usize::from(!drops);
            }
        })
    }

    /// Returns what waits when the reporter has to be woken: for the first report, and for the first one that
    /// is urgent.
    fn put(&self, change: impl FnOnce(&mut GatheredReports)) -> Option<ReportsWaiting> {
        let mut wakes = None;
        self.slot.put(|slot| {
            let (was_empty, was_urgent) = slot.as_ref().map_or((true, false), |old| (false, old.has_urgent));
            let gathered = slot.get_or_insert_default();
            change(gathered);
            wakes = match (was_empty, gathered.has_urgent && !was_urgent) {
                (_, true) => Some(ReportsWaiting::Urgent),
                (true, false) => Some(ReportsWaiting::Some),
                (false, false) => None,
            };
        });
        wakes
    }

    /// Takes what waits: all of it, or only what is urgent.
    pub(super) fn take(&self, only_urgent: bool) -> Vec<(JobId, JobReport)> {
        let taken = if only_urgent { self.slot.take_part(Self::urgent) } else { self.slot.try_take() };
        let mut jobs: Vec<_> = taken.unwrap_or_default().jobs.into_iter().collect();
        // All nodes lock the rows of jobs in this order.
        jobs.sort_unstable_by_key(|(job, _)| *job);
        jobs
    }

    fn urgent(gathered: &mut GatheredReports) -> Option<GatheredReports> {
        if !std::mem::take(&mut gathered.has_urgent) {
            return None;
        }
        let jobs: HashMap<_, _> = gathered.jobs.extract_if(|_, report| report.is_urgent).collect();
        let lines = jobs.values().map(|report| report.lines.len()).sum();
        gathered.lines -= lines;
        Some(GatheredReports { jobs, lines, has_urgent: true })
    }

    /// Puts reports back that could not be written. What has come since is newer.
    pub(super) fn put_back(&self, reports: Vec<(JobId, JobReport)>) {
        self.slot.put(|slot| {
            let gathered = slot.get_or_insert_default();
            for (job, old) in reports {
                gathered.has_urgent |= old.is_urgent;
                gathered.lines += old.lines.len();
                let Some(newer) = gathered.jobs.get_mut(&job) else {
                    gathered.jobs.insert(job, old);
                    continue;
                };
                newer.has_ended |= old.has_ended;
                newer.is_awaited |= old.is_awaited;
                newer.is_urgent |= old.is_urgent;
                if newer.claim == old.claim {
                    newer.is_running |= old.is_running;
                    newer.progress = newer.progress.or(old.progress);
                    newer.message = newer.message.take().or(old.message);
                }
                let later = std::mem::replace(&mut newer.lines, old.lines);
                newer.lines.extend(later);
            }
        });
    }
}

/// The beginning of `text`, as Postgres can store it.
fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    without_nul(&text[..end])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::job::store::Hold;

    fn record(job: JobId, claim: i32) -> JobRecord {
        JobRecord {
            id: job,
            name: "mail.send".to_owned(),
            queue: "mail".into(),
            priority: 50,
            hold: Hold::Row(claim),
            begun: true,
            attempts_begun: claim.unsigned_abs(),
            attempts_max: 5,
            claim,
            args: Bytes::new(),
            identity: None,
            trace: None,
            last_error: None,
            created_at: chrono::Utc::now(),
            waited: Duration::ZERO,
            refused_by: Vec::new(),
            concurrency_key: None,
            rate_key: None,
            resources: &[],
            timeout: None,
            followed: true,
            awaited: false,
        }
    }

    #[test]
    fn the_newest_report_of_a_job_is_the_one_that_is_written() {
        let (pending, reports, job) = (PendingReports::default(), AttemptReports::default(), JobId::new());
        let first = record(job, 1);
        assert!(!reports.has_reported());
        assert_eq!(reports.progress(&first, &pending, 0.1, "one"), Some(ReportsWaiting::Some));
        assert_eq!(reports.progress(&first, &pending, f64::NAN, "two"), None, "it waits already");
        assert_eq!(reports.progress(&first, &pending, 7.0, "three"), None);
        assert_eq!(pending.take(true), [], "nothing is urgent");
        let taken = pending.take(false);
        assert_eq!((taken[0].1.progress, taken[0].1.message.as_deref()), (Some(1.0), Some("three")));
        assert!(reports.has_reported() && pending.take(false).is_empty());

        // A new attempt on the same node, while the report of the one before waits.
        reports.progress(&first, &pending, 0.9, "late");
        AttemptReports::default().progress(&record(job, 2), &pending, 0.2, "again");
        reports.progress(&first, &pending, 1.0, "later");
        let taken = pending.take(false);
        assert_eq!((taken[0].1.claim, taken[0].1.message.as_deref()), (2, Some("again")));
    }

    #[test]
    fn an_end_is_urgent_and_takes_what_was_said_before_it() {
        let (pending, reports) = (PendingReports::default(), AttemptReports::default());
        let (ending, other) = (record(JobId::new(), 1), record(JobId::new(), 1));
        reports.progress(&ending, &pending, 0.5, "half");
        reports.progress(&other, &pending, 0.5, "half");
        let ended = EndedJob::of(&ending, true, true).expect("it is followed");
        assert_eq!(pending.ended(&[ended]), Some(ReportsWaiting::Urgent));
        let taken = pending.take(true);
        assert_eq!(taken.len(), 1);
        assert!(taken[0].1.has_ended && taken[0].1.is_running && taken[0].1.progress == Some(0.5));
        assert_eq!(pending.take(false).len(), 1, "the other one waits on");
        assert_eq!(pending.ended(&[]), None);
    }

    #[test]
    fn only_jobs_with_followers_progress_or_waiters_are_passed_on() {
        let mut job = record(JobId::new(), 1);
        let passed_on = |job: &JobRecord, has_reported, is_finished| {
            EndedJob::of(job, has_reported, is_finished).map(|ended| (ended.is_followed, ended.is_awaited))
        };
        assert_eq!(passed_on(&job, false, false), Some((true, false)), "clients follow it");
        job.followed = false;
        assert_eq!(passed_on(&job, false, true), None);
        assert_eq!(passed_on(&job, true, true), Some((true, false)), "there is progress of it");
        job.awaited = true;
        assert_eq!(passed_on(&job, false, true), Some((false, true)));
        assert_eq!(passed_on(&job, false, false), None, "it runs again");
    }

    #[test]
    fn what_could_not_be_written_is_older_than_what_came_since() {
        let (pending, reports) = (PendingReports::default(), AttemptReports::default());
        let running = record(JobId::new(), 1);
        reports.line(&running, &pending, 9, JobLogLevel::Info, "first");
        reports.progress(&running, &pending, 0.1, "one");
        let failed = pending.take(false);
        reports.line(&running, &pending, 9, JobLogLevel::Warn, "second");
        reports.progress(&running, &pending, 0.2, "two");
        pending.put_back(failed);
        let taken = pending.take(false);
        let lines: Vec<&str> = taken[0].1.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!((taken[0].1.message.as_deref(), lines), (Some("two"), vec!["first", "second"]));
    }

    #[test]
    fn the_last_lines_of_a_job_are_kept_and_counted() {
        let (pending, reports) = (PendingReports::default(), AttemptReports::default());
        let running = record(JobId::new(), 1);
        for number in 1..=10 {
            reports.line(&running, &pending, 3, JobLogLevel::Info, &format!("line {number}\0"));
        }
        assert_eq!(reports.line(&running, &pending, 0, JobLogLevel::Info, "kept nowhere"), None);
        let taken = pending.take(false);
        let lines: Vec<_> = taken[0].1.lines.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(lines, [(8, "line 8\u{fffd}"), (9, "line 9\u{fffd}"), (10, "line 10\u{fffd}")]);
        assert_eq!(shortened(&"\u{2713}".repeat(1_000)).len(), 1_023, "cut between two characters");
    }
}
