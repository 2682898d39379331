//! What a real server reports of itself.

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

/// What a real says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
