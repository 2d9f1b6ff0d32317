//! The supervision tree as text, for the documentation.

use std::fmt::Write as _;

use super::entry::SubsystemEntry;
use super::path::{ActorPath, NODE};
use super::readiness::READINESS_NOTE;

/// The supervision tree of a node with every subsystem: a line for each of them and for each fixed actor.
pub fn describe(entries: &[SubsystemEntry]) -> String {
    let notes = || entries.iter().flat_map(SubsystemEntry::actors).chain([&READINESS_NOTE]);
    let indented = |path: &ActorPath| format!("{}├ {}", "│ ".repeat(path.depth() - 1), path.id());
    let width = notes().map(|note| indented(note.path).chars().count()).max().unwrap_or_default();
    let mut text = format!("{NODE}\n");
    for note in notes() {
        writeln!(text, "{:<width$}  {}", indented(note.path), note.about)
            .expect("writing to a String succeeds");
    }
    text
}
