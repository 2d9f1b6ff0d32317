//! The user that the server runs as, and which paths that user can reach.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use tokio::process::Command;

use super::error::EmbeddedError;

/// The user of the server's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerUser {
    /// The user of this process.
    Own,
    /// Another user, because this process is root and Postgres refuses to run as root.
    Other {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
        /// The login name.
        name: String,
    },
}

impl ServerUser {
    /// This process's user; for root the first of these that exists: `postgres`, the user who called `sudo`,
    /// `nobody`.
    pub fn choose() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Own;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
        Self::from_passwd(&passwd, sudo)
    }

    /// Chooses a user that has a line in /etc/passwd, because Postgres refuses to run as one without.
    pub(super) fn from_passwd(passwd: &str, sudo: Option<u32>) -> Self {
        let accounts: Vec<_> = passwd.lines().filter_map(account).collect();
        let by_name = |wanted: &str| accounts.iter().find(|(name, ..)| *name == wanted);
        let by_uid = |wanted: u32| accounts.iter().find(|(_, uid, _)| *uid == wanted && wanted != 0);
        let found = by_name("postgres").or_else(|| sudo.and_then(by_uid)).or_else(|| by_name("nobody"));
        found.map_or(Self::Other { uid: 65_534, gid: 65_534, name: "nobody".into() }, |(name, uid, gid)| {
            Self::Other { uid: *uid, gid: *gid, name: (*name).to_owned() }
        })
    }

    /// Makes `command` run as this user.
    pub(super) fn apply(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Makes this user the owner of `path`.
    pub(super) fn make_owner(&self, path: &Path) -> Result<(), EmbeddedError> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, name: _ } => chown(path, Some(*uid), Some(*gid))
                .map_err(EmbeddedError::file("giving the server's user ownership of", path)),
        }
    }

    /// True when this user can enter all folders above `path`.
    pub fn can_reach(&self, path: &Path) -> bool {
        let Self::Other { uid, gid, .. } = self else { return true };
        path.ancestors().skip(1).all(|folder| {
            let Ok(metadata) = folder.metadata() else { return folder.as_os_str().is_empty() };
            let bit = match () {
                () if metadata.uid() == *uid => 0o100,
                () if metadata.gid() == *gid => 0o010,
                () => 0o001,
            };
            metadata.mode() & bit != 0
        })
    }
}

fn account(line: &str) -> Option<(&str, u32, u32)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((name, uid, gid))
}
