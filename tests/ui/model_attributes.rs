//! Models whose attributes do not make sense.

use forge::prelude::*;

forge::id!(pub TaskId);

#[forge::model] //~
pub struct NoTable {
    #[id]
    pub id: TaskId,
}

#[forge::model(table = "Tasks", reactiv)] //~
pub struct WrongOptions {
    #[id]
    pub id: TaskId,
}

#[forge::model(table = "tasks", index(porject), unique, index(where = "true"), index(id, id = 3))] //~ 4
pub struct WrongIndexes {
    #[id]
    pub id: TaskId,
    pub project: i64,
}

#[forge::model(table = "tasks")]
#[derive(Debug, Clone)] //~ 2
pub struct WithoutId<T> { //~
    pub id: T,
}

#[forge::model(table = "tasks")]
pub struct TwoIds {
    #[id]
    pub id: TaskId,
    #[id]
    pub other: TaskId, //~
}

#[forge::model(table = "tasks")]
pub struct Fields {
    #[id]
    #[indexed] //~
    #[sensitive] //~
    pub id: TaskId,
    #[unique]
    #[unique] //~
    #[indexed] //~
    pub slug: String,
    #[default = "now()"] //~
    pub created_at: Timestamp,
    #[default = now()] //~
    pub started_at: Timestamp,
    #[default(value = 1)] //~
    pub count: i32,
    #[updated_at(always)] //~
    pub updated_at: Timestamp,
    #[column(nmae = "x")] //~
    pub a: i32,
    #[column] //~
    pub b: i32,
    #[relation(belongs_to = Project)] //~
    pub project: TaskId,
    #[relation(belongs_to = Project, on_delete = delete)] //~
    pub parent: TaskId,
    #[column(name = "slug")]
    pub other_slug: String,
    pub a_name_that_is_longer_than_postgres_would_ever_keep_in_its_catalog: i32, //~
}

#[forge::model(table = "a_table_with_a_rather_long_but_valid_name")]
pub struct LongIndexName {
    #[id]
    pub id: TaskId,
    #[indexed] //~
    pub a_column_with_a_long_name: i32,
}

#[forge::model(table = "tasks")]
pub struct Tuple(TaskId); //~

#[forge::model(table = "tasks")] //~
pub enum NotAStruct {}

fn main() {}
