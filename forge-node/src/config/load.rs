//! Finds the files, stacks the layers, and answers a checked configuration.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::{Error, Origin};
use super::layer::Layers;
use super::section::Config;

/// The file that a folder is asked for.
pub const FILE_NAME: &str = "forge.toml";

/// One setting of the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As typed, for errors.
    pub flag: &'static str,
    /// The key it sets.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// A checked configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The file, if one was read.
    pub file: Option<PathBuf>,
    /// The folder that relative paths and `.forge` belong to.
    pub folder: PathBuf,
    /// What the variables were, `.env` included.
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
pub fn load(file: Option<&Path>, environment: Environment, flags: &[Flag]) -> Result<Loaded, Error> {
    let found = match file {
        Some(file) if !file.is_file() => return Err(Error::Missing { file: file.to_owned() }),
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
            .map_err(|error| Error::Unreadable { file: file.clone(), message: error.to_string() })?;
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
pub fn parse(layers: &Layers) -> Result<Config, Error> {
    let config: Config = serde_path_to_error::deserialize(layers.table()).map_err(|error| {
        let path = error.path().to_string();
        let key = path.split('[').next().unwrap_or(&path).to_owned();
        Error::Value { origin: layers.origin(&key), key, message: error.inner().message().to_owned() }
    })?;
    let broken = config.validate();
    if broken.is_empty() { Ok(config) } else { Err(Error::Rules { broken }) }
}
