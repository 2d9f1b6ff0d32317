//! The functions of a binary, as its clients know them: `api.ts` (types and typed references), `schema.json`
//! and `openapi.json`.
//!
//! ```text
//! Catalog ──Definition──▶ specta's graph ──read──▶ Contract { functions, declarations, hash }
//!         ──▶ typescript · schema · openapi
//! ```
//!
//! Handlers keep functions that describe their types (`forge_actors::app::wire_type`); `read` turns those
//! into [`shape::Shape`]s and refuses what a client would misread ([`problem`]); printers only print. specta
//! is named in `read` alone.
//!
//! The output depends on the handlers and nothing else: functions and types are sorted by name, no time and
//! no path is written, so that equal binaries write equal bytes. By the hash over `api.ts` a node
//! recognises a page that is older than itself.

pub mod contract;
pub mod drift;
mod json_schema;
pub mod openapi;
pub mod problem;
mod read;
pub mod schema;
pub mod shape;
pub mod typescript;

pub use contract::{Audience, Contract, build_hash};

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in the output folder.
    pub name: &'static str,
    /// Its content.
    pub text: String,
}

/// The generated files; `title` names the application.
pub fn files(contract: &Contract, title: &str) -> [File; 3] {
    let pretty = |document: &serde_json::Value| format!("{document:#}\n");
    [
        File { name: "api.ts", text: typescript::file(contract) },
        File { name: "schema.json", text: pretty(&schema::document(contract)) },
        File { name: "openapi.json", text: pretty(&openapi::document(contract, title)) },
    ]
}
