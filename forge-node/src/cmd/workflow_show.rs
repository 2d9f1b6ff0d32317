//! `workflows show`: one run, its steps in the order of the code, and what it waits for.

use std::time::Duration;

use forge_actors::app::workflow::{StepKind, StepStatus};
use forge_actors::kernel::time::{Timestamp, format_duration, millis};
use forge_actors::workflow::admin::{
    WorkflowChild, WorkflowDetail, WorkflowStatus, WorkflowStep, WorkflowWait,
};

use crate::terminal::context::Palette;
use crate::terminal::facts;
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

const COLUMNS: [Column; 6] = [
    Column::Left("step"),
    Column::Left("name"),
    Column::Left("kind"),
    Column::Left("status"),
    Column::Right("took"),
    Column::Left("note"),
];

/// The run, as it is at `now`.
pub(super) fn show(detail: &WorkflowDetail, now: Timestamp, palette: Palette) -> Text {
    let row = &detail.run;
    let text = |text: Option<&String>| text.and_then(|text| facts::value(text));
    let status = match detail.ending {
        Some(ending) => format!("{}, then {}", row.status.as_str(), ending.as_str()),
        None => row.status.as_str().to_owned(),
    };
    let error = row.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    let parent = row.parent.map(|parent| {
        let policy = if detail.ends_with_parent { ", is cancelled with it" } else { "" };
        let place = detail.parent_position.as_ref().map(|position| format!(" at {position}"));
        format!("{parent}{}{policy}", place.unwrap_or_default())
    });
    let children = children(detail);
    let awaited = detail.children.iter().filter(|child| child.is_awaited).map(cancellation);
    let waits: Vec<String> = detail.waits.iter().map(|wait| describe(wait, now)).chain(awaited).collect();
    let cause =
        detail.cause.as_ref().map(|cause| format!("compensated for {}: {}", cause.code, cause.message));
    let failures = (detail.crashes > 0).then(|| format!("{} in a row without progress", detail.crashes));
    let shown: [(&str, Option<Text>); 25] = [
        ("run", facts::value(&row.id.to_string())),
        ("status", Some(coloured(row.status, status, palette))),
        ("workflow", facts::value(&format!("{}, version {}", row.workflow, row.version))),
        ("key", text(row.key.as_ref())),
        ("arguments", facts::value(&detail.input)),
        ("attributes", text(detail.attributes.as_ref())),
        ("started", facts::time(Some(row.created_at))),
        ("by", text(detail.subject.as_ref())),
        ("tenant", text(detail.tenant.as_ref())),
        ("trace", text(detail.trace.as_ref())),
        ("node", text(row.node.as_ref())),
        ("requested", row.request.map(|request| request.as_str().into())),
        ("due", facts::time(row.due_at)),
        ("failures", text(failures.as_ref())),
        ("time limit", facts::time(detail.deadline_at.filter(|_| row.finished_at.is_none()))),
        ("finished", facts::time(row.finished_at)),
        ("parent", text(parent.as_ref())),
        ("continues", text(detail.continues.map(|run| run.to_string()).as_ref())),
        ("goes on as", text(detail.continued_as.map(|run| run.to_string()).as_ref())),
        ("children", text(children.as_ref())),
        ("published", text(detail.published.as_ref())),
        ("error", text(error.as_ref())),
        ("cause", text(cause.as_ref())),
        ("result", text(detail.output.as_ref())),
        ("waits", (!waits.is_empty()).then(|| waits.join("\n")).as_deref().and_then(facts::value)),
    ];
    let mut written = facts::render(shown, palette);
    written.push("\n");
    written.push(timeline(detail, now, palette));
    written
}

fn children(detail: &WorkflowDetail) -> Option<String> {
    let line = |child: &WorkflowChild| {
        let place = child.position.as_ref().map(|position| format!(" at {position}")).unwrap_or_default();
        format!("{} {} {}{place}", child.id, child.workflow, child.status.as_str())
    };
    let mut lines: Vec<String> = detail.children.iter().map(line).collect();
    if detail.has_more_children {
        lines.push("and older ones".to_owned());
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A child that its parent waits for before it is compensated, in a sentence.
fn cancellation(child: &WorkflowChild) -> String {
    format!("waits for the end of the child run {}, which is {} now", child.id, child.status.as_str())
}

/// The steps, one a line.
fn timeline(detail: &WorkflowDetail, now: Timestamp, palette: Palette) -> Text {
    if detail.journal.is_empty() {
        return "no steps".into();
    }
    let cells: Vec<_> = detail.journal.iter().map(|step| cells(step, detail.run.status, now)).collect();
    let mut text =
        table::render_within(width::columns(), COLUMNS, &cells, palette, |index, line| {
            match detail.journal[index].status {
                StepStatus::Completed => palette.green(line),
                StepStatus::Failed => palette.red(line),
                StepStatus::Retrying | StepStatus::Interrupted => palette.yellow(line),
                StepStatus::Skipped | StepStatus::Abandoned => palette.dim(line),
                StepStatus::Running | StepStatus::Waiting => line,
            }
        });
    if detail.steps_before > 0 {
        text.push(palette.dim(format!("{} steps before them are left out", detail.steps_before)));
        text.push("\n");
    }
    text
}

fn cells(step: &WorkflowStep, of_run: WorkflowStatus, now: Timestamp) -> [String; COLUMNS.len()] {
    let took = step.finished_at.unwrap_or(now).signed_duration_since(step.started_at);
    let took = took.to_std().unwrap_or_default();
    let kind = match step.kind {
        StepKind::Compensation => "compensates".to_owned(),
        kind => kind.as_str().to_owned(),
    };
    [
        step.position.to_owned(),
        step.name.to_owned(),
        kind,
        status(step, of_run).to_owned(),
        short(took),
        note(step, now),
    ]
}

/// How far a step is. A wait whose time was over was not skipped, and a compensation that has failed for good
/// is not tried again by itself.
fn status(step: &WorkflowStep, of_run: WorkflowStatus) -> &'static str {
    match (step.kind, step.status) {
        (StepKind::Event | StepKind::Signal, StepStatus::Skipped) => "timed out",
        (StepKind::Compensation, StepStatus::Retrying) if of_run == WorkflowStatus::CompensationFailed => {
            "failed"
        }
        (_, status) => status.as_str(),
    }
}

/// What is particular about a step.
fn note(step: &WorkflowStep, now: Timestamp) -> String {
    let attempts = match step.attempt_at {
        Some(began) => Some(under_way(step, began, now)),
        None => (step.attempts != 1).then(|| format!("{} attempts", step.attempts)),
    };
    let error = step.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    let event = step.event.as_ref().map(|event| match step.kind {
        StepKind::Event => format!("{event} {}", step.event_key.as_deref().unwrap_or_default()),
        _ => event.to_owned(),
    });
    let awaits = step.awaits.map(|awaits| awaits.to_string());
    let notes: Vec<String> = [attempts, event, awaits, error].into_iter().flatten().collect();
    notes.join("; ")
}

/// The attempt that is under way, or was when its node was lost.
fn under_way(step: &WorkflowStep, began: Timestamp, now: Timestamp) -> String {
    let since = short(now.signed_duration_since(began).to_std().unwrap_or_default());
    match step.status {
        StepStatus::Interrupted => {
            format!("attempt {} was under way when its node was lost, began {since} ago", step.attempts)
        }
        _ => format!("under way since {since}, attempt {}", step.attempts),
    }
}

/// What a run waits for, in a sentence.
pub(super) fn describe(wait: &WorkflowWait, now: Timestamp) -> String {
    let passed = |from: Timestamp, to: Timestamp| to.signed_duration_since(from).to_std().unwrap_or_default();
    let since = format!("since {}", short(passed(wait.since, now)));
    let left = wait.until.map(|until| short(passed(now, until)));
    let name = |text: &Option<String>| text.clone().unwrap_or_default();
    let awaited = wait.awaits.map(|awaits| awaits.to_string()).unwrap_or_default();
    let limit = left.as_ref().map(|left| format!(", times out in {left}")).unwrap_or_default();
    if wait.is_retry {
        let next = left.unwrap_or_else(|| "a moment".to_owned());
        return format!("step {} `{}` is tried again in {next}", wait.position, wait.name);
    }
    match wait.kind {
        StepKind::Sleep => {
            format!("sleeps {since}, wakes in {}", left.unwrap_or_else(|| "a moment".to_owned()))
        }
        StepKind::Event => format!("waits for {} {} {since}{limit}", name(&wait.event), name(&wait.key)),
        StepKind::Signal => format!("waits for the signal {} {since}{limit}", name(&wait.event)),
        StepKind::Child => format!("waits for the end of the run {awaited} {since}{limit}"),
        StepKind::Job => format!("waits for the end of the job {awaited} {since}{limit}"),
        StepKind::Call
        | StepKind::Closure
        | StepKind::Transaction
        | StepKind::Race
        | StepKind::Compensation => {
            format!("waits at step {} `{}` {since}{limit}", wait.position, wait.name)
        }
    }
}

/// A duration in its two largest units, such as `6d 23h`; milliseconds below a second.
fn short(duration: Duration) -> String {
    let secs = duration.as_secs();
    if secs == 0 {
        return format_duration(millis(u64::try_from(duration.as_millis()).unwrap_or_default()));
    }
    let parts = [("d", secs / 86_400), ("h", secs / 3_600 % 24), ("m", secs / 60 % 60), ("s", secs % 60)];
    let first = parts.iter().position(|(_, count)| *count > 0).unwrap_or(parts.len() - 1);
    let shown = parts.iter().skip(first).take(2).filter(|(_, count)| *count > 0);
    shown.map(|(unit, count)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// A line in the colour of a run's status.
pub(super) fn coloured(status: WorkflowStatus, text: impl Into<Text>, palette: Palette) -> Text {
    match status {
        WorkflowStatus::Completed => palette.green(text),
        WorkflowStatus::Compensating | WorkflowStatus::Paused => palette.yellow(text),
        WorkflowStatus::Diverged | WorkflowStatus::CompensationFailed | WorkflowStatus::Failed => {
            palette.red(text)
        }
        WorkflowStatus::Cancelled | WorkflowStatus::Terminated | WorkflowStatus::Continued => {
            palette.dim(text)
        }
        WorkflowStatus::Ready | WorkflowStatus::Running | WorkflowStatus::Waiting => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use forge_actors::kernel::ids::RunId;
    use forge_actors::kernel::time::hours;

    use super::*;

    #[test]
    fn a_duration_has_its_two_largest_units() {
        for (duration, expected) in [
            (millis(0), "0ms"),
            (millis(999), "999ms"),
            (millis(1_500), "1s"),
            (Duration::from_secs(3_599), "59m 59s"),
            (hours(2), "2h"),
            (hours(2) + Duration::from_secs(30), "2h"),
            (hours(167) + Duration::from_secs(3_540), "6d 23h"),
        ] {
            assert_eq!(short(duration), expected);
        }
    }

    #[test]
    fn an_attempt_that_is_under_way_is_a_sentence() {
        let now: Timestamp = "2030-01-31T09:00:00Z".parse().expect("a moment");
        let step = |status: StepStatus, attempts: i32| {
            let step: WorkflowStep = serde_json::from_value(serde_json::json!({
                "position": "4", "compensates": null, "kind": "call", "status": status, "name": "charge",
                "attempts": attempts, "number": null, "input": null, "inputBytes": null, "output": null,
                "outputBytes": null, "error": null, "failedAttempts": [], "startedAt": now - hours(1),
                "finishedAt": null, "attemptAt": now - Duration::from_secs(12), "dueAt": null, "event": null,
                "eventKey": null, "awaits": null
            }))
            .expect("a step");
            note(&step, now)
        };
        assert_eq!(step(StepStatus::Running, 2), "under way since 12s, attempt 2");
        assert_eq!(
            step(StepStatus::Interrupted, 1),
            "attempt 1 was under way when its node was lost, began 12s ago"
        );
    }

    #[test]
    fn a_child_that_is_to_be_cancelled_first_is_a_sentence() {
        let child: WorkflowChild = serde_json::from_value(serde_json::json!({
            "id": "00000000-0000-7000-8000-000000000001", "workflow": "flows.child", "version": 2,
            "status": "ready", "isAwaited": true, "position": "3", "createdAt": "2030-01-31T09:00:00Z",
            "finishedAt": null
        }))
        .expect("a child");
        let expected = "waits for the end of the child run 00000000-0000-7000-8000-000000000001, \
                        which is ready now";
        assert_eq!(cancellation(&child), expected);
    }

    #[test]
    fn a_wait_is_a_sentence() {
        let now: Timestamp = "2030-01-31T09:00:00Z".parse().expect("a moment");
        let wait = |kind: StepKind, until: Option<u64>| WorkflowWait {
            position: "4".to_owned(),
            name: "verified".to_owned(),
            kind,
            is_retry: false,
            event: Some("accounts.email_verified".to_owned()),
            key: Some("7".to_owned()),
            awaits: "00000000-0000-7000-8000-000000000001".parse::<RunId>().ok().map(|id| *id.as_uuid()),
            since: now - hours(2),
            until: until.map(|left| now + hours(left)),
        };
        for (wait, expected) in [
            (
                wait(StepKind::Event, Some(22)),
                "waits for accounts.email_verified 7 since 2h, times out in 22h",
            ),
            (wait(StepKind::Signal, None), "waits for the signal accounts.email_verified since 2h"),
            (wait(StepKind::Sleep, Some(1)), "sleeps since 2h, wakes in 1h"),
            (
                WorkflowWait { is_retry: true, ..wait(StepKind::Call, Some(3)) },
                "step 4 `verified` is tried again in 3h",
            ),
            (
                wait(StepKind::Child, None),
                "waits for the end of the run 00000000-0000-7000-8000-000000000001 since 2h",
            ),
        ] {
            assert_eq!(describe(&wait, now), expected);
        }
    }
}
