use std::fs;
use std::path::PathBuf;

use forge_actors::app::Meta;
use forge_actors::db::connections::{CallPools, ConnectionGrant, ConnectionLimits, LimitScope};

use super::database::connection_finding;
use super::handlers::missing;
use super::{Finding, Level};
use crate::terminal::context::Palette;
use crate::terminal::report::Exit;

#[test]
fn handlers_that_no_module_names_are_found() {
    let package = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(package.path().join("src/deep")).expect("writes");
    let two = "#[forge::query]\nasync fn a() {}\n\n    #[forge::mutation(role = \"x\")]\nasync fn b() {}\n\
               // #[forge::query]\n#[forge::query_like]\n";
    fs::write(package.path().join("src/named.rs"), two).expect("writes");
    fs::write(package.path().join("src/deep/forgotten.rs"), two).expect("writes");
    let linked = [
        Meta::query("shop::named", "a", "src/named.rs", 1),
        Meta::mutation("shop::named", "b", "shop/src/named.rs", 4),
    ];
    let linked: Vec<_> = linked.iter().collect();
    assert_eq!(missing(package.path(), &linked), [(PathBuf::from("src/deep/forgotten.rs"), 2)]);
    assert_eq!(missing(package.path(), &linked[..1]).len(), 2, "one of two is missing too");
    assert!(missing(&package.path().join("elsewhere"), &[]).is_empty(), "no source, nothing to compare");
}

#[test]
fn connections_that_the_server_does_not_grant_are_found() {
    let check = |granted: usize, nodes: usize, pools: Option<(usize, usize)>, level: Level, part: &str| {
        let pools = pools.map(|(write, read)| CallPools { write, read, jobs: 6, locks: 4 });
        let limit = ConnectionGrant { scope: LimitScope::Database, granted, nodes };
        let finding =
            connection_finding(ConnectionLimits { node: 44, lowest: limit, tightest: limit, pools });
        assert_eq!(finding.level, level, "{}", finding.text);
        assert!(finding.text.contains(part), "{}", finding.text);
    };
    let granted = "44 connections, and the server grants 97 (the database's CONNECTION LIMIT)";
    check(97, 2, Some((16, 16)), Level::Good, granted);
    check(97, 3, Some((16, 16)), Level::Note, "3 nodes are connected, which may open 132");
    check(
        17,
        1,
        Some((2, 3)),
        Level::Note,
        "write_connections_max reduced to 2 and read_connections_max to 3",
    );
    let others = "job_connections_max is 6 then, and lock_connections_max 4";
    check(17, 1, Some((2, 3)), Level::Note, others);
    check(10, 0, None, Level::Bad, "too few to serve");
}

#[test]
fn a_file_of_each_kind_of_handler_is_found() {
    for kind in ["query", "mutation", "action", "job"] {
        let package = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(package.path().join("src")).expect("writes");
        let handler = format!("#[forge::{kind}]\nasync fn a() {{}}\n");
        fs::write(package.path().join("src/forgotten.rs"), handler).expect("writes");
        assert_eq!(missing(package.path(), &[]), [(PathBuf::from("src/forgotten.rs"), 1)], "{kind}");
    }
}

#[test]
fn the_command_for_an_unreachable_database_can_be_pasted() {
    let check = |place: &str, command: &str| {
        assert!(super::database::reachability(place).starts_with(command), "{place}")
    };
    check("db.example:5433/shop", "pg_isready -h db.example -p 5433 ");
    check("/srv/shop/.forge/run:5432/app", "pg_isready -h /srv/shop/.forge/run -p 5432 ");
    check("::1:5432/shop", "pg_isready -h ::1 -p 5432 ");
}

#[test]
fn a_finding_is_one_line_with_one_command() {
    let line = |finding: Finding| finding.line(Palette::PLAIN).as_str().to_owned();
    assert_eq!(line(Finding::good("fine")), "  ok  fine");
    assert_eq!(line(Finding::note("so so\nand more", "do this\nor that")), "  !!  so so   -> do this");
    assert_eq!(line(Finding::bad(Exit::Drift, "bad", "mend")), "  xx  bad   -> mend");
}
