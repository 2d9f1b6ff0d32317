//! Splits SQL text into statements. The pieces, joined, are the whole text again.

use crate::db::lexer::{Lexer, Token};

/// A statement with the comments and blanks before it, up to and including its semicolon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The text, comments included.
    pub text: &'a str,
    /// The line, counted from 1, on which the statement's first word stands.
    pub line: usize,
    /// The statement's first word; empty when the piece holds only comments and blanks.
    pub keyword: &'a str,
}

impl Piece<'_> {
    /// True when the piece holds no statement.
    pub fn is_blank(&self) -> bool {
        self.keyword.is_empty()
    }
}

/// The pieces of `sql`, in order.
pub fn split(sql: &str) -> Vec<Piece<'_>> {
    let mut lexer = Lexer::new(sql);
    let mut pieces = Vec::new();
    let (mut start, mut line) = (0, 1);
    while start < sql.len() {
        let first = statement(&mut lexer);
        let text = &sql[start..lexer.at()];
        let (offset, keyword) = first.map_or((start, ""), |(from, to)| (from, &sql[from..to]));
        pieces.push(Piece { text, line: line + newlines(&sql[start..offset]), keyword });
        line += newlines(text);
        start = lexer.at();
    }
    pieces
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Reads to the end of the next statement; returns the range of its first token.
fn statement(lexer: &mut Lexer<'_>) -> Option<(usize, usize)> {
    let mut first = None;
    while let Some((from, token)) = lexer.token() {
        if token == Token::End {
            break;
        }
        first.get_or_insert((from, lexer.at()));
    }
    first
}
