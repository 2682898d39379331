//! CPU time: of the machine, of a system's processes, and of the XDP program by the kernel's own statistics.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use lb_lab::Namespace;

/// Fields of /proc/PID/stat behind the name in parentheses.
const GROUP: usize = 2;
const USER: usize = 11;
const SYSTEM: usize = 12;
/// Fields of a line of /proc/stat: idle, waiting for a disk, stolen by the host. What comes after them is counted elsewhere, too.
const AT_REST: [usize; 3] = [3, 4, 7];
const COUNTED: usize = 8;

/// CPU time that the machine has used so far, on all CPUs together.
pub fn of_the_machine() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let ticks = busy_ticks(&text).with_context(|| format!("/proc/stat does not begin with the sums: {text}"))?;
    Ok(time(ticks))
}

/// CPU time that the processes of a group have used so far, those that have ended left out.
pub fn of_the_group(group: u32) -> Result<Duration> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let path = entry.context("cannot list /proc")?.path().join("stat");
        // It may have ended just now; and most entries are no processes.
        if let Ok(text) = fs::read_to_string(path) {
            ticks += group_ticks(&text, group).unwrap_or(0);
        }
    }
    Ok(time(ticks))
}

/// The id of the XDP program that is attached to an interface.
pub fn program_at(namespace: &Namespace, interface: &str) -> Result<u32> {
    let text = namespace.ip(&format!("-json link show dev {interface}"))?;
    program_id(&text).with_context(|| format!("no XDP program at {interface} of {}", namespace.name()))
}

/// Has the kernel keep statistics of programs as long as the descriptor is open.
pub fn count_runs() -> Result<OwnedFd> {
    enable_stats(Stats::RunTime).context("the kernel keeps no statistics of programs")
}

/// What the kernel's statistics say of a program, of the time in which they were on.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    /// How long it has run.
    pub time: Duration,
    /// How often.
    pub count: u64,
}

impl Runs {
    /// Those of a program so far.
    pub fn of(program: u32) -> Result<Runs> {
        for found in loaded_programs() {
            let found = found.context("cannot list the loaded programs")?;
            if found.id() == program {
                return Ok(Runs { time: found.run_time(), count: found.run_count() });
            }
        }
        anyhow::bail!("the XDP program {program} has gone")
    }

    /// Those that came after `before`.
    pub fn since(self, before: Runs) -> Runs {
        let time = self.time.saturating_sub(before.time);
        Runs { time, count: self.count.saturating_sub(before.count) }
    }

    /// Nanoseconds of each.
    pub fn each_ns(self) -> f64 {
        self.time.as_secs_f64() * 1e9 / self.count as f64
    }
}

fn busy_ticks(text: &str) -> Option<u64> {
    let fields: Vec<u64> =
        text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let counted = fields.get(..COUNTED)?.iter().enumerate();
    Some(counted.filter(|(at, _)| !AT_REST.contains(at)).map(|(_, ticks)| ticks).sum())
}

/// User and system time of a process; none where it is of another group.
fn group_ticks(stat: &str, group: u32) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
    (field(GROUP)? == u64::from(group)).then_some(())?;
    Some(field(USER)? + field(SYSTEM)?)
}

fn program_id(json: &str) -> Option<u32> {
    let links: serde_json::Value = serde_json::from_str(json).ok()?;
    links[0]["xdp"]["prog"]["id"].as_u64()?.try_into().ok()
}

fn time(ticks: u64) -> Duration {
    // SAFETY: the call has no conditions.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_secs_f64(ticks as f64 / a_second.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_works_in_all_but_three_columns() {
        let text = "cpu  1 2 4 1000 2000 8 16 4000 32 64\ncpu0 9 9 9 9\n";
        assert_eq!(busy_ticks(text), Some(1 + 2 + 4 + 8 + 16));
        assert_eq!(busy_ticks("cpu 1 2 3\n"), None);
        assert_eq!(busy_ticks(""), None);
    }

    #[test]
    fn a_process_counts_for_its_group_whatever_its_name() {
        let stat = "77 (odd ) name) S 1 42 42 0 -1 4194560 100 0 0 0 25 17 0 0 20 0 1 0 300 1000 50";
        assert_eq!(group_ticks(stat, 42), Some(42));
        assert_eq!(group_ticks(stat, 77), None);
        assert_eq!(group_ticks("", 42), None);
    }

    #[test]
    fn the_program_is_found_in_what_ip_says() {
        let text = r#"[{"ifname":"eth0","xdp":{"mode":1,"prog":{"id":57,"tag":"a0","jited":1}}}]"#;
        assert_eq!(program_id(text), Some(57));
        assert_eq!(program_id(r#"[{"ifname":"eth0"}]"#), None);
    }
}
