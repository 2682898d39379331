//! CPU time of the whole host, from /proc/stat.

/// CPU time since the host started, in clock ticks over all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTimes {
    /// A task ran, or waited for a CPU that the hypervisor gave to another guest: `steal` grows only while somebody wants
    /// to run, and what is stolen cannot be had.
    busy: u64,
    /// Nobody wanted to run. Waiting for a disk is idle: another task could have run.
    idle: u64,
}

impl CpuTimes {
    /// Reads the line `cpu  user nice system idle iowait irq softirq steal guest guest_nice`. Older kernels have fewer columns.
    /// Guests' time is part of user's already.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let columns: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let (used, rest) = (columns.get(..3)?, columns.get(3..)?);
        let column = |index: usize| rest.get(index).copied().unwrap_or_default();
        let [idle, iowait, irq, softirq, steal] = [0, 1, 2, 3, 4].map(column);
        let sum = |values: &[u64]| values.iter().fold(0, |sum: u64, value| sum.saturating_add(*value));
        (!rest.is_empty())
            .then(|| Self { busy: sum(used).saturating_add(sum(&[irq, softirq, steal])), idle: sum(&[idle, iowait]) })
    }

    /// The busy part of the time since `before`. None while no tick has passed. The kernel's idle counters may fall a
    /// little; that is no idle time.
    pub(super) fn share_since(self, before: Self) -> Option<f64> {
        let busy = self.busy.saturating_sub(before.busy) as f64;
        let idle = self.idle.saturating_sub(before.idle) as f64;
        (busy + idle > 0.0).then(|| busy / (busy + idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 50 800 40 5 15 30 20 2\ncpu0 100 10 50 800 40 5 15 30 20 2\nintr 5 0 1\nctxt 77\n";

    #[test]
    fn waiting_for_a_disk_is_idle_and_stolen_time_is_busy() {
        assert_eq!(CpuTimes::parse(STAT), Some(CpuTimes { busy: 100 + 10 + 50 + 5 + 15 + 30, idle: 840 }));
    }

    #[test]
    fn old_kernels_have_fewer_columns() {
        assert_eq!(CpuTimes::parse("cpu  4 3 2 1\n"), Some(CpuTimes { busy: 9, idle: 1 }));
    }

    #[test]
    fn garbage_is_no_time() {
        for text in ["", "cpu", "cpu \n", "cpu  1 2 3", "cpu0 1 2 3 4", "cpu  1 2 x 4", "cpu  -1 2 3 4", "\0\u{fffd}"] {
            assert_eq!(CpuTimes::parse(text), None, "{text:?}");
        }
        let most = format!("cpu  {0} {0} {0} {0} {0}", u64::MAX);
        assert_eq!(CpuTimes::parse(&most), Some(CpuTimes { busy: u64::MAX, idle: u64::MAX }));
    }

    #[test]
    fn a_share_is_of_the_time_since() {
        let before = CpuTimes { busy: 100, idle: 900 };
        assert_eq!(CpuTimes { busy: 130, idle: 910 }.share_since(before), Some(0.75));
        assert_eq!(before.share_since(before), None);
        assert_eq!(CpuTimes { busy: 110, idle: 899 }.share_since(before), Some(1.0), "idle time may fall");
    }
}
