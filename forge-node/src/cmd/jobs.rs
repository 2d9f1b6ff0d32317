//! `jobs`: what waits, runs and has ended, and what a person does about it.

use std::borrow::Cow;

use forge_actors::app::JobStatus;
use forge_actors::job::admin::{JobDetail, JobRow};
use forge_actors::kernel::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::{Jobs, JobsStep, OneJob, Target};
use crate::cmd::client::{Asker, Client};
use crate::cmd::output;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::{Palette, Scene};

/// Characters of an error that fit beside a job.
const ERROR_CHARS_MAX: usize = 60;

/// Does what the step says, through a running node.
pub async fn run(args: &Jobs, scene: Scene<'_>) -> Result<(), Report> {
    match &args.step {
        JobsStep::Ls { status, queue, name, limit, target } => {
            let status = status.as_deref().map(known).transpose()?;
            let asked = json!({ "status": status, "queue": queue, "name": name, "limit": limit });
            let answer = ask(target, scene, "forge.jobs", &asked).await?;
            print(&answer, scene, |rows: Vec<JobRow>| list(&rows, scene.palette()))
        }
        JobsStep::Show(job) => about(job, scene, "forge.job").await,
        JobsStep::Retry(job) => about(job, scene, "forge.retryJob").await,
        JobsStep::Cancel(job) => about(job, scene, "forge.cancelJob").await,
    }
}

async fn about(job: &OneJob, scene: Scene<'_>, function: &str) -> Result<(), Report> {
    let answer = ask(&job.target, scene, function, &json!({ "id": job.id })).await?;
    print(&answer, scene, |detail: JobDetail| show(&detail, scene.palette()))
}

async fn ask(target: &Target, scene: Scene<'_>, function: &str, args: &Value) -> Result<Value, Report> {
    let loaded = scene.load(&[])?;
    let client = Client::new(&loaded, target, Asker::Administrator)?;
    let mut answer = client.post(&format!("/rpc/{function}"), args.to_string()).await?;
    Ok(answer["data"].take())
}

fn print<T: DeserializeOwned>(
    data: &Value,
    scene: Scene<'_>,
    render: impl FnOnce(T) -> String,
) -> Result<(), Report> {
    if scene.global.json {
        output::data(&data.to_string());
        return Ok(());
    }
    let parsed = T::deserialize(data).map_err(|error| {
        Report::new(Exit::Drift, "other-version", "the node's answer is of another version of Forge")
            .cause(error)
    })?;
    output::data(&render(parsed));
    Ok(())
}

fn known(status: &str) -> Result<JobStatus, Report> {
    JobStatus::parse(status).ok_or_else(|| {
        let all: Vec<_> = JobStatus::ALL.into_iter().map(JobStatus::as_str).collect();
        Report::new(Exit::Usage, "no-status", format!("`{status}` is no status of a job"))
            .help(format!("one of {}", all.join(", ")))
    })
}

/// One line for each job, aligned.
pub(super) fn list(rows: &[JobRow], palette: Palette) -> String {
    if rows.is_empty() {
        return "no jobs".to_owned();
    }
    let lines: Vec<_> = rows.iter().map(cells).collect();
    let head =
        ["job", "status", "handler", "queue", "attempt", "dispatched", "last error"].map(Cow::Borrowed);
    let widest = |column: usize| {
        lines.iter().chain([&head]).map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..head.len()).map(widest).collect();
    let line = |cells: &[Cow<'_, str>; 7]| {
        let padded: Vec<_> =
            cells.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = palette.dim(&line(&head));
    for (row, cells) in rows.iter().zip(&lines) {
        text = format!("{text}\n{}", coloured(row.status, &line(cells), palette));
    }
    text
}

fn cells(row: &JobRow) -> [Cow<'_, str>; 7] {
    let error = row.last_error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default();
    [
        row.id.to_string().into(),
        row.status.as_str().into(),
        row.name.as_str().into(),
        row.queue.as_str().into(),
        format!("{}/{}", row.attempt, row.attempts_max).into(),
        row.created_at.format("%Y-%m-%d %H:%M:%S").to_string().into(),
        error.chars().take(ERROR_CHARS_MAX).collect::<String>().into(),
    ]
}

fn show(detail: &JobDetail, palette: Palette) -> String {
    let JobDetail { job: row, args, subject, tenant, trace } = detail;
    let time = |at: Option<Timestamp>| at.map(|at| Cow::from(at.to_rfc3339()));
    let facts: [(&str, Option<Cow<'_, str>>); 14] = [
        ("job", Some(row.id.to_string().into())),
        ("status", Some(coloured(row.status, row.status.as_str(), palette).into())),
        ("handler", Some(row.name.as_str().into())),
        ("arguments", Some(args.as_str().into())),
        ("queue", Some(format!("{}, priority {}", row.queue, row.priority).into())),
        ("attempt", Some(format!("{} of {}", row.attempt, row.attempts_max).into())),
        ("node", row.node.map(|node| node.to_string().into())),
        ("dispatched", time(Some(row.created_at))),
        ("by", subject.as_deref().map(Cow::from)),
        ("tenant", tenant.as_deref().map(Cow::from)),
        ("trace", trace.as_deref().map(Cow::from)),
        ("runs at", time(row.run_at)),
        ("finished", time(row.finished_at)),
        ("last error", row.last_error.as_deref().map(Cow::from)),
    ];
    let lines = facts.iter().filter_map(|(name, value)| {
        Some(format!("{}  {}", palette.dim(&format!("{name:<10}")), value.as_ref()?))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn coloured(status: JobStatus, text: &str, palette: Palette) -> String {
    match status {
        JobStatus::Completed => palette.green(text),
        JobStatus::Retry => palette.yellow(text),
        JobStatus::Failed | JobStatus::DeadLetter => palette.red(text),
        JobStatus::Cancelled => palette.dim(text),
        JobStatus::Pending | JobStatus::Claimed | JobStatus::Running => text.to_owned(),
    }
}
