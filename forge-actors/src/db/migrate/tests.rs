use chrono::Utc;
use proptest::prelude::*;

use super::error::{MigrateError, ParseProblem};
use super::file::Migration;
use super::plan::{AppliedMigration, Direction, DownTo, newer, plan_down, plan_up, status};
use super::set::MigrationSet;
use super::split::split;
use super::system::system_sets;
use crate::kernel::diagnose::Diagnose;

const GOOD: &str = "-- @up\nCREATE TABLE t (id int);\n-- @down\nDROP TABLE t;\n";

fn statements(sql: &str) -> Vec<(usize, &str)> {
    split(sql)
        .into_iter()
        .filter(|piece| !piece.is_blank())
        .map(|piece| (piece.line, piece.text.trim()))
        .collect()
}

#[test]
fn statements_end_only_at_semicolons_that_count() {
    let check = |sql: &str, expected: &[&str]| {
        let found: Vec<&str> = statements(sql).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, expected, "{sql}");
    };
    check("SELECT 1; SELECT 2", &["SELECT 1;", "SELECT 2"]);
    check("SELECT ';''; '; SELECT 2;", &["SELECT ';''; ';", "SELECT 2;"]);
    check(r"SELECT '\'; SELECT 2;", &[r"SELECT '\';", "SELECT 2;"]);
    check(r"SELECT E'\';'; SELECT 2;", &[r"SELECT E'\';';", "SELECT 2;"]);
    check("SELECT E'a'\n'\\';b'; SELECT 2", &["SELECT E'a'\n'\\';b';", "SELECT 2"]);
    check("SELECT \"a;\"\"b\"; SELECT 2", &["SELECT \"a;\"\"b\";", "SELECT 2"]);
    check(
        "SELECT $$;$$; SELECT $a$;$$;$b$;$a$; SELECT 3",
        &["SELECT $$;$$;", "SELECT $a$;$$;$b$;$a$;", "SELECT 3"],
    );
    check("SELECT $1; SELECT a$b$c; SELECT $2;", &["SELECT $1;", "SELECT a$b$c;", "SELECT $2;"]);
    check("SELECT $ä$;$ä$; SELECT 2", &["SELECT $ä$;$ä$;", "SELECT 2"]);
    check("SELECT 1 -- ; no\n; SELECT 2", &["SELECT 1 -- ; no\n;", "SELECT 2"]);
    check("/* ; /* ; */ ; */ SELECT 1; SELECT 2", &["/* ; /* ; */ ; */ SELECT 1;", "SELECT 2"]);
    check("SELECT 1 /* ' */; SELECT 2", &["SELECT 1 /* ' */;", "SELECT 2"]);
    check(
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
        &["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);", "SELECT 3"],
    );
    check(
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
        &[
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;",
            "SELECT 3",
        ],
    );
    check("BEGIN; SELECT 1; END;", &["BEGIN;", "SELECT 1;", "END;"]);
    check("SELECT 'open; SELECT 2", &["SELECT 'open; SELECT 2"]);
    check(";; -- nothing\n;", &[]);
}

#[test]
fn a_statement_knows_the_line_of_its_first_word() {
    assert_eq!(
        statements("-- one\n\nSELECT\n1;\n/* a\nb */ SELECT 2;"),
        [(3, "-- one\n\nSELECT\n1;"), (6, "/* a\nb */ SELECT 2;")]
    );
}

const ODD_TEXT: &str = "([a-zE_0-9 \n;'\"$\\\\()*/ä-]|begin|end|create function|\\$a\\$){0,60}";

proptest! {
    #[test]
    fn splitting_loses_nothing(sql in ODD_TEXT) {
        let joined: String = split(&sql).iter().map(|piece| piece.text).collect();
        prop_assert_eq!(joined, sql);
    }

    #[test]
    fn quoted_text_is_never_cut(body in "[a-z;'\"\n/*-]{0,30}") {
        let sql = format!("SELECT $q${body}$q$;SELECT 2");
        prop_assert_eq!(statements(&sql).len(), 2);
        let sql = format!("SELECT '{}';SELECT 2", body.replace('\'', "''"));
        prop_assert_eq!(statements(&sql).len(), 2);
    }
}

#[test]
fn a_file_is_refused_with_its_line() {
    let check =
        |file: &str, text: &str, line: usize, problem: ParseProblem| match Migration::parse(file, text) {
            Err(MigrateError::Parse { line: found, problem: why, .. }) => {
                assert_eq!((found, why), (line, problem), "{text}")
            }
            other => panic!("{text}: {other:?}"),
        };
    for name in [
        "1_create_t.sql",
        "0000_create_t.sql",
        "0001_create.sql",
        "0001_Create_T.sql",
        "0001-create-t.sql",
        "0001_create__t.sql",
        "0001_create_t.txt",
    ] {
        check(name, GOOD, 1, ParseProblem::Name);
    }
    let file = "0001_create_t.sql";
    check(file, "SELECT 1;\n", 1, ParseProblem::MissingSection("up"));
    check(file, "-- @up\nSELECT 1;\n", 2, ParseProblem::MissingSection("down"));
    check(file, "-- @up\nSELECT 1;\n-- @up\n", 3, ParseProblem::RepeatedMarker("up".into()));
    check(file, "-- @upp\nSELECT 1;\n", 1, ParseProblem::UnknownMarker("upp".into()));
    check(
        file,
        "-- @up\nSELECT 1;\n-- @no-transaction\n-- @irreversible\n",
        3,
        ParseProblem::LateMarker("no-transaction"),
    );
    check(
        file,
        "-- @up\nSELECT 1;\n-- @breaking\n-- @irreversible\n",
        3,
        ParseProblem::LateMarker("breaking"),
    );
    check(file, "-- a\nSELECT 1;\n-- @up\nSELECT 1;\n-- @irreversible\n", 2, ParseProblem::Stray);
    check(file, "-- @up\n-- nothing\n-- @irreversible\n", 1, ParseProblem::EmptySection("up"));
    check(file, "-- @up\nSELECT 1;\n-- @down\nSELECT 1;\n-- @irreversible\n", 3, ParseProblem::Contradiction);
    check(
        file,
        "-- @up\nSELECT 1;\ncommit;\n-- @irreversible\n",
        3,
        ParseProblem::TransactionControl("COMMIT".into()),
    );
}

#[test]
fn a_file_keeps_its_sections_and_where_they_stand() {
    assert!(!Migration::parse("0001_create_t.sql", GOOD).unwrap().breaking);
    let text = "-- About it.\n-- @breaking\n-- @no-transaction\n-- @up\nSELECT 1;\n\n-- @down\nSELECT 2;\n";
    let migration = Migration::parse("a/b/0012_create_t.sql", text).unwrap();
    assert_eq!((migration.number, migration.name.as_str()), (12, "create_t"));
    assert_eq!((migration.transactional, migration.breaking), (false, true));
    assert_eq!((migration.up.sql.as_str(), migration.up.line), ("SELECT 1;\n\n", 5));
    assert_eq!(migration.down.map(|down| (down.sql, down.line)), Some(("SELECT 2;\n".into(), 8)));
}

#[test]
fn a_checksum_sees_words_and_not_line_ends() {
    let checksum = |text: &str| Migration::parse("0001_create_t.sql", text).unwrap().checksum;
    assert_eq!(checksum(GOOD), checksum(&GOOD.replace('\n', "\r\n")));
    assert_eq!(checksum(GOOD), checksum(&format!("\u{feff}{}\n\n", GOOD.replace(";\n", ";  \n"))));
    assert_ne!(checksum(GOOD), checksum(&GOOD.replace("id int", "id  int")));
}

#[test]
fn numbers_are_unique_and_without_gaps() {
    let parse = |names: &[&str]| {
        MigrationSet::parse("app", &names.iter().map(|name| (*name, GOOD)).collect::<Vec<_>>())
    };
    assert!(parse(&["0002_create_b.sql", "0001_create_a.sql"]).is_ok());
    assert!(matches!(
        parse(&["0001_create_a.sql", "0001_create_b.sql"]),
        Err(MigrateError::DuplicateNumber { .. })
    ));
    assert!(matches!(
        parse(&["0001_create_a.sql", "0003_create_b.sql"]),
        Err(MigrateError::Gap { previous: 1, .. })
    ));
    assert!(matches!(parse(&["0002_create_a.sql"]), Err(MigrateError::Gap { previous: 0, .. })));
}

fn set_of(name: &str, count: u32) -> MigrationSet {
    let migrations = (1..=count)
        .map(|number| Migration::parse(&format!("{number:04}_create_t{number}.sql"), GOOD).unwrap())
        .collect();
    MigrationSet::new(name, migrations).unwrap()
}

fn rows_of(set: &MigrationSet, numbers: &[u32]) -> Vec<AppliedMigration> {
    let row = |number: &u32| AppliedMigration {
        set: set.name.clone(),
        number: *number,
        name: format!("create_t{number}"),
        checksum: set.get(*number).map_or_else(String::new, |migration| migration.checksum.clone()),
        at: Utc::now(),
        execution_ms: 1,
        node: "n".into(),
        breaking: false,
    };
    numbers.iter().map(row).collect()
}

#[test]
fn what_is_missing_is_planned_set_after_set() {
    let sets = [set_of("forge", 2), set_of("app", 3)];
    let rows: Vec<AppliedMigration> = [rows_of(&sets[0], &[1]), rows_of(&sets[1], &[1])].concat();
    let titles = |to| {
        plan_up(&sets, &rows, to)
            .unwrap()
            .iter()
            .map(|step| (step.set, step.migration.number))
            .collect::<Vec<_>>()
    };
    assert_eq!(titles(None), [("forge", 2), ("app", 2), ("app", 3)]);
    assert_eq!(titles(Some(("app", 2))), [("forge", 2), ("app", 2)]);
    assert!(matches!(
        plan_up(&sets, &rows, Some(("app", 4))),
        Err(MigrateError::NoSuchTarget { last: 3, .. })
    ));
    assert!(matches!(plan_up(&sets, &rows, Some(("shop", 1))), Err(MigrateError::NoSuchSet { .. })));
}

#[test]
fn rows_that_do_not_fit_the_files_are_refused() {
    let sets = [set_of("app", 3)];
    let mut edited = rows_of(&sets[0], &[1, 2]);
    edited[1].checksum = "other".into();
    assert!(matches!(plan_up(&sets, &edited, None), Err(MigrateError::Edited { .. })));
    assert!(matches!(
        plan_up(&sets, &rows_of(&sets[0], &[1, 3]), None),
        Err(MigrateError::OutOfOrder { missing: 2, .. })
    ));
    let unknown = rows_of(&set_of("shop", 1), &[1]);
    let problems = |rows: &[AppliedMigration]| {
        status(&sets, rows).into_iter().filter(|status| status.problem.is_some()).count()
    };
    assert_eq!((problems(&edited), problems(&unknown)), (1, 1));
}

#[test]
fn a_binary_runs_beside_newer_migrations_unless_one_of_them_is_breaking() {
    let sets = [set_of("app", 3)];
    let rows = rows_of(&set_of("app", 5), &[1, 2, 3, 4, 5]);
    assert_eq!(plan_up(&sets, &rows, None).unwrap().len(), 0);
    let titles: Vec<_> = newer(&sets, &rows).iter().map(|row| row.title()).collect();
    assert_eq!(titles, ["0004_create_t4", "0005_create_t5"]);
    let statuses = status(&sets, &rows);
    assert_eq!(statuses.iter().filter(|status| status.newer && status.problem.is_none()).count(), 2);
    // Only the binary that has the file of a migration can undo the migration.
    let back = plan_down(&sets, &rows, "app", DownTo::Steps(1));
    assert!(matches!(back, Err(MigrateError::NotOurs { number: 5, .. })), "{back:?}");

    let mut breaking = rows.clone();
    breaking[3].breaking = true;
    match plan_up(&sets, &breaking, None) {
        Err(error @ MigrateError::Breaking { number: 4, .. }) => {
            let sentence = error.to_string();
            assert!(["0004_create_t4", "`app`", "@breaking"].iter().all(|word| sentence.contains(word)));
            assert!(error.help().is_some_and(|help| help.contains("start the version")));
        }
        other => panic!("{other:?}"),
    }
    // A binary that has the file runs on the schema, and a mark on a known row says nothing to it.
    assert_eq!(plan_up(&[set_of("app", 5)], &breaking, None).unwrap().len(), 0);
    assert!(matches!(
        plan_up(&sets, &rows_of(&set_of("app", 5), &[1, 2, 3, 5]), None),
        Err(MigrateError::OutOfOrder { missing: 4, .. })
    ));
}

#[test]
fn the_way_back_is_taken_last_first() {
    let sets = [set_of("app", 3)];
    let rows = rows_of(&sets[0], &[1, 2, 3]);
    let numbers = |to| {
        let steps = plan_down(&sets, &rows, "app", to).unwrap();
        assert!(steps.iter().all(|step| step.direction == Direction::Down));
        steps.iter().map(|step| step.migration.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(DownTo::Steps(2)), [3, 2]);
    assert_eq!(numbers(DownTo::Steps(9)), [3, 2, 1]);
    assert_eq!(numbers(DownTo::Number(1)), [3, 2]);
    assert_eq!(numbers(DownTo::Number(0)), [3, 2, 1]);
    let lasting = Migration::parse("0001_create_t.sql", "-- @up\nSELECT 1;\n-- @irreversible\n").unwrap();
    let sets = [MigrationSet::new("app", vec![lasting]).unwrap()];
    let planned =
        plan_down(&sets, &rows_of(&sets[0], &[1]), "app", DownTo::Steps(1)).map(|steps| steps.len());
    assert!(matches!(planned, Err(MigrateError::Irreversible { .. })));
}

#[test]
fn the_embedded_files_are_good() {
    assert_eq!(
        system_sets().map(|set| set.last()),
        [7, 14],
        "older binaries refuse an eighth of the first set"
    );
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/migrations/later");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("its entries can be read").file_name().into_string().expect("a name"))
        .collect();
    files.sort();
    let names = files.iter().map(|name| format!("schema/migrations/later/{name}"));
    let embedded: Vec<_> = system_sets()[1].migrations().iter().map(|one| one.file.clone()).collect();
    assert_eq!(embedded, names.collect::<Vec<_>>(), "each file of the folder is named in system.rs");
}
