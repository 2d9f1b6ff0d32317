//! What a commit wrote: who is told, and where it can be read.
//!
//! A *hint* says that something was committed. It travels in process and over the mesh after the commit, it may be lost, and it is
//! never the truth: whoever hears it looks into the database.

pub mod hints;
pub mod messages;
