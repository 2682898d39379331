//! Hosts of the tests' own: one that is well, and each fault on it, which has to be named with its fix.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use lb_core::api::{self, Severity};
use lb_core::service::Mode;

use super::delivery::Delivery;
use super::facts::{Clock, Disk, Kernel, Link, Listener, Xdp};
use super::*;

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

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(name: &str, address: &str) -> Link {
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
fn well() -> Case {
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

/// The same with a daemon that runs.
fn running() -> Case {
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

fn status() -> Status {
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

fn count(name: &str, count: u64) -> api::Count {
    api::Count { name: name.to_owned(), count, explanation: String::new() }
}

fn reports(refused: &[(&str, u64)]) -> Reports {
    let refused = refused.iter().map(|(name, number)| count(name, *number)).collect();
    Reports { listen: Vec::new(), accepted: 0, refused, senders: Vec::new(), agent_checks: Vec::new() }
}

fn drops(too_big: u64) -> Drops {
    Drops { at_ns: 0, drops: vec![count("too_big", too_big)], events: Vec::new() }
}

fn know(case: &mut Case) -> &mut Running {
    case.running.as_mut().unwrap()
}

fn path(state: api::PathState, bad_tags: u64) -> api::Path {
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

fn quality() -> api::Quality {
    api::Quality { detections: 0, detection_mean_ms: None, detection_max_ms: None, mistakes: 0, accuracy: 1.0 }
}

/// The errors, warnings and notices, as `severity check subject: finding`, each with its fixes.
fn complaints(case: &Case) -> Vec<(String, String)> {
    let diagnosis = judge(case);
    let bad = diagnosis.findings.iter().filter(|finding| finding.severity != Severity::Ok);
    bad.map(|bad| {
        assert!(!bad.reason.is_empty() && !bad.fix.is_empty(), "{bad:?}");
        (format!("{} {} {}: {}", bad.severity, bad.check, bad.subject, bad.finding), bad.fix.join("; "))
    })
    .collect()
}

/// One complaint, which has these words and this in its fix.
fn says(case: &Case, words: &str, fix: &str) {
    let all = complaints(case);
    assert!(
        all.iter().any(|(text, steps)| text.contains(words) && steps.contains(fix)),
        "no `{words}`, `{fix}`: {all:#?}"
    );
}

#[test]
fn of_a_node_that_is_well_nothing_is_said() {
    for case in [well(), running()] {
        assert_eq!(complaints(&case), []);
        assert_eq!(judge(&case).worst(), Severity::Ok);
    }
    let skipped: Vec<String> = judge(&well()).skipped.into_iter().map(|skipped| skipped.check).collect();
    assert_eq!(skipped, OF_A_DAEMON);
    assert!(judge(&running()).skipped.is_empty());
}

#[test]
fn a_kernel_that_cannot_do_it() {
    let mut case = well();
    case.facts.kernel = Kernel {
        release: "5.10.0-33-amd64".to_owned(),
        btf: false,
        jit: Some(0),
        missing_capabilities: vec!["CAP_BPF"],
        bpf_file_system: Some(false),
    };
    says(&case, "error kernel the kernel: it is Linux 5.10.0-33-amd64", "6.1 or newer");
    says(&case, "error btf", "CONFIG_DEBUG_INFO_BTF");
    says(&case, "warning jit", "sysctl -w net.core.bpf_jit_enable=1");
    says(&case, "error capabilities the privileges: missing: CAP_BPF", "run it as root");
    says(&case, "error bpf-file-system", "mount -t bpf");
}

#[test]
fn interfaces_that_are_missing_down_or_have_another_program() {
    let mut case = well();
    case.facts.links.remove(0);
    says(&case, "error interface eth0: there is no such interface", "`interfaces`: eth1");
    case = well();
    case.facts.links[0].up = false;
    says(&case, "error interface eth0: it is down", "ip link set dev eth0 up");
    case = well();
    case.facts.links[0].carrier = false;
    says(&case, "error interface eth0: it has no carrier", "cable");
    case = well();
    case.facts.links[0].xdp = Some(Xdp { id: 7, name: Some("pass_all".to_owned()), in_driver: true });
    says(&case, "error xdp eth0: another XDP program is attached (`pass_all`, id 7)", "ip link set dev eth0 xdp off");
    case.facts.links[0].xdp = Some(Xdp { id: 7, name: Some("understudy".to_owned()), in_driver: true });
    assert_eq!(complaints(&case), [], "an earlier lbd's");
}

#[test]
fn how_the_program_runs_and_what_the_driver_does() {
    let mut case = running();
    know(&mut case).status.interfaces[0].mode = Some(api::AttachMode::Generic);
    says(&case, "notice attach eth0: the program runs in generic mode (ixgbe)", "dmesg");
    know(&mut case).status.interfaces[0] =
        api::Interface { name: "eth0".to_owned(), mode: None, error: Some("refused".to_owned()) };
    says(&case, "error attach eth0: refused", "every 10 seconds");
    case = running();
    case.facts.links[0].lro = Some(true);
    says(&case, "warning offloads eth0", "ethtool -K eth0 lro off");
}

#[test]
fn a_vip_where_the_program_does_not_run() {
    let mut case = well();
    case.facts.links[1].addresses.push(ip("192.0.2.80"));
    says(&case, "error vip VIP 192.0.2.80: it is on eth1, where", "add \"eth1\" to `interfaces`");
    case = well();
    case.config.settings.pair = None;
    says(&case, "warning vip VIP 192.0.2.80: no interface", "ip address add 192.0.2.80/32 dev eth0");
}

#[test]
fn ways_that_are_not_known_or_too_narrow() {
    let mut case = running();
    let narrow = |case: &mut Case, mtu: u32| case.ways.get_mut("web1").unwrap().next_hop.as_mut().unwrap().mtu = mtu;
    narrow(&mut case, 1500);
    says(&case, "notice mtu real web1: the way by eth0 takes packets of 1500 bytes, and 1520 are needed", "mtu 1520");
    know(&mut case).drops = drops(3);
    says(
        &case,
        "warning mtu real web1: the way by eth0 takes packets of 1500 bytes, and 1520 are needed; 3",
        "lb-agent",
    );
    case = running();
    narrow(&mut case, 1400);
    says(&case, "warning mtu real web1", "ip link set dev eth0 mtu 1520");
    let way = case.ways.get_mut("web1").unwrap();
    *way = Way { next_hop: None, interface: None, note: "no ARP answer from 198.51.100.11 on eth0".to_owned() };
    says(
        &case,
        "error next-hop real web1: 198.51.100.11: no next hop: no ARP answer",
        "ip neighbour show 198.51.100.11",
    );
}

fn delivery(by_service: Result<(), &str>, by_address: Option<Result<(), &str>>, behind: bool) -> Case {
    let owned = |result: Result<(), &str>| result.map_err(str::to_owned);
    let delivery = Delivery {
        service: "web".to_owned(),
        real: "web1".to_owned(),
        address: ip("198.51.100.11"),
        vip: ip("192.0.2.80"),
        port: 80,
        mode: Mode::Ipip,
        by_service: owned(by_service),
        by_address: by_address.map(owned),
        behind,
    };
    Case { deliveries: vec![delivery], ..running() }
}

#[test]
fn whether_a_gateway_is_between() {
    let facts = well().facts;
    assert!(facts.is_on_link(ip("192.0.2.200")));
    assert!(!facts.is_on_link(ip("192.0.3.1")) && !facts.is_on_link(ip("2001:db8::1")));
}

#[test]
fn packets_that_do_not_get_through() {
    assert_eq!(complaints(&delivery(Ok(()), None, false)), []);
    let silent = Err("no connection in 700 ms");
    let here = "error delivery real web1 in service web: ";
    says(
        &delivery(Err("connection refused"), None, false),
        &format!("{here}no server listens on port 80"),
        "listen on",
    );
    says(
        &delivery(silent, Some(Ok(())), false),
        &format!("{here}it answers on port 80 of 198.51.100.11, and not on 192.0.2.80"),
        "lb-agent setup --mode ipip --vip 192.0.2.80 --apply",
    );
    says(&delivery(silent, Some(Ok(())), true), "error nat real web1 in service web", "the server's own address");
    says(&delivery(silent, Some(silent), false), &format!("{here}no answer on port 80"), "nc -vz 198.51.100.11 80");
}

#[test]
fn paths_keys_and_routes_of_a_pair() {
    let mut case = well();
    case.facts.peer_routes = vec![(ip("203.0.113.2"), "eth0".to_owned())];
    assert_eq!(complaints(&case), [], "nobody filters");
    case.facts.links[1].rp_filter = 2;
    assert_eq!(complaints(&case), [], "loosely");
    case.facts.links[1].rp_filter = 1;
    says(&case, "error rp-filter path udp eth1", "net.ipv4.conf.eth1.rp_filter=2");
    case = well();
    case.facts.links.remove(1);
    says(&case, "error path path udp eth1: interface eth1: there is no such interface", "eth1");

    let peers = |state, bad_tags| {
        let mut case = running();
        let paths = Paths { paths: vec![path(state, bad_tags)], overall: quality() };
        know(&mut case).pair = Some((pair(), paths));
        case
    };
    assert_eq!(complaints(&peers(api::PathState::Up, 3)), [], "a few frames are damaged now and then");
    says(&peers(api::PathState::Down, 0), "error path path udp eth1: down", "cable");
    says(&peers(api::PathState::Up, 4), "error keys the keys of the pair: 4 frames", "the same `key_file`");
}

fn pair() -> Pair {
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

#[test]
fn a_pair_that_is_not_what_it_should_be() {
    let mut case = running();
    let mut bad = pair();
    bad.peer.health = api::PeerHealth::Dead;
    bad.peer.version = Some("0.0.9".to_owned());
    bad.sync = api::Sync { state: api::SyncState::VipsDiffer, reason: "the nodes have different VIPs".to_owned() };
    bad.held = true;
    bad.lacks = Some("no carrier on eth0".to_owned());
    bad.handicaps = vec!["no real-time priority".to_owned()];
    know(&mut case).pair = Some((bad, Paths { paths: Vec::new(), overall: quality() }));
    says(&case, "error peer the peer: it is not heard", "systemctl status lbd");
    says(&case, "notice versions", "same version");
    says(&case, "error sync", "lbctl reload");
    says(&case, "notice pair this node: an operator holds it back", "lbctl hold off");
    says(&case, "warning pair this node: fit by 100 of 100: no carrier on eth0", "mend");
    says(&case, "warning heartbeats", "CAP_SYS_NICE");
}

#[test]
fn disks_clock_files_and_ports() {
    let mut case = well();
    case.facts.disks[0].error = Some("No space left on device".to_owned());
    says(&case, "error disk state_dir /var/lib/understudy: No space left", "make room");
    case.facts.disks[0] = Disk { free: 1 << 20, error: None, ..case.facts.disks[0].clone() };
    says(&case, "warning disk state_dir /var/lib/understudy: 1 MiB are free", "df /var/lib/understudy");
    case = well();
    case.facts.disks[0].write_ms = Some(900.0);
    says(&case, "warning disk state_dir /var/lib/understudy: a durable write took 900 ms", "faster disk");

    case = running();
    know(&mut case).status.state.error = Some("No space left on device".to_owned());
    says(&case, "error disk state_dir: /var/lib/understudy/state.json: the state cannot be saved", "make room");

    case = well();
    case.facts.clock.stepped_seconds = -3600.0;
    says(&case, "warning clock the wall clock: it was set back by 3600 s", "chronyc");
    case.facts.clock = Clock { synchronised: Some(false), stepped_seconds: 0.0 };
    says(&case, "notice clock the wall clock: nobody keeps it right", "chrony");

    case = well();
    case.unfit_files =
        vec!["cannot use the key file /k".to_owned(), "path serial /dev/ttyS0 cannot be used".to_owned()];
    says(&case, "error files what the configuration names: cannot use the key file /k", "lbd check");
    says(&case, "error serial what the configuration names: path serial /dev/ttyS0", "lbd check");

    case = well();
    case.facts.listeners = vec![Listener { tcp: false, address: "0.0.0.0:6720".parse().unwrap() }];
    says(&case, "error port reports.listen 0.0.0.0:6720: UDP 0.0.0.0:6720 is taken", "ss -lnup 'sport = :6720'");
    case.runs_elsewhere = true;
    assert_eq!(complaints(&case), [], "by lbd itself");
    case.facts.listeners = vec![Listener { tcp: true, address: "[::]:80".parse().unwrap() }];
    says(&case, "warning port service web: a program of this host listens on [::]:80 as well", "192.0.2.80");
}

#[test]
fn what_the_daemon_counts_and_warns_of() {
    let mut case = running();
    know(&mut case).reports = reports(&[("stale", 5), ("bad_tag", 1), ("malformed", 9)]);
    says(&case, "warning clock the reports of the reals: reports are older", "lb-agent again");
    says(&case, "warning keys the reports of the reals: reports are not signed", "the same secret");
    assert_eq!(complaints(&case).len(), 2, "others are somebody else's noise");
    case = running();
    know(&mut case).status.warnings = vec![
        api::Warning { subject: "maps".to_owned(), message: "they may differ".to_owned(), degraded: true },
        api::Warning { subject: "real web1".to_owned(), message: "said elsewhere".to_owned(), degraded: true },
    ];
    says(&case, "error daemon maps: they may differ", "lbd's log");
    assert_eq!(complaints(&case).len(), 1);
}

#[test]
fn the_worst_comes_first() {
    let mut case = well();
    case.facts.clock.synchronised = Some(false);
    case.facts.kernel.btf = false;
    case.facts.disks[0].free = 0;
    let severities: Vec<Severity> = judge(&case).findings.iter().map(|finding| finding.severity).collect();
    assert!(severities.is_sorted_by(|one, other| one >= other), "{severities:?}");
}

/// Each check that there is in the sources has its line in the reference, and no other.
#[test]
fn the_reference_has_every_check() {
    let sources = [
        include_str!("host.rs"),
        include_str!("interfaces.rs"),
        include_str!("ways.rs"),
        include_str!("delivery.rs"),
        include_str!("peer.rs"),
        include_str!("state.rs"),
    ];
    let page = include_str!("../../../docs/reference/doctor.md");
    let (_, page) = page.split_once("## The checks").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: BTreeSet<&str> = rows.map(|(check, _)| check).collect();
    let made = |source: &'static str| {
        let after_ok = source.split("Finding::ok(").skip(1).filter_map(first_text);
        let after_of = source.split("Finding::of(").skip(1).filter_map(|rest| first_text(rest.split_once(',')?.1));
        after_ok.chain(after_of).collect::<Vec<_>>()
    };
    let mut checks: BTreeSet<&str> = sources.into_iter().flat_map(made).collect();
    // By name, in a variable.
    checks.extend(["serial", "files"]);
    assert_eq!(documented, checks);
}

/// The text in quotes that comes next, before anything else does.
fn first_text(rest: &'static str) -> Option<&'static str> {
    rest.trim_start().strip_prefix('"')?.split_once('"').map(|(text, _)| text)
}
