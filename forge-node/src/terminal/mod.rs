//! Everything that commands share on the terminal: their context, their output, tables, facts about one thing
//! and the report of a failure.

pub mod context;
pub mod facts;
pub mod output;
pub mod report;
pub mod table;
pub mod text;
pub mod usage;
pub mod width;

#[cfg(test)]
mod tests;
