//! `GET /v1/events`: what has happened to the pair. Each line of the daemon's journal is an [`Event`], too.

use serde::{Deserialize, Serialize};

use super::{NodeState, PeerHealth};

/// The newest events, the oldest of them first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// Each of them.
    pub events: Vec<Event>,
    /// There are older ones.
    pub truncated: bool,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: grows by one with each event, also over restarts.
    pub sequence: u64,
    /// When, by the wall clock: milliseconds since 1970.
    pub unix_ms: u64,
    /// The generation of the daemon's start that saw it.
    pub boot: u32,
    /// What has happened.
    #[serde(flatten)]
    pub what: Happening,
    /// Why, in one line.
    pub reason: String,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Happening {
    /// This node is something else now.
    State {
        /// What it was.
        from: NodeState,
        /// What it is.
        to: NodeState,
        /// The epoch by then.
        epoch: u32,
    },
    /// A path went up or down.
    Path {
        /// Its index in the configuration.
        path: u8,
        /// What people call it.
        name: String,
        /// It went up.
        up: bool,
    },
    /// The peer is heard again, or no more, or less well.
    Peer {
        /// How it is now.
        health: PeerHealth,
    },
    /// This node was off the CPU.
    Stalled {
        /// For how long, in milliseconds.
        for_ms: f64,
    },
    /// Something else that an operator should know.
    Notice,
    /// What a newer version may have to say.
    #[serde(other)]
    Unknown,
}

impl Event {
    /// What has happened and why, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let what = match &self.what {
            Happening::State { from, to, epoch } => format!("{from} -> {to}, epoch {epoch}"),
            Happening::Path { name, up: true, .. } => format!("path {name} is up"),
            Happening::Path { name, up: false, .. } => format!("path {name} is down"),
            Happening::Peer { health } => format!("the peer is {health}"),
            Happening::Stalled { for_ms } => format!("stalled for {for_ms:.1} ms"),
            Happening::Notice | Happening::Unknown => return self.reason.clone(),
        };
        if self.reason.is_empty() { what } else { format!("{what}: {}", self.reason) }
    }

    /// Something got worse, or an operator should look.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        match &self.what {
            Happening::State { to, .. } => *to == NodeState::Fenced,
            Happening::Path { up, .. } => !up,
            Happening::Peer { health } => matches!(health, PeerHealth::Degraded | PeerHealth::Dead),
            Happening::Stalled { .. } | Happening::Notice => true,
            Happening::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: Happening, reason: &str) -> Event {
        Event { sequence: 7, unix_ms: 1_000, boot: 3, what, reason: reason.to_owned() }
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let what = Happening::State { from: NodeState::Standby, to: NodeState::TakingOver, epoch: 9 };
        let event = event(what, "the peer is dead");
        let json = r#"{"sequence":7,"unix_ms":1000,"boot":3,"kind":"state","from":"standby","to":"taking-over","epoch":9,"reason":"the peer is dead"}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        assert_eq!(serde_json::from_str::<Event>(json).unwrap(), event);
        assert_eq!(event.sentence(), "standby -> taking-over, epoch 9: the peer is dead");
    }

    #[test]
    fn a_kind_that_is_not_known_is_no_error() {
        let json = r#"{"sequence":1,"unix_ms":2,"boot":3,"kind":"eclipse","moon":true,"reason":"it is dark"}"#;
        let event: Event = serde_json::from_str(json).unwrap();
        assert_eq!((&event.what, event.sentence().as_str()), (&Happening::Unknown, "it is dark"));
    }

    #[test]
    fn sentences_and_alarms() {
        let path = |up| Happening::Path { path: 1, name: "udp eth2".to_owned(), up };
        let cases = [
            (path(false), "6 misses in a row", "path udp eth2 is down: 6 misses in a row", true),
            (path(true), "", "path udp eth2 is up", false),
            (Happening::Peer { health: PeerHealth::Dead }, "silent", "the peer is dead: silent", true),
            (Happening::Peer { health: PeerHealth::Alive }, "", "the peer is alive", false),
            (Happening::Stalled { for_ms: 38.25 }, "", "stalled for 38.2 ms", true),
            (Happening::Notice, "other VIPs", "other VIPs", true),
        ];
        for (what, reason, sentence, alarm) in cases {
            let event = event(what, reason);
            assert_eq!((event.sentence().as_str(), event.is_alarm()), (sentence, alarm));
        }
    }
}
