//! Records that cross the wire, written wrongly.

use forge::prelude::*;

#[forge::data(camel_case)] //~
struct Options {
    left: bool,
}

#[forge::data]
#[derive(Debug, Clone, serde::Serialize)] //~
struct Twice {
    left: bool,
}

#[forge::data]
struct Change {
    title: Option<Option<String>>, //~
}

#[forge::data]
enum Changes {
    One(Vec<std::option::Option<Option<i32>>>), //~
}

#[forge::data] //~
fn function() {}

fn main() {}
