//! Merges the layers of a configuration into one table that keeps, for each key, where it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::{DeInteger, DeTable, DeValue};
use toml::{Spanned, Value};

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use super::reference;
use super::substitute::{SubstitutionError, substitute};

/// Values by `section.key`, later layers over earlier ones.
#[derive(Debug, Default)]
pub struct Layers {
    entries: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    /// Adds a file's text; `name` is the file's name in errors.
    pub fn add_file(&mut self, name: &str, text: &str, environment: &Environment) -> Result<(), ConfigError> {
        let file = File { name: name.into(), text, environment };
        let parsed = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            origin: file.origin(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        self.add_table(&file, "", parsed.get_ref())
    }

    fn add_table(&mut self, file: &File<'_>, prefix: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in table {
            let path = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let origin = file.origin(key.span().start);
            let is_key = reference::KEYS.contains_key(&path);
            let is_section = reference::KEYS
                .keys()
                .any(|known| known.strip_prefix(&path).is_some_and(|rest| rest.starts_with('.')));
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.add_table(file, &path, inner)?,
                _ if is_key => drop(self.entries.insert(path.clone(), (file.value(&path, value)?, origin))),
                _ => {
                    let help = if is_section {
                        format!("`{path}` is a section: write [{path}]")
                    } else {
                        reference::advice(&path)
                    };
                    return Err(ConfigError::UnknownKey { origin, key: path, help });
                }
            }
        }
        Ok(())
    }

    /// Adds `DATABASE_URL`, and `FORGE_SECTION__KEY` for every key. A variable of that form that names no key
    /// is refused, as an unknown key in a file is.
    pub fn add_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        let mut forge_variables =
            environment.names().filter_map(|name| Some((name, reference::key_of(name)?)));
        if let Some((name, key)) = forge_variables.find(|(_, key)| !reference::KEYS.contains_key(key)) {
            let help = reference::advice(&key);
            return Err(ConfigError::UnknownKey { origin: Origin::Variable(name.to_owned()), key, help });
        }
        let named = reference::KEYS.keys().map(|key| (key.as_str(), reference::variable_of(key)));
        for (key, variable) in [("database.url", "DATABASE_URL".to_owned())].into_iter().chain(named) {
            if let Some(text) = environment.get_filled(&variable) {
                self.add_text(key, text, Origin::Variable(variable))?;
            }
        }
        Ok(())
    }

    /// Adds the value of a flag.
    pub fn add_flag(&mut self, flag: &'static str, key: &str, text: &str) -> Result<(), ConfigError> {
        self.add_text(key, text, Origin::Flag(flag))
    }

    fn add_text(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        match reference::typed(key, text) {
            Ok(value) => drop(self.entries.insert(key.to_owned(), (value, origin))),
            Err(message) => return Err(ConfigError::Value { origin, key: key.to_owned(), message }),
        }
        Ok(())
    }

    /// The merged tables, by section.
    pub fn tables(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut sections = serde_json::Map::new();
        for (path, (value, _)) in &self.entries {
            let (section, key) = path.split_once('.').expect("every key of the reference is in a section");
            let table = sections.entry(section).or_insert_with(|| serde_json::json!({}));
            let value = serde_json::to_value(value).expect("a TOML value without dates is a JSON value");
            table[key] = value;
        }
        sections
    }

    /// Where a key's value was written.
    pub fn origin(&self, key: &str) -> Origin {
        self.entries.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

struct File<'a> {
    name: Arc<str>,
    text: &'a str,
    environment: &'a Environment,
}

impl File<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        Origin::File(Arc::clone(&self.name), 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }

    fn value(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Value, ConfigError> {
        let origin = || self.origin(value.span().start);
        let wrong = |message: String| ConfigError::Value { origin: origin(), key: key.to_owned(), message };
        Ok(match value.get_ref() {
            DeValue::String(text) => {
                let completed = substitute(text, self.environment).map_err(|error| match error {
                    SubstitutionError::Unset(variable) => {
                        ConfigError::Unset { origin: origin(), key: key.to_owned(), variable }
                    }
                    SubstitutionError::Malformed(message) => {
                        ConfigError::Substitution { origin: origin(), key: key.to_owned(), message }
                    }
                })?;
                // A text with a substitution may be the value of a number or a switch: port =
                // "${PORT:-8080}".
                if completed == *text {
                    Value::String(completed)
                } else {
                    reference::typed(key, &completed).map_err(wrong)?
                }
            }
            DeValue::Integer(number) => {
                Value::Integer(integer(number).ok_or_else(|| wrong("the number is too large".to_owned()))?)
            }
            DeValue::Float(number) => Value::Float(
                number.as_str().parse().map_err(|_| wrong("the number cannot be read".to_owned()))?,
            ),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Datetime(moment) => Value::Datetime(*moment),
            DeValue::Array(items) => {
                Value::Array(items.iter().map(|item| self.value(key, item)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(_) => return Err(wrong("a single value is expected, not a table".to_owned())),
        })
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
