//! Indexes that a concurrent build left behind half-made. Only those of the migration that runs stop it: an
//! invalid index of another program, or of a partitioned table whose partitions get theirs one by one, is
//! none of its business.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::db::session::{Activity, Session};

/// An index that is not valid and that no session is building now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvalidIndex {
    oid: i64,
    /// Its name without its schema.
    name: String,
    /// Its name as a statement must write it.
    pub(super) qualified: String,
}

/// The invalid indexes of the database. That of a partitioned table is invalid until every partition has one,
/// and is left out. The session stays pinned.
pub(super) async fn list(session: &mut Session) -> sqlx::Result<Vec<InvalidIndex>> {
    let sql = "SELECT class.oid::int8 AS oid, class.relname::text AS name, \
                      class.oid::regclass::text AS qualified \
               FROM pg_index index JOIN pg_class class ON class.oid = index.indexrelid \
               WHERE NOT index.indisvalid AND class.relkind = 'i' \
               AND NOT EXISTS \
                   (SELECT FROM pg_stat_progress_create_index build WHERE build.index_relid = class.oid) \
               ORDER BY qualified";
    let rows = sqlx::query(sql).persistent(false).fetch_all(session.start_request()).await;
    session.finish_request(&rows, Activity::Pinned);
    let read = |row: &PgRow| {
        Ok(InvalidIndex {
            oid: row.try_get("oid")?,
            name: row.try_get("name")?,
            qualified: row.try_get("qualified")?,
        })
    };
    rows?.iter().map(read).collect()
}

/// The first of the `found` indexes that belongs to a migration: its statements name the index, or the index
/// was not there `before` they ran.
pub(super) fn of_migration<'a>(
    found: &'a [InvalidIndex],
    before: &[InvalidIndex],
    sql: &str,
) -> Option<&'a InvalidIndex> {
    let known: BTreeSet<i64> = before.iter().map(|index| index.oid).collect();
    found.iter().find(|index| !known.contains(&index.oid) || names(sql, &index.name))
}

/// True when `name` stands in `sql` as a word of its own, in whatever case.
fn names(sql: &str, name: &str) -> bool {
    let (sql, name) = (sql.to_lowercase(), name.to_lowercase());
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    sql.match_indices(&name).any(|(at, _)| {
        let (before, after) = (&sql[..at], &sql[at + name.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_belongs_to_the_migration_that_names_or_leaves_it() {
        let index = |oid: i64, name: &str| InvalidIndex {
            oid,
            name: name.to_owned(),
            qualified: format!("public.{name}"),
        };
        let found = [index(1, "other"), index(2, "t_n")];
        let check = |before: &[InvalidIndex], sql: &str, expected: Option<&str>| {
            let own = of_migration(&found, before, sql).map(|index| index.name.as_str());
            assert_eq!(own, expected, "{sql}");
        };
        check(&found, "CREATE INDEX CONCURRENTLY t_n2 ON t (n)", None);
        check(&found, "CREATE INDEX CONCURRENTLY T_N ON t (n)", Some("t_n"));
        check(&found, "DROP INDEX CONCURRENTLY \"public\".\"t_n\"", Some("t_n"));
        check(&found, "SELECT another_t_n, t_n$ FROM t", None);
        check(&found[..1], "CREATE INDEX CONCURRENTLY ON t (n)", Some("t_n"));
        check(&[], "SELECT 1", Some("other"));
    }
}
