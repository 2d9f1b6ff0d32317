//! What a client has been told, and the one frame that brings it up to date.

use std::collections::{BTreeMap, BTreeSet};

use super::outlet::{News, Opened, is_final};
use super::render;
use super::wire::TextFrame;
use crate::kernel::fault::{Code, Fault};
use crate::reactor::{QueryResult, SubscriptionId, Version};

/// Bytes of a mod around its result.
const MOD_BYTES: usize = 64;

/// One client's knowledge. Only its socket changes it.
#[derive(Default)]
pub(super) struct View {
    /// `to` of the last transition.
    at: u64,
    told: BTreeMap<SubscriptionId, Told>,
    held: bool,
    /// Subscriptions that were made anew and have no result yet. Until they do nothing is told: of two that
    /// belong together the client would see one before and one after a change.
    renewing: BTreeSet<SubscriptionId>,
    backlog: News,
}

struct Told {
    wire: u32,
    version: Option<Version>,
}

impl View {
    pub(super) fn update(
        &mut self,
        opened: Vec<Opened>,
        closed: &[SubscriptionId],
        held: Option<bool>,
        news: News,
    ) {
        for id in closed {
            self.forget(*id);
        }
        for Opened { id, wire, version, replaces } in opened {
            let version =
                replaces.map_or(version, |former| self.forget(former).and_then(|told| told.version));
            if replaces.is_some() {
                self.renewing.insert(id);
            }
            self.told.insert(id, Told { wire, version });
        }
        self.held = held.unwrap_or(self.held);
        self.backlog.merge(news);
        // What is under way of a subscription that ended meanwhile belongs to nothing.
        self.backlog.results.retain(|id, _| self.told.contains_key(id));
        self.renewing.retain(|id| !self.backlog.results.contains_key(id));
    }

    fn forget(&mut self, id: SubscriptionId) -> Option<Told> {
        self.renewing.remove(&id);
        self.backlog.results.remove(&id);
        self.told.remove(&id)
    }

    /// The frame from what was told to what is known, if there is something to tell.
    pub(super) fn transition(&mut self, bytes_max: usize) -> Option<TextFrame> {
        if self.held || !self.renewing.is_empty() || self.backlog.is_empty() {
            return None;
        }
        let News { tick, results, applied } = std::mem::take(&mut self.backlog);
        let from = self.at;
        self.at = self.at.max(tick.map_or(0, |tick| tick.0));
        let length: usize = results
            .values()
            .map(|result| MOD_BYTES + result.outcome.as_ref().map_or(MOD_BYTES, |data| data.len()))
            .sum();
        let frame = TextFrame::new(length.min(bytes_max) + MOD_BYTES, |payload| {
            render::put(
                payload,
                format_args!(r#"{{"type":"transition","from":{from},"to":{},"mods":["#, self.at),
            );
            for (position, (id, result)) in results.iter().enumerate() {
                if position > 0 {
                    payload.push(b',');
                }
                self.tell(payload, *id, result, bytes_max);
            }
            payload.extend_from_slice(br#"],"applied":["#);
            for (position, mutation) in applied.iter().enumerate() {
                let separator = if position > 0 { "," } else { "" };
                render::put(payload, format_args!("{separator}{}", mutation.0));
            }
            payload.extend_from_slice(b"]}");
        });
        Some(frame)
    }

    fn tell(&mut self, payload: &mut Vec<u8>, id: SubscriptionId, result: &QueryResult, bytes_max: usize) {
        let Some(told) = self.told.get_mut(&id) else { return };
        let trace_id = || result.trace.trace_id_hex();
        match &result.outcome {
            Ok(_) if told.version == Some(result.version) => {
                render::unchanged(payload, told.wire, result.version)
            }
            Ok(data) if payload.len() + data.len() + MOD_BYTES <= bytes_max => {
                told.version = Some(result.version);
                render::snapshot(payload, told.wire, data, result.version);
            }
            Ok(_) => {
                told.version = None;
                let message =
                    format!("the result does not fit: a frame to a client has at most {bytes_max} bytes");
                render::failed(payload, told.wire, &Fault::new(Code::PayloadTooLarge, message), &trace_id());
            }
            Err(fault) => {
                told.version = None;
                render::failed(payload, told.wire, fault, &trace_id());
                if is_final(result) {
                    self.told.remove(&id);
                }
            }
        }
    }
}
