//! A task board for small teams: people sign up, share projects, and move tasks from open to done.
//!
//! Each module holds its types, its errors and its handlers; `tasks::create` answers at `/rpc/tasks.create`.

pub mod imports;
pub mod invitations;
pub mod mails;
pub mod notices;
pub mod projects;
pub mod tasks;
pub mod users;

forge::app! { name = "taskboard", migrations = "../migrations" }
