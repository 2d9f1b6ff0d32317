//! Reads SQL text token by token, the way Postgres' own lexer does; allocates nothing.
//!
//! It understands: `'…'` with doubled quotes, `E'…'` with backslashes (continued over lines too), `"…"`,
//! `$tag$…$tag$`, `--` and nested `/* */` comments, parentheses, and `BEGIN ATOMIC … END` bodies of
//! functions. Rules: PostgreSQL documentation, "Lexical Structure"; the last two as psql's scanner has them.

/// A piece of a statement. Blanks and comments are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a name without quotes.
    Word(&'a str),
    /// A name in double quotes, without the quotes.
    Name(&'a str),
    /// A string of any kind.
    Text,
    /// Anything else, byte by byte.
    Symbol(u8),
    /// A semicolon that ends a statement.
    End,
}

/// Reads one text from its start to its end.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
    nesting: Nesting,
}

/// How deep the lexer is inside of constructs that may contain semicolons.
#[derive(Debug, Default)]
struct Nesting {
    parentheses: usize,
    blocks: usize,
    words: usize,
    creates_routine: bool,
}

impl Nesting {
    /// `BEGIN ATOMIC` bodies occur in `CREATE [OR REPLACE] FUNCTION | PROCEDURE` only; a `CASE` inside has an
    /// `END` of its own.
    fn word(&mut self, word: &str) {
        let is = |expected: &str| word.eq_ignore_ascii_case(expected);
        match self.words {
            0 => self.creates_routine = is("create"),
            1 => self.creates_routine &= is("or") || is("function") || is("procedure"),
            2 | 3 => self.creates_routine &= self.words != 3 || !is("aggregate"),
            _ => {}
        }
        self.words += 1;
        if !self.creates_routine || self.parentheses > 0 {
            return;
        }
        if is("begin") || (is("case") && self.blocks > 0) {
            self.blocks += 1;
        } else if is("end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        Self { sql, bytes: sql.as_bytes(), at: 0, nesting: Nesting::default() }
    }

    /// The number of bytes that were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next token, and the offset of its first byte.
    pub(super) fn token(&mut self) -> Option<(usize, Token<'a>)> {
        while let Some(&byte) = self.bytes.get(self.at) {
            let from = self.at;
            let token = match byte {
                _ if byte.is_ascii_whitespace() => {
                    self.at += 1;
                    continue;
                }
                b'-' if self.looks_at("--") => {
                    self.line_comment();
                    continue;
                }
                b'/' if self.looks_at("/*") => {
                    self.block_comment();
                    continue;
                }
                b'\'' => {
                    self.string(false);
                    Token::Text
                }
                b'"' => {
                    self.quoted_identifier();
                    Token::Name(self.sql[from + 1..self.at].trim_end_matches('"'))
                }
                b'$' => self.dollar(),
                _ if is_identifier_start(byte) => self.word(),
                _ => self.symbol(byte),
            };
            return Some((from, token));
        }
        None
    }

    fn word(&mut self) -> Token<'a> {
        let from = self.at;
        self.identifier();
        let word = &self.sql[from..self.at];
        if word.eq_ignore_ascii_case("e") && self.bytes.get(self.at) == Some(&b'\'') {
            self.string(true);
            return Token::Text;
        }
        self.nesting.word(word);
        Token::Word(word)
    }

    fn symbol(&mut self, byte: u8) -> Token<'a> {
        self.at += 1;
        match byte {
            b'(' => self.nesting.parentheses += 1,
            b')' => self.nesting.parentheses = self.nesting.parentheses.saturating_sub(1),
            b';' if self.nesting.parentheses == 0 && self.nesting.blocks == 0 => {
                self.nesting = Nesting::default();
                return Token::End;
            }
            _ => {}
        }
        Token::Symbol(byte)
    }

    fn looks_at(&self, text: &str) -> bool {
        self.bytes[self.at..].starts_with(text.as_bytes())
    }

    fn line_comment(&mut self) {
        self.at = self.bytes[self.at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(self.bytes.len(), |found| self.at + found);
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            if self.looks_at("/*") {
                depth += 1;
                self.at += 2;
            } else if self.looks_at("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
    }

    /// Reads a string from its opening quote. A doubled quote is read as the end of one string and the start
    /// of the next, which gives the same result. A continuation on a later line is read the same way, and
    /// treats backslashes as the first part does.
    fn string(&mut self, backslashes: bool) {
        loop {
            self.at += 1;
            while let Some(&byte) = self.bytes.get(self.at) {
                match byte {
                    b'\\' if backslashes => self.at = (self.at + 2).min(self.bytes.len()),
                    b'\'' => break,
                    _ => self.at += 1,
                }
            }
            self.at = (self.at + 1).min(self.bytes.len());
            let rest = &self.bytes[self.at..];
            let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let continues = blanks == 0 || rest[..blanks].contains(&b'\n');
            if !continues || rest.get(blanks) != Some(&b'\'') {
                return;
            }
            self.at += blanks;
        }
    }

    fn quoted_identifier(&mut self) {
        self.at += 1;
        self.at = self.bytes[self.at..]
            .iter()
            .position(|byte| *byte == b'"')
            .map_or(self.bytes.len(), |found| self.at + found + 1);
    }

    fn identifier(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest
            .iter()
            .position(|byte| !is_identifier_start(*byte) && !byte.is_ascii_digit() && *byte != b'$')
            .unwrap_or(rest.len());
    }

    /// Reads `$tag$ … $tag$`, or the `$` of a parameter.
    fn dollar(&mut self) -> Token<'a> {
        let rest = &self.bytes[self.at + 1..];
        let tag = rest
            .iter()
            .position(|byte| !is_identifier_start(*byte) && !byte.is_ascii_digit())
            .unwrap_or(rest.len());
        let is_quote = rest.get(tag) == Some(&b'$') && !rest.first().is_some_and(u8::is_ascii_digit);
        if !is_quote {
            self.at += 1;
            return Token::Symbol(b'$');
        }
        let delimiter = &self.sql[self.at..self.at + tag + 2];
        let body = self.at + delimiter.len();
        self.at =
            self.sql[body..].find(delimiter).map_or(self.sql.len(), |found| body + found + delimiter.len());
        Token::Text
    }
}

/// Postgres reads bytes beyond ASCII as letters, so no character is ever cut.
fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}
