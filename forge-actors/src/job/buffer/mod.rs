//! The buffer of jobs that actions, jobs and crons dispatch while the database is away, on every node: a file
//! on the node's disk.
//!
//! ```text
//!   call ──job──▶ appended to the file, synced ──▶ acknowledged as buffered
//!                        │
//!   the database is back ▼
//!   read ──▶ dispatched, a hundred in a transaction ──▶ … the end ──▶ file deleted
//!              │
//!              └──▶ `forge_job_buffers`: how far the file is dispatched, in the same transaction
//! ```
//!
//! Invariants:
//! - A job is acknowledged when it is on the disk, and its file is deleted only when the transactions that
//!   dispatched its jobs have committed.
//! - A job is dispatched once, also when its file is read again: after a crash, after a commit with unknown
//!   outcome, by another process. A transaction dispatches lines only if the row of the file says that all
//!   lines before them are dispatched, and writes into that row where they end. It holds the lock of the row
//!   meanwhile, so that it waits for a commit that may still be running on the server. The dispatch does not
//!   look for a job of the same id: its history may be deleted, and a unique dispatch that found another job
//!   has none. When a fail-over loses the commit of a dispatch, it loses the offset as well, so the lines are
//!   dispatched again if the file still exists.
//! - The name of a file is the key of its row, and is never used again. The row is kept for a day after the
//!   file was deleted, for a process that still has it open, and without a deletion for a year after the last
//!   dispatch. A file that is dispatched in part and comes back later than that is dispatched from its
//!   beginning, as is every file without a row.
//! - The file of a process is bounded: at `jobs.buffer_bytes_max` dispatches are refused, as without a
//!   buffer.
//!
//! A job that the database refuses is set aside in a file beside, and said in the log; the others go on. It
//! is on the disk there before the row says that its line is done, so that a crash between the two may set it
//! aside twice. A node takes over the files of processes that have ended, when it starts and once a minute
//! (`file.rs`). One of them that cannot be read, or whose lines cannot be set aside, holds up no other file:
//! it is given up until the next takeover. While the database is away again, the dispatch begins anew where
//! it was. Appends never wait for the dispatch.
//!
//! The version before has no buffer. After a roll back to it, files wait on the disk for this version; their
//! rows go when the migration of the table is taken back too.

mod actor;
mod dispatch;
mod file;
mod store;
pub mod subsystem;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use self::actor::{BufferKeeper, BufferMessage};
use super::paths::JOB_BUFFER;
use crate::app::Result;
use crate::app::job_buffer::{BufferJob, BufferedJob};
use crate::app::wire_type::WireType;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::merge_slot::MergeSlot;
use crate::supervise::{Address, ChildSpec, Mailbox};

/// Buffers jobs. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct JobBuffer {
    shared: Arc<BufferShared>,
}

/// Where jobs are kept, and how many bytes of them.
#[derive(Debug, Clone)]
pub struct BufferPlace {
    /// The folder of the files.
    pub folder: PathBuf,
    /// Bytes of the file of this process; with 0 no job is buffered.
    pub bytes_max: u64,
}

impl BufferPlace {
    /// Of a node that buffers no jobs.
    pub fn none() -> Self {
        Self { folder: PathBuf::new(), bytes_max: 0 }
    }
}

/// A job whose caller waits until it is on the disk.
struct WaitingAppend {
    /// The line, without its end.
    line: Vec<u8>,
    reply: oneshot::Sender<Result<()>>,
}

/// State that calls and the keeper share.
struct BufferShared {
    place: BufferPlace,
    database: Database,
    hints: HintHub,
    /// Put by calls; the keeper, which is woken with a message, takes all of them.
    waiting: MergeSlot<Vec<WaitingAppend>>,
    /// Jobs on the disk that are not dispatched. Written by the keeper; nobody is woken.
    jobs: AtomicU64,
    keeper: Address<BufferMessage>,
}

impl JobBuffer {
    /// The handle, and the child that keeps the files.
    pub fn new(place: BufferPlace, database: Database, hints: HintHub) -> (Self, ChildSpec) {
        let (mailbox, keeper) = Mailbox::of::<BufferKeeper>();
        let (waiting, jobs) = (MergeSlot::new(), AtomicU64::new(0));
        let shared = Arc::new(BufferShared { place, database, hints, waiting, jobs, keeper });
        let of_keeper = Arc::clone(&shared);
        let make = move || BufferKeeper::new(Arc::clone(&of_keeper));
        (Self { shared }, ChildSpec::with_mailbox(JOB_BUFFER.id(), mailbox, make))
    }

    /// Jobs on the disk that are not dispatched.
    pub fn jobs(&self) -> u64 {
        self.shared.jobs.load(Ordering::Relaxed)
    }
}

impl BufferJob for JobBuffer {
    fn buffer(&self, job: BufferedJob) -> BoxFuture<'static, Result<()>> {
        let line = match job.to_json() {
            Ok(line) => line,
            Err(error) => return Box::pin(async { Err(error.into()) }),
        };
        let (reply, done) = oneshot::channel();
        let append = WaitingAppend { line, reply };
        self.shared.waiting.put(|waiting| waiting.get_or_insert_default().push(append));
        self.shared.keeper.notify(BufferMessage::Waiting);
        Box::pin(
            async move { done.await.map_err(|_| Fault::new(Code::Unavailable, "the node is stopping"))? },
        )
    }
}
