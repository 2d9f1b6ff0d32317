//! `new`: writes the demo's files under a name of one's own.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::boot::{pages, secret};
use crate::cli::New;
use crate::cmd::output;
use crate::cmd::report::{Exit, Report};
use crate::cmd::scene::Scene;

/// What the demo calls itself, and what every file of it calls it.
const DEMO_NAME: &str = "taskboard";
/// Stands in the manifest where the dependency on Forge goes.
const FORGE_DEPENDENCY: &str = "{{forge}}";
/// The packages that the page is built with, below this folder of a checkout; the demo names them by their
/// path from itself.
const PACKAGES_FOLDER: &str = "../forge-ts/client";
const PACKAGES: &[&str] = &["forge-client", "forge-svelte"];

macro_rules! demo {
    ($($path:literal => $source:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../demo/", $source)))),+]
    };
}

/// Path in the new folder, and text. A manifest inside the package would make cargo leave the folder out when
/// it packs, hence the suffix.
pub(super) const FILES: &[(&str, &str)] = demo! {
    "Cargo.toml" => "Cargo.toml.template",
    "forge.toml" => "forge.toml",
    ".gitignore" => ".gitignore",
    "README.md" => "README.md",
    "src/main.rs" => "src/main.rs",
    "src/lib.rs" => "src/lib.rs",
    "src/users.rs" => "src/users.rs",
    "src/notices.rs" => "src/notices.rs",
    "src/projects.rs" => "src/projects.rs",
    "src/tasks.rs" => "src/tasks.rs",
    "migrations/0001_create_taskboard.sql" => "migrations/0001_create_taskboard.sql",
    "migrations/0002_create_notices.sql" => "migrations/0002_create_notices.sql",
    "web/.gitignore" => "web/.gitignore",
    "web/.npmrc" => "web/.npmrc",
    "web/package.json" => "web/package.json",
    "web/index.html" => "web/index.html",
    "web/svelte.config.js" => "web/svelte.config.js",
    "web/tsconfig.json" => "web/tsconfig.json",
    "web/vite.config.ts" => "web/vite.config.ts",
    "web/public/favicon.svg" => "web/public/favicon.svg",
    "web/src/main.ts" => "web/src/main.ts",
    "web/src/app.css" => "web/src/app.css",
    "web/src/App.svelte" => "web/src/App.svelte",
    "web/src/forge/api.ts" => "web/src/forge/api.ts",
    "web/src/forge/openapi.json" => "web/src/forge/openapi.json",
    "web/src/forge/schema.json" => "web/src/forge/schema.json",
    "web/src/lib/place.svelte.ts" => "web/src/lib/place.svelte.ts",
    "web/src/lib/session.svelte.ts" => "web/src/lib/session.svelte.ts",
    "web/src/lib/toasts.svelte.ts" => "web/src/lib/toasts.svelte.ts",
    "web/src/lib/words.ts" => "web/src/lib/words.ts",
    "web/src/view/Board.svelte" => "web/src/view/Board.svelte",
    "web/src/view/Card.svelte" => "web/src/view/Card.svelte",
    "web/src/view/Column.svelte" => "web/src/view/Column.svelte",
    "web/src/view/Home.svelte" => "web/src/view/Home.svelte",
    "web/src/view/Members.svelte" => "web/src/view/Members.svelte",
    "web/src/view/Problem.svelte" => "web/src/view/Problem.svelte",
    "web/src/view/Projects.svelte" => "web/src/view/Projects.svelte",
    "web/src/view/SignIn.svelte" => "web/src/view/SignIn.svelte",
    "web/src/view/Toasts.svelte" => "web/src/view/Toasts.svelte",
};

/// Words that are no name of a crate: keywords, and what would hide a crate that the application needs.
const RESERVED: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "forge",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "alloc",
    "core",
    "proc_macro",
    "forge-node",
    "build",
    "deps",
    "examples",
    "incremental",
];

/// Writes the application and says what to do next.
pub fn run(args: &New, scene: Scene<'_>) -> Result<(), Report> {
    let name = name_of(&args.folder)?;
    refuse_filled(&args.folder)?;
    write(&args.folder, &name)?;
    let repository = !args.no_git && make_repository(&args.folder);
    if scene.global.json {
        let folder = args.folder.display().to_string();
        output::data(
            &serde_json::json!({ "name": name, "folder": folder, "files": FILES.len() + pages::DEMO.len() + 1, "git": repository })
                .to_string(),
        );
    } else {
        output::data(&next_steps(&args.folder, &name));
    }
    Ok(())
}

/// Writes every file of the application `name` into `folder`.
pub(super) fn write(folder: &Path, name: &str) -> Result<(), Report> {
    for (path, text) in FILES {
        // Names of migrations have words joined by _.
        let path = folder.join(path.replace(DEMO_NAME, &crate_of(name)));
        let text = renamed(text, name).replace(FORGE_DEPENDENCY, &dependency());
        let text = with_packages(text);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| unwritable(&path, &error))?;
    }
    // The page as it was built, so that nobody needs Node.js for a first look.
    for (path, bytes) in pages::DEMO {
        let path = folder.join("web/dist").join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|error| unwritable(&path, &error))?;
    }
    // A checkout was tested with the versions that it locks.
    let locked = checkout().join("../Cargo.lock");
    if locked.is_file() {
        let path = folder.join("Cargo.lock");
        fs::copy(&locked, &path).map_err(|error| unwritable(&path, &error))?;
    }
    let path = folder.join(".env");
    let generated = secret::generate().map_err(|error| unwritable(&path, &error))?;
    let text = format!("# Secrets of this machine; never committed.\nAUTH_SECRET={}\n", generated.expose());
    secret::write_private(&path, &text).map_err(|error| unwritable(&path, &error))
}

/// The demo's name gives way to the new one: quoted it is the package's, elsewhere in Rust the crate's.
fn renamed(text: &str, name: &str) -> String {
    let quoted = |name: &str| format!("\"{name}\"");
    text.replace(&quoted(DEMO_NAME), &quoted(name))
        .replace(&format!("main!({DEMO_NAME})"), &format!("main!({})", crate_of(name)))
        .replace(DEMO_NAME, name)
}

fn crate_of(name: &str) -> String {
    name.replace('-', "_")
}

fn name_of(folder: &Path) -> Result<String, Report> {
    let named =
        std::path::absolute(folder).ok().and_then(|folder| Some(folder.file_name()?.to_str()?.to_owned()));
    let name = named.unwrap_or_default();
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let spelled =
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'));
    let cause = match (starts && spelled && name.len() <= 64, RESERVED.contains(&name.as_str())) {
        (false, _) => "a name begins with a lower-case letter and goes on with letters, digits, - and _",
        (true, true) => "the word is reserved by Rust, cargo or Forge",
        (true, false) => return Ok(name),
    };
    Err(Report::new(Exit::Usage, "bad-name", format!("`{name}` cannot be the name of an application"))
        .tried(folder.display().to_string())
        .cause(cause)
        .help("forge-node new shop"))
}

fn refuse_filled(folder: &Path) -> Result<(), Report> {
    let tried = folder.display().to_string();
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Report::new(Exit::Failed, "not-empty", "the folder is not empty")
            .tried(tried)
            .help("name a new folder: forge-node new <dir>")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(folder, &error)),
    }
}

/// Where this crate was when this binary was built.
fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The checkout that this binary was built from, while it is there; the published version otherwise.
fn dependency() -> String {
    let checkout = checkout();
    match checkout.join("Cargo.toml").is_file() {
        true => format!("{{ path = {:?} }}", checkout.display().to_string()),
        false => format!("{:?}", env!("CARGO_PKG_VERSION")),
    }
}

/// The same for the packages of the page.
fn with_packages(text: String) -> String {
    let folder = checkout().join(PACKAGES_FOLDER);
    // Canonical, since npm notes the path as it is written.
    let folder = folder.canonicalize().ok().filter(|folder| folder.join("package.json").is_file());
    PACKAGES.iter().fold(text, |text, package| {
        let wanted = match &folder {
            Some(folder) => format!("file:{}", folder.join(package).display()),
            None => env!("CARGO_PKG_VERSION").to_owned(),
        };
        text.replace(
            &format!("\"file:../../{PACKAGES_FOLDER}/{package}\""),
            &serde_json::Value::from(wanted).to_string(),
        )
    })
}

/// Makes a git repository where git is there and the folder is in none yet. A failure costs the repository,
/// not the application.
fn make_repository(folder: &Path) -> bool {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    !git(&["rev-parse", "--is-inside-work-tree"]) && git(&["init", "--quiet"])
}

fn next_steps(folder: &Path, name: &str) -> String {
    format!(
        "{name} is ready in {0}\n\n  cd {0}\n  forge-node start\n\nREADME.md shows the first calls.",
        folder.display()
    )
}

fn unwritable(path: &Path, error: &std::io::Error) -> Report {
    Report::new(Exit::Failed, "unwritable", format!("{} cannot be written", path.display()))
        .cause(error)
        .help("check the folder's owner and mode: ls -ld")
}
