//! What can be wrong with a configuration; each error says where, what, and what helps.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file, on a line (counted from 1).
    File(Arc<str>, usize),
    /// In an environment variable.
    Variable(String),
    /// On the command line.
    Flag(&'static str),
    /// Nowhere: the default.
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
pub enum Error {
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
        /// Why.
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
        /// What was probably meant, or what there is.
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
    /// `${` without its end, or without a name.
    #[error("{origin}: `{key}` holds a broken substitution: {message}")]
    Substitution {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The value is not one of its key.
    #[error("{origin}: `{key}`: {message}")]
    Value {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// What is expected.
        message: String,
    },
    /// Values that do not go together.
    #[error("{}", broken.join("; "))]
    Rules {
        /// One sentence for each broken rule.
        broken: Vec<String>,
    },
}

impl Error {
    /// What helps.
    pub fn help(&self) -> String {
        match self {
            Self::Missing { .. } => "name another file with --config, or leave --config out".to_owned(),
            Self::Unreadable { file, .. } => format!("ls -l {}", file.display()),
            Self::Syntax { .. } => "texts stand in quotes, sections in brackets: https://toml.io".to_owned(),
            Self::UnknownKey { help, .. } => help.clone(),
            Self::Unset { variable, .. } => {
                format!("export {variable}=.., or write ${{{variable}:-default}}")
            }
            Self::Substitution { .. } => {
                "write ${NAME} or ${NAME:-default}; $${ stands for ${ itself".to_owned()
            }
            Self::Value { .. } | Self::Rules { .. } => {
                "every key is explained in reference.toml: see the configuration chapter".to_owned()
            }
        }
    }
}
