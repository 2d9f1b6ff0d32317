//! Lists the built pages as slices of path and content, for the binary to carry.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Constant, folder, description.
const SITES: [(&str, &str, &str); 2] =
    [("DASHBOARD", "../ui/dist", "The dashboard's files."), ("DEMO", "demo/web/dist", "The demo's page.")];

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut code = String::new();
    for (name, folder, about) in SITES {
        let root = here.join(folder);
        println!("cargo::rerun-if-changed={}", root.display());
        let mut files = Vec::new();
        collect(&root, &mut files)?;
        files.sort();
        writeln!(code, "/// {about}\npub(crate) const {name}: &[(&str, &[u8])] = &[")
            .expect("writing to a String");
        for file in files {
            let path = file.strip_prefix(&root).expect("it was found there").display().to_string();
            writeln!(code, "    ({path:?}, include_bytes!({:?})),", file.display().to_string())
                .expect("writing to a String");
        }
        code.push_str("];\n");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("pages.rs"), code)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
