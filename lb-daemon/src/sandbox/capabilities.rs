//! Which capabilities stay.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

use crate::config::Settings;

/// What `lbd` needs while it runs, where it had it at the start.
///
/// - `NET_ADMIN`: addresses, XDP links, marks of sockets.
/// - `NET_RAW`: ARP and neighbour discovery, echoes, checks that go the service's way.
/// - `NET_BIND_SERVICE`: a port below 1024 that was busy at the start.
/// - `BPF`, `PERFMON`: maps and programs for interfaces that appear later.
/// - `SYS_NICE`, `IPC_LOCK`: the priority and the memory of the heartbeat thread.
pub const KEPT: [Capability; 7] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_NICE,
    Capability::CAP_IPC_LOCK,
];

/// Drops all others, and gives the names of those that stay.
pub(super) fn narrow(settings: &Settings) -> Result<String, CapsError> {
    let had = caps::read(None, CapSet::Permitted)?;
    let kept = kept(&had, settings.api_group.is_some());
    narrow_bounding(&kept);
    caps::clear(None, CapSet::Inheritable)?;
    // Effective ones are of the permitted ones.
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    let mut names: Vec<String> = kept.iter().map(ToString::to_string).collect();
    names.sort();
    Ok(names.join(" "))
}

fn kept(had: &CapsHashSet, has_group: bool) -> CapsHashSet {
    let mut wanted: CapsHashSet = KEPT.into();
    if has_group {
        // The API's socket gets its group when it is made.
        wanted.insert(Capability::CAP_CHOWN);
    }
    if !had.contains(&Capability::CAP_BPF) {
        // Stands for BPF and PERFMON, where whoever started lbd did not give those.
        wanted.insert(Capability::CAP_SYS_ADMIN);
    }
    wanted.intersection(had).copied().collect()
}

/// What no program that is started from here could ever get. Takes SETPCAP, which a service manager may have withheld; without new
/// privileges no program gets more than this thread has anyway.
fn narrow_bounding(kept: &CapsHashSet) {
    for capability in caps::read(None, CapSet::Bounding).unwrap_or_default().difference(kept) {
        let _ = caps::drop(None, CapSet::Bounding, *capability);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_stays() {
        let had: CapsHashSet = [Capability::CAP_NET_ADMIN, Capability::CAP_BPF, Capability::CAP_SYS_PTRACE].into();
        assert_eq!(kept(&had, true), [Capability::CAP_NET_ADMIN, Capability::CAP_BPF].into());
    }

    #[test]
    fn sys_admin_stays_where_it_stands_for_others() {
        let old: CapsHashSet = [Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN].into();
        assert_eq!(kept(&old, false), old);
        assert_eq!(kept(&caps::all(), false), KEPT.into());
        assert!(kept(&caps::all(), true).contains(&Capability::CAP_CHOWN));
    }
}
