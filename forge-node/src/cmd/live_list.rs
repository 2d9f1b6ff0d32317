//! What the lists of jobs and runs share: they are printed once or again and again, and say where they go on.

use std::fmt::Display;
use std::time::Duration;

use forge_actors::kernel::time::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cmd::client::{Client, decode};
use crate::terminal::context::{CommandContext, Palette, understands_escapes};
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::text::Text;

/// Time between two prints of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How times are written in tables; they are in UTC.
pub(super) const TIME: &str = "%m-%d %H:%M:%S";

/// Prints the answer of a query: once, or every second while its output is read.
pub(super) async fn show_live<T: DeserializeOwned>(
    client: &Client,
    function: &str,
    args: &Value,
    watch: bool,
    context: CommandContext<'_>,
    draw: impl Fn(T) -> Text,
) -> Result<(), Report> {
    loop {
        let data = client.call(function, args).await?;
        let text = if context.global.json {
            Text::json(&data)
        } else {
            let drawn = draw(decode(&data)?);
            if watch && understands_escapes() { drawn.redrawn() } else { drawn }
        };
        let is_open = output::write_data(&text);
        if !watch || !is_open {
            return Ok(());
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// Adds how far back was searched, and the flag that lists what is older.
pub(super) fn push_end(
    text: &mut Text,
    searched_to: Option<Timestamp>,
    next: Option<impl Display>,
    palette: Palette,
) {
    let searched = searched_to.map(|to| format!("searched back to {}", to.format("%Y-%m-%d %H:%M:%S")));
    let older = next.map(|next| format!("older ones: --before {next}"));
    let notes: Vec<_> = searched.into_iter().chain(older).collect();
    if !notes.is_empty() {
        text.push(palette.dim(notes.join("; ")));
        text.push("\n");
    }
}
