//! The buffer of jobs that actions, jobs and crons dispatch while the database is away, on every node: a file
//! on the node's disk.
//!
//! ```text
//!   call ──job──▶ appended to the file, synced ──▶ acknowledged as buffered
//!                        │
//!   the database is back ▼
//!   read ──▶ dispatched, a hundred in a transaction ──▶ … the end ──▶ file cleared
//! ```
//!
//! Invariants:
//! - A job is acknowledged when it is on the disk, and leaves the file only when the transaction that
//!   dispatched it has committed.
//! - It is dispatched once, although the file may be read again after a crash or a commit with unknown
//!   outcome: transactions of one file take turns, and skip the jobs that exist, finished or not
//!   (`store.rs`).
//! - The buffer is bounded: at `jobs.buffer_bytes_max` dispatches are refused, as without a buffer.
//!
//! A job that the database refuses is set aside in a file beside, and said in the log; the others go on. A
//! node that starts takes over the files of processes that have ended (`file.rs`). While the database is away
//! again, the dispatch begins anew where it was. Appends never wait for the dispatch.

mod actor;
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
    /// Bytes of the node's file; with 0 no job is buffered.
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
