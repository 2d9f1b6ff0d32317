//! Models whose mistakes only the type checker sees.

use forge::prelude::*;

forge::id!(pub TaskId, pub ProjectId);

#[forge::model(table = "projects")]
pub struct Project {
    #[id]
    pub id: ProjectId,
}

#[forge::model(table = "tasks")]
pub struct UnsupportedType {
    #[id]
    pub id: TaskId,
    pub address: std::net::IpAddr, //~
    pub matrix: Vec<Vec<i32>>, //~
}

#[forge::model(table = "tasks")]
pub struct WrongTypes {
    #[id]
    pub id: TaskId,
    #[relation(belongs_to = Project, on_delete = cascade)] //~
    pub project: TaskId,
    #[relation(belongs_to = TaskId, on_delete = cascade)] //~
    pub parent: TaskId,
    #[updated_at] //~
    pub updated_at: i64,
}

fn main() {}
