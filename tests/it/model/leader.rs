//! The model of a leadership (`forge-actors/src/leader`): two nodes, the session that holds the advisory
//! lock, the row with the epoch, and the transactions of a duty.
//!
//! A node's clock is free: its deadline may pass at any moment, or not at all, whatever the server does with
//! its session. So nothing here depends on a clock but what a node starts.

use stateright::{Model, Property};

use super::{explore, search};

const NODES: usize = 2;
/// Elections of a run, at most.
const EPOCH_MAX: u8 = 4;

const ONE_WRITER: &str = "what a leader commits is committed before the next one is elected";
const EPOCHS_GROW: &str = "every term has a higher epoch than all before";

/// A fault that is put into the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaderFlaw {
    /// A duty writes while its node's clock says that the term lasts.
    NodeClock,
    /// A duty's transaction reads the epoch and does not lock its row.
    EpochNotLocked,
    /// An election starts from the epoch that the node saw last.
    EpochFromMemory,
}

#[derive(Debug, Clone)]
struct Leadership {
    flaw: Option<LeaderFlaw>,
    only: Option<&'static str>,
}

/// A duty's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Duty {
    /// The node has looked at its clock. The statement that checks the epoch may come at any later time.
    Checked(u8),
    /// The row of the term was found, and is locked `FOR KEY SHARE` until the transaction ends.
    Open(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Candidate {
    /// The server has ended the session. The node does not know until it asks.
    session_ended: bool,
    /// The epoch of the term that the node believes to have.
    term: Option<u8>,
    /// By the node's clock, the term lasts.
    believes_held: bool,
    /// The newest epoch that the node has seen.
    epoch_seen: u8,
    duty: Option<Duty>,
}

/// The row in `forge_leaders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct TermRow {
    epoch: u8,
    node: usize,
    resigned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct LeaderState {
    row: TermRow,
    /// The node whose session holds the advisory lock.
    lock: Option<usize>,
    candidates: [Candidate; NODES],
    /// The highest epoch of an election.
    epoch_max: u8,
    late_write: bool,
    epoch_repeated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaderAction {
    TryLock {
        node: usize,
    },
    /// On the session that has the lock: locks the row `FOR UPDATE`, and raises the epoch.
    Elect {
        node: usize,
    },
    Renew {
        node: usize,
    },
    /// The server frees the lock of a node that is frozen, cut off, or whose backend was terminated.
    EndSession {
        node: usize,
    },
    /// The node learns that its session is lost, and opens another one.
    LearnOfLoss {
        node: usize,
    },
    DeadlinePasses {
        node: usize,
    },
    Resign {
        node: usize,
    },
    /// The process is killed. What it has sent may still be executed.
    Crash {
        node: usize,
    },
    CheckClock {
        node: usize,
    },
    OpenTransaction {
        node: usize,
    },
    Commit {
        node: usize,
    },
    /// A duty gives up, or the server ends its idle transaction.
    Abort {
        node: usize,
    },
}

impl Model for Leadership {
    type State = LeaderState;
    type Action = LeaderAction;

    fn init_states(&self) -> Vec<LeaderState> {
        vec![LeaderState {
            row: TermRow::default(),
            lock: None,
            candidates: [Candidate::default(); NODES],
            epoch_max: 0,
            late_write: false,
            epoch_repeated: false,
        }]
    }

    fn actions(&self, state: &LeaderState, actions: &mut Vec<LeaderAction>) {
        for node in 0..NODES {
            let Candidate { session_ended, term, believes_held, duty, .. } = state.candidates[node];
            let mut may = |may: bool, action: LeaderAction| {
                if may {
                    actions.push(action);
                }
            };
            let has_lock = state.lock == Some(node);
            may(state.lock.is_none() && term.is_none() && !session_ended, LeaderAction::TryLock { node });
            may(has_lock && term.is_none() && state.row.epoch < EPOCH_MAX, LeaderAction::Elect { node });
            may(term.is_some() && !session_ended, LeaderAction::Renew { node });
            may(!session_ended, LeaderAction::EndSession { node });
            may(session_ended, LeaderAction::LearnOfLoss { node });
            may(believes_held, LeaderAction::DeadlinePasses { node });
            may(term.is_some() && has_lock, LeaderAction::Resign { node });
            may(true, LeaderAction::Crash { node });
            may(believes_held && duty.is_none(), LeaderAction::CheckClock { node });
            may(matches!(duty, Some(Duty::Checked(_))), LeaderAction::OpenTransaction { node });
            may(matches!(duty, Some(Duty::Open(_))), LeaderAction::Commit { node });
            may(duty.is_some(), LeaderAction::Abort { node });
        }
    }

    fn next_state(&self, last: &LeaderState, action: LeaderAction) -> Option<LeaderState> {
        let mut state = last.clone();
        match action {
            LeaderAction::TryLock { node } => state.lock = Some(node),
            LeaderAction::Elect { node } => self.elect(&mut state, node),
            LeaderAction::Renew { node } => state.renew(node),
            LeaderAction::EndSession { node } => {
                state.unlock(node);
                state.candidates[node].session_ended = true;
            }
            LeaderAction::LearnOfLoss { node } => {
                state.candidates[node].session_ended = false;
                state.end_term(node);
            }
            LeaderAction::DeadlinePasses { node } => state.candidates[node].believes_held = false,
            LeaderAction::Resign { node } => {
                let epoch = state.candidates[node].term?;
                state.row.resigned |= state.row.epoch == epoch && state.row.node == node;
                state.end_term(node);
                state.unlock(node);
            }
            LeaderAction::Crash { node } => {
                state.unlock(node);
                let duty = state.candidates[node].duty.filter(|duty| matches!(duty, Duty::Open(_)));
                state.candidates[node] = Candidate { duty, ..Candidate::default() };
            }
            LeaderAction::CheckClock { node } => {
                state.candidates[node].duty = Some(Duty::Checked(state.candidates[node].term?));
            }
            LeaderAction::OpenTransaction { node } => self.open_transaction(&mut state, node),
            LeaderAction::Commit { node } => {
                let duty = state.candidates[node].duty.take();
                state.late_write |= matches!(duty, Some(Duty::Open(epoch)) if epoch < state.epoch_max);
            }
            LeaderAction::Abort { node } => state.candidates[node].duty = None,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONE_WRITER, |_, state: &LeaderState| !state.late_write),
            Property::always(EPOCHS_GROW, |_, state: &LeaderState| !state.epoch_repeated),
            Property::sometimes("two nodes believe that they lead", |_, state: &LeaderState| {
                state.candidates.iter().all(|candidate| candidate.believes_held)
            }),
            Property::sometimes("an election meets an open transaction", |_, state: &LeaderState| {
                let candidate = state.lock.map(|node| &state.candidates[node]);
                candidate.is_some_and(|candidate| candidate.term.is_none()) && state.has_open_transaction()
            }),
            Property::sometimes("every epoch is used", |_, state: &LeaderState| state.row.epoch == EPOCH_MAX),
        ];
        properties.retain(|property| self.only.is_none_or(|only| only == property.name));
        properties
    }
}

impl Leadership {
    fn elect(&self, state: &mut LeaderState, node: usize) {
        // The statement waits for the row until its time is over, and the candidate frees the lock.
        if state.has_open_transaction() && self.flaw != Some(LeaderFlaw::EpochNotLocked) {
            return state.unlock(node);
        }
        let last = match self.flaw {
            Some(LeaderFlaw::EpochFromMemory) => state.candidates[node].epoch_seen,
            _ => state.row.epoch,
        };
        let epoch = last + 1;
        state.row = TermRow { epoch, node, resigned: false };
        state.epoch_repeated |= epoch <= state.epoch_max;
        state.epoch_max = state.epoch_max.max(epoch);
        let candidate = &mut state.candidates[node];
        (candidate.term, candidate.believes_held, candidate.epoch_seen) = (Some(epoch), true, epoch);
    }

    fn open_transaction(&self, state: &mut LeaderState, node: usize) {
        let Some(Duty::Checked(epoch)) = state.candidates[node].duty else { return };
        let lasts = self.flaw == Some(LeaderFlaw::NodeClock) || state.row.is_term(node, epoch);
        state.candidates[node].duty = lasts.then_some(Duty::Open(epoch));
    }
}

impl TermRow {
    fn is_term(&self, node: usize, epoch: u8) -> bool {
        self.epoch == epoch && self.node == node && !self.resigned
    }
}

impl LeaderState {
    fn has_open_transaction(&self) -> bool {
        self.candidates.iter().any(|candidate| matches!(candidate.duty, Some(Duty::Open(_))))
    }

    fn unlock(&mut self, node: usize) {
        self.lock = self.lock.filter(|holder| *holder != node);
    }

    fn end_term(&mut self, node: usize) {
        self.candidates[node].term = None;
        self.candidates[node].believes_held = false;
    }

    fn renew(&mut self, node: usize) {
        match self.candidates[node].term {
            Some(epoch) if self.row.is_term(node, epoch) => self.candidates[node].believes_held = true,
            _ => {
                self.end_term(node);
                self.unlock(node);
            }
        }
    }
}

#[test]
fn a_leadership_has_one_effective_writer_in_all_interleavings() {
    explore(Leadership { flaw: None, only: None });
}

#[test]
fn a_duty_that_trusts_its_clock_is_found() {
    let steps = search(Leadership { flaw: Some(LeaderFlaw::NodeClock), only: Some(ONE_WRITER) }, ONE_WRITER);
    assert_eq!(
        steps,
        [
            "TryLock { node: 0 }",
            "Elect { node: 0 }",
            "EndSession { node: 0 }",
            "CheckClock { node: 0 }",
            "TryLock { node: 1 }",
            "Elect { node: 1 }",
            "OpenTransaction { node: 0 }",
            "Commit { node: 0 }",
        ]
    );
}

#[test]
fn a_duty_that_reads_the_epoch_without_a_lock_is_found() {
    let leadership = Leadership { flaw: Some(LeaderFlaw::EpochNotLocked), only: Some(ONE_WRITER) };
    let steps = search(leadership, ONE_WRITER);
    let last =
        ["OpenTransaction { node: 0 }", "TryLock { node: 1 }", "Elect { node: 1 }", "Commit { node: 0 }"];
    assert!(steps.ends_with(&last.map(String::from)), "{steps:#?}");
}

#[test]
fn an_epoch_from_memory_is_found() {
    let leadership = Leadership { flaw: Some(LeaderFlaw::EpochFromMemory), only: Some(EPOCHS_GROW) };
    let steps = search(leadership, EPOCHS_GROW);
    let last = ["EndSession { node: 0 }", "TryLock { node: 1 }", "Elect { node: 1 }"];
    assert!(steps.ends_with(&last.map(String::from)), "{steps:#?}");
}
