//! What happens in one scenario: two configurations, a network, and faults with their instants. All of it follows from the seed.

use fastrand::Rng;

use super::clock::{HostClock, Instant};
use super::incidents;
use super::network::{Line, Loss};
use crate::pair::{FULLY_FIT, Fitness, Memory, Micros, Options, PathId, PathKind, PathOptions, Role};

pub(super) const ROLES: [Role; 2] = [Role::Primary, Role::Standby];
/// Bytes of an ask on a serial line: the frame, and what frames it there.
pub(super) const SERIAL_BYTES: usize = 50;

/// One thing that goes wrong, that is put right again, or that an operator asks for.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// What this node sends by this path is lost.
    Cut {
        path: PathId,
        from: Role,
    },
    Heal {
        path: PathId,
        from: Role,
    },
    Loss {
        path: PathId,
        from: Role,
        loss: Loss,
    },
    /// Frames take longer by up to this, and overtake each other.
    Jitter {
        path: PathId,
        from: Role,
        jitter_us: u64,
    },
    /// Share of the frames that come twice.
    Doubles {
        path: PathId,
        from: Role,
        share: f64,
    },
    /// Lines as they were at the beginning, but for cuts.
    Clean {
        path: PathId,
    },
    Pause(Role),
    /// Stop the daemon after so many more of its actions.
    PauseAmid(Role, u32),
    Resume(Role),
    Kill(Role),
    Start(Role),
    PowerOff(Role),
    PowerOn(Role),
    /// The wall clock jumps, and with it the next boot generation.
    WallClock {
        role: Role,
        boots: u32,
    },
    Device {
        role: Role,
        path: PathId,
        usable: bool,
    },
    Fitness {
        role: Role,
        fitness: Fitness,
    },
    Forbid {
        role: Role,
        forbid: bool,
    },
    Hold {
        role: Role,
        hold: bool,
    },
    Handover {
        role: Role,
        force: bool,
    },
    Stop(Role),
    Restart {
        role: Role,
        grace_us: Micros,
    },
    /// From now on a write takes this long.
    Disk {
        role: Role,
        write_us: u64,
    },
    /// From now on it takes this long to become the owner.
    Acquire {
        role: Role,
        takes_us: u64,
    },
    /// The nodes' slots are the same, or are not.
    Slots {
        role: Role,
        digest: u64,
    },
    /// A third host sends again what it has heard on this path, from this node.
    Replay {
        path: PathId,
        from: Role,
        frames: u32,
    },
    /// A third host sends this node bytes of its own.
    Forge {
        path: PathId,
        to: Role,
        frames: u32,
    },
    /// This node reads its key file again: the first key signs, all verify.
    Keys {
        role: Role,
        ids: &'static [u16],
    },
    /// What this node sends is of a newer version of the format, or is not.
    Skew {
        role: Role,
        newer: bool,
    },
}

pub(super) struct Schedule {
    pub(super) seed: u64,
    pub(super) options: [Options; 2],
    pub(super) memories: [Memory; 2],
    pub(super) clocks: [HostClock; 2],
    pub(super) lines: Vec<[Line; 2]>,
    /// Unit of the data plane's clock; 0 where it is as fine as the node's.
    pub(super) jiffy_us: Micros,
    /// Longest that a timer is late.
    pub(super) late_us: u64,
    /// Frames go through the wire's codec, with keys.
    pub(super) encoded: bool,
    /// A third host listens.
    pub(super) is_overheard: bool,
    /// When something is to be done, in order.
    pub(super) faults: Vec<(Instant, Fault)>,
}

impl Schedule {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let paths = paths(&mut rng);
        let options = options(&mut rng, paths);
        let lines = options[0].paths.iter().map(|path| lines(path, &mut rng)).collect();
        let clock = |rng: &mut Rng| HostClock { on_since: 0, offset: rng.u64(0..1 << 40), drift: rng.i64(-100..=100) };
        let clocks = [clock(&mut rng), clock(&mut rng)];
        let encoded = rng.u32(0..16) == 0;
        let faults = incidents::draw(&options, encoded, &mut rng);
        let fastest = fastest(&options[0]);
        Self {
            seed,
            memories: memories(&mut rng),
            clocks,
            lines,
            jiffy_us: if rng.bool() { 0 } else { JIFFY_US.min(fastest / 5) },
            late_us: fastest / 50,
            encoded,
            is_overheard: faults.iter().any(|(_, fault)| matches!(fault, Fault::Replay { .. } | Fault::Forge { .. })),
            faults,
            options,
        }
    }
}

const JIFFY_US: Micros = 4_000;

/// The shortest interval.
pub(super) fn fastest(options: &Options) -> Micros {
    options.paths.iter().map(|path| path.interval_us).min().unwrap_or_default()
}

/// The least time in which every ask of a peer that is gone can have been in vain. A node that was off the CPU for less has missed nothing: it
/// reads what came meanwhile first.
pub(super) fn shortest_death(options: &Options) -> Micros {
    let shortest = |path: &PathOptions| Micros::from(path.missed_limit - 1) * path.interval_us + path.ack_timeout_us;
    options.paths.iter().map(shortest).max().unwrap_or_default()
}

/// The longest lossless detection.
pub(super) fn slowest_detection(options: &Options) -> Micros {
    let slowest = |path: &PathOptions| Micros::from(path.missed_limit) * path.interval_us + path.ack_timeout_us;
    options.paths.iter().map(slowest).max().unwrap_or_default()
}

fn paths(rng: &mut Rng) -> Vec<PathOptions> {
    let interval_us = *rng.choice(&[5_000, 10_000, 20_000, 50_000, 100_000]).unwrap_or(&10_000);
    let missed_limit = rng.u32(2..=4);
    let (udp, serial) = [(1, 0), (2, 0), (2, 1), (2, 1), (1, 1), (3, 0)][rng.usize(0..6)];
    let udp = (0..udp).map(|_| udp_path(interval_us, missed_limit, rng)).collect::<Vec<_>>();
    let serial = (0..serial).map(|_| serial_path(interval_us, missed_limit, rng));
    udp.into_iter().chain(serial).collect()
}

fn udp_path(interval_us: Micros, missed_limit: u32, rng: &mut Rng) -> PathOptions {
    PathOptions {
        kind: PathKind::Udp,
        interval_us,
        ack_timeout_us: (interval_us / 4).max(2_000),
        missed_limit,
        rise: rng.u32(1..=3),
        fall: missed_limit * rng.u32(1..=2),
    }
}

/// 115,200 baud, and an interval that leaves time for the frames.
fn serial_path(interval_us: Micros, missed_limit: u32, rng: &mut Rng) -> PathOptions {
    let frame_us = (SERIAL_BYTES as u64 * 10 * 1_000_000).div_ceil(BAUD);
    let ack_timeout_us = frame_us * 22 / 10 + 1_000;
    let interval_us = interval_us.max(ack_timeout_us * 3 / 2) * rng.u64(1..=2);
    PathOptions { kind: PathKind::Serial, ack_timeout_us, ..udp_path(interval_us, missed_limit, rng) }
}

pub(super) const BAUD: u64 = 115_200;

fn lines(path: &PathOptions, rng: &mut Rng) -> [Line; 2] {
    let most = if path.kind == PathKind::Serial { 300 } else { path.ack_timeout_us / 4 };
    let delay_us = rng.u64(20..=most.max(21));
    let jitter_us = if rng.bool() { 0 } else { rng.u64(0..=most / 4) };
    let line = Line::new(path.kind, BAUD, delay_us, jitter_us);
    [line.clone(), line]
}

fn options(rng: &mut Rng, paths: Vec<PathOptions>) -> [Options; 2] {
    let preempt = rng.u32(0..4) == 0;
    let fastest = paths.iter().map(|path| path.interval_us).min().unwrap_or_default();
    let longest = paths.iter().map(|path| u64::from(path.missed_limit) * path.interval_us).max().unwrap_or_default();
    let slowest = paths.iter().map(|path| path.interval_us).max().unwrap_or_default();
    let missed_limit = u64::from(paths[0].missed_limit);
    let one = Options {
        role: Role::Primary,
        boot: rng.u32(0..1 << 30),
        preempt,
        failback_delay_us: rng.u64(2..=8) * fastest,
        start_wait_us: longest + rng.u64(1..=6) * fastest,
        lease_us: (missed_limit - 1) * fastest * rng.u64(80..=100) / 100,
        drain_us: rng.u64(2..=4) * slowest,
        handover_timeout_us: rng.u64(6..=12) * fastest,
        paths,
    };
    let other = Options { role: Role::Standby, boot: rng.u32(0..1 << 30), ..one.clone() };
    [one, other]
}

/// Most pairs begin anew; some have a past.
fn memories(rng: &mut Rng) -> [Memory; 2] {
    if rng.u32(0..4) > 0 {
        return [Memory::default(); 2];
    }
    let mut memory = || {
        let epoch = rng.u32(0..6);
        Memory { epoch, reserved: epoch + rng.u32(0..2), ..Memory::default() }
    };
    [memory(), memory()]
}

/// How bad a fault is, seen from the one question whether somebody forwards at each instant.
impl Fault {
    /// An operator's wish and what tracking says: the VIPs may move, and nothing may be lost by it.
    pub(super) fn is_gentle(&self) -> bool {
        matches!(
            self,
            Self::Handover { .. }
                | Self::Disk { .. }
                | Self::Acquire { .. }
                | Self::WallClock { .. }
                | Self::Fitness { .. }
                | Self::Hold { .. }
                | Self::Slots { .. }
                | Self::Doubles { .. }
                | Self::Heal { .. }
                | Self::Replay { .. }
                | Self::Forge { .. }
                | Self::Keys { .. }
                | Self::Cut { .. }
                | Self::Device { .. }
                | Self::Clean { .. }
        )
    }
}

pub(super) fn is_fit(fitness: Fitness) -> bool {
    fitness == FULLY_FIT
}
