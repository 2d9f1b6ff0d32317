//! The test's side of the signals (`forge_actors::test_signals`): it waits for steps of the code, and holds
//! the code at a step.

use std::path::PathBuf;
use std::time::Duration;

use forge_actors::test_signals::{self, FOLDER_VARIABLE, STEPS_FILE, Step};
use tempfile::TempDir;

use super::node::NodeBuilder;
use super::until::until;

/// Far more than any step takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The steps of one process: of a node, or of the test itself.
pub struct Signals {
    folder: TempDir,
}

/// Holds the code at a step until it is dropped.
pub struct Hold {
    file: PathBuf,
}

impl Signals {
    /// For a node; give it to [`NodeBuilder::signals`].
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        if !test_signals::ENABLED {
            panic!("a release announces no steps");
        }
        Self { folder: tempfile::tempdir().expect("make a folder") }
    }

    /// Of the actors in the test's own process. Each test has a process of its own.
    pub fn of_this_process() -> Self {
        let signals = Self::new();
        test_signals::listen(signals.folder.path()).expect("a new folder can be written to");
        signals
    }

    /// How often the step was reached.
    pub fn count(&self, step: Step, key: &str) -> usize {
        let line = step.line(key);
        // The file is made when the process starts to announce.
        let steps = std::fs::read_to_string(self.folder.path().join(STEPS_FILE)).unwrap_or_default();
        steps.split_inclusive('\n').filter(|reached| *reached == line).count()
    }

    /// Waits until the step was reached this often.
    pub async fn reached(&self, step: Step, key: &str, at_least: usize) {
        let count = || async { (self.count(step, key) >= at_least).then_some(()) };
        until(&format!("{step:?} of {key}, {at_least} times"), PATIENCE, count).await;
    }

    /// Holds the code at the step, as often as it comes there.
    pub fn hold(&self, step: Step, key: &str) -> Hold {
        let file = step.hold_file(self.folder.path(), key);
        std::fs::write(&file, "").expect("a file in the test's own folder");
        Hold { file }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The folder is gone when the signals were dropped before, and then nothing is held.
        let _ = std::fs::remove_file(&self.file);
    }
}

impl NodeBuilder {
    /// Announces the node's steps to `signals`.
    pub fn signals(self, signals: &Signals) -> Self {
        self.environment(FOLDER_VARIABLE, signals.folder.path())
    }
}
