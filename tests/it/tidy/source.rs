//! The source tree as the rules see it: text, tokens, functions, test regions.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use forge_tests::workspace;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &["target", "node_modules", "dist", ".git", ".forge", "bench-results"];
const EXTENSIONS: &[&str] =
    &["rs", "sql", "toml", "md", "sh", "yml", "yaml", "json", "ts", "svelte", "css", "html"];
/// Files without an extension.
const NAMES: &[&str] = &["run", "justfile", "Dockerfile"];

/// Every text file of the tree.
pub(crate) static TREE: LazyLock<Vec<Text>> = LazyLock::new(|| {
    let mut files = Vec::new();
    collect(workspace(), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 50, "the tree is not where it is looked for: {} files", files.len());
    files
});

/// Every Rust file of the tree, read.
pub(crate) static RUST: LazyLock<Vec<Rust>> = LazyLock::new(|| {
    // The cases of `mistakes` are wrong on purpose.
    let files = TREE.iter().filter(|file| file.path.ends_with(".rs") && !file.path.starts_with("tests/ui/"));
    files.map(Rust::read).collect()
});

/// A text file.
pub(crate) struct Text {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A Rust file.
pub(crate) struct Rust {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) tokens: Vec<Token>,
    pub(crate) functions: Vec<Function>,
    /// Names of structs, enums, traits and aliases, with their lines; associated types are none.
    pub(crate) types: Vec<(String, usize)>,
    /// First and last lines of `#[cfg(test)]` items.
    tests: Vec<(usize, usize)>,
}

/// One token; comments are none, documentation is a literal that is left out.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) literal: bool,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Rust {
    fn read(file: &'static Text) -> Self {
        let parsed = syn::parse_file(&file.text)
            .unwrap_or_else(|error| panic!("{}:{}: {error}", file.path, error.span().start().line));
        let stream: TokenStream = file.text.parse().expect("a parsed file has tokens");
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut outline = Outline::default();
        outline.visit_file(&parsed);
        Self {
            path: &file.path,
            text: &file.text,
            tokens,
            functions: outline.functions,
            types: outline.types,
            tests: outline.tests,
        }
    }

    /// Ships to users.
    pub(crate) fn is_product(&self) -> bool {
        let tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        !tests
            && (self.path.starts_with("forge-")
                && (self.path.contains("/src/") || self.path.contains("/demo/")))
    }

    /// The line belongs to a test.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        !self.is_product() || self.tests.iter().any(|(first, last)| (*first..=*last).contains(&line))
    }

    /// The crate's folder.
    pub(crate) fn krate(&self) -> &'static str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// The folder of the runtime library, for example `db`; `None` for its root files and for other crates.
    pub(crate) fn folder(&self) -> Option<&'static str> {
        let (folder, _) = self.path.strip_prefix("forge-actors/src/")?.split_once('/')?;
        Some(folder)
    }

    /// Lines that hold a part of a text.
    pub(crate) fn literal_lines(&self) -> BTreeSet<usize> {
        let literals = self.tokens.iter().filter(|token| token.literal);
        literals.flat_map(|token| token.line..=token.line + token.text.matches('\n').count()).collect()
    }

    /// Lines where this sequence of tokens begins, outside of tests.
    pub(crate) fn product_lines_of(&self, sequence: &[&str]) -> Vec<usize> {
        let lines = self.lines_of(sequence);
        lines.into_iter().filter(|line| !self.is_test(*line)).collect()
    }

    /// Lines where this sequence of tokens begins.
    pub(crate) fn lines_of(&self, sequence: &[&str]) -> Vec<usize> {
        let starts = self.tokens.windows(sequence.len());
        let found = starts.filter(|window| {
            window.iter().zip(sequence).all(|(token, wanted)| !token.literal && token.text == *wanted)
        });
        found.map(|window| window[0].line).collect()
    }
}

fn collect(folder: &Path, files: &mut Vec<Text>) {
    for entry in std::fs::read_dir(folder).expect("read a folder of the tree") {
        let path = entry.expect("read an entry of the tree").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        if path.is_dir() {
            if !SKIPPED.contains(&name) {
                collect(&path, files);
            }
        } else if NAMES.contains(&name)
            || path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e))
        {
            let relative = path
                .strip_prefix(workspace())
                .expect("files are below the root")
                .to_str()
                .expect("paths are UTF-8");
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{relative}: {error}"));
            files.push(Text { path: relative.to_owned(), text });
        }
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) if is_documentation(&group) => {}
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(Token { text: open.to_owned(), line, literal: false });
                let last = group.span_close().start().line;
                flatten(group.stream(), tokens);
                tokens.push(Token { text: close.to_owned(), line: last, literal: false });
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && next_is_colon(&mut trees) => {
                trees.next();
                tokens.push(Token { text: "::".to_owned(), line, literal: false });
            }
            TokenTree::Literal(literal) => {
                tokens.push(Token { text: literal.to_string(), line, literal: true })
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {
                tokens.push(Token { text: tree.to_string(), line, literal: false })
            }
        }
    }
}

fn next_is_colon(trees: &mut std::iter::Peekable<impl Iterator<Item = TokenTree>>) -> bool {
    matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':')
}

fn is_documentation(group: &proc_macro2::Group) -> bool {
    let mut inside = group.stream().into_iter();
    group.delimiter() == Delimiter::Bracket
        && matches!(inside.next(), Some(TokenTree::Ident(name)) if name == "doc")
        && matches!(inside.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=')
}

#[derive(Default)]
struct Outline {
    functions: Vec<Function>,
    types: Vec<(String, usize)>,
    tests: Vec<(usize, usize)>,
}

impl Outline {
    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let last = body.span().end().line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line: first,
            lines: last + 1 - first,
        });
    }
}

impl<'ast> Visit<'ast> for Outline {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let name = match item {
            syn::Item::Struct(item) => Some(&item.ident),
            syn::Item::Enum(item) => Some(&item.ident),
            syn::Item::Trait(item) => Some(&item.ident),
            syn::Item::Union(item) => Some(&item.ident),
            syn::Item::Type(item) => Some(&item.ident),
            _ => None,
        };
        self.types.extend(name.map(|name| (name.to_string(), name.span().start().line)));
        syn::visit::visit_item(self, item);
    }

    /// What stands in a function's body is known to that function only.
    fn visit_block(&mut self, block: &'ast syn::Block) {
        let before = self.types.len();
        syn::visit::visit_block(self, block);
        self.types.truncate(before);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.attrs.iter().any(is_cfg_test) {
            self.tests.push((module.span().start().line, module.span().end().line));
        }
        syn::visit::visit_item_mod(self, module);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if function.attrs.iter().any(is_cfg_test) {
            self.tests.push((function.span().start().line, function.span().end().line));
        }
        self.function(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if function.attrs.iter().any(is_cfg_test) {
            self.tests.push((function.span().start().line, function.span().end().line));
        }
        self.function(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.function(&function.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
}
