//! The kernel's jiffies, in which leases are: what they are now, and how the pair's clock turns into them.
//!
//! Programs read jiffies for nothing, and user space has no call for them. So a small program tells them. They grow by one with each
//! tick of the kernel's, by CLOCK_MONOTONIC: once it is known when one tick came, the others can be reckoned.

use std::os::fd::{AsFd, OwnedFd};

use aya::programs::Xdp;
use lb_core::pair::Micros;

use super::{
    Dataplane, DataplaneError, open,
    sys::{boot_ns, monotonic_ns, run_program, tick_ns},
};

/// Name of the program in the object.
const PROGRAM: &str = "jiffies";
/// The least frame that a program is run on; the program writes the jiffies to its first bytes.
const FRAME: usize = 14;
/// Ticks that are watched for the earliest: each may be seen late, and none early.
const WATCHED_TICKS: u64 = 4;
/// Most readings: a tick of the slowest kernel (100 a second) takes some thousand.
const MAX_READINGS: usize = 1_000_000;
const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MICRO: u64 = 1_000;

/// The clock of the lease. To be used by one thread; reading it makes one call of bpf(2), reckoning none.
pub struct Jiffies {
    program: OwnedFd,
    ticks: Ticks,
}

/// How jiffies and CLOCK_MONOTONIC hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    /// Nanoseconds of a jiffy.
    length_ns: u64,
    /// A jiffy...
    jiffy: u64,
    /// ...and when it had begun, or a little later.
    began_ns: u64,
}

impl Dataplane {
    /// The clock of the lease. Takes some ticks of the kernel's, say 20 ms, to find out when they come.
    ///
    /// # Errors
    /// The kernel refuses the program that tells jiffies, or its jiffies stand still.
    pub fn jiffies(&mut self) -> Result<Jiffies, DataplaneError> {
        let program = self.ebpf.program_mut(PROGRAM).ok_or(DataplaneError::Object { what: PROGRAM })?;
        let failed = |source| DataplaneError::Program { step: "use", source };
        let program: &mut Xdp = program.try_into().map_err(failed)?;
        if program.fd().is_err() {
            program.load().map_err(open::program_load_error)?;
        }
        let fd = program.fd().map_err(failed)?;
        let program = fd.as_fd().try_clone_to_owned().map_err(DataplaneError::Jiffies)?;
        let length_ns = tick_ns();
        let ticks = Ticks::watch(length_ns, || Ok((read(&program)?, monotonic_ns())))?;
        Ok(Jiffies { program, ticks })
    }
}

impl Jiffies {
    /// The kernel's jiffies now: what a program compares with the lease.
    ///
    /// # Errors
    /// The kernel refuses to run the program.
    pub fn now(&self) -> Result<u64, DataplaneError> {
        read(&self.program)
    }

    /// Jiffies a second.
    #[must_use]
    pub fn hz(&self) -> u64 {
        (NS_PER_SECOND + self.ticks.length_ns / 2) / self.ticks.length_ns
    }

    /// The last jiffy that begins at `at` of the pair's clock (CLOCK_BOOTTIME) or before: a lease until then has ended by `at`, unless the
    /// kernel's tick is late.
    #[must_use]
    pub fn at(&self, at: Micros) -> u64 {
        // In this order: a pause in between makes the lease shorter, not longer.
        let monotonic_ns = monotonic_ns();
        let suspended_ns = boot_ns().saturating_sub(monotonic_ns);
        self.ticks.at(at.saturating_mul(NS_PER_MICRO).saturating_sub(suspended_ns))
    }
}

impl Ticks {
    /// Reads jiffies, and the time after it, until some ticks have been seen.
    fn watch(
        length_ns: u64,
        mut read: impl FnMut() -> Result<(u64, u64), DataplaneError>,
    ) -> Result<Self, DataplaneError> {
        let (first, _) = read()?;
        let mut found: Option<Self> = None;
        let mut last = first;
        for _ in 0..MAX_READINGS {
            let (jiffy, read_ns) = read()?;
            if jiffy == last {
                continue;
            }
            last = jiffy;
            let seen = Self { length_ns, jiffy, began_ns: read_ns };
            found = Some(found.map_or(seen, |best| if seen.is_earlier_than(best) { seen } else { best }));
            if jiffy - first >= WATCHED_TICKS {
                break;
            }
        }
        found.ok_or_else(|| DataplaneError::Jiffies(std::io::Error::other("they stand still")))
    }

    /// Whether the ticks come earlier by this than by the other.
    fn is_earlier_than(self, other: Self) -> bool {
        let ahead = self.jiffy.saturating_sub(other.jiffy).saturating_mul(self.length_ns);
        self.began_ns < other.began_ns.saturating_add(ahead)
    }

    /// The last jiffy that begins at `at_ns` of CLOCK_MONOTONIC or before.
    fn at(self, at_ns: u64) -> u64 {
        match at_ns.checked_sub(self.began_ns) {
            Some(later) => self.jiffy.saturating_add(later / self.length_ns),
            None => self.jiffy.saturating_sub((self.began_ns - at_ns).div_ceil(self.length_ns)),
        }
    }
}

fn read(program: &OwnedFd) -> Result<u64, DataplaneError> {
    let mut frame = [0; FRAME];
    run_program(program.as_fd(), &[0; FRAME], &mut frame).map_err(DataplaneError::Jiffies)?;
    let mut word = [0; size_of::<u64>()];
    word.copy_from_slice(&frame[..size_of::<u64>()]);
    Ok(u64::from_ne_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_NS: u64 = 4_000_000;

    fn ticks() -> Ticks {
        Ticks { length_ns: TICK_NS, jiffy: 1_000, began_ns: 50_000_000 }
    }

    #[test]
    fn a_time_becomes_the_jiffy_that_has_begun_by_then() {
        assert_eq!(ticks().at(50_000_000), 1_000);
        assert_eq!(ticks().at(50_000_000 + TICK_NS - 1), 1_000);
        assert_eq!(ticks().at(50_000_000 + TICK_NS), 1_001);
        assert_eq!(ticks().at(50_000_000 - 1), 999);
        assert_eq!(ticks().at(50_000_000 - TICK_NS), 999);
        assert_eq!(ticks().at(50_000_000 - TICK_NS - 1), 998);
        assert_eq!(ticks().at(u64::MAX), 1_000 + (u64::MAX - 50_000_000) / TICK_NS);
    }

    #[test]
    fn the_tick_that_was_seen_soonest_counts() {
        // Jiffy 11 is seen 900 us late, 12 is 100 us late, 13 is not seen, 14 and 15 are later again.
        let mut readings = vec![
            (10, 0),
            (10, 3_999_000),
            (11, 4_900_000),
            (12, 8_100_000),
            (12, 8_200_000),
            (14, 16_500_000),
            (15, 21_000_000),
        ]
        .into_iter();
        let found = Ticks::watch(TICK_NS, || Ok(readings.next().expect("enough have been read"))).expect("ticks");
        assert_eq!(found, Ticks { length_ns: TICK_NS, jiffy: 12, began_ns: 8_100_000 });
    }

    #[test]
    fn jiffies_that_stand_still_are_an_error() {
        assert!(Ticks::watch(TICK_NS, || Ok((7, 0))).is_err());
    }
}
