//! A measured figure beside its goal.

/// Which side of the goal is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The figure should be at least the goal.
    AtLeast,
    /// The figure should be at most the goal.
    AtMost,
}

/// One line of the result.
pub(crate) struct Goal {
    what: String,
    figure: f64,
    unit: &'static str,
    bound: Bound,
    goal: f64,
}

impl Goal {
    pub(crate) fn at_least(what: impl Into<String>, figure: f64, unit: &'static str, goal: f64) -> Self {
        Self { what: what.into(), figure, unit, bound: Bound::AtLeast, goal }
    }

    pub(crate) fn at_most(what: impl Into<String>, figure: f64, unit: &'static str, goal: f64) -> Self {
        Self { what: what.into(), figure, unit, bound: Bound::AtMost, goal }
    }

    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast => self.figure >= self.goal,
            Bound::AtMost => self.figure <= self.goal,
        }
    }
}

/// Prints the table.
pub(crate) fn print(goals: &[Goal]) {
    let width = goals.iter().map(|goal| goal.what.len()).max().unwrap_or_default();
    println!("\n{:<width$}  {:>9}  {:>11}", "benchmark", "measured", "goal");
    for goal in goals {
        let sign = match goal.bound {
            Bound::AtLeast => "≥",
            Bound::AtMost => "≤",
        };
        let wanted = format!("{sign} {}{}", goal.goal, goal.unit);
        let result = if goal.is_met() { "met" } else { "MISSED" };
        println!(
            "{:<width$}  {:>9}  {wanted:>11}  {result}",
            goal.what,
            format!("{:.2}{}", goal.figure, goal.unit)
        );
    }
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of values in ascending order.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
