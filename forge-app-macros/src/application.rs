//! `forge::app!`: the application as one static, its migrations embedded.

use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::LitStr;

use crate::option::{self, Key, Problems};

const OWNER: &str = "`forge::app!`";

#[derive(Clone, Copy)]
enum ApplicationOption {
    Name,
    Migrations,
}

const KEYS: &[Key<ApplicationOption>] = &[
    Key { name: "name", usage: "name = \"taskboard\"", id: ApplicationOption::Name },
    Key { name: "migrations", usage: "migrations = \"../migrations\"", id: ApplicationOption::Migrations },
];

struct ApplicationSpec {
    name: LitStr,
    /// Absolute paths, sorted by file name.
    migrations: Vec<(String, String)>,
}

/// `file` is the source file that holds the macro, where the compiler knows it.
pub(crate) fn expand(input: TokenStream, file: Option<PathBuf>) -> TokenStream {
    parse(input, file).map_or_else(|error| error.to_compile_error(), |spec| lower(&spec))
}

fn parse(input: TokenStream, file: Option<PathBuf>) -> syn::Result<ApplicationSpec> {
    let entries = option::entries(input)?;
    let mut problems = Problems::default();
    problems.keep(option::once(&entries, &[]));
    let (mut name, mut migrations) = (None, Vec::new());
    for entry in &entries {
        let read = entry.find(KEYS, OWNER).and_then(|key| Ok((key.id, entry.string(key)?)));
        match problems.keep(read) {
            Some((ApplicationOption::Name, literal)) => name = problems.keep(application_name(literal)),
            Some((ApplicationOption::Migrations, literal)) => {
                migrations = problems.keep(embedded(&literal, file.as_deref())).unwrap_or_default()
            }
            None => {}
        }
    }
    problems.finish()?;
    let unnamed = || {
        syn::Error::new(
            Span::call_site(),
            format!("{OWNER} needs a name: `forge::app! {{ name = \"taskboard\" }}`"),
        )
    };
    Ok(ApplicationSpec { name: name.ok_or_else(unnamed)?, migrations })
}

fn application_name(literal: LitStr) -> syn::Result<LitStr> {
    let name = literal.value();
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if plain {
        Ok(literal)
    } else {
        Err(syn::Error::new_spanned(literal, "a name is written in lower-case letters, digits, `-` and `_`"))
    }
}

fn embedded(literal: &LitStr, file: Option<&Path>) -> syn::Result<Vec<(String, String)>> {
    let folder = base(file).join(literal.value());
    let unreadable = |error: std::io::Error| {
        let message = format!(
            "no migrations can be read from {}: {error}\n\
             the folder is relative to the file that holds the macro",
            folder.display()
        );
        syn::Error::new_spanned(literal, message)
    };
    // Absolute, because include_str! would look beside the file too, and remapped paths differ.
    let folder = folder.canonicalize().map_err(unreadable)?;
    let mut files = Vec::new();
    for file in std::fs::read_dir(&folder).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        let (Some(name), Some(text)) = (path.file_name().and_then(|name| name.to_str()), path.to_str())
        else {
            continue;
        };
        if name.ends_with(".sql") && path.is_file() {
            files.push((name.to_owned(), text.to_owned()));
        }
    }
    files.sort();
    Ok(files)
}

/// The folder of the source file; a tool that expands macros without files (an editor) gets the usual one.
fn base(file: Option<&Path>) -> PathBuf {
    match file.and_then(Path::parent) {
        Some(folder) => folder.to_owned(),
        None => std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join("src"),
    }
}

fn lower(spec: &ApplicationSpec) -> TokenStream {
    let name = &spec.name;
    let files = spec.migrations.iter().map(|(file, path)| quote! { (#file, ::core::include_str!(#path)) });
    quote! {
        /// This crate, for the node that serves it.
        pub static APP: ::forge::app::App = ::forge::app::App {
            name: #name,
            version: ::core::env!("CARGO_PKG_VERSION"),
            module: ::core::module_path!(),
            migrations: &[#(#files),*],
            source: ::core::env!("CARGO_MANIFEST_DIR"),
        };

        ::forge::__private::inventory::submit! { ::forge::app::application::LinkedApp(&APP) }
    }
}
