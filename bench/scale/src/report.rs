//! The figures.

use std::fmt;

use serde::Serialize;

use crate::config::{Pools, REALS, SERVICES};

/// All steps of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Services in the beginning.
    pub services: usize,
    /// Reals in the beginning.
    pub reals: usize,
    /// In the order in which they were made.
    pub steps: Vec<Step>,
}

/// A step, and what was there after it.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub what: &'static str,
    /// How long the caller waited, in milliseconds.
    pub took_ms: f64,
    /// What was there then.
    pub memory: Memory,
    /// What the daemon says of its own part; empty where it says nothing.
    pub own: String,
}

/// Memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// Ring maps in the kernel.
    pub rings: usize,
    /// What they take there, in bytes.
    pub ring_bytes: u64,
    /// Of the daemon's own (RssAnon), in bytes.
    pub anonymous: u64,
    /// The most that was resident, mapped rings too (VmHWM), in bytes.
    pub peak: u64,
}

impl Report {
    /// Without steps yet.
    pub fn of(pools: &Pools) -> Report {
        Report { services: pools.count() * SERVICES, reals: pools.count() * REALS, steps: Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} services, {} reals", self.services, self.reals)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { rings, ring_bytes, anonymous, peak } = self.memory;
        let mib = |bytes: u64| bytes >> 20;
        write!(f, "{:<54} {:>9.0} ms", self.what, self.took_ms)?;
        write!(f, "  {rings:>5} rings, {:>5} MiB", mib(ring_bytes))?;
        write!(f, "  lbd {:>5} MiB (peak {:>5})  {}", mib(anonymous), mib(peak), self.own)
    }
}
