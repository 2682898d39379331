//! CPU time used, of what may be used: of a control group where that is limited, else of the host.

use std::path::PathBuf;
use std::time::Instant;

use super::cgroup::CgroupMeter;
use super::host_cpu::CpuTimes;
use super::mounts::Hierarchies;
use super::{Places, SourceError, text};

/// Whose CPU time counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CpuOf {
    /// The agent's own control group where that is limited, as in a container; else the host.
    #[default]
    Auto,
    /// The host.
    Host,
    /// This control group.
    Cgroup(PathBuf),
}

/// Measures CPU time.
#[derive(Debug)]
pub(super) struct CpuMeter {
    of: CpuOf,
    places: Places,
    group: Option<CgroupMeter>,
    host: Option<CpuTimes>,
}

impl CpuMeter {
    pub(super) fn new(of: CpuOf, places: Places) -> Self {
        Self { of, places, group: None, host: None }
    }

    /// The share of the time since the last call.
    pub(super) fn measure(&mut self, now: Instant) -> Result<Option<f64>, SourceError> {
        let host = if matches!(self.of, CpuOf::Cgroup(_)) { None } else { self.host()? };
        if self.group.is_none() {
            self.group = self.find_group()?;
        }
        let Some(group) = &mut self.group else { return Ok(host) };
        let found = group.measure(now);
        if found.is_err() {
            // It may have gone, and may come again.
            self.group = None;
        }
        let found = found?;
        Ok(if found.limited || self.of != CpuOf::Auto { found.share } else { host })
    }

    fn find_group(&self) -> Result<Option<CgroupMeter>, SourceError> {
        match &self.of {
            CpuOf::Host => Ok(None),
            CpuOf::Auto => Ok(self.hierarchies().ok().as_ref().and_then(CgroupMeter::of_self)),
            CpuOf::Cgroup(name) => {
                let found = CgroupMeter::named(&self.hierarchies()?, name);
                let missing = || SourceError::Failed {
                    origin: format!("cgroup {}", name.display()),
                    why:
                        "there is no such control group that counts CPU time; `cat /proc/PID/cgroup` shows a process's"
                            .to_owned(),
                };
                found.ok_or_else(missing).map(Some)
            }
        }
    }

    fn hierarchies(&self) -> Result<Hierarchies, SourceError> {
        let read = |name: &str| text::read(&self.places.proc.join("self").join(name));
        Ok(Hierarchies::parse(&read("mountinfo")?, &read("cgroup")?))
    }

    fn host(&mut self) -> Result<Option<f64>, SourceError> {
        let path = self.places.proc.join("stat");
        let text = text::read(&path)?;
        let times = CpuTimes::parse(&text).ok_or_else(|| SourceError::garbage(&path, "line of all CPUs", &text))?;
        let before = self.host.replace(times);
        Ok(before.and_then(|before| times.share_since(before)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    struct Host {
        directory: tempfile::TempDir,
    }

    impl Host {
        /// A host with one hierarchy of version 2, whose group /web the process is in.
        fn new() -> Self {
            let host = Self { directory: tempfile::tempdir().unwrap() };
            let mount = host.path().join("cgroup");
            host.write("proc/self/mountinfo", &format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw\n", mount.display()));
            host.write("proc/self/cgroup", "0::/web\n");
            host.write("proc/stat", "cpu  0 0 0 0\n");
            host
        }

        fn path(&self) -> &Path {
            self.directory.path()
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn meter(&self, of: CpuOf) -> CpuMeter {
            CpuMeter::new(of, Places { proc: self.path().join("proc"), sys: self.path().join("sys") })
        }

        /// What is measured after a second in which the host was busy for a quarter of the time and the group used 0.1 s.
        fn second(&self, of: CpuOf) -> Result<Option<f64>, SourceError> {
            let start = Instant::now();
            let mut meter = self.meter(of);
            meter.measure(start)?;
            self.write("proc/stat", "cpu  25 0 0 75\n");
            if self.path().join("cgroup/web").exists() {
                self.write("cgroup/web/cpu.stat", "usage_usec 100000\n");
            }
            meter.measure(start + Duration::from_secs(1))
        }

        fn with_group(limit: &str) -> Self {
            let host = Self::new();
            host.write("cgroup/web/cpu.stat", "usage_usec 0\n");
            host.write("cgroup/web/cpu.max", limit);
            host
        }
    }

    #[test]
    fn a_limited_group_counts_and_one_without_a_limit_leaves_it_to_the_host() {
        assert_eq!(Host::with_group("20000 100000").second(CpuOf::Auto), Ok(Some(0.5)));
        assert_eq!(Host::with_group("max 100000").second(CpuOf::Auto), Ok(Some(0.25)));
        assert_eq!(Host::new().second(CpuOf::Auto), Ok(Some(0.25)), "no group at all");
        assert_eq!(Host::with_group("20000 100000").second(CpuOf::Host), Ok(Some(0.25)));
    }

    #[test]
    fn a_named_group_counts_with_a_limit_or_without_and_must_be_there() {
        let web = || CpuOf::Cgroup("/web".into());
        assert_eq!(Host::with_group("20000 100000").second(web()), Ok(Some(0.5)));
        let cpus = std::thread::available_parallelism().unwrap().get() as f64;
        assert_eq!(Host::with_group("max 100000").second(web()), Ok(Some(0.1 / cpus)));
        let error = Host::new().second(web()).unwrap_err().to_string();
        assert!(error.starts_with("cgroup /web: there is no such control group"), "{error}");
    }

    #[test]
    fn a_group_that_comes_later_or_goes_is_looked_for() {
        let host = Host::new();
        let mut meter = host.meter(CpuOf::Cgroup("/web".into()));
        let start = Instant::now();
        meter.measure(start).unwrap_err();
        host.write("cgroup/web/cpu.stat", "usage_usec 0\n");
        host.write("cgroup/web/cpu.max", "20000 100000");
        assert_eq!(meter.measure(start + Duration::from_secs(1)), Ok(None));
        host.write("cgroup/web/cpu.stat", "usage_usec 100000\n");
        assert_eq!(meter.measure(start + Duration::from_secs(2)), Ok(Some(0.5)));
        fs::remove_dir_all(host.path().join("cgroup/web")).unwrap();
        meter.measure(start + Duration::from_secs(3)).unwrap_err();
        let error = meter.measure(start + Duration::from_secs(4)).unwrap_err().to_string();
        assert!(error.starts_with("cgroup /web: there is no such control group"), "looked for anew: {error}");
    }

    #[test]
    fn a_stat_file_that_is_garbage_is_named() {
        let host = Host::new();
        host.write("proc/stat", "cpu0 1 2 3 4\n");
        let error = host.meter(CpuOf::Host).measure(Instant::now()).unwrap_err().to_string();
        let path = host.path().join("proc/stat");
        assert_eq!(error, format!("{}: no line of all CPUs in \"cpu0 1 2 3 4\\n\"", path.display()));
    }
}
