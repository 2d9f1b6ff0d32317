//! `#[forge::workflow_migration(from = 1, to = 2)]`: a journal of one version becomes one of the next.

use std::marker::PhantomData;

use serde_json::Value;

use crate::app::error::Result;
use crate::app::handler::{Handler, Meta};
use crate::app::wire_type::WireType;
use crate::app::workflow_run::journal::{JournalEntry, StepStatus, UNCHECKED_SHAPE, position_parts};
use crate::kernel::fault::{Code, Fault};

/// The journal of a run, as a migration changes it. `H` is the message of the workflow's newer version.
pub struct Journal<H> {
    contents: JournalContents,
    workflow: PhantomData<fn() -> H>,
}

/// What a migration may change of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalContents {
    /// The arguments that the run was started with.
    pub input: Value,
    /// The steps, in the order of their positions.
    pub entries: Vec<JournalEntry>,
}

impl<H: Handler> Journal<H> {
    #[doc(hidden)]
    pub const fn of(contents: JournalContents) -> Self {
        Self { contents, workflow: PhantomData }
    }

    #[doc(hidden)]
    pub fn into_contents(self) -> JournalContents {
        self.contents
    }

    /// The arguments that the run was started with, as JSON: those that the newer version reads.
    pub fn input_mut(&mut self) -> &mut Value {
        &mut self.contents.input
    }

    /// The steps that the run has reached, in the order of their positions.
    pub fn steps(&self) -> &[JournalEntry] {
        &self.contents.entries
    }

    /// Gives the step `from` the name `to`.
    ///
    /// # Errors
    /// `CONFLICT` when the journal has no step of that name: a run that has not come so far has none, which
    /// [`steps`](Self::steps) shows.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let entry = self.entry(from)?;
        to.clone_into(&mut entry.name);
        Ok(())
    }

    /// Writes the result of the step `name` anew.
    ///
    /// # Errors
    /// `CONFLICT` when the journal has no such step, or its result cannot be read as `A`.
    pub fn map_result<A: WireType, B: WireType>(
        &mut self,
        name: &str,
        map: impl FnOnce(A) -> B,
    ) -> Result<()> {
        let entry = self.entry(name)?;
        let Some(output) = entry.output.as_deref() else { return Ok(()) };
        let old = A::from_json(output.as_bytes()).map_err(|error| {
            Fault::new(Code::Conflict, format!("the result of the step `{name}` cannot be read: {error}"))
        })?;
        let new = map(old).to_json()?;
        entry.output = Some(String::from_utf8(new).map_err(Fault::internal)?);
        entry.shape = UNCHECKED_SHAPE;
        Ok(())
    }

    /// Inserts a completed step before the step at `position`, which moves on by one, as do those behind it;
    /// with the position behind the last one it is appended. The newer version does not execute it.
    ///
    /// # Errors
    /// `CONFLICT` when the run has not reached that position: then the newer version executes the step
    /// itself.
    pub fn insert<T: WireType>(&mut self, position: u32, name: &str, result: &T) -> Result<()> {
        let last = self.top_level().max().unwrap_or(0);
        if position == 0 || position > last + 1 {
            let text = format!("the run has {last} steps, so none can be inserted at {position}");
            return Err(Fault::new(Code::Conflict, text));
        }
        let json = String::from_utf8(result.to_json()?).map_err(Fault::internal)?;
        self.shift(position, 1);
        let mut inserted = JournalEntry::completed(position.to_string(), name, json);
        inserted.number = Some(0);
        self.contents.entries.push(inserted);
        self.sort();
        Ok(())
    }

    /// Removes the step at `position` with its branches; those behind it move up by one.
    ///
    /// # Errors
    /// `CONFLICT` when the journal has no step there.
    pub fn remove(&mut self, position: u32) -> Result<()> {
        if !self.top_level().any(|top| top == position) {
            return Err(Fault::new(Code::Conflict, format!("the journal has no step at {position}")));
        }
        self.contents.entries.retain(|entry| top_of(&entry.position) != Some(position));
        self.shift(position + 1, -1);
        self.sort();
        Ok(())
    }

    fn entry(&mut self, name: &str) -> Result<&mut JournalEntry> {
        let found = self.contents.entries.iter_mut().find(|entry| entry.name == name);
        found.ok_or_else(|| Fault::new(Code::Conflict, format!("the journal has no step `{name}`")))
    }

    fn top_level(&self) -> impl Iterator<Item = u32> {
        self.contents.entries.iter().filter_map(|entry| top_of(&entry.position))
    }

    /// Moves all steps from `first` on by so many places.
    fn shift(&mut self, first: u32, by: i32) {
        for entry in &mut self.contents.entries {
            let Some(top) = top_of(&entry.position).filter(|top| *top >= first) else { continue };
            let rest = entry.position.split_once('.').map(|(_, rest)| format!(".{rest}")).unwrap_or_default();
            entry.position = format!("{}{rest}", top.saturating_add_signed(by));
        }
    }

    fn sort(&mut self) {
        self.contents.entries.sort_by_key(|entry| position_parts(&entry.position));
    }
}

fn top_of(position: &str) -> Option<u32> {
    position.split('.').next()?.parse().ok()
}

/// Changes the journal of a run.
pub type MigrateJournal = fn(JournalContents) -> Result<JournalContents>;

/// A migration of one workflow, found at link time.
pub struct MigrationRegistration {
    /// The attributes of the newer version.
    pub meta: Meta,
    /// The version whose runs are migrated.
    pub from: u32,
    /// The version that they have then.
    pub to: u32,
    /// Does it.
    pub migrate: MigrateJournal,
    /// Source file.
    pub file: &'static str,
    /// Line in the source file.
    pub line: u32,
}

impl MigrationRegistration {
    /// The registration of a migration to the workflow of the message `H`.
    pub const fn of<H: Handler>(
        from: u32,
        to: u32,
        migrate: MigrateJournal,
        file: &'static str,
        line: u32,
    ) -> Self {
        assert!(H::META.workflow_meta().is_some(), "only a workflow has a journal");
        Self { meta: H::META, from, to, migrate, file, line }
    }
}

inventory::collect!(MigrationRegistration);

impl JournalEntry {
    /// Whether the step has come to an end that the code has seen.
    pub fn is_finished(&self) -> bool {
        matches!(self.status, StepStatus::Completed | StepStatus::Failed | StepStatus::Skipped)
    }
}
