//! What the sessions of a node are called in `pg_stat_activity`: `forge <what they do> #<the node's id>`.
//!
//! The name of a node comes back after a restart, its id does not. So a node that was declared dead and the
//! process that took its name have sessions of different names.

use std::sync::Arc;

use crate::kernel::ids::NodeId;

/// Postgres cuts `application_name` at this length.
const APPLICATION_NAME_BYTES_MAX: usize = 63;
/// Hexadecimal digits at the end of an id, all of them random.
const ID_DIGITS: usize = 12;

/// Names the sessions of one process.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionNames {
    /// ` #` and the short form of the node's id; empty for a process that is no node.
    suffix: Arc<str>,
}

impl SessionNames {
    pub(super) fn of_node(node: NodeId) -> Self {
        Self { suffix: format!(" #{}", short_id(node)).into() }
    }

    /// The name of a session, in printable ASCII only: Postgres would replace the rest by question marks.
    pub(super) fn name(&self, label: &str) -> String {
        let label = label.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' });
        let mut name: String = "forge ".chars().chain(label).collect();
        name.truncate(APPLICATION_NAME_BYTES_MAX - self.suffix.len());
        name + &self.suffix
    }
}

/// The form of a node's id that stands in the names of its sessions.
pub(super) fn short_id(node: NodeId) -> String {
    let id = node.as_uuid().simple().to_string();
    id[id.len() - ID_DIGITS..].to_owned()
}

/// The end of the names of all sessions of a node.
pub(crate) fn session_suffix(node: NodeId) -> String {
    format!(" #{}", short_id(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_foreign_label_is_cut_to_what_postgres_keeps() {
        let names = SessionNames::default();
        assert_eq!(names.name("größe\n"), "forge gr__e_");
        assert_eq!(names.name(&"x".repeat(100)).len(), APPLICATION_NAME_BYTES_MAX);
    }

    #[test]
    fn the_id_of_the_node_is_never_cut() {
        let node = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("an id");
        let names = SessionNames::of_node(node);
        assert_eq!(names.name("web write"), "forge web write #b302099a8057");
        let long = names.name(&"x".repeat(100));
        assert_eq!(long.len(), APPLICATION_NAME_BYTES_MAX);
        assert!(long.ends_with("x #b302099a8057"), "{long}");
    }
}
