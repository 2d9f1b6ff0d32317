use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::{CommandFactory, Parser};
use forge_actors::dashboard::actors::NodeActors;
use forge_actors::dashboard::leaders::ClusterLeaders;
use forge_actors::db::error::DatabaseError;
use forge_actors::kernel::ids::NodeId;
use forge_actors::kernel::time::{Timestamp, secs};
use forge_actors::leader::store::{EndedTerm, LeaderEnd, LeaderInfo, LeaderState};
use forge_actors::supervise::{ActorInfo, ActorState, Strategy, SupervisorInfo};

use super::actors::render;
use super::cluster::{render_ended, render_leaders};
use super::new;
use crate::cli::{Application, Call, Developer, DeveloperVerb, MigrateStep, Verb};
use crate::terminal::context::Palette;
use crate::terminal::report::{Exit, Report};

fn parsed(line: &str) -> Result<Developer, clap::error::ErrorKind> {
    Developer::try_parse_from(line.split_whitespace()).map_err(|error| error.kind())
}

#[test]
fn the_command_lines_are_sound() {
    Developer::command().debug_assert();
    Application::command().debug_assert();
}

#[test]
fn flags_become_settings() {
    let line =
        "forge-node --json start --roles gateway,worker --port 0 --database-url postgres://u@h/d --dev -v";
    let Ok(Developer { global, verb: DeveloperVerb::Run(Verb::Start(start)) }) = parsed(line) else {
        panic!("parses")
    };
    assert!(global.json && start.dev && global.verbose == 1);
    let flags: Vec<_> = start.flags().into_iter().map(|flag| (flag.key, flag.value)).collect();
    let expected =
        [("node.roles", "gateway,worker"), ("gateway.port", "0"), ("database.url", "postgres://u@h/d")];
    assert_eq!(flags, expected.map(|(key, value)| (key, value.to_owned())));
}

#[test]
fn verbs_take_what_they_say() {
    let Ok(Developer { verb: DeveloperVerb::Run(Verb::Migrate(migrate)), .. }) =
        parsed("forge-node migrate down --steps 2 --dry-run")
    else {
        panic!("parses")
    };
    assert!(matches!(migrate.step, MigrateStep::Down { dry_run: true, to: None, steps: Some(2) }));
    let Ok(Developer { verb: DeveloperVerb::Run(Verb::Call(Call { name, args, role, .. })), .. }) =
        parsed("forge-node call tasks.list --as ana --role editor --role admin")
    else {
        panic!("parses")
    };
    assert_eq!(
        (name.as_str(), args.as_str(), role),
        ("tasks.list", "{}", vec!["editor".to_owned(), "admin".to_owned()])
    );
    for wrong in [
        "forge-node",
        "forge-node frobnicate",
        "forge-node start --port 70000",
        "forge-node migrate down --to 1 --steps 1",
        "forge-node call x --role admin",
        "forge-node call x --as ana --token t",
        "forge-node --quiet -v doctor",
        "forge-node completions csh",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
    assert!(
        Application::try_parse_from(["shop", "new", "x"]).is_err(),
        "an application's binary makes no applications"
    );
}

/// The pages of `--help` as files: a change of the command line shows in review. FORGE_WRITE_HELP=1 writes
/// them anew.
#[test]
fn the_help_is_the_one_on_file() {
    let mut command = Developer::command().term_width(100);
    let mut pages = command.render_long_help().to_string();
    for verb in ["new", "start", "migrate", "call", "actors", "doctor", "generate"] {
        let verb = command.find_subcommand_mut(verb).expect("a verb");
        pages.push_str(&format!(
            "\n==== {}\n\n{}",
            verb.get_name(),
            verb.clone().term_width(100).render_long_help()
        ));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cmd/help.txt");
    if std::env::var_os("FORGE_WRITE_HELP").is_some() {
        fs::write(&file, &pages).expect("writes");
    }
    assert_eq!(
        fs::read_to_string(&file).expect("src/cmd/help.txt is there"),
        pages,
        "FORGE_WRITE_HELP=1 cargo test -p forge-node writes it anew"
    );
}

#[test]
fn the_book_has_every_verb_and_flag() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/cli.md");
    let page = fs::read_to_string(file).expect("the page is there");
    let mut commands = vec![Developer::command()];
    while let Some(command) = commands.pop() {
        for verb in command.get_subcommands() {
            assert!(page.contains(verb.get_name()), "cli.md lacks the verb {}", verb.get_name());
            commands.push(verb.clone());
        }
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&format!("--{flag}")), "cli.md lacks --{flag} of {}", command.get_name());
        }
    }
}

#[test]
fn a_report_has_one_shape_for_people_and_for_programs() {
    let report = Report::new(Exit::Database, "database-unreachable", "the database is not reachable")
        .tried("postgres://u@h/d   (from forge.toml:7)")
        .cause("connection refused")
        .help("start it");
    let text = "error[database-unreachable]: the database is not reachable\n  \
                tried    postgres://u@h/d   (from forge.toml:7)\n  \
                cause    connection refused\n  \
                help     start it";
    assert_eq!(report.to_string(), text);
    let json: serde_json::Value = serde_json::from_str(report.text(true).as_str()).expect("JSON");
    assert_eq!(json["error"]["exit"], 4);
    assert_eq!(json["error"]["tried"], "postgres://u@h/d   (from forge.toml:7)");
    assert_eq!(Report::new(Exit::Failed, "x", "short").to_string(), "error[x]: short");
}

#[test]
fn an_error_of_the_library_is_reported_with_its_code_causes_and_help() {
    let waited = std::time::Duration::from_secs(3);
    let cause = sqlx::Error::Io(std::io::Error::other("no route"));
    let report = Report::from(DatabaseError::Unreachable { address: "h:1/d".to_owned(), waited, cause });
    assert_eq!((report.exit, &*report.code), (Exit::Database, "database-unreachable"));
    let cause = report.cause.as_deref().expect("a cause");
    assert!(cause.matches("no route").count() == 1 && !report.message.contains("no route"), "{report}");
    assert_eq!(report.help.as_deref(), Some("pg_isready -d \"<your database URL>\""));
    let report = Report::from(DatabaseError::TooOld { address: "h:1/d".to_owned(), major: 9 });
    assert_eq!((report.exit, report.cause), (Exit::Database, None));
}

#[test]
fn the_tree_is_drawn_with_branches_and_aligned_columns() {
    let actor = |path: &str, state: ActorState, error: Option<&str>| ActorInfo {
        path: path.to_owned(),
        kind: "test".to_owned(),
        state,
        restarts: 3.into(),
        mailbox_depth: 1.into(),
        mailbox_max: 10.into(),
        handled: 12_345.into(),
        rate: 0.0,
        busy_ms: 1_500.into(),
        current: None,
        last_error: error.map(str::to_owned),
        started_at: None,
        supervisor: None,
        duty: None,
    };
    let running = |path| actor(path, ActorState::Running, None);
    let supervisor = SupervisorInfo {
        strategy: Strategy::OneForOne,
        restarts_left: 5,
        restarts_max: 5,
        window_ms: 30_000.into(),
    };
    let root = ActorInfo { supervisor: Some(supervisor), ..running("node") };
    let failed = actor("node/db/b", ActorState::Failed, Some("boom\nat line 3"));
    let actors = vec![
        root,
        running("node/db"),
        running("node/db/a"),
        failed,
        running("node/dbx"),
        running("node/dbx/c"),
    ];
    let tree = NodeActors { node: NodeId::new(), at: std::time::SystemTime::now().into(), actors };
    let drawn = render(&tree, Palette::PLAIN);
    let lines: Vec<_> = drawn.as_str().lines().collect();
    assert_eq!(lines[1], "node   one_for_one 5 left  running         3     1/10     12345  1.5s");
    assert_eq!(lines[2], "├ db   test                running         3     1/10     12345  1.5s");
    assert_eq!(lines[3], "│ ├ a  test                running         3     1/10     12345  1.5s");
    assert_eq!(
        lines[4],
        "│ └ b  test                failed          3     1/10     12345  1.5s           boom"
    );
    assert_eq!(lines[5], "└ dbx  test                running         3     1/10     12345  1.5s");
    assert_eq!(lines[6], "  └ c  test                running         3     1/10     12345  1.5s");
}

#[test]
fn leaders_are_shown_with_the_age_of_what_is_known_of_them() {
    let at: Timestamp = std::time::SystemTime::now().into();
    let leader = |name: &str, state: LeaderState, renewed: u64| LeaderInfo {
        name: name.to_owned(),
        epoch: 12.into(),
        node_id: NodeId::new(),
        node_name: "node-1".to_owned(),
        elected_at: at - secs(7_200),
        renewed_at: at - secs(renewed),
        resigned_at: (state == LeaderState::Resigned).then_some(at - secs(65)),
        state,
    };
    let leaders = vec![
        leader("changes", LeaderState::Expired, 12),
        leader("jobs", LeaderState::Resigned, 66),
        leader("maintenance", LeaderState::Leading, 0),
    ];
    let ended = EndedTerm {
        name: "jobs".to_owned(),
        epoch: 11.into(),
        node_id: NodeId::new(),
        node_name: "node-2".to_owned(),
        elected_at: at - secs(7_300),
        renewed_at: at - secs(7_203),
        ended_at: at - secs(7_200),
        reason: LeaderEnd::Lost,
    };
    let cluster = ClusterLeaders { at, leaders, ended: vec![ended] };
    let drawn = render_leaders(&cluster, Palette::PLAIN);
    let expected = "leadership   node    state            epoch  elected  renewed\n\
                    changes      node-1  no leader           12  2h ago   12s ago\n\
                    jobs         node-1  resigned 1m ago     12  2h ago   1m ago\n\
                    maintenance  node-1  leads               12  2h ago   0s ago\n";
    assert_eq!(drawn.as_str(), expected);
    let drawn = render_ended(&cluster, Palette::PLAIN);
    let expected = "ended term of  node    reason  epoch  elected  ended\n\
                    jobs           node-2  lost       11  2h ago   2h ago\n";
    assert_eq!(drawn.as_str(), expected);
}

#[test]
fn new_writes_the_whole_demo_under_another_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("my-shop");
    new::write(&folder, "my-shop").expect("writes");
    let read = |path: &str| fs::read_to_string(folder.join(path)).expect(path);
    assert!(read("src/main.rs").contains("forge::main!(my_shop);"));
    assert!(read("src/lib.rs").contains("name = \"my-shop\""));
    let manifest: toml::Table = read("Cargo.toml").parse().expect("a manifest");
    assert_eq!(manifest["package"]["name"].as_str(), Some("my-shop"));
    assert!(manifest["workspace"].as_table().is_some_and(toml::Table::is_empty));
    assert!(
        manifest["dependencies"]["forge-node"]["path"]
            .as_str()
            .is_some_and(|path| Path::new(path).join("Cargo.toml").is_file())
    );
    let variables = folder.join(".env");
    assert_eq!(fs::metadata(&variables).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(
        read(".env")
            .lines()
            .any(|line| line.strip_prefix("AUTH_SECRET=").is_some_and(|secret| secret.len() == 64))
    );
    assert!(read(".gitignore").lines().any(|line| line == "/.env"));
    let page: serde_json::Value = serde_json::from_str(&read("web/package.json")).expect("a manifest");
    let packages = page["dependencies"].as_object().expect("dependencies");
    let folders = packages
        .values()
        .map(|wanted| wanted.as_str().and_then(|wanted| wanted.strip_prefix("file:")).expect("a path"));
    assert!(
        packages.len() == 2
            && folders
                .map(Path::new)
                .all(|folder| folder.is_absolute() && folder.join("dist/index.js").is_file())
    );
    assert!(read("web/dist/index.html").contains("/assets/index-"), "the page comes built");
    for (path, _) in new::FILES {
        let path = path.replace("taskboard", "my_shop");
        assert!(
            !read(&path).contains("taskboard") && !read(&path).contains("{{"),
            "{path} still has the demo's name or a gap"
        );
    }
}

#[test]
fn new_has_every_file_of_the_demo() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let mut on_disk = BTreeSet::new();
    let mut folders = vec![demo.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path()) {
            // What npm and Vite make; and a lock file names the packages by their path from here.
            let made = ["node_modules", "dist", "package-lock.json"].iter().any(|name| path.ends_with(name));
            if path.is_dir() && !made {
                folders.push(path);
            } else if !made {
                let relative = path.strip_prefix(&demo).expect("below").display().to_string();
                on_disk.insert(relative.trim_end_matches(".template").to_owned());
            }
        }
    }
    assert_eq!(on_disk, new::FILES.iter().map(|(path, _)| (*path).to_owned()).collect());
}
