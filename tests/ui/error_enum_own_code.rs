//! An error enum that takes one of Forge's own codes.

#[forge::error]
pub enum TaskError {
    /// There is no such task.
    #[code("NOT_FOUND", status = 404)] //~
    NotFound,
}

fn main() {}
