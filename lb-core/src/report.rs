//! What a real server reports of itself: [`encode`] makes a datagram of a [`Report`], and the [`Inbox`] takes in those of
//! reals that it knows, each once and the newest only.

mod inbox;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use inbox::{Inbox, Mark, Refusal, WINDOW};
pub use wire::{EncodeError, MAX_INTERVAL_MS, MAX_REPORT_SIZE, VERSION, decode, encode};

/// One report. docs/reference/reports.md has the wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The real's name, as the load balancers' configuration has it.
    pub real: String,
    /// Grows with each start of the agent: microseconds since 1970 when it started, or one more than its last.
    pub generation: u64,
    /// Grows with each report of one generation, from 1.
    pub sequence: u64,
    /// How often the agent reports, in milliseconds.
    pub interval_ms: u32,
    /// What the real says of itself.
    pub availability: Availability,
    /// How much it has to do.
    pub load: Load,
}

impl Report {
    /// Where it stands among the reports of its real.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { generation: self.generation, sequence: self.sequence }
    }
}

/// What a real says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// It serves.
    #[default]
    Alive,
    /// It wants no new flows and keeps those that it has.
    Drain,
    /// It is about to stop: no new flows.
    Stop,
}

/// What a real has measured over its last interval. What it cannot measure is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// CPU time used, of what it may use.
    pub cpu: Option<Share>,
    /// Time for which some task waited for memory (PSI `some`).
    pub memory: Option<Share>,
    /// Network traffic.
    pub network: Option<Network>,
    /// Hits (requests or connections), in thousandths per second.
    pub hits: Option<u64>,
    /// A measure of the operator's own.
    pub custom: Option<Share>,
}

/// A part of what there is, in ten-thousandths. May be more than the whole, as of a queue that is longer than it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(pub u16);

/// Network traffic of a real, in bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
    /// What the link carries in each direction; 0 where that is not known.
    pub limit: u64,
}

/// What a real may run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// The link, towards the real.
    NetworkReceived,
    /// The link, from the real.
    NetworkSent,
    /// What the operator measures.
    Custom,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::NetworkReceived => "network in",
            Self::NetworkSent => "network out",
            Self::Custom => "custom",
        })
    }
}

impl Load {
    /// How much of its busiest resource the real uses (1.0: all of it), and which one that is. `None` where nothing was
    /// measured that has a limit. Of resources that are equally busy the first of [`Resource`]'s order is named.
    #[must_use]
    pub fn utilisation(&self) -> Option<(f64, Resource)> {
        let network = self.network.as_ref();
        let used = [
            (self.cpu.map(Share::fraction), Resource::Cpu),
            (self.memory.map(Share::fraction), Resource::Memory),
            (network.and_then(Network::received_share), Resource::NetworkReceived),
            (network.and_then(Network::sent_share), Resource::NetworkSent),
            (self.custom.map(Share::fraction), Resource::Custom),
        ];
        let known = used.into_iter().filter_map(|(share, resource)| Some((share?, resource)));
        known.reduce(|busiest, next| if next.0 > busiest.0 { next } else { busiest })
    }

    /// Hits per second.
    #[must_use]
    pub fn hits_per_second(&self) -> Option<f64> {
        self.hits.map(|thousandths| thousandths as f64 / 1_000.0)
    }
}

impl Network {
    /// How much of the link is used towards the real (1.0: all of it); `None` where its limit is not known.
    #[must_use]
    pub fn received_share(&self) -> Option<f64> {
        (self.limit > 0).then(|| self.received as f64 / self.limit as f64)
    }

    /// How much of the link is used from the real (1.0: all of it); `None` where its limit is not known.
    #[must_use]
    pub fn sent_share(&self) -> Option<f64> {
        (self.limit > 0).then(|| self.sent as f64 / self.limit as f64)
    }
}

impl Share {
    /// The whole.
    pub const WHOLE: Self = Self(10_000);

    /// The nearest share; below 0 and what is no number is 0, and above 6.5535 is that.
    #[must_use]
    pub fn of(fraction: f64) -> Self {
        Self((fraction * 10_000.0).round().clamp(0.0, f64::from(u16::MAX)) as u16)
    }

    /// As a fraction: 1.0 is the whole.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}
