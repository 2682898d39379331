//! CPU time of a control group, of what its limits let it have.
//!
//! A group may have at most what each group above it may have, so all of them are looked at, and the one that is nearest to its
//! limit counts. Limits are read each time: they may be changed while the group runs.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use super::counter::Counter;
use super::mounts::{Hierarchies, Hierarchy};
use super::{SourceError, text};

/// A group and those above it, the innermost first; never empty.
#[derive(Debug)]
pub(super) struct CgroupMeter {
    levels: Vec<Level>,
}

/// What is known of a group's CPU time since the last call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CgroupShare {
    /// Of the limit that is nearest; of all usable CPUs where there is no limit. None the first time.
    pub(super) share: Option<f64>,
    /// The group or one above it has a limit.
    pub(super) limited: bool,
}

#[derive(Debug)]
struct Level {
    files: Files,
    used: Counter,
}

/// Where a group's CPU time and limit are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Files {
    /// `cpu.stat` and `cpu.max`.
    V2 { directory: PathBuf },
    /// `cpuacct.usage`, and `cpu.cfs_quota_us` with `cpu.cfs_period_us`.
    V1 { cpu: PathBuf, cpuacct: PathBuf },
}

impl CgroupMeter {
    /// Of the group that this process is in.
    pub(super) fn of_self(hierarchies: &Hierarchies) -> Option<Self> {
        Self::find(hierarchies, Hierarchy::own_directories)
    }

    /// Of a group by its path in the hierarchy.
    pub(super) fn named(hierarchies: &Hierarchies, name: &Path) -> Option<Self> {
        Self::find(hierarchies, |hierarchy| hierarchy.named_directories(name))
    }

    /// In the hierarchy where the group's CPU time can be limited; else in version 2, which counts it anyhow.
    fn find(hierarchies: &Hierarchies, directories: impl Fn(&Hierarchy) -> Vec<PathBuf>) -> Option<Self> {
        let list = |hierarchy: &Option<Hierarchy>| hierarchy.as_ref().map(&directories).unwrap_or_default();
        let v2 = list(&hierarchies.unified).into_iter().map(|directory| Files::V2 { directory });
        let v1 = list(&hierarchies.cpu).into_iter().zip(list(&hierarchies.cpuacct));
        let v1 = v1.map(|(cpu, cpuacct)| Files::V1 { cpu, cpuacct });
        // From the inside out: where the group itself is missing, those above it say nothing about it.
        let (v2, v1): (Vec<_>, Vec<_>) = (v2.take_while(Files::exist).collect(), v1.take_while(Files::exist).collect());
        let chosen = if v1.is_empty() || v2.first().is_some_and(Files::can_be_limited) { v2 } else { v1 };
        let levels: Vec<_> = chosen.into_iter().map(|files| Level { files, used: Counter::default() }).collect();
        (!levels.is_empty()).then_some(Self { levels })
    }

    /// The share of the time since the last call.
    pub(super) fn measure(&mut self, now: Instant) -> Result<CgroupShare, SourceError> {
        let mut limited = false;
        let mut nearest: Option<f64> = None;
        let mut unlimited = None;
        for (index, level) in self.levels.iter_mut().enumerate() {
            let cpus_used = level.used.per_second(level.files.seconds_used()?, now);
            let cpus = level.files.limit()?;
            limited |= cpus.is_some();
            if let (Some(used), Some(cpus)) = (cpus_used, cpus) {
                nearest = Some(nearest.unwrap_or_default().max(used / cpus));
            }
            if index == 0 {
                unlimited = cpus_used.map(|used| used / usable_cpus());
            }
        }
        Ok(CgroupShare { share: if limited { nearest } else { unlimited }, limited })
    }
}

impl Files {
    fn exist(&self) -> bool {
        match self {
            Self::V2 { directory } => directory.join("cpu.stat").is_file(),
            Self::V1 { cpu, cpuacct } => cpu.is_dir() && cpuacct.join("cpuacct.usage").is_file(),
        }
    }

    fn can_be_limited(&self) -> bool {
        match self {
            Self::V2 { directory } => directory.join("cpu.max").is_file(),
            Self::V1 { cpu, .. } => cpu.join("cpu.cfs_quota_us").is_file(),
        }
    }

    /// CPU time used so far, in seconds.
    fn seconds_used(&self) -> Result<f64, SourceError> {
        match self {
            Self::V2 { directory } => {
                let path = directory.join("cpu.stat");
                let text = text::read(&path)?;
                let microseconds = text::number_behind("usage_usec", &text);
                let microseconds = microseconds.ok_or_else(|| SourceError::garbage(&path, "`usage_usec`", &text))?;
                Ok(microseconds as f64 / 1e6)
            }
            Self::V1 { cpuacct, .. } => {
                let path = cpuacct.join("cpuacct.usage");
                Ok(text::number(&path, &text::read(&path)?)? as f64 / 1e9)
            }
        }
    }

    /// The CPUs that the group may use; none without a limit. The top of a hierarchy has no file for one.
    fn limit(&self) -> Result<Option<f64>, SourceError> {
        match self {
            Self::V2 { directory } => {
                let path = directory.join("cpu.max");
                let Some(text) = text::read_if_there(&path)? else { return Ok(None) };
                limit_v2(&text).ok_or_else(|| SourceError::garbage(&path, "limit", &text))
            }
            Self::V1 { cpu, .. } => {
                let path = cpu.join("cpu.cfs_quota_us");
                let Some(quota) = text::read_if_there(&path)? else { return Ok(None) };
                let period = text::read(&cpu.join("cpu.cfs_period_us"))?;
                limit_v1(&quota, &period).ok_or_else(|| SourceError::garbage(&path, "limit", &quota))
            }
        }
    }
}

/// `50000 100000` is half a CPU, `max 100000` no limit. The outer option: whether it could be read.
fn limit_v2(text: &str) -> Option<Option<f64>> {
    let mut words = text.split_whitespace();
    let quota = words.next()?;
    let period = words.next()?.parse().ok()?;
    if quota == "max" { Some(None) } else { cpus(quota.parse().ok()?, period).map(Some) }
}

/// A quota of `-1` is no limit. The outer option: whether it could be read.
fn limit_v1(quota: &str, period: &str) -> Option<Option<f64>> {
    let quota: i64 = quota.trim().parse().ok()?;
    let period = period.trim().parse().ok()?;
    if quota < 0 { Some(None) } else { cpus(u64::try_from(quota).ok()?, period).map(Some) }
}

fn cpus(quota: u64, period: u64) -> Option<f64> {
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// The CPUs that this process may run on.
fn usable_cpus() -> f64 {
    thread::available_parallelism().map_or(1.0, |cpus| cpus.get() as f64)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    /// A host with both versions, as its mountinfo would have it.
    fn hierarchies(root: &Path, own: &str) -> Hierarchies {
        let mounts = [("v2", "cgroup2", "rw"), ("cpu", "cgroup", "rw,cpu"), ("acct", "cgroup", "rw,cpuacct")];
        let line = |(name, kind, options): (&str, &str, &str)| {
            format!("1 1 0:1 / {} rw - {kind} {kind} {options}\n", root.join(name).display())
        };
        Hierarchies::parse(&mounts.map(line).concat(), &format!("2:cpu:{own}\n1:cpuacct:{own}\n0::{own}\n"))
    }

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn share_after(meter: &mut CgroupMeter, change: impl FnOnce()) -> CgroupShare {
        let start = Instant::now();
        assert_eq!(meter.measure(start).unwrap().share, None);
        change();
        meter.measure(start + Duration::from_secs(2)).unwrap()
    }

    #[test]
    fn version_2_counts_against_the_nearest_limit_of_all_levels() {
        let directory = tempfile::tempdir().unwrap();
        let (web, one) = (directory.path().join("v2/web"), directory.path().join("v2/web/one"));
        let used = |microseconds: u32| format!("usage_usec {microseconds}\nuser_usec 1\n");
        for group in [&web, &one] {
            write(group.join("cpu.stat"), &used(1_000_000));
        }
        write(web.join("cpu.max"), "50000 100000\n");
        write(one.join("cpu.max"), "max 100000\n");
        let mut meter = CgroupMeter::of_self(&hierarchies(directory.path(), "/web/one")).unwrap();
        let found = share_after(&mut meter, || {
            write(web.join("cpu.stat"), &used(1_800_000));
            write(one.join("cpu.stat"), &used(1_100_000));
        });
        assert_eq!(found, CgroupShare { share: Some(0.8), limited: true }, "0.8 s of half a CPU in 2 s");
        write(one.join("cpu.max"), "5000 100000\n");
        let found = share_after(&mut CgroupMeter::of_self(&hierarchies(directory.path(), "/web/one")).unwrap(), || {
            write(one.join("cpu.stat"), &used(1_190_000));
        });
        assert_eq!(found.share.map(|share| (share * 1e6).round()), Some(900_000.0), "0.09 s of 0.05 CPUs in 2 s");
    }

    #[test]
    fn version_1_counts_in_one_hierarchy_and_limits_in_another() {
        let directory = tempfile::tempdir().unwrap();
        let (cpu, acct) = (directory.path().join("cpu/web"), directory.path().join("acct/web"));
        write(cpu.join("cpu.cfs_quota_us"), "200000\n");
        write(cpu.join("cpu.cfs_period_us"), "100000\n");
        write(acct.join("cpuacct.usage"), "5000000000\n");
        // A version 2 that is there beside it cannot limit.
        write(directory.path().join("v2/web/cpu.stat"), "usage_usec 1\n");
        let mut meter = CgroupMeter::named(&hierarchies(directory.path(), "/"), Path::new("/web")).unwrap();
        let found = share_after(&mut meter, || write(acct.join("cpuacct.usage"), "7000000000\n"));
        assert_eq!(found, CgroupShare { share: Some(0.5), limited: true }, "2 s of 2 CPUs in 2 s");
    }

    #[test]
    fn without_a_limit_all_usable_cpus_are_the_whole() {
        let directory = tempfile::tempdir().unwrap();
        let stat = directory.path().join("v2/web/cpu.stat");
        write(stat.clone(), "usage_usec 0\n");
        let mut meter = CgroupMeter::named(&hierarchies(directory.path(), "/"), Path::new("/web")).unwrap();
        let found = share_after(&mut meter, || write(stat, "usage_usec 2000000\n"));
        assert_eq!(found, CgroupShare { share: Some(1.0 / usable_cpus()), limited: false });
    }

    #[test]
    fn a_group_that_is_not_there_is_none_and_one_that_goes_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let hierarchies = hierarchies(directory.path(), "/");
        write(directory.path().join("v2/cpu.stat"), "usage_usec 1\n");
        write(directory.path().join("acct/cpuacct.usage"), "1\n");
        assert!(CgroupMeter::named(&hierarchies, Path::new("/web")).is_none(), "though there is one above it");
        let stat = directory.path().join("v2/web/cpu.stat");
        write(stat.clone(), "usage_usec x\n");
        let mut meter = CgroupMeter::named(&hierarchies, Path::new("/web")).unwrap();
        let error = meter.measure(Instant::now()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: no `usage_usec` in \"usage_usec x\\n\"", stat.display()));
        fs::remove_file(&stat).unwrap();
        assert!(meter.measure(Instant::now()).unwrap_err().to_string().starts_with("cannot read "));
    }

    #[test]
    fn limits_are_read_in_both_forms_and_garbage_in_none() {
        assert_eq!(limit_v2("150000 100000\n"), Some(Some(1.5)));
        assert_eq!(limit_v2("max 100000\n"), Some(None));
        for text in ["", "max", "0 100000", "5 0", "x 1", "-1 100000"] {
            assert_eq!(limit_v2(text), None, "{text:?}");
        }
        assert_eq!(limit_v1("25000\n", "100000\n"), Some(Some(0.25)));
        assert_eq!(limit_v1("-1\n", "100000\n"), Some(None));
        for (quota, period) in [("", "1"), ("0", "1"), ("1", "0"), ("x", "1"), ("1", "-1")] {
            assert_eq!(limit_v1(quota, period), None, "{quota:?} {period:?}");
        }
    }
}
