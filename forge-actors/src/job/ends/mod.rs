//! Tells calls of this node (`ctx.run_job`) that the job which they wait for has ended. Runs on every node.
//!
//! ```text
//!   call ──a job to wait for──▶ waiting ◀──hints of forge_job_progress, a poll── watcher
//!     ▲                            │                                                │
//!     └───────── the end ──────────┴──── one statement about all waiting jobs ◀────┘
//! ```
//!
//! The watcher looks when a wait begins, when the table of progress has changed (this node and its peers say
//! so), and at intervals, since hints may be lost. Without waits it does nothing. A call that does not wait
//! any more is forgotten with the next look.

pub mod subsystem;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::oneshot;

use crate::app::job_end::{AwaitJobEnd, JobEnd};
use crate::app::{JobStatus, Result};
use crate::change::{HintHub, InterestOf, TopicKind, TopicSet};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::job::follow::failure_of;
use crate::job::paths::JOB_ENDS;
use crate::job::store;
use crate::kernel::commit::TableId;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::millis;
use crate::supervise::{Actor, ActorError, Address, ChildSpec, Context, Mailbox, Timer};

/// Time between two polls without a hint.
const POLL: Duration = millis(250);
/// Calls of one node that wait for jobs at a time; a further one is refused with `OVERLOADED`.
const WAITING_MAX: usize = 10_000;

/// Calls that wait for jobs.
#[derive(Default)]
struct WaitingCalls {
    of_job: HashMap<JobId, Vec<oneshot::Sender<JobEnd>>>,
    count: usize,
}

/// Waits for ends of jobs. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct JobEnds {
    shared: Arc<EndsShared>,
}

struct EndsShared {
    database: Database,
    hints: HintHub,
    /// Put by calls; the watcher, which is woken with a message, takes those that have ended.
    waiting: MergeSlot<WaitingCalls>,
    watcher: Address<EndsMessage>,
}

/// Messages of the watcher.
#[derive(forge_app_macros::Message)]
enum EndsMessage {
    /// A call has begun to wait for a job.
    Waiting,
    /// A table has changed.
    Changed(Vec<TableId>),
    /// Time to poll without a hint.
    Poll,
    /// A poll has ended, and says which table `forge_job_progress` is.
    Polled(Result<TableId>),
}

struct EndWatcher {
    shared: Arc<EndsShared>,
}

#[derive(Default)]
struct EndWatcherState {
    is_polling: bool,
    /// A message came during the poll: poll once more.
    polls_again: bool,
    poll: Option<Timer>,
    /// The table of progress, once it is known.
    table: Option<TableId>,
    failures: u32,
}

impl JobEnds {
    /// The handle, and the child that looks for ends.
    pub fn new(database: Database, hints: HintHub) -> (Self, ChildSpec) {
        let (mailbox, watcher) = Mailbox::of::<EndWatcher>();
        let shared = Arc::new(EndsShared { database, hints, waiting: MergeSlot::new(), watcher });
        let of_watcher = Arc::clone(&shared);
        let make = move || EndWatcher { shared: Arc::clone(&of_watcher) };
        (Self { shared }, ChildSpec::with_mailbox(JOB_ENDS.id(), mailbox, make))
    }
}

impl AwaitJobEnd for JobEnds {
    fn ended(&self, job: JobId) -> BoxFuture<'static, Result<JobEnd>> {
        let (sender, end) = oneshot::channel();
        let mut is_full = false;
        self.shared.waiting.put(|waiting| {
            let waiting = waiting.get_or_insert_default();
            is_full = waiting.count >= WAITING_MAX;
            if !is_full {
                waiting.of_job.entry(job).or_default().push(sender);
                waiting.count += 1;
            }
        });
        self.shared.watcher.notify(EndsMessage::Waiting);
        Box::pin(async move {
            if is_full {
                return Err(Fault::new(Code::Overloaded, "too many calls wait for jobs; the job goes on"));
            }
            end.await.map_err(|_| Fault::new(Code::Unavailable, "the node is stopping; the job goes on"))
        })
    }
}

impl EndsShared {
    /// The jobs that calls wait for, without those whose calls have gone.
    fn awaited(&self) -> Vec<JobId> {
        let awaited = self.waiting.take_part(|waiting| {
            waiting.of_job.retain(|_, calls| {
                calls.retain(|call| !call.is_closed());
                !calls.is_empty()
            });
            waiting.count = waiting.of_job.values().map(Vec::len).sum();
            Some(waiting.of_job.keys().copied().collect())
        });
        awaited.unwrap_or_default()
    }

    /// Answers the calls whose jobs have ended.
    async fn poll_ends(&self) -> Result<TableId> {
        let found = list_ends(&self.database.reader(), &self.awaited()).await?;
        for (job, end) in found.ends {
            let calls = self.waiting.take_part(|waiting| {
                let calls = waiting.of_job.remove(&job)?;
                waiting.count -= calls.len();
                Some(calls)
            });
            for call in calls.into_iter().flatten() {
                // The call may have ended meanwhile.
                let _gone = call.send(end.clone());
            }
        }
        found.table.ok_or_else(|| Fault::internal("there is no table of progress"))
    }
}

/// Which of some jobs have ended.
pub(super) struct FoundEnds {
    pub(super) ends: Vec<(JobId, JobEnd)>,
    /// The table of progress.
    table: Option<TableId>,
}

/// Which of these followed jobs have ended.
pub(super) async fn list_ends(db: &Db, jobs: &[JobId]) -> Result<FoundEnds> {
    let rows = sqlx::query(include_str!("../sql/list_ends.sql")).bind(jobs).fetch_all(db).await?;
    let table: Option<i64> = rows.first().map(|row| row.try_get("progress_table")).transpose()?;
    let ends = rows.iter().filter_map(|row| read_end(row).transpose()).collect::<Result<_>>()?;
    Ok(FoundEnds { ends, table: table.and_then(|table| u32::try_from(table).ok()).map(TableId) })
}

fn read_end(row: &PgRow) -> Result<Option<(JobId, JobEnd)>> {
    let Some(job) = row.try_get("id")? else { return Ok(None) };
    let status = store::status(row)?;
    Ok(end_of_row(row, status)?.map(|end| (job, end)))
}

/// The end of a job that has this status, from its result and its failure; `None` for one that has not ended.
pub(super) fn end_of_row(row: &PgRow, status: JobStatus) -> Result<Option<JobEnd>> {
    if status == JobStatus::Completed {
        let result: Option<String> = row.try_get("result")?;
        return Ok(Some(JobEnd::Completed(result.map(Bytes::from))));
    }
    let failure: Option<serde_json::Value> = row.try_get("failure")?;
    let failure = failure.map(serde_json::from_value).transpose().map_err(Fault::internal)?;
    Ok(failure.or_else(|| failure_of(status)).map(JobEnd::Failed))
}

impl EndWatcher {
    fn proceed(&self, cx: &Context<EndsMessage>, state: &mut EndWatcherState) {
        if state.is_polling {
            state.polls_again = true;
            return;
        }
        let is_idle = self.shared.awaited().is_empty();
        let table = state.table.filter(|_| !is_idle);
        self.shared.hints.set_interest(InterestOf::JobEnds, TopicSet::from_iter(table));
        if is_idle {
            state.poll = None;
            return;
        }
        state.is_polling = true;
        let shared = Arc::clone(&self.shared);
        cx.spawn_message("poll", async move { EndsMessage::Polled(shared.poll_ends().await) });
    }

    fn polled(&self, cx: &Context<EndsMessage>, state: &mut EndWatcherState, result: Result<TableId>) {
        state.is_polling = false;
        state.poll = Some(cx.send_after(POLL, EndsMessage::Poll));
        match result {
            Ok(table) => {
                state.table = Some(table);
                state.failures = 0;
            }
            Err(fault) => {
                if state.failures == 0 {
                    let error = error_chain(&fault);
                    tracing::warn!(error, "polling for the ends of jobs failed; retrying");
                }
                state.failures = state.failures.saturating_add(1);
                // The timer polls again: a poll at once would only fail sooner.
                state.polls_again = false;
            }
        }
        if std::mem::take(&mut state.polls_again) {
            self.proceed(cx, state);
        }
    }
}

impl Actor for EndWatcher {
    type Message = EndsMessage;
    type State = EndWatcherState;
    const KIND: &'static str = "job_ends";

    async fn start(&self, cx: &Context<EndsMessage>) -> std::result::Result<EndWatcherState, ActorError> {
        let (hints, address) = (self.shared.hints.subscribe(TopicKind::Tables), cx.address());
        cx.spawn("hints", async move {
            loop {
                let tables = hints.next().await.topics.tables().collect();
                address.notify(EndsMessage::Changed(tables));
            }
        });
        // Calls may wait since before a restart.
        cx.address().cast(EndsMessage::Waiting)?;
        Ok(EndWatcherState::default())
    }

    async fn handle(
        &self,
        cx: &Context<EndsMessage>,
        message: EndsMessage,
        state: &mut EndWatcherState,
    ) -> std::result::Result<(), ActorError> {
        match message {
            EndsMessage::Waiting => self.proceed(cx, state),
            EndsMessage::Changed(tables) if state.table.is_some_and(|table| tables.contains(&table)) => {
                self.proceed(cx, state);
            }
            EndsMessage::Changed(_) => {}
            EndsMessage::Poll => self.proceed(cx, state),
            EndsMessage::Polled(result) => self.polled(cx, state, result),
        }
        Ok(())
    }
}
