//! Decides which migrations to run, from the files and the rows of applied migrations. No IO.

use chrono::{DateTime, Utc};

use super::error::MigrateError;
use super::file::{Migration, Section};
use super::set::MigrationSet;

/// A row of `forge_migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedMigration {
    /// The set's name.
    pub set: String,
    /// The number in its set.
    pub number: u32,
    /// `verb_noun`.
    pub name: String,
    /// The checksum of the file that was applied.
    pub checksum: String,
    /// When it was applied, by the database's clock.
    pub at: DateTime<Utc>,
    /// Its duration in milliseconds.
    pub execution_ms: i64,
    /// The node that ran it.
    pub node: String,
    /// True when a binary that does not know the migration must not run.
    pub breaking: bool,
}

/// What a binary says of migrations that a newer one applied, behind their titles.
pub const NEWER_MIGRATION: &str = "applied by a newer version; this binary can run on that schema";

impl AppliedMigration {
    /// `0001_create_tasks`.
    pub fn title(&self) -> String {
        format!("{:04}_{}", self.number, self.name)
    }
}

/// Whether a step applies a migration or undoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Applies a migration.
    Up,
    /// Undoes a migration.
    Down,
}

/// One migration to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationStep<'a> {
    /// The set's name.
    pub set: &'a str,
    /// The file.
    pub migration: &'a Migration,
    /// Whether the step applies the migration or undoes it.
    pub direction: Direction,
    /// The section of the file that runs.
    pub section: &'a Section,
}

/// How many migrations are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownTo {
    /// The last `n`.
    Steps(u32),
    /// All above this number.
    Number(u32),
}

/// One migration and whether it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// The set's name.
    pub set: String,
    /// The number in its set.
    pub number: u32,
    /// `verb_noun`.
    pub name: String,
    /// Its row in `forge_migrations`, when it is applied.
    pub applied: Option<AppliedMigration>,
    /// The contradiction between its row and its file, when there is one.
    pub problem: Option<String>,
    /// True for a migration that a newer binary applied, and on whose schema this binary can run.
    pub newer: bool,
}

/// The rows of a set, compared with its files.
struct AppliedRows<'a> {
    /// How many of the set's files are applied.
    known: u32,
    /// The last migration that a newer binary applied. This binary has no file of it.
    newer: Option<&'a AppliedMigration>,
}

/// Checks that the rows of `set` are those of its first files, unchanged. Rows behind the last file are of a
/// newer binary; only those that are not breaking may be there.
fn compare<'a>(set: &MigrationSet, applied: &'a [AppliedMigration]) -> Result<AppliedRows<'a>, MigrateError> {
    let mut rows: Vec<&AppliedMigration> = applied.iter().filter(|row| row.set == set.name).collect();
    rows.sort_by_key(|row| row.number);
    let mut found = AppliedRows { known: 0, newer: None };
    for (expected, row) in (1..).zip(rows) {
        if row.number != expected {
            return Err(MigrateError::OutOfOrder {
                set: set.name.clone(),
                number: row.number,
                missing: expected,
            });
        }
        let Some(migration) = set.get(row.number) else {
            if row.breaking {
                let (set, name) = (set.name.clone(), row.name.clone());
                return Err(MigrateError::Breaking { set, number: row.number, name });
            }
            found.newer = Some(row);
            continue;
        };
        found.known = row.number;
        if row.checksum != migration.checksum {
            let (applied, current) = (row.checksum.clone(), migration.checksum.clone());
            return Err(MigrateError::Edited { file: migration.file.clone(), applied, current });
        }
    }
    Ok(found)
}

/// The migrations in the database that are newer than every file of their set. A binary runs beside them
/// when none of them is breaking.
pub fn newer<'a>(sets: &[MigrationSet], applied: &'a [AppliedMigration]) -> Vec<&'a AppliedMigration> {
    let set_of = |row: &AppliedMigration| sets.iter().find(|set| set.name == row.set);
    applied.iter().filter(|row| set_of(row).is_some_and(|set| row.number > set.last())).collect()
}

/// The steps that apply the pending migrations, set after set. `to` (a set's name and a number) stops that
/// set at the number.
///
/// # Errors
/// When the rows do not fit the files, or `to` names no migration.
pub fn plan_up<'a>(
    sets: &'a [MigrationSet],
    applied: &[AppliedMigration],
    to: Option<(&str, u32)>,
) -> Result<Vec<MigrationStep<'a>>, MigrateError> {
    if let Some((name, number)) = to {
        check_target(find(sets, name)?, number)?;
    }
    let mut steps = Vec::new();
    for set in sets {
        let done = compare(set, applied)?.known;
        let until = to.filter(|(name, _)| *name == set.name).map_or(u32::MAX, |(_, number)| number);
        let missing =
            set.migrations().iter().filter(|migration| migration.number > done && migration.number <= until);
        steps.extend(missing.map(|migration| MigrationStep {
            set: &set.name,
            migration,
            direction: Direction::Up,
            section: &migration.up,
        }));
    }
    Ok(steps)
}

/// The steps that undo migrations of the set `name`, the last one first.
///
/// # Errors
/// When the rows do not fit the files, `to` names no migration, or one of them is irreversible.
pub fn plan_down<'a>(
    sets: &'a [MigrationSet],
    applied: &[AppliedMigration],
    name: &str,
    to: DownTo,
) -> Result<Vec<MigrationStep<'a>>, MigrateError> {
    let set = find(sets, name)?;
    let AppliedRows { known: done, newer } = compare(set, applied)?;
    if let Some(row) = newer {
        let (set, name) = (set.name.clone(), row.name.clone());
        return Err(MigrateError::NotOurs { set, number: row.number, name });
    }
    let keep = match to {
        DownTo::Steps(count) => done.saturating_sub(count),
        DownTo::Number(0) => 0,
        DownTo::Number(number) => {
            check_target(set, number)?;
            number
        }
    };
    let undone =
        set.migrations().iter().rev().filter(|migration| migration.number > keep && migration.number <= done);
    undone
        .map(|migration| {
            let section = migration
                .down
                .as_ref()
                .ok_or_else(|| MigrateError::Irreversible { file: migration.file.clone() })?;
            Ok(MigrationStep { set: &set.name, migration, direction: Direction::Down, section })
        })
        .collect()
}

/// Every migration, applied or not, and every row that has no file.
pub fn status(sets: &[MigrationSet], applied: &[AppliedMigration]) -> Vec<MigrationStatus> {
    let mut all = Vec::new();
    for set in sets {
        for migration in set.migrations() {
            let row = applied.iter().find(|row| row.set == set.name && row.number == migration.number);
            let edited = row.is_some_and(|row| row.checksum != migration.checksum);
            all.push(MigrationStatus {
                set: set.name.clone(),
                number: migration.number,
                name: migration.name.clone(),
                applied: row.cloned(),
                problem: edited.then(|| "the file was changed after it had been applied".into()),
                newer: false,
            });
        }
    }
    let unknown = applied
        .iter()
        .filter(|row| !sets.iter().any(|set| set.name == row.set && set.get(row.number).is_some()));
    let newer = newer(sets, applied);
    all.extend(unknown.map(|row| {
        let is_newer = newer.contains(&row) && !row.breaking;
        let problem = match row.breaking {
            true => "this binary has no such file, and the migration is marked @breaking",
            false => "this binary has no such file",
        };
        MigrationStatus {
            set: row.set.clone(),
            number: row.number,
            name: row.name.clone(),
            applied: Some(row.clone()),
            problem: (!is_newer).then(|| problem.into()),
            newer: is_newer,
        }
    }));
    all
}

fn find<'a>(sets: &'a [MigrationSet], name: &str) -> Result<&'a MigrationSet, MigrateError> {
    let known = || sets.iter().map(|set| format!("`{}`", set.name)).collect::<Vec<_>>().join(", ");
    sets.iter()
        .find(|set| set.name == name)
        .ok_or_else(|| MigrateError::NoSuchSet { set: name.to_owned(), known: known() })
}

fn check_target(set: &MigrationSet, number: u32) -> Result<(), MigrateError> {
    match set.get(number) {
        Some(_) => Ok(()),
        None => Err(MigrateError::NoSuchTarget { set: set.name.clone(), number, last: set.last() }),
    }
}
