//! Hosts of the tests' own: one that is well, and each fault on it, which has to be named with its fix.

mod node;

use std::collections::BTreeSet;

use lb_core::api::{self, Severity};
use lb_core::service::Mode;

use super::delivery::Delivery;
use super::facts::{Clock, Disk, Kernel, Listener, Xdp};
use super::*;
use node::*;

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
    let own = delivery(Err("this host has no IPv6 address towards the real but the VIP"), Some(Ok(())), false);
    says(&own, "notice delivery real web1 in service web: it could not be tried: this host", "an address");
    assert_eq!(complaints(&own).len(), 1);
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
fn with_nat_the_real_is_tried_at_its_own_address() {
    let nat = |result| {
        let mut case = delivery(result, None, false);
        case.deliveries[0].mode = Mode::Nat;
        case
    };
    assert_eq!(complaints(&nat(Ok(()))), []);
    let here = "error delivery real web1 in service web: ";
    let refused = format!("{here}no server listens on port 80 of 198.51.100.11 there");
    says(&nat(Err("connection refused")), &refused, "listen on port 80 of 198.51.100.11");
    let silent = format!("{here}no answer on port 80 of 198.51.100.11");
    says(&nat(Err("no connection in 700 ms")), &silent, "nc -vz 198.51.100.11 80");
}

#[test]
fn replies_of_nat_services() {
    assert_eq!(complaints(&natted()), []);
    let mut case = natted();
    case.facts.links[0].forwards = vec![crate::forwarding::Family::V6];
    says(&case, "error forwarding eth0: it forwards no IPv4", "sysctl -w net/ipv4/conf/eth0/forwarding=1");
    case = natted();
    case.ways.get_mut("web1").unwrap().interface = Some("eth1".to_owned());
    says(&case, "error forwarding eth1: replies of nat services come in by it (IPv4)", "add \"eth1\" to `interfaces`");
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
        include_str!("ports.rs"),
        include_str!("replies.rs"),
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
