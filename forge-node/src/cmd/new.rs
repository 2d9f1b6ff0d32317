//! `new`: writes a new application: the files of the demo, under another name.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::boot::{pages, secret};
use crate::cli::New;
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;

/// The demo's name, which every one of its files uses.
const DEMO_NAME: &str = "taskboard";
/// The placeholder in the manifest for the dependency on Forge.
const FORGE_DEPENDENCY: &str = "{{forge}}";
/// The placeholder for the same dependency in tests.
const FORGE_TEST_DEPENDENCY: &str = "{{forge-testing}}";
/// The folder, in a checkout, of the npm packages that the demo's page depends on; the demo names them by
/// their relative path.
const PACKAGES_FOLDER: &str = "../forge-ts/client";
const PACKAGES: &[&str] = &["forge-client", "forge-svelte"];

macro_rules! demo {
    ($($path:literal => $source:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../demo/", $source)))),+]
    };
}

/// Each file's path in the new folder, and its text. The manifest has the suffix `.template`, because cargo
/// leaves a folder with a manifest out when it packs this package.
pub(super) const FILES: &[(&str, &str)] = demo! {
    "Cargo.toml" => "Cargo.toml.template",
    "forge.toml" => "forge.toml",
    ".gitignore" => ".gitignore",
    "README.md" => "README.md",
    "src/main.rs" => "src/main.rs",
    "src/lib.rs" => "src/lib.rs",
    "src/users.rs" => "src/users.rs",
    "src/imports.rs" => "src/imports.rs",
    "src/invitations.rs" => "src/invitations.rs",
    "src/mails.rs" => "src/mails.rs",
    "src/notices.rs" => "src/notices.rs",
    "src/projects.rs" => "src/projects.rs",
    "src/tasks.rs" => "src/tasks.rs",
    "migrations/0001_create_taskboard.sql" => "migrations/0001_create_taskboard.sql",
    "migrations/0002_create_notices.sql" => "migrations/0002_create_notices.sql",
    "migrations/0003_create_sign_in_failures.sql" => "migrations/0003_create_sign_in_failures.sql",
    "migrations/0004_create_invitations.sql" => "migrations/0004_create_invitations.sql",
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
    "web/src/lib/clock.svelte.ts" => "web/src/lib/clock.svelte.ts",
    "web/src/lib/route.svelte.ts" => "web/src/lib/route.svelte.ts",
    "web/src/lib/session.svelte.ts" => "web/src/lib/session.svelte.ts",
    "web/src/lib/toasts.svelte.ts" => "web/src/lib/toasts.svelte.ts",
    "web/src/lib/texts.ts" => "web/src/lib/texts.ts",
    "web/src/view/Board.svelte" => "web/src/view/Board.svelte",
    "web/src/view/Card.svelte" => "web/src/view/Card.svelte",
    "web/src/view/Column.svelte" => "web/src/view/Column.svelte",
    "web/src/view/Home.svelte" => "web/src/view/Home.svelte",
    "web/src/view/Import.svelte" => "web/src/view/Import.svelte",
    "web/src/view/Invitations.svelte" => "web/src/view/Invitations.svelte",
    "web/src/view/Members.svelte" => "web/src/view/Members.svelte",
    "web/src/view/Notices.svelte" => "web/src/view/Notices.svelte",
    "web/src/view/Problem.svelte" => "web/src/view/Problem.svelte",
    "web/src/view/Projects.svelte" => "web/src/view/Projects.svelte",
    "web/src/view/Received.svelte" => "web/src/view/Received.svelte",
    "web/src/view/SignIn.svelte" => "web/src/view/SignIn.svelte",
    "web/src/view/Toasts.svelte" => "web/src/view/Toasts.svelte",
};

/// Names that no application can have: Rust keywords, and names of crates that the application needs.
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

/// Writes the application, and prints the next commands.
pub fn run(args: &New, context: CommandContext<'_>) -> Result<(), Report> {
    let name = name_of(&args.folder)?;
    refuse_filled(&args.folder)?;
    write(&args.folder, &name)?;
    let repository = !args.no_git && make_repository(&args.folder);
    if context.global.json {
        let folder = args.folder.display().to_string();
        let files = FILES.len() + pages::DEMO.len() + 1;
        output::data(Text::json(
            &serde_json::json!({ "name": name, "folder": folder, "files": files, "git": repository }),
        ));
    } else {
        output::data(next_steps(&args.folder, &name));
    }
    Ok(())
}

/// Writes every file of the application `name` into `folder`.
pub(super) fn write(folder: &Path, name: &str) -> Result<(), Report> {
    for (path, text) in FILES {
        // Names of migrations have words joined by _.
        let path = folder.join(path.replace(DEMO_NAME, &crate_of(name)));
        let text = renamed(text, name)
            .replace(FORGE_DEPENDENCY, &format!("{{ {} }}", dependency()))
            .replace(FORGE_TEST_DEPENDENCY, &format!("{{ {}, features = [\"testing\"] }}", dependency()));
        let text = with_packages(text);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| unwritable(&path, &error))?;
    }
    // The built page, so that the application runs without Node.js.
    for (path, bytes) in pages::DEMO {
        let path = folder.join("web/dist").join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|error| unwritable(&path, &error))?;
    }
    // The new application uses the dependency versions that the checkout was tested with.
    let locked = checkout().join("../Cargo.lock");
    if locked.is_file() {
        let path = folder.join("Cargo.lock");
        fs::copy(&locked, &path).map_err(|error| unwritable(&path, &error))?;
        fit_lock(folder);
    }
    let path = folder.join(".env");
    let generated = secret::generate().map_err(|error| unwritable(&path, &error))?;
    let text = format!("# Secrets of this machine; never committed.\nAUTH_SECRET={}\n", generated.expose());
    secret::write_private(&path, &text).map_err(|error| unwritable(&path, &error))
}

/// Replaces the demo's name: in quotes and in text by the package's name, in `main!(..)` by the crate's.
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
            .help("name a folder that does not exist: forge-node new <dir>")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(folder, &error)),
    }
}

/// The folder of this crate when this binary was built.
fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What names Forge in a table of dependencies: the checkout that this binary was built from, while it
/// exists; otherwise the published version.
fn dependency() -> String {
    let checkout = checkout();
    match checkout.join("Cargo.toml").is_file() {
        true => format!("path = {:?}", checkout.display().to_string()),
        false => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
    }
}

/// Replaces the paths of the npm packages in `text`, by the same rule as [`dependency`].
fn with_packages(text: String) -> String {
    let folder = checkout().join(PACKAGES_FOLDER);
    // Canonical, because npm stores the path as it is written.
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

/// Has cargo reduce the lock file to what the application needs, without changing a version. When that
/// fails, the first build does it.
fn fit_lock(folder: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(["update", "--workspace", "--offline", "--quiet"]);
    let _ = cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Makes a git repository with a first commit on `main`, unless git is missing or the folder is inside of a
/// repository. A failure leaves the application without one and is not reported: git may not know who
/// commits. True when a repository was made.
fn make_repository(folder: &Path) -> bool {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(folder).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let made = !git(&["rev-parse", "--is-inside-work-tree"]) && git(&["init", "--quiet", "-b", "main"]);
    if made && git(&["add", "--all"]) {
        git(&["commit", "--quiet", "--message", "Begin with the demo of Forge"]);
    }
    made
}

fn next_steps(folder: &Path, name: &str) -> String {
    let folder = folder.display();
    let checkout = checkout();
    let source = match checkout.join("Cargo.toml").is_file() {
        true => format!(
            "\n\nCargo.toml and web/package.json name the checkout of Forge in {}.",
            checkout.display()
        ),
        false => String::new(),
    };
    let commands = format!("  cd {folder}\n  forge-node start");
    format!("{name} is ready in {folder}\n\n{commands}\n\nREADME.md shows the first calls.{source}")
}

fn unwritable(path: &Path, error: &std::io::Error) -> Report {
    Report::new(Exit::Failed, "unwritable", format!("{} cannot be written", path.display()))
        .cause(error)
        .help("check the folder's owner and mode: ls -ld")
}
