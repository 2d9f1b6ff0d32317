//! As whom the server runs, and what that user can reach.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use tokio::process::Command;

use super::error::EmbeddedError;

/// The account of the server's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerUser {
    /// The account of this process.
    Own,
    /// Another one, because this process is root and Postgres refuses to run as root.
    Other {
        /// User number.
        uid: u32,
        /// Group number.
        gid: u32,
        /// Login name.
        name: String,
    },
}

impl ServerUser {
    /// Chooses: this user; for root `postgres`, else the user behind `sudo`, else `nobody`.
    pub fn choose() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Own;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
        Self::from_passwd(&passwd, sudo)
    }

    /// Postgres wants a user with a line in /etc/passwd; a bare number is refused by it.
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

    /// Gives `path` to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, name: _ } => chown(path, Some(*uid), Some(*gid))
                .map_err(EmbeddedError::file("giving to the server's user", path)),
        }
    }

    /// True when this user can reach `path` through all folders above it.
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
