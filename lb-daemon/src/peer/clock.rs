//! The pair's clock: it never goes back, and counts on while the host is suspended.

use lb_core::pair::Micros;
use nix::time::{ClockId, clock_gettime};

const PER_SECOND: u64 = 1_000_000;
const NS_PER_MICRO: u64 = 1_000;

/// Microseconds since the host has started.
pub(crate) fn now() -> Micros {
    // Linux has had this clock since 2.6.39: the call cannot fail.
    let Ok(time) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return 0 };
    time.tv_sec() as u64 * PER_SECOND + time.tv_nsec() as u64 / NS_PER_MICRO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_start_of_the_host() {
        let before = now();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
        let after = now();
        // /proc/uptime is the same clock in hundredths of a second, cut off.
        let shown = (seconds * 1e6) as u64;
        assert!((before.saturating_sub(10_000)..=after).contains(&shown), "{before} {shown} {after}");
    }
}
