//! Resources of a node, and what jobs need of them: words with whole numbers, such as `cpu` 4 or `memory` 16
//! GiB.

use std::collections::BTreeMap;

/// What a job needs: words and amounts.
pub type ResourceNeeds = &'static [(&'static str, u64)];

/// Amounts by word. A word that is missing is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceAmounts(BTreeMap<String, u64>);

impl ResourceAmounts {
    /// Reads `cpu=8` or `memory=16GiB`.
    ///
    /// # Errors
    /// The entry that is neither.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let amounts = entries.iter().map(|entry| parse(entry).ok_or_else(|| entry.clone()));
        amounts.collect::<Result<_, _>>().map(Self)
    }

    /// Sets an amount that is missing.
    pub fn or_set(mut self, word: &str, amount: u64) -> Self {
        self.0.entry(word.to_owned()).or_insert(amount);
        self
    }

    /// Words and amounts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(word, amount)| (word.as_str(), *amount))
    }

    /// True when these amounts are enough.
    pub fn fit(&self, needs: ResourceNeeds) -> bool {
        needs.iter().all(|(word, amount)| self.0.get(*word).copied().unwrap_or(0) >= *amount)
    }

    /// Takes what is needed away, as far as it is there.
    pub fn take(&mut self, needs: ResourceNeeds) {
        for (word, amount) in needs {
            if let Some(left) = self.0.get_mut(*word) {
                *left = left.saturating_sub(*amount);
            }
        }
    }
}

fn parse(entry: &str) -> Option<(String, u64)> {
    let (word, amount) = entry.split_once('=')?;
    let clean = word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if !clean || !(1..=64).contains(&word.len()) {
        return None;
    }
    let digits = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
    let factor = match &amount[digits..] {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    Some((word.to_owned(), amount[..digits].parse::<u64>().ok()?.checked_mul(factor)?))
}

#[cfg(test)]
mod tests {
    use super::ResourceAmounts;

    fn amounts(entries: &[&str]) -> Result<ResourceAmounts, String> {
        ResourceAmounts::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn amounts_are_words_with_numbers_or_sizes() {
        let read = amounts(&["cpu=8", "memory=2GiB", "gpu=0"]).expect("reads");
        assert_eq!(read.iter().collect::<Vec<_>>(), [("cpu", 8), ("gpu", 0), ("memory", 2 << 30)]);
        for wrong in ["cpu", "cpu=", "cpu=-1", "CPU=1", "=1", "memory=1GB", "memory=99999999999GiB"] {
            assert_eq!(amounts(&[wrong]), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn needs_fit_while_enough_is_left() {
        let mut left = amounts(&["cpu=3", "memory=1KiB"]).expect("reads");
        assert!(left.fit(&[("cpu", 2), ("memory", 1_024)]) && !left.fit(&[("gpu", 1)]));
        left.take(&[("cpu", 2)]);
        assert!(left.fit(&[("cpu", 1)]) && !left.fit(&[("cpu", 2)]));
        left.take(&[("cpu", 2), ("gpu", 1)]);
        assert!(left.fit(&[]) && !left.fit(&[("cpu", 1)]));
    }
}
