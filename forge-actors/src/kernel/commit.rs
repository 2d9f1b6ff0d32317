//! What a commit leaves behind, in Postgres' own words: transaction ids, tables, snapshots.

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

/// A table, by its `oid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a transaction wrote, known once it is committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Its id; `None` when it wrote nothing at all.
    pub xid: Option<Xid>,
    /// The tables it wrote of which changes are captured.
    pub tables: BTreeSet<TableId>,
}

/// Which transactions a snapshot sees: those before `xmax` that were not in progress when it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    xmin: Xid,
    xmax: Xid,
    /// In ascending order, as Postgres writes them.
    in_progress: Vec<Xid>,
}

impl Snapshot {
    /// Every transaction before this one had ended.
    pub fn xmin(&self) -> Xid {
        self.xmin
    }

    /// No transaction from this one on is seen.
    pub fn xmax(&self) -> Xid {
        self.xmax
    }

    /// True when what `xid` committed is visible. Of a transaction that rolled back it is true as well.
    pub fn contains(&self, xid: Xid) -> bool {
        xid < self.xmin || (xid < self.xmax && self.in_progress.binary_search(&xid).is_err())
    }
}

impl fmt::Display for Snapshot {
    /// As Postgres writes and reads it (`pg_snapshot`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.in_progress.iter().enumerate() {
            write!(f, "{}{xid}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A text that is not one of `pg_current_snapshot()`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a snapshot as Postgres writes it (xmin:xmax:xid,xid,…)")]
pub struct NotASnapshot(String);

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let parse = || {
            let (xmin, rest) = text.split_once(':')?;
            let (xmax, list) = rest.split_once(':')?;
            let xid = |text: &str| text.parse().ok().map(Xid);
            let in_progress =
                list.split(',').filter(|text| !text.is_empty()).map(xid).collect::<Option<_>>()?;
            Some(Self { xmin: xid(xmin)?, xmax: xid(xmax)?, in_progress })
        };
        parse().ok_or_else(|| NotASnapshot(text.to_owned()))
    }
}
