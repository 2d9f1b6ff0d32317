//! `functions`: lists the handlers of the application with kind, access and limits.

use forge_actors::app::handler::{Access, Meta};
use forge_actors::app::{Catalog, Registration};
use forge_actors::kernel::invocation::is_system;
use forge_actors::kernel::time::format_duration;
use serde_json::json;

use crate::cli::Functions;
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

const COLUMNS: [Column; 5] = [
    Column::Left("function"),
    Column::Left("kind"),
    Column::Left("access"),
    Column::Right("timeout"),
    Column::Left("limits; what it does"),
];

/// Prints the handlers, sorted by name.
pub fn run(args: &Functions, context: CommandContext<'_>) -> Result<(), Report> {
    let catalog = Catalog::build()?;
    let listed: Vec<_> = catalog.iter().filter(|(name, _)| is_system(name) == args.system).collect();
    if context.global.json {
        let functions: Vec<_> = listed.iter().map(|(name, known)| as_json(name, &known.meta)).collect();
        output::data(Text::json(&json!({ "functions": functions })));
    } else {
        output::data(render(&listed, width::columns(), context.palette()));
    }
    Ok(())
}

/// The handlers, one after the other, in lines of at most `width` characters.
pub(super) fn render(listed: &[(&str, &'static Registration)], width: usize, palette: Palette) -> Text {
    let rows: Vec<_> = listed.iter().map(|(name, known)| row(name, &known.meta)).collect();
    table::render_within(width, COLUMNS, &rows, palette, |index, line| match listed[index].1.meta.access {
        Access::Internal => palette.dim(line),
        Access::Public | Access::Authenticated | Access::Role(_) => line,
    })
}

fn row(name: &str, meta: &Meta) -> [String; COLUMNS.len()] {
    let does = meta.doc.lines().next().unwrap_or_default();
    [
        name.to_owned(),
        meta.kind().as_str().to_owned(),
        access(meta),
        format_duration(meta.timeout),
        format!("{}; {does}", limits(meta).join(", ")),
    ]
}

/// Who may call the handler.
fn access(meta: &Meta) -> String {
    match (meta.job_meta(), meta.access) {
        (Some(_), _) if meta.cron_meta().is_some() => "scheduled".to_owned(),
        (Some(_), _) => "dispatched".to_owned(),
        (None, Access::Public) => "public".to_owned(),
        (None, Access::Authenticated) => "token".to_owned(),
        (None, Access::Role(role)) => format!("role {role}"),
        (None, Access::Internal) => "internal".to_owned(),
    }
}

/// The limits beside the timeout: input, concurrency, of a job its queue and attempts, of a cron its
/// schedule.
fn limits(meta: &Meta) -> Vec<String> {
    let job = meta.job_meta().map(|job| format!("queue {}, {} attempts", job.queue, job.attempts));
    let concurrency = meta.concurrency.map(|calls| format!("{calls} at a time"));
    let input = format!("input {}", size(meta.input_bytes_max));
    let schedule = meta.cron_meta().and_then(|cron| Some(format!("{} {}", cron.expression?, cron.timezone)));
    schedule.into_iter().chain(job).chain(concurrency).chain([input]).collect()
}

/// A size in the largest unit that keeps it whole.
fn size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit))
}

fn as_json(name: &str, meta: &Meta) -> serde_json::Value {
    json!({
        "name": name,
        "kind": meta.kind().as_str(),
        "access": access(meta),
        "timeoutMs": u64::try_from(meta.timeout.as_millis()).unwrap_or(u64::MAX),
        "concurrency": meta.concurrency,
        "inputBytesMax": meta.input_bytes_max,
        "queue": meta.job_meta().map(|job| job.queue),
        "attempts": meta.job_meta().map(|job| job.attempts),
        "schedule": meta.cron_meta().and_then(|cron| cron.expression),
        "timezone": meta.cron_meta().map(|cron| cron.timezone),
        "doc": meta.doc,
        "source": format!("{}:{}", meta.file, meta.line),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_listed_with_kind_access_and_limits() {
        let catalog = Catalog::build().expect("the node's own handlers");
        let listed: Vec<_> = catalog.iter().filter(|(name, _)| *name == "forge.dispatch").collect();
        let text = render(&listed, 200, Palette::PLAIN);
        let line = text.as_str().lines().nth(1).expect("one handler");
        for word in ["forge.dispatch", "mutation", "internal", "input 1 GiB"] {
            assert!(line.contains(word), "`{word}` is missing: {line}");
        }
    }

    #[test]
    fn the_list_fits_the_terminal_and_keeps_all_names() {
        let catalog = Catalog::build().expect("the node's own handlers");
        let listed: Vec<_> = catalog.iter().collect();
        let text = render(&listed, 80, Palette::PLAIN);
        for line in text.as_str().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for (name, known) in &listed {
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.as_str().contains(*name), "{name}");
            let does = known.meta.doc.lines().next().and_then(|doc| doc.split_whitespace().last());
            assert!(does.is_none_or(|last| words(text.as_str()).contains(last)), "{name}: nothing is cut");
        }
    }

    #[test]
    fn sizes_are_whole() {
        assert_eq!([1 << 20, 3 << 10, 1_500].map(size), ["1 MiB", "3 KiB", "1500 B"]);
    }
}
