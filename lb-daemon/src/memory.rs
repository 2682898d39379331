//! How much of the kernel's memory the maps take, worked out before any of them is made: a host that has not so much is told so, with the
//! figure, and not by a failure in the middle.
//!
//! What a map takes follows from how Linux lays it out (kernel/bpf/arraymap.c, hashtab.c, ringbuf.c): these are the same on 6.1 and 6.18. Maps that take
//! memory row by row count as what they take while they are empty.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use lb_common::{
    DropReason, Event, FlowKey, FlowValue, FragmentKey, FragmentValue, Guard, HalfOpenValue, IndexedService,
    MAX_FRAGMENTS, MAX_HALF_OPEN, MAX_NAT_PORTS, MAX_NAT_REPLIES, MAX_QUIC_ENCODINGS, MAX_QUIC_SERVERS, MAX_SERVICES,
    MAX_SOURCES, RING_SLOTS, RealValue, SERVICE_INDEX_ROWS, ServiceKey, ServiceOptions, ServiceValue, Slot, SourceKey,
    SourceValue, TRACE_EVENTS_SIZE, TrafficCounters, VipKey, VipValue, WANTED_NEIGHBOURS_SIZE,
};

use lb_core::service::{Cluster, Member, Service};

use crate::config::Settings;

const PAGE: u64 = 4_096;
/// What goes before an element of a hash: `struct htab_elem`.
const ELEMENT: u64 = 48;
/// Of a hash: `struct bucket`.
const BUCKET: u64 = 16;
/// What goes before the data of a ring buffer: a page of the kernel's, and a page for each of the two positions.
const RING_BUFFER_PAGES: u64 = 3;
/// The kernel's own of each map, roughly: `struct bpf_array`, the descriptor, BTF.
const EACH_MAP: u64 = 2 * PAGE;
const POSSIBLE_CPUS: &str = "/sys/devices/system/cpu/possible";

/// Services, and how many rings they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Services {
    /// How many there are.
    pub count: u64,
    /// Rings, equal ones counted once.
    pub rings: u64,
}

/// What the maps take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    services: u64,
    /// The rings of all services, equal ones counted once.
    rings: u64,
    /// What rings take when no two services have the same any more.
    rings_most: u64,
    /// The flow table.
    flows: u64,
    /// Rows and counters of reals.
    reals: u64,
    /// All the rest.
    rest: u64,
}

/// The host has not so much memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the maps take {needed}, and {} is available ({source_of}): lower `limits.flows` or `limits.reals`, have fewer services, or give the host more memory", Size(*.available))]
pub struct TooMuch {
    /// What is needed.
    pub needed: Memory,
    /// What there is, in bytes.
    pub available: u64,
    /// Who says so.
    pub source_of: String,
}

impl Memory {
    /// What the maps of a configuration take on this host. Services with the same reals and weights begin with one ring together, and have
    /// it until health or an operator tells them apart.
    #[must_use]
    pub fn of(settings: &Settings, cluster: &Cluster) -> Self {
        let cpus = fs::read_to_string(POSSIBLE_CPUS).ok().and_then(|text| count_cpus(&text)).unwrap_or(1);
        let flow_events =
            settings.checkpoint.as_ref().map_or(lb_common::DEFAULT_FLOW_EVENTS_SIZE, |own| own.flow_events_size);
        Self::with(
            Services { count: cluster.services().len() as u64, rings: distinct_rings(cluster) },
            u64::from(settings.limits.reals) + 1,
            settings.limits.flows.into(),
            flow_events.into(),
            cpus,
        )
    }

    /// As [`of`](Self::of), of these services, of a flow table for so many flows, a ring buffer of so many bytes, and a host with so many CPUs.
    #[must_use]
    pub fn with(services: Services, reals: u64, flows: u64, flow_events: u64, cpus: u64) -> Self {
        let services_max = u64::from(MAX_SERVICES);
        let ring = array::<Slot>(RING_SLOTS.into());
        Self {
            services: services.count,
            rings: services.rings * ring,
            rings_most: services.count * ring,
            flows: hash::<FlowKey, FlowValue>(flows),
            reals: array::<RealValue>(reals) + per_cpu::<TrafficCounters>(reals, cpus),
            rest: hash::<VipKey, VipValue>(services_max)
                + hash::<ServiceKey, ServiceValue>(services_max)
                + array::<IndexedService>(SERVICE_INDEX_ROWS.into())
                + array::<u64>(services_max)
                + array::<ServiceOptions>(services_max)
                + array::<Guard>(services_max)
                + hash::<SourceKey, SourceValue>(MAX_SOURCES.into())
                + hash::<FlowKey, HalfOpenValue>(MAX_HALF_OPEN.into())
                + hash::<FragmentKey, FragmentValue>(MAX_FRAGMENTS.into())
                + buckets(MAX_NAT_PORTS.into())
                + buckets(MAX_NAT_REPLIES.into())
                + buckets(MAX_QUIC_ENCODINGS.into())
                + buckets(MAX_QUIC_SERVERS.into())
                + per_cpu::<TrafficCounters>(services_max, cpus)
                + per_cpu::<u64>(DropReason::COUNT.into(), cpus)
                + per_cpu::<u64>(Event::COUNT.into(), cpus)
                + ring_buffer(flow_events)
                + ring_buffer(TRACE_EVENTS_SIZE.into())
                + ring_buffer(WANTED_NEIGHBOURS_SIZE.into()),
        }
    }

    /// All of it at the start, in bytes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.rings + self.flows + self.reals + self.rest
    }

    /// Refuses where the host, or the control group that this process is in, has not so much to give.
    ///
    /// # Errors
    /// What is needed and what there is.
    pub fn check(self) -> Result<(), TooMuch> {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let host = available(&meminfo).map(|bytes| (bytes, "MemAvailable".to_owned()));
        let groups = control_groups(&cgroup).into_iter().filter_map(|group| Some((group.left()?, group.limit())));
        // Where nobody says how much there is, the kernel has to refuse by itself.
        match host.into_iter().chain(groups).min() {
            Some((available, source_of)) if available < self.total() => {
                Err(TooMuch { needed: self, available, source_of })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { services, rings, rings_most, flows, reals, rest } = *self;
        let [total, rings, rings_most, flows, reals, rest] =
            [self.total(), rings, rings_most, flows, reals, rest].map(Size);
        write!(
            f,
            "{total} of kernel memory (rings of services ({services}) {rings} and at most {rings_most}, flow table {flows}, reals {reals}, the rest {rest})"
        )
    }
}

/// How many rings services begin with: one for all that have the same reals, weights and timeout.
fn distinct_rings(cluster: &Cluster) -> u64 {
    let ring = |service: &Service| {
        let weight = |member: &Member| member.weight.or_else(|| Some(cluster.real(&member.real)?.weight));
        let mut members: Vec<_> =
            service.reals.iter().map(|member| (member.real.clone(), weight(member), member.fallback)).collect();
        members.sort_unstable();
        (members, service.affinity.as_ref().and_then(|affinity| affinity.timeout_ms))
    };
    cluster.services().iter().map(ring).collect::<BTreeSet<_>>().len() as u64
}

/// Bytes as people read them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 as f64 / f64::from(1 << 20);
        if mib < 1_024.0 { write!(f, "{mib:.1} MiB") } else { write!(f, "{:.1} GiB", mib / 1_024.0) }
    }
}

fn rounded<T>() -> u64 {
    (size_of::<T>() as u64).next_multiple_of(8)
}

fn pages(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

fn array<V>(entries: u64) -> u64 {
    pages(entries * rounded::<V>()) + EACH_MAP
}

fn per_cpu<V>(entries: u64, cpus: u64) -> u64 {
    pages(entries * (rounded::<V>() * cpus + size_of::<usize>() as u64)) + EACH_MAP
}

/// One that takes the memory of all its elements at once.
fn hash<K, V>(entries: u64) -> u64 {
    pages(entries * (ELEMENT + rounded::<K>() + rounded::<V>())) + buckets(entries)
}

/// A hash without elements.
fn buckets(entries: u64) -> u64 {
    pages(entries.next_power_of_two() * BUCKET) + EACH_MAP
}

fn ring_buffer(bytes: u64) -> u64 {
    pages(bytes.next_power_of_two()) + (RING_BUFFER_PAGES * PAGE) + EACH_MAP
}

/// Of a list as `0-3,8`.
fn count_cpus(list: &str) -> Option<u64> {
    list.trim()
        .split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            last.checked_sub(first).map(|more| more + 1)
        })
        .sum()
}

/// In bytes; by /proc/meminfo.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// A control group, and the names of its files.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    directory: PathBuf,
    version: &'static Version,
}

/// How a version of control groups counts memory.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    root: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: what is used of it for files and can be had back.
    cache: &'static str,
}

/// What lbd runs under everywhere by now.
static V2: Version =
    Version { root: "/sys/fs/cgroup", limit: "memory.max", used: "memory.current", cache: "inactive_file" };
/// What some containers still have.
static V1: Version = Version {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: "total_inactive_file",
};

/// The control groups of a process that may limit its memory, by /proc/PID/cgroup. The root is one of them: in a container it is the
/// container's own.
fn control_groups(text: &str) -> Vec<Group> {
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version = match controllers {
            "" if number == "0" => &V2,
            some if some.split(',').any(|controller| controller == "memory") => &V1,
            _ => continue,
        };
        let own = Path::new(version.root).join(path.trim_start_matches('/'));
        let all = own.ancestors().take_while(|group| group.starts_with(version.root));
        groups.extend(all.map(|directory| Group { directory: directory.to_owned(), version }));
    }
    groups
}

impl Group {
    /// What may still be taken in it; none where it has no limit.
    fn left(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.directory.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let Version { limit, used, cache, .. } = self.version;
        let stat = read("memory.stat").unwrap_or_default();
        let of_cache = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok());
        let used = number(used)?.saturating_sub(of_cache.unwrap_or(0));
        Some(number(limit)?.saturating_sub(used))
    }

    /// Where its limit is.
    fn limit(&self) -> String {
        self.directory.join(self.version.limit).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_too_little_is_told_the_figure() {
        let memory = Memory::with(Services { count: 4_096, rings: 4_096 }, 65_536, 10_000_000, 1 << 20, 8);
        assert_eq!(
            memory.to_string(),
            "3.4 GiB of kernel memory (rings of services (4096) 2.0 GiB and at most 2.0 GiB, flow table 1.3 GiB, reals 24.5 MiB, the rest 22.8 MiB)"
        );
        let error = TooMuch { needed: memory, available: 2 << 30, source_of: "MemAvailable".to_owned() };
        let text = error.to_string();
        assert!(
            text.starts_with("the maps take 3.4 GiB of kernel memory (")
                && text.contains("2.0 GiB is available (MemAvailable): lower"),
            "{text}"
        );
        let endless = Memory { rest: u64::MAX / 2, ..memory };
        assert_eq!(endless.check().unwrap_err().needed, endless);
        assert_eq!(Memory::with(Services { count: 1, rings: 1 }, 2, 1_024, 4_096, 1).check(), Ok(()));
    }

    #[test]
    fn cpus_are_counted() {
        for (list, count) in
            [("0\n", Some(1)), ("0-3\n", Some(4)), ("0-3,8,10-11\n", Some(7)), ("", None), ("3-0", None)]
        {
            assert_eq!(count_cpus(list), count, "{list}");
        }
    }

    #[test]
    fn what_is_available_is_read_from_meminfo_and_control_groups() {
        assert_eq!(available("MemTotal: 8 kB\nMemAvailable:    2048 kB\n"), Some(2_048 << 10));
        assert_eq!(available("MemTotal: 8 kB\n"), None);
        let limits = |text: &str| control_groups(text).iter().map(Group::limit).collect::<Vec<_>>();
        assert_eq!(
            limits("12:cpu:/x\n0::/system.slice/lbd.service\n"),
            [
                "/sys/fs/cgroup/system.slice/lbd.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(limits("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            limits("4:cpu,memory:/x\n1:cpu:/y\nodd"),
            ["/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        for version in [&V2, &V1] {
            let group = Group { directory: directory.path().to_owned(), version };
            assert_eq!(group.left(), None);
            write(version.used, "300\n");
            for (max, left) in [("max\n", None), ("1000\n", Some(700)), ("100\n", Some(0))] {
                write(version.limit, max);
                assert_eq!(group.left(), left, "{max}");
            }
            write(version.limit, "1000\n");
            write("memory.stat", &format!("anon 10\n{} 200\n", version.cache));
            assert_eq!(group.left(), Some(900));
            write("memory.stat", "");
        }
    }
}
