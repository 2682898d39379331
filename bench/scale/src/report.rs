//! The figures.

use std::fmt;

use serde::Serialize;

use crate::config::Size;

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// One for each configuration.
    pub parts: Vec<Part>,
}

/// All steps with one configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Services in the beginning.
    pub services: usize,
    /// Reals in the beginning.
    pub reals: usize,
    /// What `lbd check` says that the maps take.
    pub foretold: String,
    /// In the order in which they were made.
    pub steps: Vec<Step>,
}

/// A step, and what was there after it.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// How long the caller waited, in milliseconds.
    pub took_ms: f64,
    /// CPU time that the daemon used meanwhile, in milliseconds: what others do on the host counts less here.
    pub cpu_ms: f64,
    /// What was there then.
    pub memory: Memory,
    /// What the daemon says of its own part; empty where it says nothing.
    pub own: String,
}

/// Memory.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    /// Ring maps in the kernel.
    pub rings: usize,
    /// What they take there, in bytes.
    pub ring_bytes: u64,
    /// What the other maps take there, as the kernel has it, in bytes.
    pub map_bytes: u64,
    /// Of the daemon's own (RssAnon), in bytes.
    pub anonymous: u64,
    /// The most that was resident, mapped rings too (VmHWM), in bytes.
    pub peak: u64,
}

impl Part {
    /// Without steps yet.
    pub fn new(name: &'static str, size: Size) -> Part {
        let (services, reals) = (size.all_services(), size.all_reals());
        Part { name, services, reals, foretold: String::new(), steps: Vec::new() }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} services, {} reals; {}", self.name, self.services, self.reals, self.foretold)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { rings, ring_bytes, map_bytes, anonymous, peak } = self.memory;
        let mib = |bytes: u64| bytes >> 20;
        write!(f, "{:<54} {:>8.0} ms, {:>7.0} of CPU", self.what, self.took_ms, self.cpu_ms)?;
        write!(f, "  {rings:>5} rings, {:>5} MiB, maps {:>5} MiB", mib(ring_bytes), mib(map_bytes))?;
        write!(f, "  lbd {:>5} MiB (peak {:>5})  {}", mib(anonymous), mib(peak), self.own)
    }
}
