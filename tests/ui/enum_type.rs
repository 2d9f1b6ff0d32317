//! Enums that Postgres cannot hold.

#[forge::forge_enum]
pub enum WithData {
    Open,
    Done { by: String }, //~
    Late(u8), //~
}

#[forge::forge_enum(nmae = "x")] //~
#[derive(Debug, PartialEq)] //~ 2
pub enum Derived {
    Open = 1, //~
}

#[forge::enum_type(name = "Task Status")] //~
pub enum Named {
    Open,
}

#[forge::enum_type]
pub enum Same {
    HttpError,
    HTTPError, //~
}

#[forge::forge_enum]
pub enum Empty {} //~

#[forge::forge_enum] //~
pub struct NotAnEnum;

fn main() {}
