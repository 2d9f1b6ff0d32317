//! A named list of migrations without gaps.

use std::path::Path;

use super::error::MigrateError;
use super::file::Migration;

/// The migrations of Forge itself or of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationSet {
    /// `forge`, or the application's name.
    pub name: String,
    migrations: Vec<Migration>,
}

impl MigrationSet {
    /// Makes a set of `migrations`, in the order of their numbers.
    ///
    /// # Errors
    /// When the numbers are not 1, 2, 3 … or one occurs twice.
    pub fn new(name: impl Into<String>, mut migrations: Vec<Migration>) -> Result<Self, MigrateError> {
        migrations.sort_by(|a, b| (a.number, &a.file).cmp(&(b.number, &b.file)));
        let mut previous: Option<&Migration> = None;
        for migration in &migrations {
            let before = previous.map_or(0, |previous| previous.number);
            if migration.number == before {
                let first = previous.map_or_else(String::new, |previous| previous.file.clone());
                return Err(MigrateError::DuplicateNumber { first, second: migration.file.clone() });
            }
            if migration.number != before + 1 {
                return Err(MigrateError::Gap { file: migration.file.clone(), previous: before });
            }
            previous = Some(migration);
        }
        Ok(Self { name: name.into(), migrations })
    }

    /// Parses files that are already in memory, as (name, text).
    ///
    /// # Errors
    /// Those of [`Migration::parse`] and of [`new`](Self::new).
    pub fn parse(name: impl Into<String>, files: &[(&str, &str)]) -> Result<Self, MigrateError> {
        let migrations =
            files.iter().map(|(file, text)| Migration::parse(file, text)).collect::<Result<_, _>>()?;
        Self::new(name, migrations)
    }

    /// Parses every `.sql` file of a folder; other files are ignored.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse), and `Read` when the folder or a file cannot be read.
    pub fn read(name: impl Into<String>, folder: &Path) -> Result<Self, MigrateError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| MigrateError::Read { path, source }
        };
        let mut migrations = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
                migrations.push(Migration::parse(&path.to_string_lossy(), &text)?);
            }
        }
        Self::new(name, migrations)
    }

    /// The migrations, in the order of their numbers.
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// The migration with this number.
    pub fn get(&self, number: u32) -> Option<&Migration> {
        self.migrations.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The highest number, 0 for an empty set.
    pub fn last(&self) -> u32 {
        self.migrations.last().map_or(0, |migration| migration.number)
    }
}
