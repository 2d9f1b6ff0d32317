//! `jobs`: lists, shows, retries and cancels jobs through a running node.

use forge_actors::app::JobStatus;
use forge_actors::job::admin::{JobDetail, JobRow};
use serde_json::json;

use crate::cli::{Jobs, JobsStep, OneJob};
use crate::cmd::client::{Client, print};
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::facts;
use crate::terminal::report::{Exit, Report};
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;

/// Characters of a job's last error; the rest is cut.
const ERROR_CHARS_MAX: usize = 60;

/// Runs the subcommand through a running node.
pub async fn run(args: &Jobs, context: CommandContext<'_>) -> Result<(), Report> {
    match &args.step {
        JobsStep::Ls { status, queue, name, limit, target } => {
            let status = status.as_deref().map(parse_status).transpose()?;
            let filter = json!({ "status": status, "queue": queue, "name": name, "limit": limit });
            let answer = Client::of_administrator(target, context)?.call("forge.jobs", &filter).await?;
            print(&answer, context, |rows: Vec<JobRow>| list(&rows, context.palette()))
        }
        JobsStep::Show(job) => call_for_job(job, context, "forge.job").await,
        JobsStep::Retry(job) => call_for_job(job, context, "forge.retryJob").await,
        JobsStep::Cancel(job) => call_for_job(job, context, "forge.cancelJob").await,
    }
}

async fn call_for_job(job: &OneJob, context: CommandContext<'_>, function: &str) -> Result<(), Report> {
    let client = Client::of_administrator(&job.target, context)?;
    let answer = client.call(function, &json!({ "id": job.id })).await?;
    print(&answer, context, |detail: JobDetail| show(&detail, context.palette()))
}

fn parse_status(status: &str) -> Result<JobStatus, Report> {
    JobStatus::parse(status).ok_or_else(|| {
        let all: Vec<_> = JobStatus::ALL.into_iter().map(JobStatus::as_str).collect();
        Report::new(Exit::Usage, "no-status", format!("`{status}` is no job status"))
            .help(format!("one of {}", all.join(", ")))
    })
}

const COLUMNS: [Column; 7] = [
    Column::Left("job"),
    Column::Left("status"),
    Column::Left("handler"),
    Column::Left("queue"),
    Column::Left("attempt"),
    Column::Left("dispatched"),
    Column::Left("last error"),
];

/// The jobs, one a line.
pub(super) fn list(rows: &[JobRow], palette: Palette) -> Text {
    if rows.is_empty() {
        return "no jobs".into();
    }
    let cells: Vec<_> = rows.iter().map(cells).collect();
    table::render(COLUMNS, &cells, palette, |index, line| coloured(rows[index].status, line, palette))
}

fn cells(row: &JobRow) -> [String; COLUMNS.len()] {
    let error = row.last_error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default();
    [
        row.id.to_string(),
        row.status.as_str().to_owned(),
        row.name.to_owned(),
        row.queue.to_owned(),
        format!("{}/{}", row.attempt, row.attempts_max),
        row.created_at.format("%Y-%m-%d %H:%M:%S").to_string(),
        error.chars().take(ERROR_CHARS_MAX).collect(),
    ]
}

pub(super) fn show(detail: &JobDetail, palette: Palette) -> Text {
    let JobDetail { job: row, args, subject, tenant, trace } = detail;
    let shown: [(&str, Option<Text>); 14] = [
        ("job", facts::value(&row.id.to_string())),
        ("status", Some(coloured(row.status, row.status.as_str(), palette))),
        ("handler", facts::value(&row.name)),
        ("arguments", facts::value(args)),
        ("queue", facts::value(&format!("{}, priority {}", row.queue, row.priority))),
        ("attempt", facts::value(&format!("{} of {}", row.attempt, row.attempts_max))),
        ("node", row.node.and_then(|node| facts::value(&node.to_string()))),
        ("dispatched", facts::time(Some(row.created_at))),
        ("by", subject.as_deref().and_then(facts::value)),
        ("tenant", tenant.as_deref().and_then(facts::value)),
        ("trace", trace.as_deref().and_then(facts::value)),
        ("runs at", facts::time(row.run_at)),
        ("finished", facts::time(row.finished_at)),
        ("last error", row.last_error.as_deref().and_then(facts::value)),
    ];
    facts::render(shown, palette)
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
