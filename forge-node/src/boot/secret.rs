//! The secret of development mode: made once, kept in `.forge/secret`, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use forge_actors::app::token::SECRET_BYTES_MIN;
use forge_actors::db::embedded::folder::make_state_folder;
use forge_actors::kernel::secret::SecretText;

use crate::terminal::report::{Exit, Report};

/// The folder beside `forge.toml` in which Forge keeps its files.
pub const STATE_FOLDER: &str = ".forge";

/// The path of the secret of `folder`.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(STATE_FOLDER).join("secret")
}

/// The secret of `folder`, if one was made.
///
/// # Errors
/// When the file cannot be read, or is too short to be a secret.
pub fn existing(folder: &Path) -> Result<Option<SecretText>, Report> {
    let path = path(folder);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&path).cause(error)),
    };
    if text.len() < SECRET_BYTES_MIN {
        return Err(unusable(&path)
            .cause(format!("it has {} bytes; a secret needs at least {SECRET_BYTES_MIN}", text.len())));
    }
    Ok(Some(SecretText::new(text)))
}

/// The secret of `folder`; made when there is none. Nodes that start at the same moment get the same secret.
///
/// # Errors
/// When the file cannot be written, read, or is too short to be a secret.
pub fn existing_or_new(folder: &Path) -> Result<SecretText, Report> {
    let path = path(folder);
    let unwritable = |error| {
        Report::new(Exit::Failed, "unwritable", format!("{} cannot be written", path.display())).cause(error)
    };
    make_state_folder(&folder.join(STATE_FOLDER)).map_err(unwritable)?;
    if let Some(secret) = existing(folder)? {
        return Ok(secret);
    }
    make(&path).map_err(unwritable)?;
    existing(folder)?.ok_or_else(|| unusable(&path).cause("the file was written and has been removed since"))
}

fn make(path: &Path) -> io::Result<()> {
    // Each writer uses a random name: threads share a process id, and a killed process leaves its draft
    // behind.
    let draft = path.with_extension(format!("{:016x}", fastrand::u64(..)));
    write_private(&draft, generate()?.expose())?;
    // A hard link fails when the name is taken, and its file is complete when it appears. So the first
    // writer's secret is the one that all use.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// 256 random bits, as hexadecimal digits.
pub fn generate() -> io::Result<SecretText> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(SecretText::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// Writes a new file that only its owner may read.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn unusable(path: &Path) -> Report {
    Report::new(Exit::Config, "unusable-secret", "the secret of this folder cannot be used")
        .tried(path.display().to_string())
        .help(format!("rm {}   (tokens that were signed with it become invalid)", path.display()))
}
