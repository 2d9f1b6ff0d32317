//! Aligned columns for the terminal. Three commands print a table; that needs no library.

use forge_actors::kernel::printable::escape;

use crate::terminal::context::Palette;
use crate::terminal::text::Text;

/// Characters of a cell; the rest is cut.
const CELL_CHARS_MAX: usize = 200;

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
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| escape(cell, CELL_CHARS_MAX))).collect();
    let headings = columns.map(|column| column.heading().to_owned());
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().chain([&headings]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row
            .iter()
            .zip(columns)
            .zip(widths)
            .map(|((cell, column), width)| column.padded(cell, width))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut text = palette.dim(line(&headings));
    text.push("\n");
    for (index, row) in rows.iter().enumerate() {
        text.push(colour(index, line(row).into()));
        text.push("\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
