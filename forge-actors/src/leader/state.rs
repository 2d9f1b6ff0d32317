//! What a node is in each leadership; pure. The diagram is in `leader/mod.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::leadership::Leadership;

/// What the node is in one leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidacy {
    /// The node tries to be elected.
    Standby,
    /// The node leads with this epoch.
    Leading { epoch: i64 },
    /// The node does not try any more.
    Withdrawn,
}

/// Why a term of this node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermEnd {
    /// The session that holds the lock is lost, or its deadline passed.
    SessionLost,
    /// The database knows another term, although this node held the lock.
    Superseded,
    /// The node stepped down.
    Resigned,
}

impl TermEnd {
    /// The word in metrics and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::SessionLost => "session_lost",
            Self::Superseded => "superseded",
            Self::Resigned => "resigned",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ElectionInput {
    /// The node was elected.
    Elected { leadership: Leadership, epoch: i64 },
    /// A renewal was answered: these leaderships' terms still last.
    Renewed { lasting: BTreeSet<String> },
    /// The session is gone, and every lock with it.
    SessionLost,
    /// The node steps down from everything.
    Withdraw,
}

/// What follows from an input, to be done in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElectionEffect {
    /// Publish the new term.
    Begin { leadership: Leadership, epoch: i64 },
    /// Publish that there is no term any more.
    End { leadership: Leadership, epoch: i64, cause: TermEnd },
    /// Write that the term was ended in order.
    CloseTerm { leadership: Leadership, epoch: i64 },
    /// Free the lock, which this node's session still holds.
    Unlock { leadership: Leadership },
}

/// The candidacies of one node.
#[derive(Debug, Default)]
pub(super) struct Election {
    candidacies: BTreeMap<Leadership, Candidacy>,
}

impl Election {
    /// Adds leaderships that the node stands for; the ones that it knows stay as they are.
    pub(super) fn stand_for(&mut self, leaderships: impl IntoIterator<Item = Leadership>) {
        for leadership in leaderships {
            self.candidacies.entry(leadership).or_insert(Candidacy::Standby);
        }
    }

    /// The leaderships that the node tries to win.
    pub(super) fn wanted(&self) -> Vec<Leadership> {
        let wanted = self.candidacies.iter().filter(|(_, candidacy)| **candidacy == Candidacy::Standby);
        wanted.map(|(leadership, _)| *leadership).collect()
    }

    /// The terms that the node holds.
    pub(super) fn terms(&self) -> Vec<(Leadership, i64)> {
        let terms = self.candidacies.iter().filter_map(|(leadership, candidacy)| match candidacy {
            Candidacy::Leading { epoch } => Some((*leadership, *epoch)),
            Candidacy::Standby | Candidacy::Withdrawn => None,
        });
        terms.collect()
    }

    /// Applies one input.
    pub(super) fn step(&mut self, input: ElectionInput) -> Vec<ElectionEffect> {
        match input {
            ElectionInput::Elected { leadership, epoch } => self.elected(leadership, epoch),
            ElectionInput::Renewed { lasting } => {
                self.end_terms(TermEnd::Superseded, |leadership| !lasting.contains(leadership.name()))
            }
            ElectionInput::SessionLost => self.end_terms(TermEnd::SessionLost, |_| true),
            ElectionInput::Withdraw => {
                let effects = self.end_terms(TermEnd::Resigned, |_| true);
                self.candidacies.values_mut().for_each(|candidacy| *candidacy = Candidacy::Withdrawn);
                effects
            }
        }
    }

    fn elected(&mut self, leadership: Leadership, epoch: i64) -> Vec<ElectionEffect> {
        match self.candidacies.get_mut(&leadership) {
            Some(candidacy @ Candidacy::Standby) => {
                *candidacy = Candidacy::Leading { epoch };
                vec![ElectionEffect::Begin { leadership, epoch }]
            }
            // The node withdrew meanwhile, or never stood for the leadership: the term ends before it began.
            Some(Candidacy::Withdrawn | Candidacy::Leading { .. }) | None => {
                vec![ElectionEffect::CloseTerm { leadership, epoch }, ElectionEffect::Unlock { leadership }]
            }
        }
    }

    /// Ends the terms of which `ends` is true; those leaderships are wanted again.
    fn end_terms(&mut self, cause: TermEnd, ends: impl Fn(Leadership) -> bool) -> Vec<ElectionEffect> {
        let mut effects = Vec::new();
        for (leadership, epoch) in self.terms() {
            if !ends(leadership) {
                continue;
            }
            self.candidacies.insert(leadership, Candidacy::Standby);
            effects.push(ElectionEffect::End { leadership, epoch, cause });
            match cause {
                TermEnd::Resigned => {
                    effects.push(ElectionEffect::CloseTerm { leadership, epoch });
                    effects.push(ElectionEffect::Unlock { leadership });
                }
                TermEnd::Superseded => effects.push(ElectionEffect::Unlock { leadership }),
                TermEnd::SessionLost => {}
            }
        }
        effects
    }
}
