//! Models whose mistakes are known when constants are evaluated.

use forge::prelude::*;

forge::id!(pub TaskId);

#[forge::forge_enum]
pub enum Status {
    Open,
    Done,
}

#[forge::model(table = "tasks")]
pub struct Task {
    #[id]
    pub id: TaskId,
    #[relation(belongs_to = Task, on_delete = set_null)] //~
    pub parent: TaskId,
    #[default = "opne"] //~
    pub status: Status,
}

#[forge::model(table = "notes")]
pub struct Note {
    #[id]
    pub id: Option<TaskId>, //~
}

fn main() {}
