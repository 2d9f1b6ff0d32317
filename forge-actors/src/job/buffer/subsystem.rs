//! The buffer of jobs as a subsystem, on every node. Provides what contexts buffer jobs with.

use std::sync::Arc;

use super::{BufferPlace, JobBuffer};
use crate::app::job_buffer::BufferJob;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::job::config::JobConfig;
use crate::job::paths::JOB_BUFFER;
use crate::subsystem::{ActorNote, Figure, FigureUnit, NodeBuilder, Part, Subsystem};
use crate::supervise::StartError;

/// See the module.
pub struct JobBufferSubsystem;

impl Subsystem for JobBufferSubsystem {
    const ROOT: ActorNote = ActorNote::new(&JOB_BUFFER, "keeps dispatched jobs while the database is away");

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let JobConfig { buffer: folder, buffer_bytes_max: bytes_max, .. } = node.config::<JobConfig>();
        let (database, hints) = (node.get::<Database>(), node.get::<HintHub>());
        // Jobs go only into the database that they were meant for.
        let place = BufferPlace { folder: folder.join(folder_name(&database.address())), bytes_max };
        let (buffer, child) = JobBuffer::new(place, database, hints);
        node.provide::<Arc<dyn BufferJob>>(Arc::new(buffer.clone()));
        Ok(Some(Part::new(child).stats(move |stats| {
            stats.figures.push(Figure {
                subsystem: JOB_BUFFER.id().to_owned(),
                name: "buffered".to_owned(),
                value: buffer.jobs() as f64,
                unit: FigureUnit::Count,
            });
        })))
    }
}

/// The address of a database as the name of a folder, which differs from that of every other address.
fn folder_name(address: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let letter = |byte: u8| match kept(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    address.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::folder_name;

    #[test]
    fn databases_of_similar_names_have_folders_of_their_own() {
        assert_eq!(folder_name("db.local:5432/shop_a"), "db.local%3A5432%2Fshop_a");
        let names = ["h:1/a_b", "h:1/a-b", "h:1/a.b", "h:1/a b", "h:1/a/b", "h:1/a%2Fb"].map(folder_name);
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }
}
