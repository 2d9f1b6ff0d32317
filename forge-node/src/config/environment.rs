//! Environment variables as a value: those of the process, and those of a `.env` file that the process does
//! not have.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ConfigError;

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of the process; those that are not Unicode are left out.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    /// Adds the variables of a `.env` file that the process does not have. A missing file adds none.
    pub fn with_file(mut self, path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |message: String| ConfigError::Unreadable { file: path.to_owned(), message };
        let entries = match dotenvy::from_path_iter(path) {
            Ok(entries) => entries,
            Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(self);
            }
            Err(error) => return Err(unreadable(error.to_string())),
        };
        for entry in entries {
            // The text of dotenvy's error has the whole line, which may hold a secret.
            let (name, value) = entry.map_err(|error| match error {
                dotenvy::Error::LineParse(_, at) => {
                    unreadable(format!("a line breaks off at its character {at}; write NAME=value"))
                }
                other => unreadable(other.to_string()),
            })?;
            self.variables.entry(name).or_insert(value);
        }
        Ok(self)
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The name of every variable.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// The value of a variable that is not empty: compose files and shells pass unset variables as empty
    /// ones.
    pub fn get_filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self {
            variables: pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}
