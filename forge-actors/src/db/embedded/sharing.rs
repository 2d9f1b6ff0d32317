//! The file locks and the description with which several nodes on one machine share one server.
//!
//! One lock is held by the node that owns the server, the other is shared by all nodes that use it. Both are
//! `flock`s, which the kernel releases when their process ends, however it ends.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::EmbeddedError;
use super::folder::private_file;

/// A lock on a file; released when dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let file = private_file().truncate(false).open(path).map_err(EmbeddedError::file("opening", path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn try_operation(&self, operation: FlockOperation) -> Result<bool, EmbeddedError> {
        match flock(&self.file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(EmbeddedError::file("locking", &self.path)(error.into())),
        }
    }

    /// Takes the lock exclusively; `None` when another process has it.
    pub(super) fn try_exclusive(path: &Path) -> Result<Option<Self>, EmbeddedError> {
        let lock = Self::open(path)?;
        Ok(lock.try_operation(FlockOperation::NonBlockingLockExclusive)?.then_some(lock))
    }

    /// Waits until no other process has the lock, and takes it exclusively. Blocks the thread.
    pub(super) fn wait_exclusive(path: &Path) -> Result<Self, EmbeddedError> {
        let lock = Self::open(path)?;
        loop {
            match flock(&lock.file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(lock),
                Err(Errno::INTR) => {}
                Err(error) => return Err(EmbeddedError::file("locking", path)(error.into())),
            }
        }
    }

    /// Takes the lock together with other processes; `None` when one has it exclusively.
    pub(super) fn try_shared(path: &Path) -> Result<Option<Self>, EmbeddedError> {
        let lock = Self::open(path)?;
        Ok(lock.try_operation(FlockOperation::NonBlockingLockShared)?.then_some(lock))
    }

    /// Turns a shared lock into an exclusive one. False when another process shares it: the lock may be lost
    /// then, so only a process that is about to release it calls this.
    pub(super) fn try_upgrade(&self) -> Result<bool, EmbeddedError> {
        self.try_operation(FlockOperation::NonBlockingLockExclusive)
    }
}

/// The content of `db.json`: where the server is, for other processes and for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    /// The socket's folder.
    pub(super) socket: PathBuf,
    /// The cluster's folder.
    pub(super) data: PathBuf,
    /// The server's version, such as `15.18`.
    pub(super) version: String,
    /// The process id of the server.
    pub(super) pid: i32,
    /// A URL for psql.
    pub(super) url: String,
}

impl Description {
    /// Writes another file and renames it, so that no reader sees an incomplete one.
    pub(super) fn write(&self, path: &Path) -> Result<(), EmbeddedError> {
        let beside = path.with_extension(format!("json.{}", std::process::id()));
        let text = serde_json::to_string_pretty(self).expect("paths and numbers become JSON");
        private_file()
            .truncate(true)
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(EmbeddedError::file("writing", &beside))?;
        std::fs::rename(&beside, path).map_err(EmbeddedError::file("renaming", &beside))
    }

    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}
