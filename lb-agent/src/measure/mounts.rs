//! Where the control groups are: which hierarchies this host has mounted, and which group of each this process is in.

use std::path::{Component, Path, PathBuf};

/// Deepest group that is looked at.
const MAX_DEPTH: usize = 32;

/// The hierarchies that CPU time is counted and limited in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hierarchies {
    /// Version 2.
    pub(super) unified: Option<Hierarchy>,
    /// Version 1, where CPU time is limited.
    pub(super) cpu: Option<Hierarchy>,
    /// Version 1, where CPU time is counted. Often the same as `cpu`.
    pub(super) cpuacct: Option<Hierarchy>,
}

/// One hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The group that the mount shows as its top; not `/` where a container has its own group mounted.
    root: PathBuf,
    /// The group of this process.
    own: PathBuf,
}

impl Hierarchies {
    /// Reads /proc/self/mountinfo and /proc/self/cgroup (see proc_pid_mountinfo(5) and cgroups(7)).
    pub(super) fn parse(mountinfo: &str, cgroup: &str) -> Self {
        let mut found = Self::default();
        for mount in mountinfo.lines().filter_map(Mount::parse) {
            let wanted = |controller: &str| mount.kind == "cgroup" && mount.options.split(',').any(|o| o == controller);
            if mount.kind == "cgroup2" && found.unified.is_none() {
                found.unified = own_group(cgroup, "").map(|own| mount.hierarchy(own));
            }
            if wanted("cpu") && found.cpu.is_none() {
                found.cpu = own_group(cgroup, "cpu").map(|own| mount.hierarchy(own));
            }
            if wanted("cpuacct") && found.cpuacct.is_none() {
                found.cpuacct = own_group(cgroup, "cpuacct").map(|own| mount.hierarchy(own));
            }
        }
        found
    }
}

impl Hierarchy {
    /// The directories of this process's group and of those above it, the innermost first.
    pub(super) fn own_directories(&self) -> Vec<PathBuf> {
        let below_root = self.own.strip_prefix(&self.root).or_else(|_| self.own.strip_prefix("/"));
        below_root.map(|path| self.directories(path)).unwrap_or_default()
    }

    /// The directories of a named group and of those above it. The name is the group's path in the hierarchy, with the mount
    /// point before it or not.
    pub(super) fn named_directories(&self, name: &Path) -> Vec<PathBuf> {
        let relative = name.strip_prefix(&self.mount).or_else(|_| name.strip_prefix("/")).unwrap_or(name);
        self.directories(relative)
    }

    /// A group outside of what the mount shows has none.
    fn directories(&self, relative: &Path) -> Vec<PathBuf> {
        let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Vec::new();
        }
        relative.ancestors().take(MAX_DEPTH).map(|path| self.mount.join(path)).collect()
    }
}

/// The group of a controller; of version 2 where the controller is empty. A line: `4:cpu,cpuacct:/web`.
fn own_group(cgroup: &str, controller: &str) -> Option<PathBuf> {
    cgroup.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then(|| PathBuf::from(group))
    })
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// A line: `32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`.
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut words = before.split(' ').skip(3);
        let (root, point) = (words.next()?, words.next()?);
        let mut words = after.split(' ');
        let (kind, options) = (words.next()?, words.nth(1)?);
        Some(Self { root, point, kind, options })
    }

    fn hierarchy(&self, own: PathBuf) -> Hierarchy {
        Hierarchy { mount: PathBuf::from(self.point), root: PathBuf::from(self.root), own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
23 1 0:22 / /sys rw - sysfs sysfs rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn paths(directories: &[PathBuf]) -> Vec<&str> {
        directories.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn each_hierarchy_is_found_with_its_own_group() {
        let found = Hierarchies::parse(HYBRID, "2:cpuacct:/\n1:cpu:/web/one\n3:cpuset:/other\n0::/unified\n");
        let cpu = found.cpu.unwrap();
        let expected = ["/sys/fs/cgroup/cpu/web/one", "/sys/fs/cgroup/cpu/web", "/sys/fs/cgroup/cpu/"];
        assert_eq!(paths(&cpu.own_directories()), expected);
        assert_eq!(paths(&found.cpuacct.unwrap().own_directories()), ["/sys/fs/cgroup/cpuacct/"]);
        assert_eq!(found.unified.unwrap().own, Path::new("/unified"));
    }

    #[test]
    fn a_container_sees_its_own_group_at_the_top() {
        let mount = "7 6 0:29 /docker/77 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n";
        let found = Hierarchies::parse(mount, "4:cpu,cpuacct:/docker/77/web\n");
        let expected = ["/sys/fs/cgroup/cpu,cpuacct/web", "/sys/fs/cgroup/cpu,cpuacct/"];
        assert_eq!(paths(&found.cpu.clone().unwrap().own_directories()), expected);
        assert_eq!(found.cpu, found.cpuacct);
        assert_eq!(found.unified, None);
    }

    #[test]
    fn a_name_may_be_the_whole_path_of_the_directory() {
        let cpu = Hierarchies::parse(HYBRID, "1:cpu:/\n").cpu.unwrap();
        for name in ["/web", "web", "/sys/fs/cgroup/cpu/web"] {
            assert_eq!(paths(&cpu.named_directories(Path::new(name)))[0], "/sys/fs/cgroup/cpu/web", "{name}");
        }
    }

    #[test]
    fn a_group_outside_of_the_mount_is_none() {
        let found = Hierarchies::parse(HYBRID, "0::/../../elsewhere\n");
        assert!(found.unified.unwrap().own_directories().is_empty());
        assert_eq!(found.cpu, None);
    }

    #[test]
    fn garbage_is_no_hierarchy() {
        for text in ["", " - ", "1 2 3 - cgroup", "32 31 0:29 / /x - cgroup2", "\0 \u{fffd} - - -"] {
            assert_eq!(Hierarchies::parse(text, text), Hierarchies::default(), "{text:?}");
        }
    }
}
