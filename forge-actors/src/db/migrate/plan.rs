//! Decides what to run: files and rows in, steps out. No IO.

use chrono::{DateTime, Utc};

use super::error::MigrateError;
use super::file::{Migration, Section};
use super::set::MigrationSet;

/// A row of `forge_migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The set.
    pub set: String,
    /// The number in its set.
    pub number: u32,
    /// `verb_noun`.
    pub name: String,
    /// The file's checksum at the time.
    pub checksum: String,
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub execution_ms: i64,
    /// The node that ran it.
    pub node: String,
}

/// Which way a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Applies a migration.
    Up,
    /// Undoes one.
    Down,
}

/// One migration to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// The set's name.
    pub set: &'a str,
    /// The file.
    pub migration: &'a Migration,
    /// Forward or back.
    pub direction: Direction,
    /// What runs.
    pub section: &'a Section,
}

/// How far back to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownTo {
    /// Undo the last `n`.
    Steps(u32),
    /// Undo everything above this number.
    Number(u32),
}

/// One migration and whether it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The set's name.
    pub set: String,
    /// The number in its set.
    pub number: u32,
    /// `verb_noun`.
    pub name: String,
    /// Its row, when it is applied.
    pub applied: Option<Applied>,
    /// Why the row and the file do not fit together, when they do not.
    pub problem: Option<String>,
}

/// Checks that the rows of `set` are its first files, unchanged; returns how many.
fn applied_count(set: &MigrationSet, applied: &[Applied]) -> Result<u32, MigrateError> {
    let mut rows: Vec<&Applied> = applied.iter().filter(|row| row.set == set.name).collect();
    rows.sort_by_key(|row| row.number);
    for (expected, row) in (1..).zip(&rows) {
        let Some(migration) = set.get(row.number) else {
            return Err(MigrateError::Unknown {
                set: set.name.clone(),
                number: row.number,
                name: row.name.clone(),
            });
        };
        if row.number != expected {
            return Err(MigrateError::OutOfOrder {
                set: set.name.clone(),
                number: row.number,
                missing: expected,
            });
        }
        if row.checksum != migration.checksum {
            let (applied, current) = (row.checksum.clone(), migration.checksum.clone());
            return Err(MigrateError::Edited { file: migration.file.clone(), applied, current });
        }
    }
    Ok(rows.last().map_or(0, |row| row.number))
}

/// What is missing, set after set. `to` stops one set at a number.
pub fn plan_up<'a>(
    sets: &'a [MigrationSet],
    applied: &[Applied],
    to: Option<(&str, u32)>,
) -> Result<Vec<Step<'a>>, MigrateError> {
    if let Some((name, number)) = to {
        check_target(find(sets, name)?, number)?;
    }
    let mut steps = Vec::new();
    for set in sets {
        let done = applied_count(set, applied)?;
        let until = to.filter(|(name, _)| *name == set.name).map_or(u32::MAX, |(_, number)| number);
        let missing =
            set.migrations().iter().filter(|migration| migration.number > done && migration.number <= until);
        steps.extend(missing.map(|migration| Step {
            set: &set.name,
            migration,
            direction: Direction::Up,
            section: &migration.up,
        }));
    }
    Ok(steps)
}

/// What to undo in the set `name`, last first.
pub fn plan_down<'a>(
    sets: &'a [MigrationSet],
    applied: &[Applied],
    name: &str,
    to: DownTo,
) -> Result<Vec<Step<'a>>, MigrateError> {
    let set = find(sets, name)?;
    let done = applied_count(set, applied)?;
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
            Ok(Step { set: &set.name, migration, direction: Direction::Down, section })
        })
        .collect()
}

/// Every migration, applied or not, and rows that no file belongs to.
pub fn status(sets: &[MigrationSet], applied: &[Applied]) -> Vec<Status> {
    let mut all = Vec::new();
    for set in sets {
        for migration in set.migrations() {
            let row = applied.iter().find(|row| row.set == set.name && row.number == migration.number);
            let edited = row.is_some_and(|row| row.checksum != migration.checksum);
            all.push(Status {
                set: set.name.clone(),
                number: migration.number,
                name: migration.name.clone(),
                applied: row.cloned(),
                problem: edited.then(|| "the file was changed after it had been applied".into()),
            });
        }
    }
    let unknown = applied
        .iter()
        .filter(|row| !sets.iter().any(|set| set.name == row.set && set.get(row.number).is_some()));
    all.extend(unknown.map(|row| Status {
        set: row.set.clone(),
        number: row.number,
        name: row.name.clone(),
        applied: Some(row.clone()),
        problem: Some("this binary has no such file".into()),
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
