//! The buffer of jobs as a subsystem, on every node. Provides what contexts dispatch and buffer jobs with.

use std::sync::Arc;

use super::{BufferPlace, JobBuffer};
use crate::app::job_buffer::BufferJob;
use crate::app::new_job::InsertJob;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::job::config::JobConfig;
use crate::job::insert::JobInserter;
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
        // Every node dispatches jobs, also one that runs none.
        node.provide::<Arc<dyn InsertJob>>(Arc::new(JobInserter::new(database.clone(), hints.clone())));
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

/// The address of a database as the name of a folder.
fn folder_name(address: &str) -> String {
    address.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}
