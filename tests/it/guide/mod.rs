//! The code of the guide: each block of Rust in these chapters is a part of a file of this folder, so that it
//! compiles, and what is a test there runs here.

#![allow(unreachable_pub, reason = "the code is that of an application's crate, whose handlers are `pub`")]

use std::fs;
use std::path::Path;

use forge_tests::workspace;

mod accounts;
mod billing;
mod crm;
mod flows;
mod mail;
mod shipping;
mod sign_ups;
mod trials;

/// The chapters, and how many blocks of Rust each has at least.
const CHAPTERS: &[(&str, usize)] = &[("docs/src/guide/workflows.md", 6)];

#[test]
fn every_block_of_a_chapter_is_code_that_is_compiled() {
    let code = sources();
    for (chapter, blocks_min) in CHAPTERS {
        let text = fs::read_to_string(workspace().join(chapter)).expect("the chapter is readable");
        let blocks = blocks(&text);
        assert!(blocks.len() >= *blocks_min, "{chapter} has {} blocks", blocks.len());
        for (line, block) in blocks {
            let is_compiled = code.iter().any(|file| holds(file, &block));
            let block = block.join("\n");
            assert!(is_compiled, "{chapter}:{line}: no file of tests/it/guide has this code:\n{block}");
        }
    }
}

/// The lines of each file of this folder.
fn sources() -> Vec<Vec<String>> {
    let folder = workspace().join("tests/it/guide");
    let files = fs::read_dir(folder).expect("this folder is readable");
    let paths = files.map(|file| file.expect("a file is readable").path());
    let code = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    code.map(|path| lines_of(&path)).collect()
}

fn lines_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a file is readable");
    text.lines().map(str::to_owned).collect()
}

/// The blocks of Rust of a page, and where they begin.
fn blocks(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut is_inside = false;
    for (index, line) in text.lines().enumerate() {
        match (is_inside, line) {
            (false, "```rust") => {
                blocks.push((index + 2, Vec::new()));
                is_inside = true;
            }
            (true, "```") => is_inside = false,
            (true, line) => blocks.last_mut().expect("a block has begun").1.push(line),
            (false, _) => {}
        }
    }
    blocks
}

/// Whether a file has these lines, one after the other, all of them indented alike.
fn holds(file: &[String], block: &[&str]) -> bool {
    let Some(first) = block.first() else { return false };
    file.windows(block.len()).any(|lines| {
        let Some(indent) = lines[0].strip_suffix(first).filter(|indent| indent.trim().is_empty()) else {
            return false;
        };
        lines.iter().zip(block).all(|(line, wanted)| match wanted.is_empty() {
            true => line.is_empty(),
            false => line.strip_prefix(indent) == Some(*wanted),
        })
    })
}

#[test]
fn code_that_differs_by_a_word_is_not_found() {
    let file: Vec<String> = ["fn a() {", "    b();", "", "    c();", "}"].map(str::to_owned).into();
    assert!(holds(&file, &["b();", "", "c();"]) && holds(&file, &["fn a() {", "    b();"]));
    assert!(!holds(&file, &["b();", "", "d();"]) && !holds(&file, &["    b();", "", "c();"]));
    assert!(!holds(&file, &[]));
    assert_eq!(blocks("a\n```rust\nb\n```\n```sh\nc\n```\n"), [(3, vec!["b"])]);
}
