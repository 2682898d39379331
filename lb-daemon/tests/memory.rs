//! What the maps take, as worked out before, and as the kernel has it. Needs root.

use std::collections::BTreeMap;
use std::fs;

use lb_daemon::dataplane::{Dataplane, Options};
use lb_daemon::memory::{Memory, Services};

const REALS: u32 = 1_000;
const FLOWS: u32 = 100_000;
const FLOW_EVENTS: u32 = 1 << 20;

/// What the kernel says that the maps of this process take, by their ids.
fn taken() -> u64 {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    maps.values().sum()
}

fn cpus() -> u64 {
    let list = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    list.trim().rsplit('-').next().unwrap().parse::<u64>().unwrap() + 1
}

#[test]
fn the_kernel_takes_what_was_worked_out() {
    let options =
        Options { pin_dir: None, max_reals: REALS, max_flows: FLOWS, flow_events_size: FLOW_EVENTS, debug_log: false };
    let (_dataplane, _) = Dataplane::open(&options).unwrap();
    // Without rings: the kernel has those by their addresses, and no descriptor shows them.
    let worked_out =
        Memory::with(Services { count: 0, rings: 0 }, REALS.into(), FLOWS.into(), FLOW_EVENTS.into(), cpus()).total();
    let ratio = taken() as f64 / worked_out as f64;
    assert!((0.95..1.05).contains(&ratio), "{} taken, {worked_out} worked out", taken());
}
