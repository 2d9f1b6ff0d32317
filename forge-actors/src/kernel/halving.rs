//! Writing a batch when the database refuses single rows: the refused rows are found by halving, and the rest
//! is written.
//!
//! ```text
//!   1 2 3 4 5 6 7 8          refused
//!   1 2 3 4                  written
//!           5 6 7 8          refused
//!           5 6              refused
//!           5                written
//!             6              refused: the row is set aside
//!               7 8          written
//! ```
//!
//! A batch without such a row costs one statement, each refused row of n costs about 2·log2(n) further ones.
//! The caller decides what becomes of a refused row. An outage is no refusal: it ends the whole attempt, and
//! the caller repeats the batch.

use std::future::Future;
use std::ops::Range;

use super::fault::Fault;

/// Which part of a batch is to be written next. Pure.
#[derive(Debug)]
pub struct Halving {
    /// The parts that are left, the next one last.
    parts: Vec<Range<usize>>,
}

impl Halving {
    /// The halving of `len` rows, which begins with all of them.
    pub fn of(len: usize) -> Self {
        let parts = if len == 0 { Vec::new() } else { vec![Range { start: 0, end: len }] };
        Self { parts }
    }

    /// The part to write now; `None` when nothing is left.
    pub fn part(&self) -> Option<Range<usize>> {
        self.parts.last().cloned()
    }

    /// The part is written.
    pub fn written(&mut self) {
        self.parts.pop();
    }

    /// The part was refused. Its halves are written next; of a part of one row, the row is returned, to be
    /// set aside.
    pub fn refused(&mut self) -> Option<usize> {
        let Range { start, end } = self.parts.pop()?;
        if end - start == 1 {
            return Some(start);
        }
        let middle = start + (end - start) / 2;
        self.parts.push(middle..end);
        self.parts.push(start..middle);
        None
    }
}

/// A row that the database refused.
#[derive(Debug)]
pub struct RefusedRow {
    /// The place of the row in the batch.
    pub row: usize,
    /// Why it was refused.
    pub fault: Fault,
}

/// What became of a batch.
#[derive(Debug)]
pub struct HalvedBatch<T> {
    /// The results of the statements that succeeded, in the order of the rows.
    pub written: Vec<T>,
    /// The rows that were refused, in their order.
    pub refused: Vec<RefusedRow>,
}

/// Writes a batch of `len` rows. `write` writes those of a range, all of them or none.
///
/// # Errors
/// The first failure that no row caused, such as an outage. What was written before it stays written.
pub async fn write_by_halves<T, W>(
    len: usize,
    mut write: impl FnMut(Range<usize>) -> W,
) -> Result<HalvedBatch<T>, Fault>
where
    W: Future<Output = Result<T, Fault>>,
{
    let mut halving = Halving::of(len);
    let mut batch = HalvedBatch { written: Vec::new(), refused: Vec::new() };
    while let Some(part) = halving.part() {
        match write(part).await {
            Ok(written) => {
                batch.written.push(written);
                halving.written();
            }
            Err(fault) if fault.blames_row() => {
                batch.refused.extend(halving.refused().map(|row| RefusedRow { row, fault }));
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::kernel::fault::Code;

    /// Halves a batch of which the rows `bad` are refused. Returns the rows that were written, those that
    /// were set aside, and the number of statements.
    fn halve(len: usize, bad: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut written, mut aside, mut statements) = (Vec::new(), Vec::new(), 0);
        let mut halving = Halving::of(len);
        while let Some(part) = halving.part() {
            statements += 1;
            if part.clone().any(|row| bad.contains(&row)) {
                aside.extend(halving.refused());
            } else {
                written.extend(part);
                halving.written();
            }
        }
        (written, aside, statements)
    }

    #[test]
    fn every_row_is_written_or_set_aside_once() {
        let check = |len: usize, bad: &[usize]| {
            let (written, aside, statements) = halve(len, bad);
            let good: Vec<_> = (0..len).filter(|row| !bad.contains(row)).collect();
            assert_eq!((written, aside.as_slice()), (good, bad), "{len} rows, bad {bad:?}");
            statements
        };
        assert_eq!(check(0, &[]), 0);
        assert_eq!(check(1, &[]), 1);
        assert_eq!(check(1, &[0]), 1);
        assert_eq!(check(1_000, &[]), 1, "a batch without such a row is one statement");
        assert_eq!(check(1_024, &[700]), 21);
        check(7, &[0, 3, 6]);
        assert_eq!(check(5, &[0, 1, 2, 3, 4]), 9, "and when all are refused, about two each");
    }

    fn refusal() -> Fault {
        Fault::new(Code::BadRequest, "refused").because(sqlx::Error::Encode("not encodable".into()))
    }

    #[test]
    fn a_refused_row_is_named_with_its_cause() {
        let writing =
            write_by_halves(
                6,
                |part| async move { if part.contains(&4) { Err(refusal()) } else { Ok(part) } },
            );
        let batch = writing.now_or_never().expect("nothing waits").expect("no outage");
        assert_eq!(batch.written, [0..3, 3..4, 5..6]);
        assert_eq!(batch.refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [4]);
        assert_eq!(batch.refused[0].fault.message(), "refused");
    }

    #[test]
    fn an_outage_is_no_refusal() {
        let mut statements = 0;
        let writing = write_by_halves(6, |part| {
            statements += 1;
            async move {
                if part.len() == 6 { Err(refusal()) } else { Err::<(), _>(sqlx::Error::WorkerCrashed.into()) }
            }
        });
        let failed = writing.now_or_never().expect("nothing waits").expect_err("the outage");
        assert_eq!((failed.code(), statements), (Code::Unavailable, 2));
    }
}
