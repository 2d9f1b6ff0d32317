//! The relations of the database, by which the reads of a run are sorted into captured tables and relations
//! whose changes no trigger reports.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::change::captured_tables;
use crate::db::handle::Db;
use crate::db::runs::ReadSet;
use crate::kernel::commit::TableId;
use crate::kernel::fault::Fault;

const LIST_RELATIONS: &str = include_str!("sql/list_relations.sql");
const LIST_LOCKED: &str = include_str!("sql/list_locked.sql");
/// Relations with smaller ids are the server's own (`FirstNormalObjectId`).
const USER_RELATION_MIN: u32 = 16_384;
/// Catalogs that the driver reads in the transaction of the query, when a session meets a type for the first
/// time (`pg_type`, `pg_attribute`, `pg_enum`, `pg_range`). They change only with definitions, which the
/// tail of changes reports.
const TYPE_CATALOGS: [u32; 4] = [1247, 1249, 3501, 3541];

/// The relations of the database as of the last load.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// When the load began. `None` before the first.
    loaded: Option<Instant>,
    known: HashMap<u32, Relation>,
    /// User tables and indexes, whose scans are counted.
    watched: Vec<u32>,
}

#[derive(Debug)]
enum Relation {
    /// A relation that triggers can capture.
    Table { captured: bool, name: Arc<str> },
    /// A relation that changes without a trigger: materialized view, foreign table, sequence.
    Uncapturable { name: Arc<str> },
    /// A catalog or view of the server.
    System,
    /// An index; a read of it is a read of its table.
    Index { base: u32 },
    /// A relation whose reads say nothing: the tables of a view are read by themselves, and overflow storage
    /// changes with its table.
    Ignored,
}

/// What a run read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReadTables {
    /// Tables whose changes make the group run again.
    pub(super) tables: BTreeSet<TableId>,
    /// Relations whose changes are not reported.
    pub(super) untracked: BTreeSet<Untracked>,
}

/// A relation whose changes are not reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Untracked {
    /// A table without capture.
    Uncaptured(Arc<str>),
    /// A relation that cannot be captured.
    Uncapturable(Arc<str>),
    /// The catalogs and views of the server.
    System,
}

/// Id, kind, name, and of an index its table.
type RelationRow = (i64, String, String, Option<i64>);

impl Relations {
    pub(super) async fn load(db: &Db) -> Result<Self, Fault> {
        let loaded = Some(Instant::now());
        let captured = captured_tables(db).await?;
        let rows: Vec<RelationRow> = sqlx::query_as(LIST_RELATIONS).fetch_all(db).await?;
        let mut relations = Self { loaded, ..Self::default() };
        for (id, kind, name, base) in rows {
            let id = oid(id)?;
            let relation = match (kind.as_str(), base) {
                ("i", Some(base)) => Relation::Index { base: oid(base)? },
                ("r" | "v", _) if id < USER_RELATION_MIN && !TYPE_CATALOGS.contains(&id) => Relation::System,
                _ if id < USER_RELATION_MIN => Relation::Ignored,
                ("r" | "p", _) => {
                    Relation::Table { captured: captured.contains(&TableId(id)), name: name.into() }
                }
                // Where there is an event trigger, it reports a REFRESH like a write.
                ("m", _) if captured.contains(&TableId(id)) => {
                    Relation::Table { captured: true, name: name.into() }
                }
                ("m" | "f" | "S", _) => Relation::Uncapturable { name: name.into() },
                _ => Relation::Ignored,
            };
            if id >= USER_RELATION_MIN && matches!(kind.as_str(), "r" | "m" | "S" | "i") {
                relations.watched.push(id);
            }
            relations.known.insert(id, relation);
        }
        Ok(relations)
    }

    /// The list that was loaded later.
    pub(super) fn newer(one: Arc<Self>, other: Arc<Self>) -> Arc<Self> {
        if other.loaded > one.loaded { other } else { one }
    }

    /// The relations whose scans are counted while queries run.
    pub(super) fn watched(&self) -> &[u32] {
        &self.watched
    }

    /// False when a relation in `read` was created after the last load.
    pub(super) fn knows(&self, read: &ReadSet) -> bool {
        read.relations.iter().all(|relation| self.known.contains_key(relation))
    }

    /// Sorts what a run read.
    pub(super) fn sort(&self, read: &ReadSet) -> ReadTables {
        let mut reads = ReadTables::default();
        for relation in &read.relations {
            self.add(*relation, &mut reads);
        }
        reads
    }

    fn add(&self, id: u32, reads: &mut ReadTables) {
        match self.known.get(&id) {
            Some(Relation::System) => drop(reads.untracked.insert(Untracked::System)),
            // A relation that was dropped, or created a moment ago: the tail of changes reports definitions.
            None | Some(Relation::Ignored) => {}
            Some(Relation::Index { base }) if *base != id => self.add(*base, reads),
            Some(Relation::Index { .. }) => {}
            Some(Relation::Uncapturable { name }) => {
                reads.untracked.insert(Untracked::Uncapturable(Arc::clone(name)));
            }
            Some(Relation::Table { captured, name }) => {
                reads.tables.insert(TableId(id));
                if !captured {
                    reads.untracked.insert(Untracked::Uncaptured(Arc::clone(name)));
                }
            }
        }
    }
}

/// The tables that are locked against readers now.
pub(super) async fn locked_tables(db: &Db) -> Result<BTreeSet<TableId>, Fault> {
    let ids: Vec<i64> = sqlx::query_scalar(LIST_LOCKED).fetch_all(db).await?;
    ids.into_iter().map(|id| oid(id).map(TableId)).collect()
}

fn oid(id: i64) -> Result<u32, Fault> {
    u32::try_from(id).map_err(Fault::internal)
}
