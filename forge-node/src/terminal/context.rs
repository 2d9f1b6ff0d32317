//! The arguments that every command gets besides its own: the applications of this binary, the global flags,
//! and whether its output is coloured.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;

use forge_actors::app::App;

use crate::cli::{Color, Global};
use crate::config::environment::Environment;
use crate::config::load::{FILE_NAME, Flag, Loaded, load};
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::text::Text;

/// The context of one command.
#[derive(Clone, Copy)]
pub struct CommandContext<'a> {
    /// The applications that are linked in.
    pub apps: &'static [&'static App],
    /// The global flags.
    pub global: &'a Global,
    /// True for `forge-node`, whose linked application is the demo.
    pub developer: bool,
}

impl CommandContext<'_> {
    /// Reads the configuration. The command's own `flags` win over all other settings.
    pub fn load(&self, flags: &[Flag]) -> Result<Loaded, Report> {
        Ok(load(self.global.config.as_deref(), Environment::of_process(), flags)?)
    }

    /// The configuration file, when there is one.
    pub fn file(&self) -> Option<PathBuf> {
        self.global.config.clone().or_else(|| Some(PathBuf::from(FILE_NAME)).filter(|file| file.is_file()))
    }

    /// Prints what the command is doing, on stderr; nothing with `--quiet`.
    pub fn progress(&self, line: &str) {
        if !self.global.quiet {
            output::notice(line);
        }
    }

    /// The colours of text on stdout.
    pub fn palette(&self) -> Palette {
        let coloured = match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && understands_escapes()
            }
        };
        Palette { coloured }
    }
}

/// True when stdout is a terminal that obeys escape sequences.
pub fn understands_escapes() -> bool {
    std::env::var_os("TERM").is_some_and(|term| obeys_escapes(&term)) && std::io::stdout().is_terminal()
}

/// False for the values of `TERM` that say that a terminal shows escape sequences as they are.
fn obeys_escapes(term: &OsStr) -> bool {
    !term.is_empty() && term != "dumb"
}

/// Adds colours to text, unless colours are switched off.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    coloured: bool,
}

impl Palette {
    /// A palette that adds no colours.
    pub const PLAIN: Self = Self { coloured: false };

    /// A palette that adds colours.
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { coloured: true };

    /// For what is well.
    pub fn green(self, text: impl Into<Text>) -> Text {
        self.paint("32", text)
    }

    /// For a warning.
    pub fn yellow(self, text: impl Into<Text>) -> Text {
        self.paint("33", text)
    }

    /// For a failure.
    pub fn red(self, text: impl Into<Text>) -> Text {
        self.paint("31", text)
    }

    /// For what is less important.
    pub fn dim(self, text: impl Into<Text>) -> Text {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: impl Into<Text>) -> Text {
        let text = text.into();
        if self.coloured { text.painted(code) } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumb_terminal_gets_no_escape_sequences() {
        for (term, expected) in [("xterm-256color", true), ("linux", true), ("dumb", false), ("", false)] {
            assert_eq!(obeys_escapes(OsStr::new(term)), expected, "{term}");
        }
    }
}
