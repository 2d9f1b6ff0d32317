//! A statement taken out of its sqlx builder, so that it can be sent again on another session.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgStatement};
use sqlx::{Execute, Postgres, SqlStr};

use super::guard::{Forbidden, SessionEffect, check};

/// SQL, encoded arguments, and whether the server keeps the statement prepared.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    prepared: Option<PgStatement>,
    persistent: bool,
}

impl Statement {
    /// Takes `query` apart.
    ///
    /// # Errors
    /// When an argument could not be encoded: the error comes now, before a session is acquired.
    pub(super) fn of<'q>(mut query: impl Execute<'q, Postgres>) -> sqlx::Result<Self> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let prepared = query.statement().cloned();
        let persistent = query.persistent();
        Ok(Self { arguments, prepared, persistent, sql: query.sql() })
    }

    /// What the statement does to its session.
    ///
    /// # Errors
    /// When the statement must not be sent.
    pub(super) fn effect(&self, in_transaction: bool) -> sqlx::Result<SessionEffect> {
        check(self.sql.as_str(), in_transaction).map_err(Forbidden::into_error)
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
