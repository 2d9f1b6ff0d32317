//! Transaction ids, table ids, commit receipts and snapshots, as Postgres defines them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transaction id that never wraps around (`xid8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Xid(pub u64);

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The `oid` of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a committed transaction wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction's id; `None` when it wrote nothing.
    pub xid: Option<Xid>,
    /// The tables with change capture that the transaction wrote.
    pub tables: BTreeSet<TableId>,
}

/// A Postgres snapshot. It sees the transactions before `xmax` that were not in progress when it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    xmin: Xid,
    xmax: Xid,
    /// Transactions that were in progress, in ascending order as Postgres writes them.
    in_progress: Vec<Xid>,
}

impl Snapshot {
    /// All transactions before this one had ended.
    pub fn xmin(&self) -> Xid {
        self.xmin
    }

    /// The snapshot sees no transaction from this one on.
    pub fn xmax(&self) -> Xid {
        self.xmax
    }

    /// Whether the snapshot sees the commit of `xid`. Also true for a transaction that rolled back before the
    /// snapshot was taken.
    pub fn contains(&self, xid: Xid) -> bool {
        xid < self.xmin || (xid < self.xmax && self.in_progress.binary_search(&xid).is_err())
    }
}

impl fmt::Display for Snapshot {
    /// The text form of Postgres' type `pg_snapshot`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.in_progress.iter().enumerate() {
            write!(f, "{}{xid}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A text that is not in the form of `pg_current_snapshot()`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a snapshot as Postgres writes it (xmin:xmax:xid,xid,…)")]
pub struct InvalidSnapshot(String);

impl FromStr for Snapshot {
    type Err = InvalidSnapshot;

    fn from_str(text: &str) -> Result<Self, InvalidSnapshot> {
        let parse = || {
            let (xmin, rest) = text.split_once(':')?;
            let (xmax, list) = rest.split_once(':')?;
            let xid = |text: &str| text.parse().ok().map(Xid);
            let in_progress =
                list.split(',').filter(|text| !text.is_empty()).map(xid).collect::<Option<_>>()?;
            Some(Self { xmin: xid(xmin)?, xmax: xid(xmax)?, in_progress })
        };
        parse().ok_or_else(|| InvalidSnapshot(text.to_owned()))
    }
}
