//! What clients are told at the end of a tick: everything that is new to them at once, or nothing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::kernel::fault::Code;

use super::messages::Modification;
use super::question::{ClientId, Place};
use super::signals;
use super::table::{Table, Told};

/// The deliveries of one tick.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What is new, by client.
    pub(super) mods: BTreeMap<ClientId, Vec<Modification>>,
    /// Subscriptions that their results have ended.
    pub(super) ended: Vec<Place>,
}

impl Table {
    /// Clients that stand at an earlier snapshot with a part of what they have: a subscription of theirs
    /// moved while the tick ran.
    pub(super) fn torn(&self) -> HashSet<ClientId> {
        let mut torn = HashSet::new();
        for place in self.pending().flat_map(|id| &self.groups[&id].places) {
            if !self.unanswered.contains(place) {
                torn.insert(place.client);
            }
        }
        torn
    }

    /// Takes the news for everybody who is not `torn`; those are remembered and get theirs later, all at once
    /// as well.
    pub(super) fn news(&mut self, torn: &HashSet<ClientId>) -> News {
        let mut places: Vec<Place> = Vec::new();
        for id in std::mem::take(&mut self.touched) {
            places.extend(self.groups.get(&id).into_iter().flat_map(|group| &group.places));
        }
        for client in std::mem::take(&mut self.behind) {
            places.extend(self.ids_of(client).into_iter().map(|id| Place { client, id }));
        }
        places.extend(&self.unanswered);
        places.sort_unstable();
        places.dedup();
        let mut news = News::default();
        for place in places {
            if torn.contains(&place.client) {
                self.behind.insert(place.client);
            } else {
                self.tell(place, &mut news);
            }
        }
        for place in &news.ended {
            self.unsubscribe(*place);
        }
        news
    }

    fn tell(&mut self, place: Place, news: &mut News) {
        let Some(subscription) =
            self.clients.get_mut(&place.client).and_then(|member| member.subscriptions.get_mut(&place.id))
        else {
            return;
        };
        let Some(group) = self.groups.get(&subscription.group) else { return };
        // A group that joined during the tick has its first run in the next one.
        let current = !self.dirty.contains(&subscription.group) || group.resting;
        let Some(result) = group.result.as_ref().filter(|_| current) else { return };
        match subscription.told {
            Told::Version(version) if version == result.version => return,
            Told::Version(_) | Told::Nothing { kept: None } => {}
            Told::Nothing { kept: Some(kept) } => signals::resumed(kept == result.version),
        }
        subscription.told = Told::Version(result.version);
        self.unanswered.remove(&place);
        if matches!(&result.outcome, Err(fault) if ends(fault.code())) {
            news.ended.push(place);
        }
        news.mods
            .entry(place.client)
            .or_default()
            .push(Modification { subscription: place.id, result: Arc::clone(result) });
    }
}

/// Errors that another run would only repeat.
pub(super) fn ends(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::Unauthenticated | Code::PermissionDenied | Code::Validation)
}
