//! Several nodes on one machine share one server: who looks after it, and who is the last to leave.
//!
//! Both locks are `flock`s, which the kernel frees with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::EmbeddedError;

/// A held `flock`; free when dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(EmbeddedError::file("opening", path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn try_operation(&self, operation: FlockOperation) -> Result<bool, EmbeddedError> {
        match flock(&self.file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(EmbeddedError::file("locking", &self.path)(error.into())),
        }
    }

    /// Takes the lock alone, if nobody has it.
    pub(super) fn try_exclusive(path: &Path) -> Result<Option<Self>, EmbeddedError> {
        let lock = Self::open(path)?;
        Ok(lock.try_operation(FlockOperation::NonBlockingLockExclusive)?.then_some(lock))
    }

    /// Takes the lock with others, unless somebody has it alone.
    pub(super) fn try_shared(path: &Path) -> Result<Option<Self>, EmbeddedError> {
        let lock = Self::open(path)?;
        Ok(lock.try_operation(FlockOperation::NonBlockingLockShared)?.then_some(lock))
    }

    /// Turns a shared lock into an exclusive one, when no other process shares it. Otherwise it may be lost,
    /// which suits a process that leaves.
    pub(super) fn try_upgrade(&self) -> Result<bool, EmbeddedError> {
        self.try_operation(FlockOperation::NonBlockingLockExclusive)
    }
}

/// `db.json`: where the server is, for other processes and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    /// Folder of the socket.
    pub(super) socket: PathBuf,
    /// The cluster.
    pub(super) data: PathBuf,
    /// As in `15.18`.
    pub(super) version: String,
    /// The server's process.
    pub(super) pid: i32,
    /// A URL for psql.
    pub(super) url: String,
}

impl Description {
    /// Written beside and renamed, so that no reader sees half of it.
    pub(super) fn write(&self, path: &Path) -> Result<(), EmbeddedError> {
        let beside = path.with_extension(format!("json.{}", std::process::id()));
        let text = serde_json::to_string_pretty(self).expect("paths and numbers become JSON");
        std::fs::write(&beside, text).map_err(EmbeddedError::file("writing", &beside))?;
        std::fs::rename(&beside, path).map_err(EmbeddedError::file("renaming", &beside))
    }

    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}
