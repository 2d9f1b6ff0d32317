//! Checks the text of a statement that application code sends through a [`Db`](super::handle::Db), before it
//! is sent.
//!
//! A session belongs to one caller for one statement, or to one transaction. A statement that ends the
//! transaction or changes the session would affect the session's next users too, so transaction and session
//! control is refused with a message that names the alternative. A statement that may have a good reason and
//! still leaves something in the session (`set_config(.., false)`, `pg_advisory_lock`, temporary tables,
//! `DO`) is sent, and its session is discarded afterwards.
//!
//! The check catches mistakes and is no sandbox: the body of a database function is not read. A commit does
//! not rely on it alone; see [`Transaction::commit`](super::transaction::Transaction::commit).
//!
//! Cost: one pass over the text without an allocation, 4 ns per byte (0.2 µs for a short SELECT), next to a
//! round trip of 60 µs or more.

use super::lexer::{Lexer, Token};

/// What a statement that may be sent does to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionEffect {
    /// Its effects end with the statement, or with its transaction.
    None,
    /// It may leave something in the session, which is discarded after its use.
    Persists,
}

/// Why a statement must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forbidden {
    /// It begins, ends or divides a transaction.
    Transaction,
    /// It changes a setting for the session's next users.
    Setting,
    /// It is `SET LOCAL` or `SET CONSTRAINTS` outside of a transaction.
    LocalOutside,
    /// It changes the mode of its transaction: isolation, or whether it may write.
    Mode,
    /// It listens for notifications, which would arrive while another caller has the session.
    Listening,
    /// It prepares or deallocates statements, which the session does by itself.
    Prepared,
}

impl Forbidden {
    pub(super) fn into_error(self) -> sqlx::Error {
        sqlx::Error::InvalidArgument(format!("the statement was not sent: {}", self.advice()))
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Transaction => {
                "transactions are not begun or ended by hand; a mutation is one transaction, committed when \
                 it returns Ok and rolled back when it returns an error. For a part that may fail by itself \
                 use a nested call (ctx.call), which is a savepoint"
            }
            Self::Setting => {
                "it would change the session for other calls too; inside of a mutation use SET LOCAL or \
                 set_config(.., true), which end with its transaction, and for all sessions use \
                 ALTER ROLE .. SET or ALTER DATABASE .. SET in a migration"
            }
            Self::LocalOutside => {
                "outside of a transaction it has no effect, and a query's statements run outside of one; set \
                 it in a mutation, or in the statement itself with set_config(.., true)"
            }
            Self::Mode => {
                "the mode of a transaction is chosen by the handler's kind and attributes, and is not \
                 changed while it runs"
            }
            Self::Listening => {
                "a session serves one statement or one transaction; listen on a connection of your own \
                 (sqlx's PgListener)"
            }
            Self::Prepared => {
                "statements with arguments are prepared and kept anyway; write the statement itself"
            }
        }
    }
}

/// Checks all statements of `sql`, and returns the strongest of their effects.
///
/// # Errors
/// The first reason for which a statement of `sql` must not be sent.
pub(super) fn check(sql: &str, in_transaction: bool) -> Result<SessionEffect, Forbidden> {
    let mut lexer = Lexer::new(sql);
    let mut effect = SessionEffect::None;
    let mut statement = StatementScan::new(in_transaction);
    while let Some((_, token)) = lexer.token() {
        match token {
            Token::Word(word) | Token::Name(word) => statement.word(word)?,
            Token::Symbol(symbol) => statement.symbol(symbol),
            Token::Text => statement.set_config.other(),
            Token::End => {
                effect = statement.end(effect);
                statement = StatementScan::new(in_transaction);
            }
        }
    }
    Ok(statement.end(effect))
}

/// One statement, as far as its tokens were read.
struct StatementScan<'a> {
    in_transaction: bool,
    words: usize,
    first: &'a str,
    previous: &'a str,
    persists: bool,
    /// The statement makes a temporary table, and no `ON COMMIT DROP` was read yet.
    temporary: bool,
    set_config: SetConfigCall,
}

impl<'a> StatementScan<'a> {
    fn new(in_transaction: bool) -> Self {
        Self {
            in_transaction,
            words: 0,
            first: "",
            previous: "",
            persists: false,
            temporary: false,
            set_config: SetConfigCall::Outside,
        }
    }

    /// The effect of the statements so far, when `before` is that of the ones before this one.
    fn end(&self, before: SessionEffect) -> SessionEffect {
        let persists = self.persists || self.temporary || self.set_config != SetConfigCall::Outside;
        if persists { SessionEffect::Persists } else { before }
    }

    fn word(&mut self, word: &'a str) -> Result<(), Forbidden> {
        match self.words {
            0 => {
                self.first(word)?;
                self.first = word;
            }
            1 if is(self.first, "set") => self.setting(word)?,
            2 if is(self.first, "set") && is(self.previous, "local") => local_setting(word)?,
            _ => {}
        }
        self.inner(word);
        self.previous = word;
        self.words += 1;
        Ok(())
    }

    fn first(&mut self, word: &str) -> Result<(), Forbidden> {
        const CONTROL: [&str; 8] =
            ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"];
        const SESSION: [&str; 3] = ["reset", "discard", "load"];
        let among = |words: &[&str]| words.iter().any(|known| is(word, known));
        // PREPARE is also how a transaction is handed to a coordinator.
        if is(word, "prepare") || is(word, "deallocate") {
            return Err(Forbidden::Prepared);
        }
        if among(&CONTROL) {
            return Err(Forbidden::Transaction);
        }
        if among(&SESSION) {
            return Err(Forbidden::Setting);
        }
        if among(&["listen", "unlisten"]) {
            return Err(Forbidden::Listening);
        }
        // The statements that these run are not visible in the text.
        self.persists |= among(&["do", "call"]);
        Ok(())
    }

    fn setting(&self, word: &str) -> Result<(), Forbidden> {
        if is(word, "transaction") {
            return Err(Forbidden::Mode);
        }
        if !is(word, "local") && !is(word, "constraints") {
            return Err(Forbidden::Setting);
        }
        if self.in_transaction { Ok(()) } else { Err(Forbidden::LocalOutside) }
    }

    /// A word anywhere in the statement.
    fn inner(&mut self, word: &str) {
        if self.set_config.word(word) {
            return;
        }
        let first = |expected| is(self.first, expected);
        // Most words match no arm, at the cost of one comparison of a byte.
        match word.as_bytes().first().map_or(0, u8::to_ascii_lowercase) {
            b's' if is(word, "set_config") => self.set_config = SetConfigCall::Named,
            b'p' if starts_with(word, "pg_advisory_lock") || starts_with(word, "pg_try_advisory_lock") => {
                self.persists = true
            }
            // Writing to this view is another form of SET.
            b'p' if is(word, "pg_settings") && !first("select") => self.persists = true,
            b'p' if is(word, "pg_temp") && first("create") => self.temporary = true,
            b't' if (is(word, "temp") || is(word, "temporary")) && self.makes_temporary() => {
                self.temporary = true
            }
            b'd' if is(word, "drop") && is(self.previous, "commit") => self.temporary = false,
            b'h' if is(word, "hold") && is(self.previous, "with") && first("declare") => self.persists = true,
            _ => {}
        }
    }

    /// `CREATE [OR REPLACE] [LOCAL] TEMP ..` or `SELECT .. INTO TEMP ..`.
    fn makes_temporary(&self) -> bool {
        let before = |expected| is(self.previous, expected);
        if is(self.first, "create") {
            return self.words <= 4 && ["create", "replace", "local", "global"].into_iter().any(before);
        }
        before("into") && (is(self.first, "select") || is(self.first, "with"))
    }

    fn symbol(&mut self, symbol: u8) {
        if self.set_config.symbol(symbol) {
            self.persists = true;
        }
    }
}

/// Checks the name of the setting after `SET LOCAL`.
fn local_setting(word: &str) -> Result<(), Forbidden> {
    // transaction_read_only and its like, and SESSION AUTHORIZATION or CHARACTERISTICS.
    if starts_with(word, "transaction") || is(word, "session") {
        return Err(Forbidden::Mode);
    }
    // The lexer would read the literals of later statements differently from the server.
    if is(word, "standard_conforming_strings") { Err(Forbidden::Setting) } else { Ok(()) }
}

/// How much of a call of `set_config` was read. Only a literal `true` as its last argument means that the
/// setting ends with the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetConfigCall {
    /// No call is being read.
    Outside,
    /// The function's name was read.
    Named,
    /// Its arguments are being read, `depth` parentheses deep.
    Arguments { depth: u32, last: LastToken },
}

/// The token of the arguments that was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastToken {
    Comma,
    True,
    Other,
}

impl SetConfigCall {
    /// True when the word belongs to the arguments.
    fn word(&mut self, word: &str) -> bool {
        let Self::Arguments { depth, last } = self else {
            *self = Self::Outside;
            return false;
        };
        // A nested call hides the end of the outer one. The session is then discarded without need, never
        // kept by mistake.
        *last = if *last == LastToken::Comma && *depth == 1 && is(word, "true") {
            LastToken::True
        } else {
            LastToken::Other
        };
        !is(word, "set_config")
    }

    fn other(&mut self) {
        match self {
            Self::Arguments { last, .. } => *last = LastToken::Other,
            Self::Outside | Self::Named => *self = Self::Outside,
        }
    }

    /// True when `symbol` ended a call whose setting outlives the transaction.
    fn symbol(&mut self, symbol: u8) -> bool {
        match (&mut *self, symbol) {
            (Self::Named, b'(') => *self = Self::Arguments { depth: 1, last: LastToken::Other },
            (Self::Arguments { depth: 1, last }, b')') => {
                let persists = *last != LastToken::True;
                *self = Self::Outside;
                return persists;
            }
            (Self::Arguments { depth, last }, b'(' | b')') => {
                *depth = if symbol == b'(' { *depth + 1 } else { *depth - 1 };
                *last = LastToken::Other;
            }
            (Self::Arguments { last, .. }, _) => {
                *last = if symbol == b',' { LastToken::Comma } else { LastToken::Other }
            }
            (Self::Named, _) => *self = Self::Outside,
            (Self::Outside, _) => {}
        }
        false
    }
}

fn is(word: &str, expected: &str) -> bool {
    word.eq_ignore_ascii_case(expected)
}

fn starts_with(word: &str, start: &str) -> bool {
    word.as_bytes().get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: Result<SessionEffect, Forbidden> = Ok(SessionEffect::None);
    const PERSISTS: Result<SessionEffect, Forbidden> = Ok(SessionEffect::Persists);

    #[test]
    fn control_is_found_wherever_a_statement_starts() {
        let check = |sql: &str, expected| {
            assert_eq!((check(sql, false), check(sql, true)), (expected, expected), "{sql}")
        };
        for sql in [
            "begin",
            " \n COMMIT;",
            "/* */begin",
            "/* a /* b */ c */ Rollback",
            "-- x\nend",
            ";;savepoint a",
            "( abort",
            "start transaction",
        ] {
            check(sql, Err(Forbidden::Transaction));
        }
        check("SELECT ';'; release a", Err(Forbidden::Transaction));
        check("INSERT INTO t VALUES (1); commit; INSERT INTO t VALUES (2)", Err(Forbidden::Transaction));
        check("prepare transaction 'x'", Err(Forbidden::Prepared));
        check("DEALLOCATE ALL", Err(Forbidden::Prepared));
        check("set search_path = x", Err(Forbidden::Setting));
        check("SET SESSION x.y = 1", Err(Forbidden::Setting));
        check("SET role ada", Err(Forbidden::Setting));
        check("RESET ALL", Err(Forbidden::Setting));
        check("discard all", Err(Forbidden::Setting));
        check("SET TRANSACTION READ WRITE", Err(Forbidden::Mode));
        check("LISTEN x", Err(Forbidden::Listening));
        check("UNLISTEN *", Err(Forbidden::Listening));
    }

    #[test]
    fn words_that_only_look_like_control_pass() {
        let check = |sql: &str| assert_eq!((check(sql, false), check(sql, true)), (CLEAN, CLEAN), "{sql}");
        check("");
        check("WITH a AS (SELECT 1) SELECT * FROM a");
        check("(SELECT 1) UNION (SELECT 2)");
        check("SELECT 'begin'; SELECT 'a; commit', $$;rollback$$, E'\\';abort'");
        check("SELECT \"begin\", \"end\" FROM t -- ; commit\n/* ; begin */");
        check("EXPLAIN SELECT 1");
        check("UPDATE t SET x = 1, local = 2");
        check("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END");
        check("SELECT 'set_config(a,b,false)', 'pg_advisory_lock'");
        check("SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2), set_config FROM t");
        check("SELECT temp, temporary INTO x FROM weather; INSERT INTO temp VALUES (1)");
        check(
            "SELECT set_config('app.tenant', $1, true), pg_catalog.SET_CONFIG('a', coalesce($1, 'x'), TRUE)",
        );
        check("SELECT * FROM pg_settings; NOTIFY x; LOCK t; DECLARE c CURSOR FOR SELECT 1");
    }

    #[test]
    fn a_transaction_has_settings_of_its_own() {
        let check = |sql: &str, inside| {
            assert_eq!((check(sql, true), check(sql, false)), (inside, Err(Forbidden::LocalOutside)), "{sql}")
        };
        check("SET LOCAL app.tenant = 'a'", CLEAN);
        check("set /* */ local role ada", CLEAN);
        check("SET CONSTRAINTS ALL DEFERRED", CLEAN);
        check("SET LOCAL transaction_read_only = off", Err(Forbidden::Mode));
        check("SET LOCAL \"transaction_read_only\" = off", Err(Forbidden::Mode));
        check("SET LOCAL SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", Err(Forbidden::Mode));
        check("SET LOCAL standard_conforming_strings = off", Err(Forbidden::Setting));
    }

    #[test]
    fn a_statement_that_leaves_something_costs_the_session() {
        let check =
            |sql: &str| assert_eq!((check(sql, false), check(sql, true)), (PERSISTS, PERSISTS), "{sql}");
        check("SELECT set_config('a', 'b', false)");
        check("SELECT set_config('a', 'true', $1), true");
        check("SELECT set_config('a', set_config('b', 'c', false), true)");
        check("SELECT \"set_config\"('a', 'b', not true)");
        check("SELECT pg_advisory_lock(1)");
        check("SELECT PG_TRY_ADVISORY_LOCK_SHARED(1)");
        check("CREATE TEMP TABLE t (id int)");
        check("create or replace local temporary view v as select 1");
        check("CREATE TABLE pg_temp.t (id int)");
        check("SELECT 1 INTO TEMP t; SELECT 2");
        check("DO $$ BEGIN PERFORM 1; END $$");
        check("CALL f()");
        check("UPDATE pg_settings SET setting = 'x'");
        check("DECLARE c CURSOR WITH HOLD FOR SELECT 1");
        assert_eq!(super::check("CREATE TEMP TABLE t (id int) ON COMMIT DROP", true), CLEAN);
    }

    const ODD_TEXT: &str = "([a-zE_0-9 \n;'\"$\\\\()*/ä,-]|set_config|set local|true|temp){0,40}";

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_check_panic(sql in ODD_TEXT) {
            let _ = check(&sql, true);
        }
    }
}
