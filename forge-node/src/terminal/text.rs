//! Text for a terminal. What a terminal would obey is escaped when a [`Text`] is made, wherever it comes
//! from: a node's response, a database, a file, the command line. So the only escape sequences that are ever
//! printed are Forge's own.

use forge_actors::kernel::printable::{escape_json, escape_lines};
use serde_json::Value;

/// Moves the cursor to the top left and clears the screen below it.
const REDRAW: &str = "\x1b[H\x1b[J";

/// Text that is safe to print. It may be coloured, by a [`Palette`](super::context::Palette).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// JSON on one line. The escapes are JSON's own, so a program reads the same value.
    pub fn json(value: &Value) -> Self {
        Self(escape_json(&value.to_string()).into_owned())
    }

    /// JSON on several lines, for people.
    pub fn pretty_json(value: &Value) -> Self {
        Self(escape_json(&format!("{value:#}")).into_owned())
    }

    /// Text with an ANSI colour.
    pub(super) fn painted(self, code: &str) -> Self {
        Self(format!("\x1b[{code}m{}\x1b[0m", self.0))
    }

    /// Text that replaces what the screen shows, without flicker.
    pub fn redrawn(self) -> Self {
        Self(format!("{REDRAW}{}", self.0))
    }

    /// Appends text.
    pub fn push(&mut self, text: impl Into<Self>) {
        self.0.push_str(&text.into().0);
    }

    /// The lines, with a line feed between each two.
    pub fn lines(lines: impl IntoIterator<Item = Self>) -> Self {
        let mut text = Self::default();
        for (index, line) in lines.into_iter().enumerate() {
            if index > 0 {
                text.0.push('\n');
            }
            text.0.push_str(&line.0);
        }
        text
    }

    /// The text, with the escape sequences of its colours.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(escape_lines(text).into_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

/// Parts of one line.
impl FromIterator<Self> for Text {
    fn from_iter<I: IntoIterator<Item = Self>>(parts: I) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

/// Indents every line of `text` but the first by `columns`, so that none of them is mistaken for a line of
/// its own.
pub fn indented(text: &str, columns: usize) -> String {
    text.trim_end().replace('\n', &format!("\n{:columns$}", ""))
}
