//! What has happened to the pair since some instant, by the journals of both nodes.

use anyhow::{Context, Result, ensure};
use lb_core::api::{Event, Events, Happening, MAX_EVENT_LIMIT};

use super::PairStage;

/// How the pair was at an instant.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The sequence number of the newest event of each node; 0 where it has none.
    newest: [u64; 2],
    /// Each node's state and epoch.
    states: [(String, u64); 2],
}

impl Mark {
    /// The epoch that a node knew.
    pub fn epoch(&self, node: usize) -> u64 {
        self.states[node].1
    }
}

impl PairStage {
    /// How the pair is now.
    pub fn mark(&self) -> Result<Mark> {
        let newest = |node| -> Result<u64> {
            let events = self.events(node)?;
            Ok(events.last().map_or(0, |event| event.sequence))
        };
        let standing = |node: usize| -> Result<(String, u64)> { Ok((self.nodes[node].state()?, self.epoch(node)?)) };
        Ok(Mark { newest: [newest(0)?, newest(1)?], states: [standing(0)?, standing(1)?] })
    }

    /// Fails where a node has become something else since then, or has another epoch.
    pub fn nothing_moved(&self, since: &Mark) -> Result<()> {
        for node in 0..self.nodes.len() {
            let (state, epoch) = &since.states[node];
            self.never_left(node, since, state)?;
            let now = self.epoch(node)?;
            ensure!(*epoch == now, "lb-{} had epoch {epoch}, and has {now}; {}", node + 1, self.nodes[node].story());
        }
        Ok(())
    }

    /// Fails where a node is not in this state, or has not been in it all the time since then.
    pub fn never_left(&self, node: usize, since: &Mark, state: &str) -> Result<()> {
        let (it, events) = (&self.nodes[node], self.events_since(node, since)?);
        let change = events.iter().find(|event| matches!(event.what, Happening::State { .. }));
        ensure!(change.is_none(), "{} has not stayed {state}: {change:?}; {}", it.name(), it.story());
        let now = it.state()?;
        ensure!(now == state, "{} is {now}, not {state}; {}", it.name(), it.story());
        Ok(())
    }

    /// What a node has told since then.
    pub fn events_since(&self, node: usize, since: &Mark) -> Result<Vec<Event>> {
        let mut events = self.events(node)?;
        events.retain(|event| event.sequence > since.newest[node]);
        Ok(events)
    }

    /// Whether a node has told since then that a path went up, or down.
    pub(super) fn path_went(&self, path: &str, upward: bool, node: usize, since: &Mark) -> Result<bool> {
        let events = self.events_since(node, since)?;
        Ok(events
            .iter()
            .any(|event| matches!(&event.what, Happening::Path { name, up, .. } if name == path && *up == upward)))
    }

    fn events(&self, node: usize) -> Result<Vec<Event>> {
        let answer = self.nodes[node].lbd.lbctl_json(&["events", "--limit", &MAX_EVENT_LIMIT.to_string()])?;
        let events: Events = serde_json::from_value(answer).context("`lbctl events` has another form")?;
        Ok(events.events)
    }
}
