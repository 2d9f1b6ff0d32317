//! What the relations are that a run has read: which count as its tables, and which no trigger captures.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::FromRow;

use crate::change::captured_tables;
use crate::db::handle::Db;
use crate::db::runs::ReadSet;
use crate::kernel::commit::TableId;
use crate::kernel::fault::Fault;

const LIST_RELATIONS: &str = include_str!("sql/list_relations.sql");
/// Relations below are the server's own (`FirstNormalObjectId`).
const OWN_MIN: u32 = 16_384;
/// Catalogs that the driver looks into, in the transaction of whoever asked, when a session meets a type for
/// the first time (`pg_type`, `pg_attribute`, `pg_enum`, `pg_range`). They only change with definitions,
/// which the tail of changes reports.
const TYPE_CATALOGS: [u32; 4] = [1247, 1249, 3501, 3541];

/// The relations of the database, as they were when somebody looked last.
#[derive(Debug, Default)]
pub(super) struct Relations {
    known: HashMap<u32, Relation>,
    /// Those whose scans are worth counting.
    watched: Vec<u32>,
}

#[derive(Debug)]
enum Relation {
    /// What triggers can watch.
    Table { captured: bool, name: Arc<str> },
    /// What changes without a trigger: materialised views, foreign tables, sequences.
    Loose { name: Arc<str> },
    /// The server's own catalogs and views.
    System,
    /// Speaks for its table.
    Index { base: u32 },
    /// Says nothing: a view's tables are read by themselves, overflow storage goes with its table.
    Silent,
}

/// What a run read, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Tables whose changes make it run again.
    pub(super) tables: BTreeSet<TableId>,
    /// What it read of which nobody reports changes.
    pub(super) blind: BTreeSet<Blind>,
}

/// Something of which nobody reports changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Blind {
    /// A table for which capture is not enabled.
    Uncaptured(Arc<str>),
    /// A relation for which it cannot be.
    Loose(Arc<str>),
    /// The server's own views and catalogs.
    System,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    kind: String,
    name: String,
    base: Option<i64>,
}

impl Relations {
    pub(super) async fn load(db: &Db) -> Result<Self, Fault> {
        let captured = captured_tables(db).await?;
        let rows: Vec<Row> = sqlx::query_as(LIST_RELATIONS).fetch_all(db).await?;
        let mut relations = Self::default();
        for Row { id, kind, name, base } in rows {
            let id = oid(id)?;
            let relation = match (kind.as_str(), base) {
                ("i", Some(base)) => Relation::Index { base: oid(base)? },
                ("r" | "v", _) if id < OWN_MIN && !TYPE_CATALOGS.contains(&id) => Relation::System,
                _ if id < OWN_MIN => Relation::Silent,
                ("r" | "p", _) => {
                    Relation::Table { captured: captured.contains(&TableId(id)), name: name.into() }
                }
                // Where the event trigger is, a REFRESH is reported like a write.
                ("m", _) if captured.contains(&TableId(id)) => {
                    Relation::Table { captured: true, name: name.into() }
                }
                ("m" | "f" | "S", _) => Relation::Loose { name: name.into() },
                _ => Relation::Silent,
            };
            if id >= OWN_MIN && matches!(kind.as_str(), "r" | "m" | "S" | "i") {
                relations.watched.push(id);
            }
            relations.known.insert(id, relation);
        }
        Ok(relations)
    }

    pub(super) fn watched(&self) -> &[u32] {
        &self.watched
    }

    /// False when something in `read` was made after the last look.
    pub(super) fn knows(&self, read: &ReadSet) -> bool {
        read.relations.iter().all(|relation| self.known.contains_key(relation))
    }

    /// Sorts what was read.
    pub(super) fn sort(&self, read: &ReadSet) -> Reads {
        let mut reads = Reads::default();
        for relation in &read.relations {
            self.note(*relation, &mut reads);
        }
        reads
    }

    fn note(&self, id: u32, reads: &mut Reads) {
        match self.known.get(&id) {
            Some(Relation::System) => drop(reads.blind.insert(Blind::System)),
            // Dropped, or made a moment ago: the tail of changes reports definitions.
            None | Some(Relation::Silent) => {}
            Some(Relation::Index { base }) if *base != id => self.note(*base, reads),
            Some(Relation::Index { .. }) => {}
            Some(Relation::Loose { name }) => drop(reads.blind.insert(Blind::Loose(Arc::clone(name)))),
            Some(Relation::Table { captured, name }) => {
                reads.tables.insert(TableId(id));
                if !captured {
                    reads.blind.insert(Blind::Uncaptured(Arc::clone(name)));
                }
            }
        }
    }
}

fn oid(id: i64) -> Result<u32, Fault> {
    u32::try_from(id).map_err(Fault::internal)
}
