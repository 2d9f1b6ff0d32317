//! The name that a typing error probably meant.

/// The candidate with the fewest edits, when they are few enough for a typing error.
///
/// ```
/// use forge_actors::kernel::similar::nearest;
///
/// assert_eq!(nearest("tasks.lsit", ["tasks.get", "tasks.list"].into_iter()), Some("tasks.list"));
/// assert_eq!(nearest("invoices.pay", ["tasks.get", "tasks.list"].into_iter()), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = candidates.map(|candidate| (edits(word, candidate), candidate)).min()?;
    (close.0 <= 1 + word.len() / 4).then_some(close.1)
}

/// The Levenshtein distance; swapping two neighbours counts as one edit.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let one = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { one.min(rows[i - 2][j - 2] + 1) } else { one }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}
