//! Why a configuration is refused; each error says where, what is wrong, and what helps.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use forge_actors::kernel::diagnose::{Diagnose, FailureKind};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file, on a line (counted from 1).
    File(Arc<str>, usize),
    /// In an environment variable.
    Variable(String),
    /// On the command line.
    Flag(&'static str),
    /// Nowhere: the value is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line) => write!(f, "{file}:{line}"),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for is not there.
    #[error("the configuration file {} does not exist", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("{} cannot be read: {message}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The failure.
        message: String,
    },
    /// The file is not TOML.
    #[error("{origin}: this is not TOML: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser said.
        message: String,
    },
    /// No such key.
    #[error("{origin}: unknown key `{key}`")]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// The key, with its section.
        key: String,
        /// The key that was probably meant, or the keys that exist.
        help: String,
    },
    /// `${VAR}` names a variable that is not set.
    #[error("{origin}: `{key}` needs the variable {variable}, which is not set")]
    Unset {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// The variable.
        variable: String,
    },
    /// A `${` has no end, or no name.
    #[error("{origin}: `{key}` holds a broken substitution: {message}")]
    Substitution {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// The problem.
        message: String,
    },
    /// The value does not have the type of its key.
    #[error("{origin}: `{key}`: {message}")]
    Value {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// The expectation that it does not meet.
        message: String,
    },
    /// Values contradict each other.
    #[error("{}", broken.join("; "))]
    Rules {
        /// One sentence for each broken rule.
        broken: Vec<String>,
    },
}

impl Diagnose for ConfigError {
    fn code(&self) -> &'static str {
        "config"
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Config
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Missing { .. } => "name another file with --config, or leave --config out".into(),
            Self::Unreadable { file, .. } => format!("ls -l {}", file.display()).into(),
            Self::Syntax { .. } => "write texts in quotes and sections in brackets: https://toml.io".into(),
            Self::UnknownKey { help, .. } => help.as_str().into(),
            Self::Unset { variable, .. } => {
                format!("export {variable}=.., or write ${{{variable}:-default}}").into()
            }
            Self::Substitution { .. } => "write ${NAME} or ${NAME:-default}; $${ stands for ${ itself".into(),
            Self::Value { .. } | Self::Rules { .. } => {
                "every key is explained in reference.toml: see the configuration chapter".into()
            }
        })
    }
}
