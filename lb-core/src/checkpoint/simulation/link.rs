//! The way between the owner and its follower: slow at times, cut at times, and never out of order.

use std::{collections::VecDeque, sync::Arc};

use lb_common::FlowKey;

use super::{Owed, World};
use crate::checkpoint::{Batch, Entry, Sequence, ledger::Visit};

/// Messages that are on their way at most: more waits at the owner.
const WINDOW: usize = 6;
/// Flows in a part of everything.
const PART: usize = 5;

#[derive(Default)]
pub(super) struct Link {
    is_up: bool,
    is_slow: bool,
    down: VecDeque<(u64, Message)>,
    acks: VecDeque<(u64, Sequence)>,
    visit: Option<Visit>,
    sent: Sequence,
    full: Option<Full>,
    /// The follower wants everything anew.
    wants_full: bool,
}

/// Everything, on its way to the follower.
struct Full {
    sequence: Sequence,
    generation: u64,
    version: u64,
    names: Option<Vec<Entry>>,
    /// Flows are read when their turn comes.
    keys: Vec<FlowKey>,
    rings: Option<Vec<Entry>>,
}

enum Message {
    Begin,
    Part(Vec<Entry>),
    End { sequence: Sequence, generation: u64, version: u64 },
    Batch(Arc<Batch>),
}

impl Link {
    /// The follower cannot use what is on its way, and wants everything anew.
    pub(super) fn drop_all(&mut self) {
        self.down.clear();
        self.full = None;
        self.wants_full = true;
    }

    /// What is on its way is lost.
    fn cut(&mut self) {
        *self = Self { wants_full: self.wants_full, is_slow: self.is_slow, ..Self::default() };
    }
}

impl World {
    /// Brings the link into being again, or cuts it, or makes it slow.
    pub(super) fn trouble_link(&mut self) {
        if self.link.is_up && self.random.one_in(3) {
            self.count("cuts");
            self.cut_link();
        } else {
            self.link.is_slow ^= true;
        }
    }

    pub(super) fn cut_link(&mut self) {
        let visit = self.link.visit;
        if let Some(visit) = visit {
            self.owner_mut().ledger.follower_gone(visit, "it was cut off");
        }
        self.follower_mut().ledger.owner_gone("it was cut off");
        self.link.cut();
    }

    /// What is due arrives, and what there is to send is sent.
    pub(super) fn move_link(&mut self) {
        self.deliver();
        self.deliver_acks();
        if !self.link.is_up {
            if self.random.one_in(20) {
                self.connect();
            }
        } else if self.link.wants_full {
            self.begin_full();
        } else {
            self.send();
        }
    }

    fn connect(&mut self) {
        let held = self.follower().ledger.held();
        let origin = self.owner().ledger.held().map(|(origin, _)| origin);
        let resumes = held.filter(|(held, at)| Some(*held) == origin && self.owner().ledger.after(*at).is_ok());
        let Some((origin, at)) = resumes.filter(|_| self.follower().whole && !self.link.wants_full) else {
            return self.begin_full();
        };
        self.count("connections resumed");
        self.follower_mut().ledger.owner_resumes(origin, at).unwrap();
        let visit = self.owner_mut().ledger.follower_resumes(at);
        self.link = Link { is_up: true, visit: Some(visit), sent: at, is_slow: self.link.is_slow, ..Link::default() };
    }

    /// The engine tells everything between two changes.
    fn begin_full(&mut self) {
        if self.is_changing {
            return;
        }
        self.count(if self.follower().whole { "resyncs" } else { "first fulls" });
        let now_ms = self.now_ms(self.owner);
        let version = self.version;
        let owner = self.owner_mut();
        let visit = owner.ledger.follower_refills();
        let (rings, names) = owner.everything(now_ms).into_iter().partition(is_about_slots);
        let full = Full {
            sequence: owner.ledger.last(),
            generation: owner.table.generation(),
            version,
            names: Some(names),
            keys: owner.keys(),
            rings: Some(rings),
        };
        let is_slow = self.link.is_slow;
        self.link =
            Link { is_up: true, is_slow, visit: Some(visit), sent: full.sequence, full: Some(full), ..Link::default() };
        self.push(Message::Begin);
    }

    fn send(&mut self) {
        while self.link.down.len() < WINDOW {
            if self.link.full.is_some() {
                self.send_part();
            } else {
                match self.owner().ledger.after(self.link.sent) {
                    Ok(batches) if batches.is_empty() => return,
                    Ok(batches) => self.send_batch(batches[0].clone()),
                    Err(_) => return self.begin_full(),
                }
            }
        }
    }

    fn send_batch(&mut self, batch: Arc<Batch>) {
        self.link.sent = batch.sequence;
        self.push(Message::Batch(batch));
    }

    /// First the names, then the flows, and at last the slots: see [`crate::table::SchedulingTable::checkpoint_since`].
    fn send_part(&mut self) {
        let rings_first = self.rules.rings_before_flows;
        let Some(full) = &mut self.link.full else { return };
        let rings_due = rings_first || full.keys.is_empty();
        let message = if let Some(names) = full.names.take() {
            Message::Part(names)
        } else if let Some(rings) = full.rings.take_if(|_| rings_due) {
            Message::Part(rings)
        } else if full.keys.is_empty() {
            let Full { sequence, generation, version, .. } = *full;
            self.link.full = None;
            Message::End { sequence, generation, version }
        } else {
            let keys: Vec<FlowKey> = full.keys.drain(..full.keys.len().min(PART)).collect();
            Message::Part(keys.iter().filter_map(|key| self.owner().flow(key)).collect())
        };
        self.push(message);
    }

    fn push(&mut self, message: Message) {
        let due = self.arrival(self.link.down.back().map(|(due, _)| *due));
        self.link.down.push_back((due, message));
    }

    /// When something arrives that is sent now, after what was sent before it.
    fn arrival(&mut self, before: Option<u64>) -> u64 {
        let latency = if self.link.is_slow { 2_000 + self.random.below(30_000) } else { 50 + self.random.below(1_500) };
        before.unwrap_or(0).max(self.now_us + latency)
    }

    fn deliver(&mut self) {
        let now_us = self.now_us;
        while let Some((_, message)) = self.link.down.pop_front_if(|(due, _)| *due <= now_us) {
            if let Some(applied) = self.receive(message) {
                let due = self.arrival(self.link.acks.back().map(|(due, _)| *due));
                self.link.acks.push_back((due, applied));
            }
        }
    }

    /// What the follower makes of it, and what it acks.
    fn receive(&mut self, message: Message) -> Option<Sequence> {
        let now_us = self.now_us;
        let now_ms = self.now_ms(1 - self.owner);
        let origin = self.owner().ledger.held()?.0;
        let versions = &self.versions;
        let version_of = |sequence: Sequence| versions.get(&sequence).copied();
        let follower = &mut self.nodes[1 - self.owner];
        match message {
            Message::Begin => {
                follower.ledger.owner_refills().unwrap();
                follower.begin();
                None
            }
            Message::Part(entries) => {
                let flows = entries.iter().filter(|entry| matches!(entry, Entry::Remembered(_))).count();
                follower.take(&entries, 0, now_ms);
                self.count_many("flows told", flows);
                None
            }
            Message::End { sequence, generation, version } => {
                follower.ledger.refilled(origin, sequence, generation).unwrap();
                follower.table.raise_generation(generation);
                follower.end();
                follower.version = version;
                Some(sequence)
            }
            Message::Batch(batch) => {
                follower.take(&batch.entries, batch.generation, now_ms);
                follower.version = version_of(batch.sequence).unwrap_or(follower.version);
                let sequence = batch.sequence;
                follower.ledger.received((*batch).clone(), now_us).unwrap();
                Some(sequence)
            }
        }
    }

    fn deliver_acks(&mut self) {
        let now_us = self.now_us;
        while let Some((_, applied)) = self.link.acks.pop_front_if(|(due, _)| *due <= now_us) {
            if let Some(visit) = self.link.visit {
                self.owner_mut().ledger.acked(visit, Some(applied), None, now_us);
            }
        }
    }

    /// What the follower has not been told yet.
    pub(super) fn owed(&self) -> Owed {
        let (owner, follower) = (self.owner(), self.follower());
        let is_full_under_way =
            self.link.full.is_some() || self.link.down.iter().any(|(_, m)| !matches!(m, Message::Batch(_)));
        if !follower.whole || self.link.wants_full || is_full_under_way {
            return Owed::Everything;
        }
        let news = !owner.maps.events.waiting.is_empty() || owner.maps.events.lost || !owner.swept.is_empty();
        if news || owner.ledger.held() != follower.ledger.held() { Owed::News } else { Owed::Nothing }
    }
}

fn is_about_slots(entry: &Entry) -> bool {
    matches!(entry, Entry::Ring(_) | Entry::Slots { .. })
}
