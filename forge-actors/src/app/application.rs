//! What a node knows of the application that it serves.

/// What `forge::app!` writes into the root of an application's crate, as `APP`.
#[derive(Debug, Clone, Copy)]
pub struct App {
    /// Name of the application.
    pub name: &'static str,
    /// Version of its crate.
    pub version: &'static str,
    /// `module_path!()` of the crate: the handlers whose module begins with it are this application's.
    pub module: &'static str,
    /// Name and text of each migration file, sorted by name.
    pub migrations: &'static [(&'static str, &'static str)],
    /// Folder of its `Cargo.toml` on the machine that compiled it, for development only.
    pub source: &'static str,
}

/// The registration of an [`App`], for code that runs without a list of applications, as tests do.
#[doc(hidden)]
pub struct LinkedApp(pub &'static App);

inventory::collect!(LinkedApp);

impl App {
    /// The applications that are linked into the binary, sorted by name: link order differs between builds.
    pub fn linked() -> Vec<&'static Self> {
        let mut apps: Vec<_> = inventory::iter::<LinkedApp>.into_iter().map(|linked| linked.0).collect();
        apps.sort_by_key(|app| app.name);
        apps
    }
}
