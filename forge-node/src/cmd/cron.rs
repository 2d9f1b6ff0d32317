//! `cron`: lists, shows, runs, pauses and resumes crons through a running node.

use forge_actors::cron::admin::{CronDetail, CronRow, CronRunRow, CronRunStatus, CronState};
use forge_actors::kernel::time::{Timestamp, format_duration, millis};
use serde_json::{Value, json};

use crate::cli::{Cron, CronStep, OneCron};
use crate::cmd::client::{Client, print};
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::facts;
use crate::terminal::report::Report;
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

/// How times are written in tables; they are in UTC.
const TIME: &str = "%m-%d %H:%M:%S";

/// Runs the subcommand through a running node.
pub async fn run(args: &Cron, context: CommandContext<'_>) -> Result<(), Report> {
    let palette = context.palette();
    match &args.step {
        CronStep::Ls { handler, tenant, limit, target } => {
            let filter = json!({ "handler": handler, "tenant": tenant, "limit": limit });
            let answer = Client::of_administrator(target, context)?.call("forge.crons", &filter).await?;
            print(&answer, context, |rows: Vec<CronRow>| list(&rows, palette))
        }
        CronStep::Show { cron, runs } => {
            let answer =
                call(cron, context, "forge.cron", &json!({ "cron": cron.cron, "runs": runs })).await?;
            print(&answer, context, |detail: CronDetail| show(&detail, palette))
        }
        CronStep::Run(cron) => command(cron, context, "forge.runCron").await,
        CronStep::Pause(cron) => command(cron, context, "forge.pauseCron").await,
        CronStep::Resume(cron) => command(cron, context, "forge.resumeCron").await,
        CronStep::Next { cron, count } => {
            let ask = json!({ "cron": cron.cron, "runs": 1, "upcoming": count });
            let answer = call(cron, context, "forge.cron", &ask).await?;
            print(&answer, context, |detail: CronDetail| next(&detail.cron, palette))
        }
    }
}

async fn call(
    cron: &OneCron,
    context: CommandContext<'_>,
    function: &str,
    args: &Value,
) -> Result<Value, Report> {
    Client::of_administrator(&cron.target, context)?.call(function, args).await
}

async fn command(cron: &OneCron, context: CommandContext<'_>, function: &str) -> Result<(), Report> {
    let answer = call(cron, context, function, &json!({ "cron": cron.cron })).await?;
    print(&answer, context, |detail: CronDetail| show(&detail, context.palette()))
}

const COLUMNS: [Column; 5] = [
    Column::Left("cron"),
    Column::Left("schedule"),
    Column::Left("state"),
    Column::Left("next (UTC)"),
    Column::Left("last run (UTC)"),
];

/// The crons, one a line.
pub(super) fn list(rows: &[CronRow], palette: Palette) -> Text {
    if rows.is_empty() {
        return "no crons".into();
    }
    let cells: Vec<_> = rows.iter().map(cells).collect();
    table::render_within(width::columns(), COLUMNS, &cells, palette, |index, line| {
        coloured(&rows[index], line, palette)
    })
}

fn cells(row: &CronRow) -> [String; COLUMNS.len()] {
    let name =
        row.tenant.as_ref().map_or_else(|| row.name.to_owned(), |tenant| format!("{} ({tenant})", row.name));
    let last = row.last_run.as_ref();
    let last = last.map(|run| format!("{} {}", run.scheduled_at.format(TIME), run.status.as_str()));
    let next = row.upcoming.first().map(|next| next.at.format(TIME).to_string());
    [
        name,
        row.expression.to_owned(),
        state(row).to_owned(),
        next.unwrap_or_else(|| "-".to_owned()),
        last.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn state(row: &CronRow) -> &'static str {
    match row.state {
        CronState::Active => "active",
        CronState::Paused => "paused",
        CronState::NoHandler => "no handler",
        CronState::Broken => "broken",
    }
}

fn coloured(row: &CronRow, line: impl Into<Text>, palette: Palette) -> Text {
    match state(row) {
        "no handler" | "broken" => palette.red(line),
        "paused" => palette.yellow(line),
        _ => line.into(),
    }
}

pub(super) fn show(detail: &CronDetail, palette: Palette) -> Text {
    let CronDetail { cron: row, args, subject, runs } = detail;
    let paused = row.paused_at.zip(row.paused_by.as_deref());
    let rules = format!(
        "overlap {}, catches up {}, jitter {}",
        row.overlap.as_str(),
        row.catch_up,
        format_duration(millis(row.jitter_ms.get().unsigned_abs()))
    );
    let next = row.upcoming.first().map(|next| format!("{} = {}", next.local, next.at.to_rfc3339()));
    let shown: [(&str, Option<Text>); 12] = [
        ("cron", facts::value(&row.name)),
        ("id", facts::value(&row.id.to_string())),
        ("state", Some(coloured(row, state(row), palette))),
        ("schedule", facts::value(&format!("{} {}", row.expression, row.timezone))),
        ("rules", facts::value(&rules)),
        ("handler", facts::value(&format!("{}, queue {}", row.handler, row.queue))),
        ("arguments", facts::value(args)),
        ("tenant", row.tenant.as_deref().and_then(facts::value)),
        ("created", facts::time(Some(row.created_at))),
        ("by", subject.as_deref().and_then(facts::value)),
        ("paused", paused.and_then(|(at, who)| facts::value(&format!("{} by {who}", at.to_rfc3339())))),
        ("next", next.as_deref().or(row.problem.as_deref()).and_then(facts::value)),
    ];
    let mut text = facts::render(shown, palette);
    text.push("\n");
    text.push(list_runs(runs, palette));
    text
}

const RUN_COLUMNS: [Column; 5] = [
    Column::Left("scheduled (UTC)"),
    Column::Left("status"),
    Column::Right("started"),
    Column::Right("took"),
    Column::Left("note"),
];

fn list_runs(runs: &[CronRunRow], palette: Palette) -> Text {
    if runs.is_empty() {
        return "no runs".into();
    }
    let cells: Vec<_> = runs.iter().map(run_cells).collect();
    table::render_within(width::columns(), RUN_COLUMNS, &cells, palette, |index, line| {
        match runs[index].status {
            CronRunStatus::Completed => palette.green(line),
            CronRunStatus::Failed | CronRunStatus::DeadLetter => palette.red(line),
            CronRunStatus::Skipped => palette.yellow(line),
            CronRunStatus::Cancelled | CronRunStatus::Unknown => palette.dim(line),
            CronRunStatus::Waiting | CronRunStatus::Dispatched => line,
        }
    })
}

fn run_cells(run: &CronRunRow) -> [String; RUN_COLUMNS.len()] {
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
        let passed = to?.signed_duration_since(from?).to_std().ok()?;
        Some(format!("{:.1}s", passed.as_secs_f64()))
    };
    let dash = || "-".to_owned();
    let started = between(Some(run.scheduled_at), run.started_at).map(|delay| format!("+{delay}"));
    [
        run.scheduled_at.format(TIME).to_string(),
        run.status.as_str().to_owned(),
        started.unwrap_or_else(dash),
        between(run.started_at, run.finished_at).unwrap_or_else(dash),
        note(run),
    ]
}

/// What is particular about a run.
fn note(run: &CronRunRow) -> String {
    let reason = run.reason.map(|reason| match run.times {
        1 => reason.as_str().to_owned(),
        times => format!("{}: {times} times until {}", reason.as_str(), run.last_at.format(TIME)),
    });
    let caught_up = run.is_catch_up.then(|| "catch-up".to_owned());
    let requested = run.requested_by.as_ref().map(|who| format!("requested by {who}"));
    let error = run.last_error.as_deref().and_then(|error| error.lines().next()).map(str::to_owned);
    let notes: Vec<_> = [reason, caught_up, requested, error].into_iter().flatten().collect();
    notes.join("; ")
}

const NEXT_COLUMNS: [Column; 2] = [Column::Left("local"), Column::Left("UTC")];

/// The next times, by both clocks.
fn next(row: &CronRow, palette: Palette) -> Text {
    if row.upcoming.is_empty() {
        return format!("{} has no next time: {}", row.name, row.problem.as_deref().unwrap_or(state(row)))
            .into();
    }
    let cells: Vec<_> = row
        .upcoming
        .iter()
        .map(|next| [next.local.to_owned(), next.at.format("%Y-%m-%d %H:%M:%S").to_string()])
        .collect();
    table::render(NEXT_COLUMNS, &cells, palette, |_, line| line)
}
