//! What both nodes have noted while they soaked: takeovers, stalls, and alarms.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use lb_core::api::{Event, Happening, NodeState};

use crate::stage::Stage;

/// The events of both nodes from now on.
pub struct Diary {
    began_ms: u64,
    /// Each node's newest event that has been taken.
    newest: [u64; 2],
    events: [Vec<Event>; 2],
}

/// One takeover.
#[derive(Clone, Debug, PartialEq)]
pub struct Takeover {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The node that took over, counted from 0.
    pub by: usize,
    /// Its epoch.
    pub epoch: u32,
    /// What it said.
    pub why: String,
}

/// A node was off the CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// The node.
    pub node: usize,
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
    /// For how long.
    pub for_ms: f64,
}

impl Diary {
    /// Begins with what has not happened yet.
    pub fn open(stage: &Stage) -> Result<Diary> {
        let newest = |node| -> Result<u64> { Ok(stage.events(node)?.last().map_or(0, |event| event.sequence)) };
        Ok(Diary { began_ms: unix_ms(), newest: [newest(0)?, newest(1)?], events: [Vec::new(), Vec::new()] })
    }

    /// Takes what has happened since.
    pub fn catch_up(&mut self, stage: &Stage) -> Result<()> {
        for node in 0..2 {
            for event in stage.events(node)? {
                if event.sequence > self.newest[node] {
                    self.newest[node] = event.sequence;
                    self.events[node].push(event);
                }
            }
        }
        Ok(())
    }

    /// Seconds since it was opened.
    pub fn seconds(&self, at_ms: u64) -> f64 {
        at_ms.saturating_sub(self.began_ms) as f64 / 1e3
    }

    /// All takeovers, in order.
    pub fn takeovers(&self) -> Vec<Takeover> {
        let mut found: Vec<Takeover> = self.all(|by, event| match event.what {
            Happening::State { to: NodeState::TakingOver, epoch, .. } => {
                Some(Takeover { at_ms: event.unix_ms, by, epoch, why: event.reason.clone() })
            }
            _ => None,
        });
        found.sort_by_key(|takeover| takeover.at_ms);
        found
    }

    /// All stalls that were noted, in order.
    pub fn stalls(&self) -> Vec<Stall> {
        let mut found: Vec<Stall> = self.all(|node, event| match event.what {
            Happening::Stalled { for_ms } => Some(Stall { node, until_ms: event.unix_ms, for_ms }),
            _ => None,
        });
        found.sort_by_key(|stall| stall.until_ms);
        found
    }

    /// How often a path went down.
    pub fn path_alarms(&self) -> usize {
        self.all(|_, event| matches!(event.what, Happening::Path { up: false, .. }).then_some(())).len()
    }

    /// What a node noted around a time, in sentences.
    pub fn around(&self, at_ms: u64, within_ms: u64) -> Vec<String> {
        let near = |event: &&Event| event.unix_ms.abs_diff(at_ms) <= within_ms;
        let line = |node: usize, event: &Event| {
            let after = event.unix_ms.cast_signed() - at_ms.cast_signed();
            (event.unix_ms, format!("{after:+5} ms lb-{}: {}", node + 1, event.sentence()))
        };
        let mut lines: Vec<(u64, String)> = self.all(|node, event| near(&event).then(|| line(node, event)));
        lines.sort_by_key(|(at, _)| *at);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    fn all<T>(&self, pick: impl Fn(usize, &Event) -> Option<T>) -> Vec<T> {
        let of_node = |node: usize| self.events[node].iter().map(move |event| (node, event));
        of_node(0).chain(of_node(1)).filter_map(|(node, event)| pick(node, event)).collect()
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
