//! Aligned columns for the terminal. Three commands print a table; that needs no library.

use forge_actors::kernel::printable::escape;

use crate::terminal::context::Palette;
use crate::terminal::text::Text;
use crate::terminal::width::wrapped;

/// Characters of a cell; the rest is cut.
const CELL_CHARS_MAX: usize = 200;
/// Characters of a cell that is broken into lines.
const BROKEN_CHARS_MAX: usize = 1_000;
/// Characters that the last column has at the least, in however narrow a terminal.
const LAST_COLUMN_MIN: usize = 20;
/// Stands between two columns.
const GAP: &str = "  ";

/// A column's heading, and on which side its cells stand.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// Text: padded on the right.
    Left(&'static str),
    /// Numbers: padded on the left.
    Right(&'static str),
}

impl Column {
    const fn heading(self) -> &'static str {
        match self {
            Self::Left(heading) | Self::Right(heading) => heading,
        }
    }

    fn padded(self, cell: &str, width: usize) -> String {
        match self {
            Self::Left(_) => format!("{cell:<width$}"),
            Self::Right(_) => format!("{cell:>width$}"),
        }
    }
}

/// The heading and the rows as lines, each ended by a line feed. `colour` colours the line of a row, given
/// the row's index. A cell is one line, whatever it holds.
pub fn render<const N: usize>(
    columns: [Column; N],
    rows: &[[String; N]],
    palette: Palette,
    colour: impl Fn(usize, Text) -> Text,
) -> Text {
    render_within(usize::MAX, columns, rows, palette, colour)
}

/// [`render`] in lines of at most `width` characters: the cells of the last column are broken between words.
/// The other columns keep their widths, and leave the last one at least 20 characters.
pub fn render_within<const N: usize>(
    width: usize,
    columns: [Column; N],
    rows: &[[String; N]],
    palette: Palette,
    colour: impl Fn(usize, Text) -> Text,
) -> Text {
    let chars_max = |column| match column + 1 == N && width < usize::MAX {
        true => BROKEN_CHARS_MAX,
        false => CELL_CHARS_MAX,
    };
    let escaped = |row: &[String; N]| std::array::from_fn(|column| escape(&row[column], chars_max(column)));
    let rows: Vec<[String; N]> = rows.iter().map(escaped).collect();
    let headings = columns.map(|column| column.heading().to_owned());
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().chain([&headings]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let indent = widths[..N - 1].iter().map(|width| width + GAP.len()).sum::<usize>();
    let last_width = width.saturating_sub(indent).max(LAST_COLUMN_MIN);
    let lines = |row: &[String; N]| -> Vec<String> {
        let (last, others) = row.split_last().expect("a table has columns");
        let padded = others.iter().zip(columns).zip(widths);
        let begin: String =
            padded.map(|((cell, column), width)| format!("{}{GAP}", column.padded(cell, width))).collect();
        if last.chars().count() <= last_width {
            return vec![
                format!("{begin}{}", columns[N - 1].padded(last, widths[N - 1])).trim_end().to_owned(),
            ];
        }
        let begins = [begin].into_iter().chain(std::iter::repeat(" ".repeat(indent)));
        begins.zip(wrapped(last, last_width)).map(|(begin, part)| format!("{begin}{part}")).collect()
    };
    let mut text = Text::default();
    for heading in lines(&headings) {
        text.push(palette.dim(heading));
        text.push("\n");
    }
    for (index, row) in rows.iter().enumerate() {
        for line in lines(row) {
            text.push(colour(index, line.into()));
            text.push("\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_broken_between_words() {
        let rows = [["tasks.list".to_owned(), "all tasks of one project".to_owned()]];
        let columns = [Column::Left("name"), Column::Left("does")];
        let text = render_within(36, columns, &rows, Palette::PLAIN, |_, line| line);
        let rest = " ".repeat(12);
        assert_eq!(text.as_str(), format!("{:<12}does\ntasks.list  all tasks of one project\n", "name"));
        let rows = [["tasks.list".to_owned(), "all tasks of one long project".to_owned()]];
        let text = render_within(20, columns, &rows, Palette::PLAIN, |_, line| line);
        assert!(
            text.as_str().ends_with(&format!("tasks.list  all tasks of one\n{rest}long project\n")),
            "{text:?}"
        );
    }

    #[test]
    fn columns_are_aligned_and_control_characters_escaped() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long\x1b[2J".to_owned(), "1000".to_owned()]];
        let columns = [Column::Left("name"), Column::Right("n")];
        let text = render(columns, &rows, Palette::PLAIN, |_, line| line);
        let name = "long\\u{1b}[2J";
        let width = name.len();
        assert_eq!(text.as_str(), format!("{:<width$}     n\n{:<width$}     1\n{name}  1000\n", "name", "a"));
    }
}
