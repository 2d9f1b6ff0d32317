//! One migration file: parsed, checked, with its checksum.

use sha2::{Digest, Sha256};

use super::error::{MigrateError, ParseProblem};
use super::split::split;

/// A parsed migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The number in front of the name.
    pub number: u32,
    /// `verb_noun`.
    pub name: String,
    /// The file's path, for messages.
    pub file: String,
    /// SHA-256 over the text without carriage returns and trailing blanks, in hexadecimal.
    pub checksum: String,
    /// True when the statements run in one transaction, together with the row in `forge_migrations`.
    pub transactional: bool,
    /// True when a binary that does not know the migration cannot run on the schema that it leaves.
    pub breaking: bool,
    /// The section that applies the migration.
    pub up: Section,
    /// The section that undoes the migration; absent in an irreversible file.
    pub down: Option<Section>,
}

/// A section of a migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The statements.
    pub sql: String,
    /// The line of the file on which `sql` begins, counted from 1.
    pub line: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    Up,
    Down,
    Irreversible,
    NoTransaction,
    Breaking,
}

/// Where a marker stands in its file.
#[derive(Clone, Copy)]
struct Mark {
    marker: Marker,
    line: usize,
    /// The offset of the text after the marker's line.
    text_from: usize,
}

impl Migration {
    /// Parses `text`; `file` is the file's name, with or without its path.
    ///
    /// # Errors
    /// `Parse`, with the line that breaks a rule.
    pub fn parse(file: &str, text: &str) -> Result<Self, MigrateError> {
        let failed =
            |line: usize, problem: ParseProblem| MigrateError::Parse { file: file.to_owned(), line, problem };
        let (number, name) = name_parts(file).ok_or_else(|| failed(1, ParseProblem::Name))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let markers = markers(&text).map_err(|(line, problem)| failed(line, problem))?;
        let at = |wanted: Marker| markers.iter().find(|mark| mark.marker == wanted).copied();
        let up =
            at(Marker::Up).ok_or_else(|| failed(last_line(&text), ParseProblem::MissingSection("up")))?;
        let (down, irreversible, no_transaction) =
            (at(Marker::Down), at(Marker::Irreversible), at(Marker::NoTransaction));
        match (down, irreversible) {
            (Some(mark), Some(_)) => return Err(failed(mark.line, ParseProblem::Contradiction)),
            (None, None) => return Err(failed(last_line(&text), ParseProblem::MissingSection("down"))),
            (Some(_), None) | (None, Some(_)) => {}
        }
        let breaking = at(Marker::Breaking);
        for (mark, marker) in [(no_transaction, "no-transaction"), (breaking, "breaking")] {
            if let Some(late) = mark.filter(|mark| mark.line > up.line) {
                return Err(failed(late.line, ParseProblem::LateMarker(marker)));
            }
        }
        if let Some(stray) = split(&text[..line_start(&text, up.line)]).iter().find(|piece| !piece.is_blank())
        {
            return Err(failed(stray.line, ParseProblem::Stray));
        }
        let section = |name: &'static str, mark: Mark| {
            let to = markers
                .iter()
                .filter(|other| other.line > mark.line)
                .map(|other| line_start(&text, other.line))
                .min();
            let section = Section {
                sql: text[mark.text_from..to.unwrap_or(text.len())].to_owned(),
                line: mark.line + 1,
            };
            section.check(name, no_transaction.is_none()).map_err(|(line, problem)| failed(line, problem))?;
            Ok::<_, MigrateError>(section)
        };
        let up = section("up", up)?;
        let down = down.map(|mark| section("down", mark)).transpose()?;
        let checksum = checksum(&text);
        Ok(Self {
            number,
            name,
            file: file.to_owned(),
            checksum,
            transactional: no_transaction.is_none(),
            breaking: breaking.is_some(),
            up,
            down,
        })
    }

    /// `0001_create_tasks`.
    pub fn title(&self) -> String {
        format!("{:04}_{}", self.number, self.name)
    }
}

impl Section {
    fn check(&self, name: &'static str, transactional: bool) -> Result<(), (usize, ParseProblem)> {
        let pieces = split(&self.sql);
        let mut statements = pieces.iter().filter(|piece| !piece.is_blank()).peekable();
        if statements.peek().is_none() {
            return Err((self.line.saturating_sub(1), ParseProblem::EmptySection(name)));
        }
        let control = ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"];
        let offender = statements.find(|piece| {
            transactional && control.iter().any(|word| piece.keyword.eq_ignore_ascii_case(word))
        });
        offender.map_or(Ok(()), |piece| {
            let line = self.line + piece.line - 1;
            Err((line, ParseProblem::TransactionControl(piece.keyword.to_ascii_uppercase())))
        })
    }
}

/// `0001_create_tasks.sql` → (1, `create_tasks`).
fn name_parts(file: &str) -> Option<(u32, String)> {
    let base = file.rsplit(['/', '\\']).next()?.strip_suffix(".sql")?;
    let (digits, name) = base.split_once('_')?;
    let number = (digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()?;
    let words = name
        .split('_')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    (number > 0 && words && name.contains('_')).then(|| (number, name.to_owned()))
}

fn markers(text: &str) -> Result<Vec<Mark>, (usize, ParseProblem)> {
    let mut found: Vec<Mark> = Vec::new();
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        offset += line.len();
        let Some(word) = line.trim().strip_prefix("--").and_then(|rest| rest.trim_start().strip_prefix('@'))
        else {
            continue;
        };
        let marker = match word {
            "up" => Marker::Up,
            "down" => Marker::Down,
            "irreversible" => Marker::Irreversible,
            "no-transaction" => Marker::NoTransaction,
            "breaking" => Marker::Breaking,
            // A comment that begins with @ and goes on with other words is no marker.
            other if other.contains(char::is_whitespace) => continue,
            other => return Err((index + 1, ParseProblem::UnknownMarker(other.to_owned()))),
        };
        if found.iter().any(|known| known.marker == marker) {
            return Err((index + 1, ParseProblem::RepeatedMarker(word.to_owned())));
        }
        found.push(Mark { marker, line: index + 1, text_from: offset });
    }
    Ok(found)
}

fn line_start(text: &str, line: usize) -> usize {
    text.split_inclusive('\n').take(line - 1).map(str::len).sum()
}

fn last_line(text: &str) -> usize {
    text.lines().count().max(1)
}

fn checksum(text: &str) -> String {
    let mut digest = Sha256::new();
    for line in text.trim_end().lines() {
        digest.update(line.trim_end());
        digest.update("\n");
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
