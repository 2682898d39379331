//! A node of the tests' own: its configuration, its host, and what its daemon knows. All is well with it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use lb_core::api;

use super::super::facts::{Clock, Disk, Kernel, Link};
use super::super::*;
use crate::forwarding::Family;

const CONFIG: &str = r#"
interfaces = ["eth0"]
[reports]
listen = ["0.0.0.0:6720"]
key_file = "/etc/understudy/keys"
[[real]]
name = "web1"
address = "198.51.100.11"
[[service]]
name = "web"
vip = "192.0.2.80"
protocol = "tcp"
port = 80
mode = "ipip"
reals = ["web1"]
[pair]
role = "primary"
key_file = "/etc/understudy/keys"
[[pair.path]]
type = "udp"
interface = "eth1"
local = "203.0.113.1:6721"
peer = "203.0.113.2:6721"
[[pair.path]]
type = "serial"
device = "/dev/ttyS0"
"#;

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn link(name: &str, address: &str) -> Link {
    Link {
        name: name.to_owned(),
        up: true,
        carrier: true,
        mtu: 1500,
        driver: Some("ixgbe".to_owned()),
        addresses: vec![ip(address)],
        ..Link::default()
    }
}

/// A node on which all is well, and no daemon was asked.
pub(super) fn well() -> Case {
    let facts = Facts {
        kernel: Kernel {
            release: "6.1.0-32-amd64".to_owned(),
            btf: true,
            jit: Some(1),
            missing_capabilities: Vec::new(),
            bpf_file_system: Some(true),
        },
        links: vec![link("eth0", "192.0.2.2"), link("eth1", "203.0.113.1")],
        clock: Clock { synchronised: Some(true), stepped_seconds: 0.01 },
        disks: vec![Disk {
            key: "state_dir",
            path: "/var/lib/understudy".into(),
            free: 1 << 30,
            write_ms: Some(2.0),
            error: None,
        }],
        listeners: Vec::new(),
        networks: vec![(Ipv4Addr::new(192, 0, 2, 2), Ipv4Addr::new(255, 255, 255, 0))],
        peer_routes: vec![(ip("203.0.113.2"), "eth1".to_owned())],
    };
    let next_hop = NextHop {
        ifindex: 2,
        next_hop_mac: [2, 0, 0, 0, 0, 1],
        source_mac: [2, 0, 0, 0, 0, 2],
        tunnel_source: Ipv4Addr::new(192, 0, 2, 2).into(),
        mtu: 1520,
    };
    let way = Way { next_hop: Some(next_hop), interface: Some("eth0".to_owned()), note: String::new() };
    Case {
        config: Config::parse(Path::new("lbd.toml"), CONFIG, &|_| None).unwrap(),
        unfit_files: Vec::new(),
        facts,
        ways: [("web1".to_owned(), way)].into(),
        running: None,
        deliveries: Vec::new(),
        runs_elsewhere: false,
    }
}

/// The same with a service in mode `nat`.
pub(super) fn natted() -> Case {
    let config = Config::parse(Path::new("lbd.toml"), &CONFIG.replace("\"ipip\"", "\"nat\""), &|_| None).unwrap();
    let mut case = Case { config, ..well() };
    case.facts.links[0].forwards = vec![Family::V4];
    case
}

/// The same with a daemon that runs.
pub(super) fn running() -> Case {
    Case {
        running: Some(Running {
            status: status(),
            reports: reports(&[]),
            drops: drops(0),
            pair: None,
            checkpoint: None,
        }),
        ..well()
    }
}

pub(super) fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        pid: 1,
        uptime_seconds: 1,
        generation: 1,
        config_path: "/etc/understudy/lbd.toml".to_owned(),
        config_age_seconds: 1,
        degraded: false,
        warnings: Vec::new(),
        interfaces: vec![api::Interface { name: "eth0".to_owned(), mode: Some(api::AttachMode::Driver), error: None }],
        adoption: api::Adoption::Fresh,
        adoption_reason: None,
        bpf_dir: "/sys/fs/bpf/understudy".to_owned(),
        state: api::StateFile { path: "/var/lib/understudy/state.json".to_owned(), saved: true, error: None },
        services: 1,
        reals: 1,
        flows: 0,
        flow_limit: 1,
        pair: None,
        checkpoint: None,
    }
}

pub(super) fn count(name: &str, count: u64) -> api::Count {
    api::Count { name: name.to_owned(), count, explanation: String::new() }
}

pub(super) fn reports(refused: &[(&str, u64)]) -> Reports {
    let refused = refused.iter().map(|(name, number)| count(name, *number)).collect();
    Reports { listen: Vec::new(), accepted: 0, refused, senders: Vec::new(), agent_checks: Vec::new() }
}

pub(super) fn drops(too_big: u64) -> Drops {
    Drops { at_ns: 0, drops: vec![count("too_big", too_big)], events: Vec::new() }
}

pub(super) fn know(case: &mut Case) -> &mut Running {
    case.running.as_mut().unwrap()
}

pub(super) fn path(state: api::PathState, bad_tags: u64) -> api::Path {
    api::Path {
        id: 0,
        name: "udp eth1".to_owned(),
        kind: api::PathKind::Udp,
        state,
        silent: false,
        problem: None,
        interval_ms: 10.0,
        rtt: None,
        loss: 0.0,
        missed_in_a_row: 0,
        heard_ms: None,
        counters: api::PathCounters::default(),
        refused: vec![count("bad_tag", bad_tags)],
        quality: quality(),
    }
}

pub(super) fn quality() -> api::Quality {
    api::Quality { detections: 0, detection_mean_ms: None, detection_max_ms: None, mistakes: 0, accuracy: 1.0 }
}

pub(super) fn pair() -> Pair {
    Pair {
        role: api::Role::Primary,
        state: api::NodeState::Active,
        state_seconds: 1.0,
        epoch: 1,
        boot: 1,
        fitness: 100,
        lacks: None,
        held: false,
        forbidden: None,
        moving: None,
        lease: api::Lease {
            service: api::LeaseService::Serving,
            remaining_ms: 10.0,
            expired: false,
            reconfirming: false,
        },
        peer: api::PairPeer {
            health: api::PeerHealth::Alive,
            heard_ms: None,
            says: None,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            same_role_frames: 0,
        },
        sync: api::Sync { state: api::SyncState::InSync, reason: String::new() },
        detection: api::Detection { min_ms: 1.0, mean_ms: 1.0, max_ms: 1.0 },
        quality: quality(),
        stalls: api::Stalls { count: 0, longest_ms: 0.0, total_ms: 0.0 },
        handicaps: Vec::new(),
    }
}
