//! Sections of `forge.toml` as types. A subsystem owns the type and the text that documents its keys; the
//! loader reads every section that a subsystem names, and nobody lists them a second time.

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A section of the configuration file.
pub trait ConfigSection:
    DeserializeOwned + Serialize + Default + Clone + fmt::Debug + Send + Sync + 'static
{
    /// Its name in brackets.
    const NAME: &'static str;
    /// Its part of `reference.toml`: the header, and every key with its default and a comment.
    const REFERENCE: &'static str;

    /// Rules between its keys; a sentence for each that is broken, with the keys' full names.
    fn validate(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A section's line in the table of its subsystem.
#[derive(Debug, Clone, Copy)]
pub struct SectionEntry {
    /// [`ConfigSection::NAME`].
    pub name: &'static str,
    /// [`ConfigSection::REFERENCE`].
    pub reference: &'static str,
    default: fn() -> Arc<dyn AnySection>,
    read: fn(serde_json::Value) -> Result<Arc<dyn AnySection>, SectionError>,
}

/// A value that its key does not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionError {
    /// The key, without the section's name.
    pub key: String,
    /// What is expected there.
    pub message: String,
}

impl SectionEntry {
    /// The line of `C`.
    pub const fn of<C: ConfigSection>() -> Self {
        Self { name: C::NAME, reference: C::REFERENCE, default: default_of::<C>, read: read_as::<C> }
    }
}

fn default_of<C: ConfigSection>() -> Arc<dyn AnySection> {
    Arc::new(C::default())
}

fn read_as<C: ConfigSection>(table: serde_json::Value) -> Result<Arc<dyn AnySection>, SectionError> {
    read_section::<C>(table).map(|section| Arc::new(section) as Arc<dyn AnySection>)
}

/// Reads the table of a section.
///
/// # Errors
/// The first key whose value does not fit it.
pub fn read_section<T: DeserializeOwned>(table: serde_json::Value) -> Result<T, SectionError> {
    serde_path_to_error::deserialize(table).map_err(|error| {
        let path = error.path().to_string();
        let key = path.split('[').next().unwrap_or(&path).to_owned();
        SectionError { key, message: error.inner().to_string() }
    })
}

/// A section whose type is known to its subsystem only.
trait AnySection: fmt::Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn validate(&self) -> Vec<String>;
    fn to_json(&self) -> serde_json::Value;
}

impl<C: ConfigSection> AnySection for C {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn validate(&self) -> Vec<String> {
        ConfigSection::validate(self)
    }

    fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a section is a table of texts, numbers and switches")
    }
}

/// The sections of all subsystems, by name. What was never read has its defaults.
#[derive(Clone, Default)]
pub struct Sections {
    read: BTreeMap<&'static str, Arc<dyn AnySection>>,
}

impl Sections {
    /// The defaults of `sections`.
    pub fn defaults(sections: impl IntoIterator<Item = SectionEntry>) -> Self {
        Self { read: sections.into_iter().map(|section| (section.name, (section.default)())).collect() }
    }

    /// Reads one section.
    ///
    /// # Errors
    /// The first key whose value does not fit it.
    pub fn read(&mut self, section: SectionEntry, table: serde_json::Value) -> Result<(), SectionError> {
        self.read.insert(section.name, (section.read)(table)?);
        Ok(())
    }

    /// Replaces a section, as code does that completes paths or chooses development defaults.
    pub fn set<C: ConfigSection>(&mut self, section: C) {
        self.read.insert(C::NAME, Arc::new(section));
    }

    /// A section; its defaults when it was not read.
    pub fn get<C: ConfigSection>(&self) -> C {
        let Some(section) = self.read.get(C::NAME) else { return C::default() };
        let of_that_type = section.as_any().downcast_ref::<C>();
        of_that_type.unwrap_or_else(|| panic!("[{}] is not a {}", C::NAME, type_name::<C>())).clone()
    }

    /// What [`ConfigSection::validate`] says of every section.
    pub fn validate(&self) -> Vec<String> {
        self.read.values().flat_map(|section| section.validate()).collect()
    }

    /// Every section as JSON, by name.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        self.read.iter().map(|(name, section)| ((*name).to_owned(), section.to_json())).collect()
    }
}

impl fmt::Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.read).finish()
    }
}
