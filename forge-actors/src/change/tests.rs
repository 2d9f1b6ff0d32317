use std::collections::BTreeSet;

use chrono::DateTime;

use crate::kernel::commit::{TableId, Xid};
use crate::kernel::time::{minutes, secs};

use super::captures::Wanted;
use super::config::CaptureConfig;
use super::state::{Batch, Changed, Cursor, Look};

const TASKS: TableId = TableId(16_400);

fn look(snapshot: &str, tables: &[TableId]) -> Look {
    let snapshot = snapshot.parse().expect("a snapshot");
    Look {
        snapshot,
        horizon: Xid(0),
        server_started: DateTime::UNIX_EPOCH,
        too_many: false,
        tables: tables.to_vec(),
    }
}

/// What is told after a look at `10:12:10`.
fn told(second: Look) -> Changed {
    let mut cursor = Cursor::default();
    assert_eq!(cursor.since(), None);
    assert_eq!(
        cursor.advance(look("10:12:10", &[])).changed,
        Changed::Everything,
        "the first look knows nothing of before"
    );
    assert_eq!(cursor.since().map(ToString::to_string).as_deref(), Some("10:12:10"));
    let expected = second.snapshot.clone();
    let Batch { snapshot, changed } = cursor.advance(second);
    assert_eq!(snapshot, expected);
    assert_eq!(cursor.since(), Some(&expected));
    changed
}

#[test]
fn a_look_tells_tables_unless_something_is_unknown() {
    let check = |second: Look, expected: Changed| assert_eq!(told(second), expected);
    let tables = |tables: &[TableId]| Changed::Tables(BTreeSet::from_iter(tables.iter().copied()));
    check(look("12:12:", &[]), tables(&[]));
    check(look("10:12:10", &[]), tables(&[]));
    check(look("12:14:", &[TASKS, TASKS]), tables(&[TASKS]));
    check(look("12:14:", &[TASKS, TableId(0)]), Changed::Everything);
    check(Look { too_many: true, ..look("12:14:", &[TASKS]) }, Changed::Everything);
    check(
        Look { server_started: DateTime::UNIX_EPOCH + secs(1), ..look("12:14:", &[]) },
        Changed::Everything,
    );
    check(look("9:11:9", &[]), Changed::Everything);
    check(Look { horizon: Xid(10), ..look("12:14:", &[]) }, tables(&[]));
    check(Look { horizon: Xid(11), ..look("12:14:", &[]) }, Changed::Everything);
}

#[test]
fn models_ask_and_the_configuration_decides_for_the_rest() {
    let models = [("a", None), ("b", Some(true)), ("c", Some(false))];
    let wanted = |default| -> Vec<(String, bool)> {
        let config = CaptureConfig { default, ..CaptureConfig::default() };
        config.wanted(models).into_iter().map(|Wanted { table, on }| (table, on)).collect()
    };
    assert_eq!(wanted(true), [("a".into(), true), ("b".into(), true), ("c".into(), false)]);
    assert_eq!(wanted(false), [("b".into(), true), ("c".into(), false)]);
}

#[test]
fn a_retention_that_loses_or_hoards_is_refused() {
    let broken = |retention| CaptureConfig { retention, ..CaptureConfig::default() }.validate();
    assert_eq!(broken(minutes(10)), Vec::<String>::new());
    assert_eq!(broken(secs(9)), ["capture.retention is 9s; it must lie between 10s and 1d"]);
    assert_eq!(broken(minutes(3_000)).len(), 1);
}
