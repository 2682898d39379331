//! Draws what goes wrong in a scenario: incidents, each with a beginning and mostly an end.

use fastrand::Rng;

use super::clock::Instant;
use super::network::Loss;
use super::schedule::{Fault, ROLES, fastest, slowest_detection};
use crate::pair::{FULLY_FIT, Micros, Options, PathId, Role};

/// One incident in so many is not put right again.
const FOR_GOOD: u32 = 6;

pub(super) fn draw(options: &[Options; 2], encoded: bool, rng: &mut Rng) -> Vec<(Instant, Fault)> {
    let mut drawn = Drawn { options, rng, faults: Vec::new(), at: 0, encoded };
    drawn.starts();
    for _ in 0..drawn.rng.u32(1..=4) {
        drawn.incident();
        drawn.pass();
    }
    let mut faults = drawn.faults;
    faults.sort_by_key(|(at, _)| *at);
    faults
}

struct Drawn<'a> {
    options: &'a [Options; 2],
    rng: &'a mut Rng,
    faults: Vec<(Instant, Fault)>,
    /// When the next incident begins.
    at: Instant,
    encoded: bool,
}

impl Drawn<'_> {
    fn unit(&self) -> Micros {
        fastest(&self.options[0])
    }

    fn role(&mut self) -> Role {
        ROLES[self.rng.usize(0..2)]
    }

    fn path(&mut self) -> PathId {
        self.rng.u8(0..self.options[0].paths.len() as u8)
    }

    /// A subset of the paths, by bits: any but the empty one, and often all.
    fn some_paths(&mut self) -> Vec<PathId> {
        let count = self.options[0].paths.len() as u8;
        let subset = if self.rng.u32(0..3) == 0 { u32::MAX } else { self.rng.u32(1..1 << count) };
        (0..count).filter(|path| subset >> path & 1 == 1).collect()
    }

    fn add(&mut self, at: Instant, fault: Fault) {
        self.faults.push((at, fault));
    }

    fn starts(&mut self) {
        let late = match self.rng.u32(0..4) {
            0 => self.rng.u64(0..self.unit()),
            1 => self.rng.u64(0..self.options[0].start_wait_us * 2),
            _ => 0,
        };
        let first = self.role();
        self.add(0, Fault::Start(first));
        if self.rng.u32(0..20) > 0 {
            self.add(late, Fault::Start(first.other()));
        }
        let settled = self.options[0].start_wait_us / 2 + slowest_detection(&self.options[0]);
        self.at = if self.rng.u32(0..8) == 0 { self.rng.u64(0..settled) } else { late + settled };
    }

    /// How long an incident lasts: often about as long as a detection, sometimes much shorter or longer.
    fn lasts(&mut self) -> u64 {
        let detection = slowest_detection(&self.options[0]);
        match self.rng.u32(0..4) {
            0 => self.rng.u64(1..=self.unit()),
            1 => self.rng.u64(1..=detection),
            2 => self.rng.u64(detection / 2..=detection * 2),
            _ => self.rng.u64(detection..=detection * 4),
        }
    }

    /// The next incident comes while this one lasts, or after it.
    fn pass(&mut self) {
        let pause = self.lasts();
        self.at += pause;
    }

    fn incident(&mut self) {
        match self.rng.u32(0..26) {
            0..=4 => self.cut(),
            5..=6 => self.loss(),
            7..=9 => self.pause(),
            10 => self.pause_amid(),
            11..=12 => self.crash(),
            13 => self.devices(),
            14 => self.jitter(),
            15 => self.fitness(),
            16 => self.forbid(),
            17 => self.hold(),
            18..=20 => self.handover(),
            21 => self.stop(),
            22 => self.restart(),
            23 => self.slowness(),
            24 => self.slots(),
            _ => self.third_host(),
        }
    }

    /// Begins now and ends after a while, unless it is for good.
    fn for_a_while(&mut self, begins: Fault, ends: Fault) {
        let at = self.at;
        self.add(at, begins);
        if self.rng.u32(0..FOR_GOOD) > 0 {
            let lasts = self.lasts();
            self.add(at + lasts, ends);
        }
    }

    /// Cuts some paths: both ways, one way, or each as it falls. They come back together or one by one.
    fn cut(&mut self) {
        let paths = self.some_paths();
        let way = self.rng.u32(0..4);
        let together = self.rng.bool().then(|| self.lasts());
        let for_good = self.rng.u32(0..FOR_GOOD) == 0;
        for path in paths {
            let way = if way == 3 { self.rng.u32(0..3) } else { way };
            let lasts = together.unwrap_or_else(|| self.lasts());
            for from in ROLES.into_iter().filter(|from| way == 2 || *from as u32 == way) {
                self.add(self.at, Fault::Cut { path, from });
                if !for_good {
                    self.add(self.at + lasts, Fault::Heal { path, from });
                }
            }
        }
    }

    fn loss(&mut self) {
        let loss = if self.rng.bool() {
            Loss::Random(f64::from(self.rng.u32(5..=40)) / 100.0)
        } else {
            Loss::Bursts { to_bad: 0.1, to_good: 0.3, loss: f64::from(self.rng.u32(50..=100)) / 100.0 }
        };
        let lasts = self.lasts() + self.lasts();
        for path in self.some_paths() {
            for from in ROLES {
                self.add(self.at, Fault::Loss { path, from, loss });
            }
            self.add(self.at + lasts, Fault::Clean { path });
        }
    }

    fn jitter(&mut self) {
        let jitter_us = self.rng.u64(1..=self.unit() * 2);
        let share = f64::from(self.rng.u32(0..=50)) / 100.0;
        let lasts = self.lasts() + self.lasts();
        for path in self.some_paths() {
            let from = self.role();
            if self.rng.bool() {
                self.add(self.at, Fault::Jitter { path, from, jitter_us });
            }
            self.add(self.at, Fault::Doubles { path, from, share });
            self.add(self.at + lasts, Fault::Clean { path });
        }
    }

    fn pause(&mut self) {
        let role = self.role();
        let lasts = self.lasts();
        self.add(self.at, Fault::Pause(role));
        self.add(self.at + lasts, Fault::Resume(role));
    }

    /// Stops a daemon in the middle of what it does at a turn of the pair's fortunes.
    fn pause_amid(&mut self) {
        let role = self.role();
        match self.rng.u32(0..3) {
            0 => self.cut(),
            1 => self.handover(),
            _ => {}
        }
        let soon = self.rng.u64(0..=slowest_detection(&self.options[0]));
        let actions = self.rng.u32(1..=6);
        let lasts = self.lasts();
        self.add(self.at + soon, Fault::PauseAmid(role, actions));
        self.add(self.at + soon + lasts, Fault::Resume(role));
    }

    fn crash(&mut self) {
        let role = self.role();
        if self.rng.bool() {
            let boots = self.rng.u32(0..1_000);
            self.add(self.at, Fault::WallClock { role, boots });
        }
        if self.rng.bool() {
            self.for_a_while(Fault::Kill(role), Fault::Start(role));
        } else {
            self.for_a_while(Fault::PowerOff(role), Fault::PowerOn(role));
        }
    }

    fn devices(&mut self) {
        let role = self.role();
        let lasts = self.lasts();
        for path in self.some_paths() {
            self.add(self.at, Fault::Device { role, path, usable: false });
            self.add(self.at + lasts, Fault::Device { role, path, usable: true });
        }
    }

    fn fitness(&mut self) {
        let role = self.role();
        let fitness = if self.rng.bool() { 0 } else { self.rng.u8(1..FULLY_FIT) };
        self.for_a_while(Fault::Fitness { role, fitness }, Fault::Fitness { role, fitness: FULLY_FIT });
    }

    fn forbid(&mut self) {
        let role = self.role();
        self.for_a_while(Fault::Forbid { role, forbid: true }, Fault::Forbid { role, forbid: false });
    }

    fn hold(&mut self) {
        let role = self.role();
        self.for_a_while(Fault::Hold { role, hold: true }, Fault::Hold { role, hold: false });
    }

    fn handover(&mut self) {
        for _ in 0..self.rng.u32(1..=2) {
            let fault = Fault::Handover { role: self.role(), force: self.rng.bool() };
            self.add(self.at, fault);
            self.pass();
        }
    }

    fn stop(&mut self) {
        let role = self.role();
        self.for_a_while(Fault::Stop(role), Fault::Start(role));
    }

    fn restart(&mut self) {
        let role = self.role();
        let grace_us = self.lasts() + 2 * slowest_detection(&self.options[0]);
        let back = if self.rng.u32(0..4) > 0 { self.rng.u64(0..=grace_us) } else { grace_us + self.lasts() };
        self.add(self.at, Fault::Restart { role, grace_us });
        self.add(self.at + back + self.unit() * 3, Fault::Start(role));
    }

    fn slowness(&mut self) {
        let role = self.role();
        let write_us = self.lasts();
        let takes_us = self.lasts();
        self.add(self.at, Fault::Disk { role, write_us });
        self.add(self.at, Fault::Acquire { role, takes_us });
        if self.rng.bool() {
            self.crash();
        } else {
            self.handover();
        }
    }

    fn slots(&mut self) {
        let role = self.role();
        let digest = self.rng.u64(1..3);
        self.for_a_while(Fault::Slots { role, digest }, Fault::Slots { role, digest: 0 });
    }

    fn third_host(&mut self) {
        let path = self.path();
        let role = self.role();
        let frames = self.rng.u32(1..30);
        if !self.encoded {
            return self.add(self.at, Fault::Replay { path, from: role, frames });
        }
        match self.rng.u32(0..4) {
            0 => self.add(self.at, Fault::Replay { path, from: role, frames }),
            1 => self.add(self.at, Fault::Forge { path, to: role, frames }),
            2 => self.for_a_while(Fault::Skew { role, newer: true }, Fault::Skew { role, newer: false }),
            _ => self.rotation(),
        }
    }

    /// A new key on both nodes, one after the other; then it signs; then the old one goes.
    fn rotation(&mut self) {
        for ids in [&[1, 2][..], &[2, 1], &[2]] {
            for role in ROLES {
                self.add(self.at, Fault::Keys { role, ids });
                self.at += self.rng.u64(0..self.unit());
            }
        }
    }
}
