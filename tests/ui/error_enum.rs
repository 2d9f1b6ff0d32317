//! Error enums whose variants lack a code, a status or a message.

#[forge::error]
pub enum TaskError {
    /// Too many.
    #[code("LIMIT_REACHED", status = 409)]
    LimitReached(u32), //~
    #[code("WITHOUT_DOC", status = 409)]
    WithoutDoc, //~
    /// No code.
    WithoutCode, //~
    /// No status.
    #[code("WITHOUT_STATUS")] //~
    WithoutStatus,
    /// A success.
    #[code("SUCCESS", status = 200)] //~
    Success,
    /// In lower case.
    #[code("not_found", status = 404)] //~
    LowerCase,
    /// Once.
    #[code("TWICE", status = 404)]
    Once,
    /// Twice.
    #[code("TWICE", status = 404)] //~
    Twice,
    /// Misspelt.
    #[code("MISSPELT", statsu = 404)] //~
    Misspelt,
    /// By hand.
    #[code = "BY_HAND"] //~
    ByHand,
}

#[forge::error(status = 404)] //~
#[derive(Debug, Clone)] //~
pub enum Derived<T> { //~
    /// Gone.
    #[code("GONE", status = 404)]
    Gone { value: T },
}

#[forge::error]
pub enum Empty {} //~

#[forge::error] //~
pub struct NotAnEnum;

fn main() {}
