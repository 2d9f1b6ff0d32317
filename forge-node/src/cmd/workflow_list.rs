//! Runs as lines of a table.

use forge_actors::workflow::admin::{WorkflowPage, WorkflowRow};

use crate::cmd::live_list::{TIME, push_end};
use crate::cmd::workflow_show::coloured;
use crate::terminal::context::Palette;
use crate::terminal::table::{self, Column};
use crate::terminal::text::Text;
use crate::terminal::width;

const COLUMNS: [Column; 3] =
    [Column::Left("run"), Column::Left("status"), Column::Left("workflow (id), steps, started (UTC)")];

/// The runs, one a line, and where the list goes on.
pub(super) fn list(page: &WorkflowPage, palette: Palette) -> Text {
    let mut text = match page.rows.is_empty() {
        true => "no runs\n".into(),
        false => list_runs(&page.rows, palette),
    };
    push_end(&mut text, page.searched_to, page.next, palette);
    text
}

/// The runs, one a line.
pub(super) fn list_runs(rows: &[WorkflowRow], palette: Palette) -> Text {
    let cells: Vec<_> = rows.iter().map(cells).collect();
    table::render_within(width::columns(), COLUMNS, &cells, palette, |index, line| {
        coloured(rows[index].status, line, palette)
    })
}

fn cells(row: &WorkflowRow) -> [String; COLUMNS.len()] {
    let key = row.key.as_ref().map(|key| format!(" ({key})")).unwrap_or_default();
    let steps = match row.steps {
        1 => "1 step".to_owned(),
        steps => format!("{steps} steps"),
    };
    let mut about =
        format!("{} v{}{key}, {steps}, {}", row.workflow, row.version, row.created_at.format(TIME));
    about.extend(row.node.as_ref().map(|node| format!("; on {node}")));
    about.extend(row.error.as_ref().map(|error| format!("; {}: {}", error.code, error.message)));
    [row.id.to_string(), row.status.as_str().to_owned(), about]
}
