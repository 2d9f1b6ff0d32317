//! SQLSTATE codes: what an error of Postgres means for the call that met it.
//!
//! [`TABLE`] is the only list of them. It has a row for every class of PostgreSQL 15 (appendix A of its
//! manual), and one for each code that means something else than its class. A code that Postgres does not
//! know was made up by a function of the application, and counts as the application's own failure.
//!
//! A sentence of the table is for clients, so it names no table, column, constraint or value.

use SqlStateClass::{
    Bug, ConflictingRow, LockNotAvailable, LostRace, OutcomeUnknown, ReadOnlySession, RefusedValue,
    ServerTrouble, StaleSession, TimeLimit,
};

/// What an error of Postgres means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlStateClass {
    /// A value does not fit, which usually came from the client. The sentence says how: `BAD_REQUEST`.
    RefusedValue(&'static str),
    /// The change does not fit the rows that exist. The sentence says how: `CONFLICT`.
    ConflictingRow(&'static str),
    /// Concurrent transactions collided. The call is run again; after too many tries it is a `CONFLICT`.
    LostRace,
    /// A lock was not free within `lock_timeout`, or not at once for `NOWAIT`: `CONFLICT`.
    LockNotAvailable,
    /// The statement was cut by a time limit: `TIMEOUT`.
    TimeLimit,
    /// The server, its machine or its operator is the cause. The sentence says what is known: `UNAVAILABLE`.
    ServerTrouble(&'static str),
    /// A write in a session or transaction that only reads. Forge's own read-only sessions refuse the writes
    /// of queries in this way, so by itself it is a bug of the application: `INTERNAL`. A refusal in a
    /// session that may write is found by the database folder, which turns it into [`ReadOnlyServer`].
    ReadOnlySession,
    /// Postgres does not know whether the statement has taken effect: `OUTCOME_UNKNOWN`.
    OutcomeUnknown,
    /// The session has prepared what does not exist any more. The call is run again on another session.
    StaleSession,
    /// A bug of the application, or of Postgres itself (class XX): `INTERNAL`, with the cause in the log.
    Bug,
}

const UNREACHABLE: SqlStateClass = ServerTrouble("the database is not reachable");

/// Codes of five characters, and classes of two. A code's own row goes before the row of its class.
pub const TABLE: &[(&str, SqlStateClass)] = &[
    // successful_completion, warning, no_data, sql_statement_not_yet_complete
    ("00", Bug),
    ("01", Bug),
    ("02", Bug),
    ("03", Bug),
    // connection_exception
    ("08", UNREACHABLE),
    // triggered_action_exception
    ("09", Bug),
    // feature_not_supported
    ("0A", Bug),
    // invalid_transaction_initiation, locator_exception, invalid_grantor, invalid_role_specification
    ("0B", Bug),
    ("0F", Bug),
    ("0L", Bug),
    ("0P", Bug),
    // diagnostics_exception, case_not_found, cardinality_violation
    ("0Z", Bug),
    ("20", Bug),
    ("21", Bug),
    // data_exception
    ("22", RefusedValue("a value does not fit what the database computes or stores")),
    ("22001", RefusedValue("a text is too long")),
    ("22003", RefusedValue("a number is out of range")),
    // null_value_not_allowed, error_in_assignment
    ("22004", Bug),
    ("22005", Bug),
    ("22007", RefusedValue("a text is not a date or time")),
    ("22008", RefusedValue("a date or time is out of range")),
    // invalid_indicator_parameter_value
    ("22010", Bug),
    // division_by_zero: the handler divides, and the divisor is more often a row's than the client's.
    ("22012", Bug),
    ("22015", RefusedValue("a duration is out of range")),
    ("2201B", RefusedValue("a text is not a regular expression")),
    ("22021", RefusedValue("a text holds a character that cannot be stored")),
    // sequence_generator_limit_exceeded
    ("2200H", Bug),
    ("22P02", RefusedValue("a text cannot be read as a value of its type")),
    ("22P03", RefusedValue("a value cannot be read as one of its type")),
    // bad_copy_file_format
    ("22P04", Bug),
    ("22P05", RefusedValue("a text holds a character that cannot be stored")),
    // nonstandard_use_of_escape_character
    ("22P06", Bug),
    // integrity_constraint_violation
    ("23", ConflictingRow("the change does not fit the rows that exist")),
    ("23001", ConflictingRow("another row refers to a row that was to go")),
    ("23502", RefusedValue("a value is missing")),
    (
        "23503",
        ConflictingRow(
            "a row that is referred to does not exist, or another row refers to one that was to go",
        ),
    ),
    ("23505", ConflictingRow("a row with this key exists already")),
    ("23514", RefusedValue("a value is not one of those that are allowed")),
    ("23P01", ConflictingRow("a row that excludes this one exists already")),
    // invalid_cursor_state
    ("24", Bug),
    // invalid_transaction_state
    ("25", Bug),
    ("25006", ReadOnlySession),
    // idle_in_transaction_session_timeout: the node was frozen or cut off inside of a transaction.
    ("25P03", ServerTrouble("the database ended a transaction that was idle for too long")),
    // transaction_timeout, of Postgres 17
    ("25P04", TimeLimit),
    // invalid_sql_statement_name: the prepared statement is gone.
    ("26", StaleSession),
    // triggered_data_change_violation
    ("27", Bug),
    // invalid_authorization_specification: the password was changed, or pg_hba.conf.
    ("28", UNREACHABLE),
    // dependent_privilege_descriptors_still_exist, invalid_transaction_termination
    ("2B", Bug),
    ("2D", Bug),
    // sql_routine_exception, invalid_cursor_name
    ("2F", Bug),
    ("34", Bug),
    // external_routine_exception, external_routine_invocation_exception, savepoint_exception
    ("38", Bug),
    ("39", Bug),
    ("3B", Bug),
    // invalid_catalog_name: the server has no such database (any more).
    ("3D", UNREACHABLE),
    // invalid_schema_name
    ("3F", Bug),
    // transaction_rollback
    ("40", LostRace),
    ("40002", ConflictingRow("the change does not fit the rows that exist")),
    ("40003", OutcomeUnknown),
    // syntax_error_or_access_rule_violation
    ("42", Bug),
    // with_check_option_violation
    ("44", RefusedValue("a value is not one of those that are allowed")),
    // insufficient_resources
    ("53", ServerTrouble("the database has too few resources")),
    ("53100", ServerTrouble("the database's disk is full")),
    ("53200", ServerTrouble("the database's memory is full")),
    ("53300", ServerTrouble("the database has no free connection")),
    // program_limit_exceeded
    ("54", Bug),
    ("54000", RefusedValue("a value is too large")),
    // statement_too_complex: nesting deeper than the stack, such as that of a document.
    ("54001", RefusedValue("a value is nested too deeply")),
    // object_not_in_prerequisite_state
    ("55", Bug),
    ("55P03", LockNotAvailable),
    // operator_intervention
    ("57", UNREACHABLE),
    // query_canceled: only Forge's own time limits cancel statements.
    ("57014", TimeLimit),
    // system_error
    ("58", ServerTrouble("the database met an error of its machine")),
    // snapshot_failure: the next snapshot is newer.
    ("72", LostRace),
    // config_file_error
    ("F0", ServerTrouble("the database cannot read its configuration")),
    // fdw_error
    ("HV", Bug),
    // fdw_out_of_memory, fdw_unable_to_establish_connection
    ("HV001", ServerTrouble("the database's memory is full")),
    ("HV00N", ServerTrouble("the database does not reach another server")),
    // plpgsql_error
    ("P0", Bug),
    // internal_error
    ("XX", Bug),
];

impl SqlStateClass {
    /// The meaning of a code.
    pub fn of(state: &str) -> Self {
        let row = |name: &str| TABLE.iter().find(|(known, _)| *known == name);
        let found = row(state).or_else(|| row(state.get(..2)?));
        found.map_or(Bug, |(_, class)| *class)
    }

    /// The meaning of an error that the server sent; `None` for an error of the driver.
    pub fn of_error(error: &sqlx::Error) -> Option<Self> {
        Some(Self::of(&error.as_database_error()?.code()?))
    }

    /// True for an error whose cause may be one row of a batch: the batch without that row may succeed. These
    /// are errors of values and constraints, and whatever a trigger may raise, also under a code that is none
    /// of the server's. Every other error concerns the statement or the server, and is no row's fault.
    pub fn blames_row(state: &str) -> bool {
        let Some(class) = state.get(..2) else { return false };
        let is_the_servers = || TABLE.iter().any(|(known, _)| *known == class);
        matches!(class, "22" | "23" | "2F" | "38" | "39" | "44" | "54" | "P0") || !is_the_servers()
    }
}

/// A write was refused in a session that may write: the server is a standby, or its configuration makes it
/// read-only. After a switch-over another server may be the one that takes writes.
#[derive(Debug, thiserror::Error)]
#[error("the server takes no writes ({reason})")]
pub struct ReadOnlyServer {
    /// The server's message, or what the monitor has found.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_has_one_row_and_every_code_a_class() {
        let names: BTreeSet<_> = TABLE.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), TABLE.len(), "a name has two rows");
        for (name, class) in TABLE {
            match name.len() {
                2 => {}
                5 => assert!(names.contains(&name[..2]), "the class of {name} has no row"),
                _ => panic!("{name} is neither a code nor a class"),
            }
            assert_eq!(SqlStateClass::of(name), *class, "{name}");
        }
    }

    #[test]
    fn a_code_has_its_own_meaning_or_that_of_its_class() {
        let check = |state: &str, expected: SqlStateClass| assert_eq!(SqlStateClass::of(state), expected);
        check("57P01", UNREACHABLE);
        check("57014", TimeLimit);
        check("08P01", UNREACHABLE);
        check("40001", LostRace);
        check("40P01", LostRace);
        check("42703", Bug);
        check("XX000", Bug);
        check("MINE1", Bug);
        check("", Bug);
        check("ü", Bug);
    }

    #[test]
    fn values_constraints_and_triggers_blame_a_row() {
        let check = |state: &str, expected: bool| {
            assert_eq!(SqlStateClass::blames_row(state), expected, "{state}");
        };
        for state in ["22008", "22021", "22P05", "23505", "23514", "44000", "54000", "P0001", "MINE1"] {
            check(state, true);
        }
        for state in ["08006", "25006", "40001", "42703", "53100", "53300", "57014", "57P01", "XX000", ""] {
            check(state, false);
        }
    }
}
