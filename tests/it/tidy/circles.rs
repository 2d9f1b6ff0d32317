//! No circle of imports inside a folder: its files can be read from the bottom to the top.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{RUST, Rust};
use super::{Exceptions, Finding, none};

/// A folder and why its files may import each other in a circle.
const ALLOWED: &[(&str, &str)] = &[(
    "forge-actors/src/supervise",
    "an actor starts children, a child's specification starts actors: OTP's own recursion",
)];

/// The façade of a folder, as a node of the graph.
const FACADE: &str = "mod";

#[test]
fn files_of_a_folder_import_in_one_direction() {
    let mut exceptions = Exceptions::new(ALLOWED);
    let mut findings = Vec::new();
    for (folder, graph) in folders() {
        for circle in circles(&graph) {
            if !exceptions.covers(&folder) {
                let why = "imports in a circle: what two of them share belongs below both";
                findings.push(Finding::new(&folder, 0, circle.join(" ⇄ "), why));
            }
        }
    }
    findings.extend(exceptions.unneeded());
    none(findings);
}

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The imports among the modules of each folder that is a module itself.
fn folders() -> BTreeMap<String, Graph> {
    let files: Vec<&Rust> =
        RUST.iter().filter(|file| file.is_product() && file.path.contains("/src/")).collect();
    let heads = files.iter().filter_map(|file| file.path.strip_suffix("/mod.rs"));
    let mut folders: BTreeMap<String, Graph> =
        heads.map(|folder| (folder.to_owned(), Graph::new())).collect();
    for (folder, graph) in &mut folders {
        let below = |file: &&&Rust| file.path.starts_with(&format!("{folder}/"));
        let modules: BTreeSet<&str> =
            files.iter().filter(below).map(|file| module_of(folder, file.path)).collect();
        for file in files.iter().filter(below) {
            let from = module_of(folder, file.path);
            for name in imports(folder, file) {
                let to = if modules.contains(name.as_str()) { name.as_str() } else { FACADE };
                if to != from {
                    graph.entry(from.to_owned()).or_default().insert(to.to_owned());
                }
            }
        }
    }
    folders
}

/// The module of the folder that a file belongs to.
fn module_of<'a>(folder: &str, path: &'a str) -> &'a str {
    let rest = &path[folder.len() + 1..];
    rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs")
}

/// The first segments, below the folder, of the paths that the file names there.
fn imports(folder: &str, file: &Rust) -> Vec<String> {
    let (_, inner) = folder.split_once("/src/").expect("product code is below src");
    let depth = file.path[folder.len() + 1..].matches('/').count();
    let is_facade = file.path.ends_with("/mod.rs") && depth == 0;
    // From a file of the folder `super` is the folder; a deeper file writes it more often.
    let supers = depth + usize::from(depth == 0) - usize::from(file.path.ends_with("/mod.rs") && depth > 0);
    let roots: Vec<Vec<&str>> =
        vec![std::iter::once("crate").chain(inner.split('/')).collect(), vec!["super"; supers.max(1)]];
    let mut found = Vec::new();
    for (index, token) in file.tokens.iter().enumerate().filter(|(_, token)| !file.is_test(token.line)) {
        let starts = |root: &[&str]| {
            let parts = root.iter().enumerate();
            parts.clone().all(|(step, part)| text_at(file, index + 2 * step) == *part)
                && parts.clone().all(|(step, _)| text_at(file, index + 2 * step + 1) == "::")
        };
        let before = index.checked_sub(1).map_or("", |before| text_at(file, before));
        if token.literal || before == "::" || before == "$" {
            continue;
        }
        let usable = roots.iter().filter(|root| !(is_facade && root[0] == "super"));
        if let Some(root) = usable.into_iter().find(|root| starts(root)) {
            found.extend(names_at(file, index + 2 * root.len()));
        }
    }
    found.retain(|name| name != "super");
    found
}

fn text_at(file: &Rust, index: usize) -> &str {
    file.tokens.get(index).map_or("", |token| token.text.as_str())
}

/// The name at a position, or those of a group.
fn names_at(file: &Rust, index: usize) -> Vec<String> {
    if text_at(file, index) != "{" {
        return vec![text_at(file, index).to_owned()];
    }
    let (mut depth, mut names, mut expected) = (0, Vec::new(), false);
    for token in &file.tokens[index..] {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                expected = depth == 1;
            }
            "}" => depth -= 1,
            "," => expected = depth == 1,
            name => {
                if expected && depth == 1 {
                    names.push(name.to_owned());
                }
                expected = false;
            }
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Groups of modules that reach each other.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reach = |from: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(next) = todo.pop() {
            for to in graph.get(&next).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    todo.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = graph.keys().map(|from| (from, reach(from))).collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    for (from, to) in &reached {
        let circle: Vec<String> = graph
            .keys()
            .filter(|other| to.contains(*other) && reached[other].contains(*from))
            .cloned()
            .collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}

#[test]
fn a_circle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        circles(&graph)
    };
    assert_eq!(graph(&[("a", "b"), ("b", "c")]), Vec::<Vec<String>>::new());
    assert_eq!(graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]), [["a", "b", "c"]]);
    let imported: usize =
        folders().values().map(|graph| graph.values().map(BTreeSet::len).sum::<usize>()).sum();
    assert!(imported > 100, "only {imported} imports were found: the reader of `use` is broken");
}
