//! Measures what this real server has to do.
//!
//! Everything is the difference of two looks at counters of the kernel, or the last answer of a program that is asked in the
//! background ([`crate::source`]), so that a measurement never waits. What cannot be measured is left out, and said so once.

mod cgroup;
mod counter;
mod cpu;
mod custom;
mod error;
mod hits;
mod host_cpu;
mod mounts;
mod network;
mod pressure;
mod shown;
pub(crate) mod text;
mod troubles;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lb_core::report::{Load, Share};

pub use cpu::CpuOf;
pub use error::SourceError;
pub use hits::HitsOf;
pub use network::NetworkOf;
pub(crate) use network::default_interfaces;
pub use shown::Shown;

use crate::source::Origin;
use troubles::Troubles;

/// What is measured, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whose CPU time counts.
    pub cpu: CpuOf,
    /// Memory pressure is measured.
    pub memory: bool,
    /// Which interfaces.
    pub network: NetworkOf,
    /// Where hits are counted.
    pub hits: HitsOf,
    /// A measure of the operator's own.
    pub custom: Option<Origin>,
    /// How programs are asked.
    pub pace: Pace,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cpu: CpuOf::default(),
            memory: true,
            network: NetworkOf::default(),
            hits: HitsOf::default(),
            custom: None,
            pace: Pace::default(),
        }
    }
}

/// How often sources outside of the kernel are asked, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one question to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), timeout: Duration::from_secs(2) }
    }
}

/// Where the kernel shows itself.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) proc: PathBuf,
    pub(crate) sys: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { proc: PathBuf::from("/proc"), sys: PathBuf::from("/sys") }
    }
}

/// What was measured, and what was not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurement {
    /// What a report says.
    pub load: Load,
    /// The interface that [`Load::network`] is of.
    pub interface: Option<String>,
    /// What failed: its name, and why.
    pub failures: Vec<(&'static str, SourceError)>,
}

/// Measures again and again.
#[derive(Debug)]
pub struct Measurer {
    cpu: cpu::CpuMeter,
    memory: Option<pressure::MemoryMeter>,
    network: network::NetworkMeter,
    hits: hits::HitsMeter,
    custom: custom::CustomMeter,
    troubles: Troubles,
}

impl Measurer {
    /// Looks at the counters for the first time. Must be called inside of a runtime, which then asks the programs.
    #[must_use]
    pub fn start(options: Options, now: Instant) -> Self {
        let places = Places::default();
        let mut measurer = Self {
            memory: options.memory.then(|| pressure::MemoryMeter::new(&places)),
            hits: hits::HitsMeter::new(options.hits, &places, options.pace),
            custom: custom::CustomMeter::new(options.custom, options.pace),
            network: network::NetworkMeter::new(options.network, places.clone()),
            cpu: cpu::CpuMeter::new(options.cpu, places),
            troubles: Troubles::default(),
        };
        measurer.measure(now);
        measurer
    }

    /// The load since the last call. What fails is logged when it begins and when it ends.
    pub fn measure(&mut self, now: Instant) -> Measurement {
        let mut failures = Vec::new();
        let cpu = keep("cpu", self.cpu.measure(now), &mut failures);
        let memory = keep("memory", self.memory.as_mut().map_or(Ok(None), |meter| meter.measure(now)), &mut failures);
        let traffic = keep("network", self.network.measure(now), &mut failures);
        let hits = keep("hits", self.hits.measure(now), &mut failures);
        let custom = keep("custom", self.custom.measure(now), &mut failures);
        self.troubles.note(&failures);
        let load = Load {
            cpu: cpu.map(Share::of),
            memory: memory.map(Share::of),
            network: traffic.as_ref().map(|traffic| traffic.network),
            hits: hits.map(|hits| (hits * 1_000.0).round() as u64),
            custom: custom.map(Share::of),
        };
        Measurement { load, interface: traffic.map(|traffic| traffic.interface), failures }
    }
}

fn keep<T>(
    what: &'static str,
    result: Result<Option<T>, SourceError>,
    failures: &mut Vec<(&'static str, SourceError)>,
) -> Option<T> {
    result.unwrap_or_else(|error| {
        failures.push((what, error));
        None
    })
}
