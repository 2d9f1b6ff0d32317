//! Events, declared wrongly.

use forge::prelude::*;

#[forge::event(key = usr)] //~
struct Misspelt {
    user: u32,
    at: Timestamp,
}

#[forge::event(key = user)] //~
struct WithoutFields;

#[forge::event(key = "user")] //~
struct ByAText {
    #[serde(default)]
    user: u32,
}

#[forge::event(by = user, name = "verified")] //~ 2
struct Options {
    user: u32,
}

#[forge::event(key = user, key = at)] //~
struct Twice {
    user: u32,
    at: Timestamp,
}

#[forge::event(key = user)] //~
enum Change {
    Verified { user: u32 },
}

#[forge::event]
struct Tuple(u32); //~

#[forge::event]
struct Generic<T> { //~
    value: T,
}

#[forge::event]
#[forge::data] //~
struct AsData {
    user: u32,
}

#[forge::data] //~
#[forge::event]
struct BelowData {
    user: u32,
}

#[forge::event]
#[derive(Debug, serde::Serialize)] //~
struct Derived {
    user: u32,
}

#[forge::event] //~
fn function() {}

fn main() {}
