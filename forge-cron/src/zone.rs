//! Names of time zones. The rules of a zone are the node's business; for a compiler its name is enough.

/// The zones of the IANA database, one a line, sorted. A test of `forge-actors` compares them with the
/// database that nodes use, and writes this file with `FORGE_BLESS=1`.
const ZONES: &str = include_str!("zones.txt");

/// True for the name of a zone, such as `Europe/Berlin` or `UTC`.
pub fn is_zone(name: &str) -> bool {
    zone_names().any(|known| known == name)
}

/// The names of all zones.
pub fn zone_names() -> impl Iterator<Item = &'static str> {
    ZONES.lines()
}
