//! Finds the files, merges the layers, and checks the configuration.

use std::path::{Path, PathBuf};

use forge_actors::subsystem::SectionError;

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use super::layer::Layers;
use super::section::Config;

/// The name of the configuration file of a folder.
pub const FILE_NAME: &str = "forge.toml";

/// A setting from the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The flag as it is typed, for errors.
    pub flag: &'static str,
    /// The key that it sets.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// A checked configuration, and where its values were written.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The file, if one was read.
    pub file: Option<PathBuf>,
    /// The folder that relative paths and `.forge` belong to.
    pub folder: PathBuf,
    /// The environment variables, with those of `.env`.
    pub environment: Environment,
    layers: Layers,
}

impl Loaded {
    /// Where a key's value was written.
    pub fn origin(&self, key: &str) -> Origin {
        self.layers.origin(key)
    }
}

/// Loads `file`, or the `forge.toml` of the current folder when there is one.
///
/// # Errors
/// When a file cannot be read, a key is unknown, or a value is wrong.
pub fn load(file: Option<&Path>, environment: Environment, flags: &[Flag]) -> Result<Loaded, ConfigError> {
    let found = match file {
        Some(file) if !file.is_file() => return Err(ConfigError::Missing { file: file.to_owned() }),
        Some(file) => Some(file.to_owned()),
        None => Some(PathBuf::from(FILE_NAME)).filter(|file| file.is_file()),
    };
    let folder = found
        .as_deref()
        .and_then(Path::parent)
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."))
        .to_owned();
    let environment = environment.with_file(&folder.join(".env"))?;
    let mut layers = Layers::default();
    if let Some(file) = &found {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable { file: file.clone(), message: error.to_string() })?;
        layers.add_file(&file.display().to_string(), &text, &environment)?;
    }
    layers.add_environment(&environment)?;
    for Flag { flag, key, value } in flags {
        layers.add_flag(flag, key, value)?;
    }
    let config = parse(&layers)?;
    Ok(Loaded { config, file: found, folder, environment, layers })
}

/// Reads the merged table as a configuration, and checks the rules between its keys.
///
/// # Errors
/// When a value does not have the type of its key, or a rule is broken.
pub fn parse(layers: &Layers) -> Result<Config, ConfigError> {
    let config = Config::read(layers.tables()).map_err(|SectionError { key, message }| {
        ConfigError::Value { origin: layers.origin(&key), key, message }
    })?;
    let broken = config.validate();
    if broken.is_empty() { Ok(config) } else { Err(ConfigError::Rules { broken }) }
}
