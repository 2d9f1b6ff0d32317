//! What a node knows of the application that it serves.

/// What `forge::app!` writes into the root of an application's crate, as `APP`.
#[derive(Debug, Clone, Copy)]
pub struct App {
    /// Name of the application.
    pub name: &'static str,
    /// `module_path!()` of the crate: the handlers whose module begins with it are this application's.
    pub module: &'static str,
    /// Name and text of each migration file, sorted by name.
    pub migrations: &'static [(&'static str, &'static str)],
    /// Folder of its `Cargo.toml` on the machine that compiled it, for development only.
    pub source: &'static str,
}
