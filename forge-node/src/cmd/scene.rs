//! What every verb gets: the applications of this binary, the global flags, and where it may use colours.

use std::io::IsTerminal;
use std::path::PathBuf;

use forge_actors::app::App;

use crate::cli::{Color, Global};
use crate::cmd::output;
use crate::cmd::report::Report;
use crate::config::environment::Environment;
use crate::config::load::{FILE_NAME, Flag, Loaded, load};

/// The circumstances of one command.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The applications that are linked in.
    pub apps: &'static [&'static App],
    /// The global flags.
    pub global: &'a Global,
    /// This is `forge-node`, and the application that is linked in is the demo.
    pub developer: bool,
}

impl Scene<'_> {
    /// Reads the configuration, with the flags of a verb on top.
    pub fn load(&self, flags: &[Flag]) -> Result<Loaded, Report> {
        Ok(load(self.global.config.as_deref(), Environment::of_process(), flags)?)
    }

    /// The configuration file, when there is one.
    pub fn file(&self) -> Option<PathBuf> {
        self.global.config.clone().or_else(|| Some(PathBuf::from(FILE_NAME)).filter(|file| file.is_file()))
    }

    /// Tells a person how far it is.
    pub fn progress(&self, line: &str) {
        if !self.global.quiet {
            output::notice(line);
        }
    }

    /// Colours for what is printed on stdout.
    pub fn palette(&self) -> Palette {
        let wanted = match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::io::stdout().is_terminal()
            }
        };
        Palette { wanted }
    }
}

/// Wraps texts in colours, or leaves them alone.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    wanted: bool,
}

impl Palette {
    /// A palette that never colours.
    pub const PLAIN: Self = Self { wanted: false };

    /// Good.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Worth a look.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Bad.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Less important.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.wanted { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
