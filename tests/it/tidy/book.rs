//! The book names files and pages that exist.

use std::fs;
use std::path::{Path, PathBuf};

use forge_tests::workspace;

use super::{Finding, none};

/// How a path of the source tree begins, where the book writes one.
const FOLDERS: &[&str] = &["tests/", "forge-", "schema/", "docs/"];

#[test]
fn the_book_names_what_exists() {
    let mut pages = vec![workspace().join("README.md"), workspace().join("ARCHITECTURE.md")];
    collect(&workspace().join("docs/src"), &mut pages);
    assert!(pages.len() > 10, "the book is not where it was");
    none(pages.iter().flat_map(|page| missing(page)).collect());
}

fn missing(page: &Path) -> Vec<Finding> {
    let text = fs::read_to_string(page).expect("a page is readable");
    let name = page.strip_prefix(workspace()).unwrap_or(page).display().to_string();
    let folder = page.parent().expect("a page is in a folder");
    let check = |(index, line): (usize, &str)| {
        let files = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| is_path(word))
            .map(|word| (word.to_owned(), workspace().join(word)));
        let links = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
            .filter(|link| !link.contains("://"));
        let links = links.map(|link| (link.to_owned(), folder.join(link)));
        let includes = line.split("{{#include ").skip(1).filter_map(|rest| rest.split("}}").next());
        let includes = includes.map(|path| (path.to_owned(), folder.join(path)));
        let named = files.chain(links).chain(includes);
        let lost = named.filter(|(_, path)| !path.exists());
        lost.map(|(word, _)| Finding::new(&name, index + 1, word, "there is no such file"))
            .collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(check).collect()
}

fn is_path(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c));
    plain && word.contains('/') && FOLDERS.iter().any(|folder| word.starts_with(folder))
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}
