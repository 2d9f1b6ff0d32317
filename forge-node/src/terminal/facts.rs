//! Facts about one thing: a name and a value on each line.

use forge_actors::kernel::time::Timestamp;

use super::context::Palette;
use super::text::{Text, indented};

/// The column in which the values begin.
const VALUE_COLUMN: usize = 12;

/// A value, whose further lines are indented to the first one.
pub fn value(text: &str) -> Option<Text> {
    Some(indented(text, VALUE_COLUMN).into())
}

/// A moment, if there is one.
pub fn time(at: Option<Timestamp>) -> Option<Text> {
    at.map(|at| at.to_rfc3339().into())
}

/// The facts that have a value.
pub fn render<'a>(facts: impl IntoIterator<Item = (&'a str, Option<Text>)>, palette: Palette) -> Text {
    const NAME: usize = VALUE_COLUMN - 2;
    let lines = facts.into_iter().filter_map(|(name, value)| {
        let name = palette.dim(format!("{name:<NAME$}"));
        Some([name, "  ".into(), value?].into_iter().collect())
    });
    Text::lines(lines)
}
