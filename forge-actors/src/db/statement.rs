//! A statement taken out of its sqlx builder, so that it can be sent again on another session.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgStatement};
use sqlx::{Execute, Postgres, SqlStr};

use super::guard::{Effect, Refusal, check};

/// SQL, encoded arguments, and whether to keep it prepared.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    prepared: Option<PgStatement>,
    persistent: bool,
}

impl Statement {
    /// Takes `query` apart; arguments that could not be encoded are an error now, before a session is asked
    /// for.
    pub(super) fn of<'q>(mut query: impl Execute<'q, Postgres>) -> sqlx::Result<Self> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let prepared = query.statement().cloned();
        let persistent = query.persistent();
        Ok(Self { arguments, prepared, persistent, sql: query.sql() })
    }

    /// What it does to its session; an error for what must not be sent.
    pub(super) fn effect(&self, in_transaction: bool) -> sqlx::Result<Effect> {
        check(self.sql.as_str(), in_transaction).map_err(Refusal::into_error)
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.prepared.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
