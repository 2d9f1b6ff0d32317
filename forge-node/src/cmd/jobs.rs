//! `jobs`: lists jobs and queues through a running node, and does something about them.

use std::time::{Duration, SystemTime};

use forge_actors::app::JobStatus;
use forge_actors::app::job_children::WaitedCounts;
use forge_actors::job::admin::{
    BoundedCount, JobAction, JobDetail, JobExplanation, JobFilter, JobPage, JobRow, QueueRow, QueuesPage,
};
use forge_actors::kernel::ids::JobId;
use forge_actors::kernel::time::{Timestamp, format_duration};
use serde_json::{Value, json};

use crate::cli::{ChosenJobs, Jobs, JobsStep, OneQueue, QueueLimit, Target};
use crate::cmd::client::{Client, print};
use crate::cmd::job_bulk;
use crate::cmd::live_list::{TIME, push_end, show_live};
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::facts;
use crate::terminal::report::{Exit, Report};
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

/// Runs the subcommand through a running node.
pub async fn run(args: &Jobs, context: CommandContext<'_>) -> Result<(), Report> {
    let palette = context.palette();
    match &args.step {
        JobsStep::Ls { filter, before, limit, watch, target } => {
            let ask = json!({ "filter": filter.filter(), "before": before, "limit": limit });
            let client = Client::of_administrator(target, context)?;
            show_live(&client, "forge.jobs", &ask, *watch, context, |page: JobPage| list(&page, palette))
                .await
        }
        JobsStep::Show(job) => call_for_job(&job.target, job.id, context, "forge.job").await,
        JobsStep::Why(job) => {
            let client = Client::of_administrator(&job.target, context)?;
            let answer = client.call("forge.whyJob", &json!({ "id": job.id })).await?;
            print(&answer, context, |why: JobExplanation| why.sentence.into())
        }
        JobsStep::Retry(jobs) => act(jobs, context, JobAction::Retry, "forge.retryJob").await,
        JobsStep::Cancel(jobs) => act(jobs, context, JobAction::Cancel, "forge.cancelJob").await,
        JobsStep::Discard(jobs) => act(jobs, context, JobAction::Discard, "forge.discardJob").await,
        JobsStep::Clone { job, args, queue, priority, at, replace } => {
            let ask = json!({
                "id": job.id, "args": args, "queue": queue, "priority": priority, "runAt": at,
                "replace": replace,
            });
            let answer = Client::of_administrator(&job.target, context)?.call("forge.cloneJob", &ask).await?;
            print(&answer, context, |detail: JobDetail| show(&detail, palette))
        }
        JobsStep::Pause(queue) => set_queue(queue, context, "forge.pauseQueue", json!({})).await,
        JobsStep::Resume(queue) => set_queue(queue, context, "forge.resumeQueue", json!({})).await,
        JobsStep::Limit { queue, most: QueueLimit(most) } => {
            set_queue(queue, context, "forge.limitQueue", json!({ "concurrencyMax": most })).await
        }
        JobsStep::Queues { watch, target } => {
            let client = Client::of_administrator(target, context)?;
            let draw = |page: QueuesPage| queues(&page, palette);
            show_live(&client, "forge.queues", &json!({}), *watch, context, draw).await
        }
    }
}

/// Changes a setting of a queue, and prints the queue.
async fn set_queue(
    queue: &OneQueue,
    context: CommandContext<'_>,
    function: &str,
    mut args: Value,
) -> Result<(), Report> {
    args["queue"] = json!(queue.queue);
    let answer = Client::of_administrator(&queue.target, context)?.call(function, &args).await?;
    print(&answer, context, |row: QueueRow| list_queues(&[row], None, context.palette()))
}

/// Does something to one job, or to all that match.
async fn act(
    jobs: &ChosenJobs,
    context: CommandContext<'_>,
    action: JobAction,
    function: &str,
) -> Result<(), Report> {
    let filter = jobs.filter.filter();
    match jobs.id {
        Some(_) if filter != JobFilter::default() => {
            let message = "a job is named by its id, and flags say which jobs";
            Err(Report::new(Exit::Usage, "usage", message)
                .help("--all in the place of the id takes all of them"))
        }
        Some(id) => call_for_job(&jobs.target, id, context, function).await,
        None => job_bulk::run(jobs, &filter, action, context).await,
    }
}

async fn call_for_job(
    target: &Target,
    id: JobId,
    context: CommandContext<'_>,
    function: &str,
) -> Result<(), Report> {
    let client = Client::of_administrator(target, context)?;
    let answer = client.call(function, &json!({ "id": id })).await?;
    print(&answer, context, |detail: JobDetail| show(&detail, context.palette()))
}

const COLUMNS: [Column; 3] =
    [Column::Left("job"), Column::Left("status"), Column::Left("handler (queue), attempt, dispatched (UTC)")];

/// The jobs, one a line, and where the list goes on.
pub(super) fn list(page: &JobPage, palette: Palette) -> Text {
    let rows = &page.rows;
    let mut text = if rows.is_empty() {
        "no jobs\n".into()
    } else {
        let cells: Vec<_> = rows.iter().map(cells).collect();
        table::render_within(width::columns(), COLUMNS, &cells, palette, |index, line| {
            coloured(rows[index].status, line, palette)
        })
    };
    push_end(&mut text, page.searched_to, page.next, palette);
    if !page.unsearched.is_empty() {
        let hidden = format!("left out, since their arguments hold secrets: {}", page.unsearched.join(", "));
        text.push(palette.dim(hidden));
        text.push("\n");
    }
    text
}

fn cells(row: &JobRow) -> [String; COLUMNS.len()] {
    let blocked = row.blocked_by.as_ref().map(|key| format!("; waits for the limit of {key}"));
    let waits = row.waits_for_jobs.then(|| "; waits for other jobs".to_owned());
    let error = row.last_error.as_deref().and_then(|error| error.lines().next());
    let error = error.map(|error| format!("; {error}"));
    let mut about = format!(
        "{} ({}), {}/{}, {}",
        row.name,
        row.queue,
        row.attempt,
        row.attempts_max,
        row.created_at.format(TIME)
    );
    about.extend(blocked.into_iter().chain(waits).chain(error));
    [row.id.to_string(), row.status.as_str().to_owned(), about]
}

const QUEUE_COLUMNS: [Column; 7] = [
    Column::Left("queue"),
    Column::Right("due"),
    Column::Right("oldest"),
    Column::Right("scheduled"),
    Column::Right("blocked"),
    Column::Right("held"),
    Column::Left("state"),
];

/// The queues of the whole database.
fn queues(page: &QueuesPage, palette: Palette) -> Text {
    if page.queues.is_empty() {
        return "no queues".into();
    }
    list_queues(&page.queues, Some(page.workers), palette)
}

/// Queues, one a line; `workers` is the number of nodes that run jobs, where it is known.
fn list_queues(rows: &[QueueRow], workers: Option<u32>, palette: Palette) -> Text {
    let cells: Vec<_> = rows.iter().map(|row| queue_cells(row, workers)).collect();
    table::render_within(width::columns(), QUEUE_COLUMNS, &cells, palette, |index, line| {
        let row = &rows[index];
        match (row.paused_at, row.unserved.is_empty()) {
            (_, false) => palette.red(line),
            (Some(_), true) => palette.yellow(line),
            (None, true) => line,
        }
    })
}

fn queue_cells(row: &QueueRow, workers: Option<u32>) -> [String; QUEUE_COLUMNS.len()] {
    let oldest = row.oldest_due_at.map(|since| {
        let waited =
            Timestamp::from(SystemTime::now()).signed_duration_since(since).to_std().unwrap_or_default();
        format_duration(Duration::from_secs(waited.as_secs()))
    });
    [
        row.queue.to_owned(),
        bounded(row.due),
        oldest.unwrap_or_else(|| "-".to_owned()),
        bounded(row.scheduled),
        bounded(row.blocked),
        row.held.to_string(),
        queue_state(row, workers),
    ]
}

/// A number, with a plus sign when there are more.
fn bounded(count: BoundedCount) -> String {
    format!("{}{}", count.count, if count.is_more { "+" } else { "" })
}

fn queue_state(row: &QueueRow, workers: Option<u32>) -> String {
    let paused = row
        .paused_at
        .map(|at| format!("paused {} by {}", at.format(TIME), row.paused_by.as_deref().unwrap_or_default()));
    let limit = row.concurrency_max.map(|most| format!("{most} at a time"));
    let idle = (workers == Some(0) && row.due.count > 0).then(|| "no node runs jobs".to_owned());
    let unserved = (!row.unserved.is_empty() && idle.is_none())
        .then(|| format!("no node can run {}", row.unserved.join(", ")));
    let states: Vec<_> = [paused, limit, idle, unserved].into_iter().flatten().collect();
    if states.is_empty() { "active".to_owned() } else { states.join("; ") }
}

pub(super) fn show(detail: &JobDetail, palette: Palette) -> Text {
    let JobDetail { job: row, args, subject, trace, result, bulk, .. } = detail;
    let waited = detail.waited.map(|waited| {
        let WaitedCounts { completed, failed, cancelled, open } = waited;
        format!("{open} open, {completed} completed, {failed} failed, {cancelled} cancelled")
    });
    let waiter = detail.waiter.map(|waiter| waiter.to_string());
    let bulk = bulk.as_ref().map(job_bulk::progress);
    let shown: [(&str, Option<Text>); 21] = [
        ("job", facts::value(&row.id.to_string())),
        ("status", Some(coloured(row.status, row.status.as_str(), palette))),
        ("handler", facts::value(&row.name)),
        ("arguments", facts::value(args)),
        ("queue", facts::value(&format!("{}, priority {}", row.queue, row.priority))),
        ("attempt", facts::value(&format!("{} of {}", row.attempt, row.attempts_max))),
        ("node", row.node.and_then(|node| facts::value(&node.to_string()))),
        ("dispatched", facts::time(Some(row.created_at))),
        ("by", subject.as_deref().and_then(facts::value)),
        ("tenant", row.tenant.as_deref().and_then(facts::value)),
        ("trace", trace.as_deref().and_then(facts::value)),
        ("runs at", facts::time(row.run_at)),
        ("blocked by", row.blocked_by.as_deref().and_then(facts::value)),
        ("finished", facts::time(row.finished_at)),
        ("waits for", waited.as_deref().and_then(facts::value)),
        ("needed by", waiter.as_deref().and_then(facts::value)),
        ("last error", row.last_error.as_deref().and_then(facts::value)),
        ("progress", facts::value(&progress(detail)).filter(|_| detail.progress.is_some())),
        ("result", result.as_deref().and_then(facts::value)),
        ("log", facts::value(&log(detail)).filter(|_| !detail.log.is_empty())),
        ("bulk", bulk.as_deref().and_then(facts::value)),
    ];
    facts::render(shown, palette)
}

fn progress(detail: &JobDetail) -> String {
    let percent = detail.progress.unwrap_or_default() * 100.0;
    match detail.message.as_deref() {
        Some(message) => format!("{percent:.0} %, {message}"),
        None => format!("{percent:.0} %"),
    }
}

/// The log, one line each; what is not kept of an attempt is counted.
fn log(detail: &JobDetail) -> String {
    let mut lines = Vec::new();
    let (mut claim, mut number) = (None, 0);
    for logged in &detail.log {
        number = if claim == Some(logged.claim) { number } else { 0 };
        match logged.number - number {
            ..=1 => {}
            missing => lines.push(format!("({} lines are not kept)", missing - 1)),
        }
        claim = Some(logged.claim);
        number = logged.number;
        let at = logged.at.format("%Y-%m-%d %H:%M:%S");
        lines.push(format!("{at} {} {}", logged.level.as_str(), logged.line));
    }
    lines.join("\n")
}

fn coloured(status: JobStatus, text: impl Into<Text>, palette: Palette) -> Text {
    match status {
        JobStatus::Completed => palette.green(text),
        JobStatus::Retry => palette.yellow(text),
        JobStatus::Failed | JobStatus::DeadLetter => palette.red(text),
        JobStatus::Cancelled => palette.dim(text),
        JobStatus::Pending | JobStatus::Claimed | JobStatus::Running => text.into(),
    }
}
