use super::crash_writer::merge_equal;
use crate::supervise::Crash;

#[test]
fn equal_crashes_are_merged_into_one_row() {
    let crash = |path: &str, cause: &str, restarts| Crash { restarts, ..Crash::new(path, "worker", cause) };
    let rows =
        merge_equal(vec![crash("a", "x", 0), crash("b", "x", 0), crash("a", "x", 1), crash("a", "y\0", 2)]);
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.crash.path.as_str(), row.cause.as_str(), row.occurrences, row.crash.restarts))
        .collect();
    assert_eq!(seen, [("a", "x", 2, 1), ("b", "x", 1, 0), ("a", "y\u{fffd}", 1, 2)]);
}
