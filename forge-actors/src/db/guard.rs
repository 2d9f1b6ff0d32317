//! What application code may send through a [`Db`](super::handle::Db): decided from the text, before it is
//! sent.
//!
//! A session belongs to one caller for one statement, or to one transaction. A statement that ends the
//! transaction or changes the session would reach callers that know nothing of it, so transaction and session
//! control is refused with words that say what to use instead. What may be meant well and still stays in the
//! session (`set_config(.., false)`, `pg_advisory_lock`, temporary tables, `DO`) is let through, and its
//! session is discarded afterwards.
//!
//! This catches mistakes, it is no sandbox: a function of the database that does such things inside is not
//! seen. Nor is it the last word on commits; see
//! [`Transaction::commit`](super::transaction::Transaction::commit).
//!
//! Cost: one pass over the text without an allocation, 4 ns per byte (0.2 µs for a short SELECT), next to a
//! round trip of 60 µs or more.

use super::lexer::{Lexer, Token};

/// What a statement that is let through does to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that outlives it, or its transaction.
    None,
    /// It may leave something behind: the session is not used again.
    Stays,
}

/// Why a statement is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It begins, ends or divides a transaction.
    Transaction,
    /// It changes the session for whoever gets it next.
    Setting,
    /// `SET LOCAL` or `SET CONSTRAINTS` where no transaction is.
    LocalOutside,
    /// It changes what the transaction itself is.
    Mode,
    /// Notifications arrive at a session, and this one is somebody else's in a moment.
    Listening,
    /// It names prepared statements, which are kept for the caller.
    Prepared,
}

impl Refusal {
    pub(super) fn into_error(self) -> sqlx::Error {
        sqlx::Error::Protocol(format!("the statement was not sent: {}", self.lesson()))
    }

    fn lesson(self) -> &'static str {
        match self {
            Self::Transaction => {
                "transactions are not begun or ended by hand; a mutation is one transaction, committed when it returns Ok and rolled back when it \
                 returns an error. For a part that may fail by itself use a nested call (ctx.call), which is a savepoint"
            }
            Self::Setting => {
                "it would change the session for other calls too; inside of a mutation use SET LOCAL or set_config(.., true), which end with its \
                 transaction, and for everybody use ALTER ROLE .. SET or ALTER DATABASE .. SET in a migration"
            }
            Self::LocalOutside => {
                "outside of a transaction it has no effect, and a query's statements run outside of one; set it in a mutation, or in the \
                 statement itself with set_config(.., true)"
            }
            Self::Mode => {
                "the mode of a transaction is chosen by the handler's kind and attributes, and is not changed while it runs"
            }
            Self::Listening => {
                "a session is lent for one statement or one transaction; listen on a connection of your own (sqlx's PgListener)"
            }
            Self::Prepared => {
                "statements with arguments are prepared and kept anyway; write the statement itself"
            }
        }
    }
}

/// Judges all statements of `sql`.
pub(super) fn check(sql: &str, in_transaction: bool) -> Result<Effect, Refusal> {
    let mut lexer = Lexer::new(sql);
    let mut effect = Effect::None;
    let mut reading = Reading::new(in_transaction);
    while let Some((_, token)) = lexer.token() {
        match token {
            Token::Word(word) | Token::Name(word) => reading.word(word)?,
            Token::Symbol(symbol) => reading.symbol(symbol),
            Token::Text => reading.call.other(),
            Token::End => {
                effect = reading.end(effect);
                reading = Reading::new(in_transaction);
            }
        }
    }
    Ok(reading.end(effect))
}

/// One statement, as far as it was read.
struct Reading<'a> {
    in_transaction: bool,
    words: usize,
    first: &'a str,
    previous: &'a str,
    stays: bool,
    /// It makes a temporary table, and nothing said yet that this ends with the transaction.
    temporary: bool,
    call: SetConfig,
}

impl<'a> Reading<'a> {
    fn new(in_transaction: bool) -> Self {
        Self {
            in_transaction,
            words: 0,
            first: "",
            previous: "",
            stays: false,
            temporary: false,
            call: SetConfig::Elsewhere,
        }
    }

    fn end(&self, before: Effect) -> Effect {
        if self.stays || self.temporary || self.call != SetConfig::Elsewhere { Effect::Stays } else { before }
    }

    fn word(&mut self, word: &'a str) -> Result<(), Refusal> {
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

    fn first(&mut self, word: &str) -> Result<(), Refusal> {
        const CONTROL: [&str; 8] =
            ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"];
        const SESSION: [&str; 3] = ["reset", "discard", "load"];
        let among = |words: &[&str]| words.iter().any(|known| is(word, known));
        // PREPARE is also how a transaction is handed to a coordinator.
        match () {
            () if is(word, "prepare") || is(word, "deallocate") => Err(Refusal::Prepared),
            () if among(&CONTROL) => Err(Refusal::Transaction),
            () if among(&SESSION) => Err(Refusal::Setting),
            () if among(&["listen", "unlisten"]) => Err(Refusal::Listening),
            // What these run is not visible here.
            () if among(&["do", "call"]) => {
                self.stays = true;
                Ok(())
            }
            () => Ok(()),
        }
    }

    fn setting(&self, word: &str) -> Result<(), Refusal> {
        match () {
            () if is(word, "transaction") => Err(Refusal::Mode),
            () if !is(word, "local") && !is(word, "constraints") => Err(Refusal::Setting),
            () if !self.in_transaction => Err(Refusal::LocalOutside),
            () => Ok(()),
        }
    }

    /// A word anywhere in the statement.
    fn inner(&mut self, word: &str) {
        if self.call.word(word) {
            return;
        }
        let first = |expected| is(self.first, expected);
        // Most words end here: one comparison of a byte.
        match word.as_bytes().first().map_or(0, u8::to_ascii_lowercase) {
            b's' if is(word, "set_config") => self.call = SetConfig::Named,
            b'p' if starts_with(word, "pg_advisory_lock") || starts_with(word, "pg_try_advisory_lock") => {
                self.stays = true
            }
            // Writing to this view is another way to say SET.
            b'p' if is(word, "pg_settings") && !first("select") => self.stays = true,
            b'p' if is(word, "pg_temp") && first("create") => self.temporary = true,
            b't' if (is(word, "temp") || is(word, "temporary")) && self.makes_temporary() => {
                self.temporary = true
            }
            b'd' if is(word, "drop") && is(self.previous, "commit") => self.temporary = false,
            b'h' if is(word, "hold") && is(self.previous, "with") && first("declare") => self.stays = true,
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
        if self.call.symbol(symbol) {
            self.stays = true;
        }
    }
}

/// What stands behind `SET LOCAL` and is no setting of the transaction's own business.
fn local_setting(word: &str) -> Result<(), Refusal> {
    match () {
        // transaction_read_only and its like, and SESSION AUTHORIZATION or CHARACTERISTICS.
        () if starts_with(word, "transaction") || is(word, "session") => Err(Refusal::Mode),
        // The text of later statements would be read differently from how the server reads it.
        () if is(word, "standard_conforming_strings") => Err(Refusal::Setting),
        () => Ok(()),
    }
}

/// A call of `set_config` whose last argument is looked for: only a literal `true` promises an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetConfig {
    Elsewhere,
    Named,
    Arguments { depth: u32, last: Last },
}

/// The end of the arguments, as far as they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Comma,
    True,
    Other,
}

impl SetConfig {
    /// True when the word belongs to the arguments.
    fn word(&mut self, word: &str) -> bool {
        let Self::Arguments { depth, last } = self else {
            *self = Self::Elsewhere;
            return false;
        };
        // A call within a call keeps the outer one from being understood, which errs on the safe side.
        *last =
            if *last == Last::Comma && *depth == 1 && is(word, "true") { Last::True } else { Last::Other };
        !is(word, "set_config")
    }

    fn other(&mut self) {
        match self {
            Self::Arguments { last, .. } => *last = Last::Other,
            Self::Elsewhere | Self::Named => *self = Self::Elsewhere,
        }
    }

    /// True when this ended a call whose setting stays.
    fn symbol(&mut self, symbol: u8) -> bool {
        match (&mut *self, symbol) {
            (Self::Named, b'(') => *self = Self::Arguments { depth: 1, last: Last::Other },
            (Self::Arguments { depth: 1, last }, b')') => {
                let stays = *last != Last::True;
                *self = Self::Elsewhere;
                return stays;
            }
            (Self::Arguments { depth, last }, b'(' | b')') => {
                *depth = if symbol == b'(' { *depth + 1 } else { *depth - 1 };
                *last = Last::Other;
            }
            (Self::Arguments { last, .. }, _) => {
                *last = if symbol == b',' { Last::Comma } else { Last::Other }
            }
            (Self::Named, _) => *self = Self::Elsewhere,
            (Self::Elsewhere, _) => {}
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

    const CLEAN: Result<Effect, Refusal> = Ok(Effect::None);
    const STAYS: Result<Effect, Refusal> = Ok(Effect::Stays);

    #[test]
    fn control_is_found_wherever_a_statement_starts() {
        let check = |sql: &str, verdict| {
            assert_eq!((check(sql, false), check(sql, true)), (verdict, verdict), "{sql}")
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
            check(sql, Err(Refusal::Transaction));
        }
        check("SELECT ';'; release a", Err(Refusal::Transaction));
        check("INSERT INTO t VALUES (1); commit; INSERT INTO t VALUES (2)", Err(Refusal::Transaction));
        check("prepare transaction 'x'", Err(Refusal::Prepared));
        check("DEALLOCATE ALL", Err(Refusal::Prepared));
        check("set search_path = x", Err(Refusal::Setting));
        check("SET SESSION x.y = 1", Err(Refusal::Setting));
        check("SET role ada", Err(Refusal::Setting));
        check("RESET ALL", Err(Refusal::Setting));
        check("discard all", Err(Refusal::Setting));
        check("SET TRANSACTION READ WRITE", Err(Refusal::Mode));
        check("LISTEN x", Err(Refusal::Listening));
        check("UNLISTEN *", Err(Refusal::Listening));
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
            assert_eq!((check(sql, true), check(sql, false)), (inside, Err(Refusal::LocalOutside)), "{sql}")
        };
        check("SET LOCAL app.tenant = 'a'", CLEAN);
        check("set /* */ local role ada", CLEAN);
        check("SET CONSTRAINTS ALL DEFERRED", CLEAN);
        check("SET LOCAL transaction_read_only = off", Err(Refusal::Mode));
        check("SET LOCAL \"transaction_read_only\" = off", Err(Refusal::Mode));
        check("SET LOCAL SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", Err(Refusal::Mode));
        check("SET LOCAL standard_conforming_strings = off", Err(Refusal::Setting));
    }

    #[test]
    fn what_stays_in_the_session_costs_the_session() {
        let check = |sql: &str| assert_eq!((check(sql, false), check(sql, true)), (STAYS, STAYS), "{sql}");
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

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd_to_judge(sql in "([a-zE_0-9 \n;'\"$\\\\()*/ä,-]|set_config|set local|true|temp){0,40}") {
            let _ = check(&sql, true);
        }
    }
}
