//! Paths of actors as statics. Whatever names an actor (a child's id, a readiness check, a protection
//! against a stop) refers to one of them, so renaming an actor is one edit and a stale use does not compile.

use std::fmt;

/// The root of every node's tree.
pub static NODE: ActorPath = ActorPath { parent: None, id: "node" };

/// One actor's place in the supervision tree.
///
/// ```
/// use forge_actors::subsystem::{ActorPath, NODE};
/// static JOBS: ActorPath = NODE.child("jobs");
/// static CLAIMER: ActorPath = JOBS.child("claimer");
/// assert_eq!(CLAIMER.to_string(), "node/jobs/claimer");
/// assert!(CLAIMER.is("node/jobs/claimer") && JOBS.contains("node/jobs/workers/worker-1"));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct ActorPath {
    parent: Option<&'static ActorPath>,
    id: &'static str,
}

impl ActorPath {
    /// The path of the child `id` of this actor.
    pub const fn child(&'static self, id: &'static str) -> Self {
        Self { parent: Some(self), id }
    }

    /// The last segment, which is the child's id in its supervisor.
    pub const fn id(&self) -> &'static str {
        self.id
    }

    /// True when `path` is this actor's.
    pub fn is(&self, path: &str) -> bool {
        self.rest_of(path).is_some_and(str::is_empty)
    }

    /// True when `path` is that of an actor below this one.
    pub fn contains(&self, path: &str) -> bool {
        self.rest_of(path).is_some_and(|rest| rest.len() > 1)
    }

    /// Supervisors above this actor; the root has none.
    pub fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth() + 1)
    }

    /// What follows this path in `path`: nothing, or a text that begins with `/`.
    fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let own = match self.parent {
            None => path,
            Some(parent) => parent.rest_of(path)?.strip_prefix('/')?,
        };
        own.strip_prefix(self.id).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for ActorPath {
    /// Segments from the root down, joined by `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}/")?;
        }
        f.write_str(self.id)
    }
}
