//! Each command's text, from fixed answers.

mod checkpoint;
mod config;
mod pair;
mod scheduling;
mod services;

use lb_core::api::*;

use super::*;

fn counters(packets: u64) -> Counters {
    Counters { packets, bytes: packets * 100, syn: packets / 10, fin: packets / 20, rst: packets / 50 }
}

fn next_hop(last_byte: u8) -> Option<NextHop> {
    let mac = format!("02:00:00:00:00:{last_byte:02x}");
    Some(NextHop { interface: Some("eth1".into()), ifindex: 3, mac, mtu: 1500 })
}

fn real(name: &str, address: &str) -> Real {
    Real {
        name: name.into(),
        id: 1,
        address: address.parse().unwrap(),
        weight: 100,
        weight_override: None,
        admin: AdminState::Enabled,
        health: Health::Up,
        health_reason: None,
        services: vec!["web".into()],
        slots: 21_846,
        next_hop: next_hop(0x11),
        next_hop_note: None,
        counters: counters(1000),
    }
}

fn member(name: &str, address: &str, slots: u32) -> ServiceReal {
    ServiceReal {
        name: name.into(),
        address: address.parse().unwrap(),
        port: None,
        weight: 100,
        effective_weight: 100,
        slots,
        admin: AdminState::Enabled,
        health: Health::Up,
        next_hop_resolved: true,
        quic_server_ids: vec![],
    }
}

fn service_list() -> ServiceList {
    let web = Service {
        name: "web".into(),
        id: 1,
        vip: "192.0.2.80".parse().unwrap(),
        vip_prefix: None,
        protocol: Protocol::Tcp,
        ports: Ports { first: 80, last: 80 },
        mode: Mode::Dsr,
        slots: SlotStates { clean: 65_000, remembering: 500, marked: 37 },
        counters: counters(1000),
        reals: vec![
            member("web-1", "198.51.100.11", 43_691),
            ServiceReal { effective_weight: 50, next_hop_resolved: false, ..member("web-2", "198.51.100.12", 21_846) },
            ServiceReal { effective_weight: 0, admin: AdminState::Drained, ..member("web-3", "198.51.100.13", 0) },
            ServiceReal { effective_weight: 0, health: Health::Down, ..member("web-4", "198.51.100.14", 0) },
        ],
        one_packet: false,
        affinity: None,
        guards: None,
        quic: vec![],
    };
    let dns = Service {
        name: "dns".into(),
        id: 2,
        vip: "2001:db8::53".parse().unwrap(),
        protocol: Protocol::Udp,
        ports: Ports::ANY,
        mode: Mode::Ipip,
        slots: SlotStates { clean: 65_537, remembering: 0, marked: 0 },
        reals: vec![member("dns-1", "2001:db8:1::11", 65_537)],
        ..web.clone()
    };
    let idle = Service { name: "idle".into(), ports: Ports { first: 8000, last: 8099 }, reals: vec![], ..dns.clone() };
    ServiceList { generation: 7, services: vec![web, dns, idle] }
}

#[test]
fn affinity_is_shown_with_its_group() {
    let mut list = service_list();
    let affinity =
        |group: Option<&str>| Some(Affinity { prefix: 24, timeout_seconds: 900.0, group: group.map(str::to_owned) });
    list.services[0].affinity = affinity(None);
    list.services[1].affinity = affinity(Some("shop"));
    let shown = services(&list, Style::Plain);
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains("affinity")).map(str::trim).collect();
    let plain = "affinity: clients of /24, remembered for 15m 0s";
    assert_eq!(lines, [plain.to_owned(), format!("{plain}, in group shop")]);
}

/// With QUIC connection ids of three kinds.
#[test]
fn quic_is_shown_with_its_service() {
    let encoding =
        |config, encrypted| QuicEncoding { config, offset: 1, server_id_length: 3, nonce_length: 4, encrypted };
    let mut list = service_list();
    list.services.truncate(1);
    list.services[0].quic = vec![encoding(Some(0), true), encoding(Some(6), false), encoding(None, false)];
    let shown = services(&list, Style::Plain);
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains("quic")).map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "quic config 0: server id of 3 bytes, nonce of 4, encrypted",
            "quic config 6: server id of 3 bytes, nonce of 4, in the clear",
            "quic: server id of 3 bytes after 1, in the clear"
        ]
    );
}

fn healthy() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 4711,
        uptime_seconds: 11_045,
        generation: 7,
        config_path: "/etc/understudy/lbd.toml".into(),
        config_age_seconds: 62,
        degraded: false,
        warnings: vec![],
        interfaces: vec![
            Interface { name: "eth0".into(), mode: Some(AttachMode::Driver), error: None },
            Interface { name: "eth1".into(), mode: Some(AttachMode::Generic), error: None },
        ],
        adoption: Adoption::Adopted,
        adoption_reason: None,
        bpf_dir: "/sys/fs/bpf/understudy".into(),
        state: StateFile { path: "/var/lib/understudy/state.json".into(), saved: true, error: None },
        services: 2,
        reals: 4,
        flows: 1234,
        flow_limit: 262_144,
        pair: None,
        checkpoint: None,
    }
}

#[test]
fn status_of_a_healthy_daemon() {
    assert_eq!(status(&healthy(), Style::Plain), include_str!("snapshots/status.txt"));
}

#[test]
fn status_of_a_degraded_daemon() {
    let error = Some("another XDP program is attached: ip link set dev eth1 xdp off".to_owned());
    let unwell = Status {
        degraded: true,
        warnings: vec![
            Warning {
                subject: "web-2".into(),
                message: "no ARP answer from 192.0.2.12 on eth1: check that it is up and on that link".into(),
                degraded: true,
            },
            Warning { subject: "eth0".into(), message: "generic mode is slower".into(), degraded: false },
        ],
        interfaces: vec![
            Interface { name: "eth1".into(), mode: None, error },
            Interface { name: "eth2".into(), mode: None, error: None },
        ],
        adoption: Adoption::Replaced,
        adoption_reason: Some("their ABI version is 1, this daemon's is 2".into()),
        state: StateFile { saved: false, error: Some("No space left on device".into()), ..healthy().state },
        ..healthy()
    };
    assert_eq!(status(&unwell, Style::Plain), include_str!("snapshots/status-degraded.txt"));
}

#[test]
fn services_in_the_shape_of_ipvsadm() {
    assert_eq!(services(&service_list(), Style::Plain), include_str!("snapshots/services.txt"));
}

#[test]
fn the_state_of_a_real_says_what_keeps_new_flows_away() {
    assert_eq!(state(AdminState::Enabled, Health::Up), "enabled");
    assert_eq!(state(AdminState::Enabled, Health::Unchecked), "enabled");
    assert_eq!(state(AdminState::Enabled, Health::Partly), "partly");
    assert_eq!(state(AdminState::Drained, Health::Up), "drained");
    assert_eq!(state(AdminState::Disabled, Health::Down), "disabled, down");
}

#[test]
fn reals_with_their_notes() {
    let list = RealList {
        generation: 7,
        reals: vec![
            real("web-1", "198.51.100.11"),
            Real {
                weight_override: Some(50),
                next_hop: None,
                next_hop_note: Some(
                    "no ARP answer from 198.51.100.12 on eth1: check that it is up and on that link".into(),
                ),
                ..real("web-2", "198.51.100.12")
            },
            Real {
                admin: AdminState::Drained,
                slots: 0,
                next_hop: next_hop(0x13).map(|hop| NextHop { interface: None, ..hop }),
                ..real("web-3", "2001:db8:1::13")
            },
            Real {
                health: Health::Down,
                health_reason: Some("alive: no answer in 400 ms (3 in a row)".into()),
                slots: 0,
                ..real("web-4", "198.51.100.14")
            },
            Real { health: Health::Partly, ..real("web-5", "198.51.100.15") },
            Real { services: vec![], slots: 0, next_hop_note: Some(String::new()), ..real("spare", "198.51.100.16") },
        ],
    };
    assert_eq!(reals(&list, Style::Plain), include_str!("snapshots/reals.txt"));
}

fn flow(client: &str, vip: &str) -> Flow {
    Flow {
        client: client.parse().unwrap(),
        client_port: 40_001,
        vip: vip.parse().unwrap(),
        vip_port: 80,
        protocol: Protocol::Tcp,
        service: Some("web".into()),
        real: Some("web-1".into()),
        slot: 4711,
        state: FlowState::Open,
        idle_seconds: 1.26,
    }
}

#[test]
fn flows_of_both_families() {
    let mut list = FlowList {
        flows: vec![
            flow("203.0.113.5", "192.0.2.80"),
            Flow { real: None, state: FlowState::Fin, idle_seconds: 75.9, ..flow("2001:db8:c::5", "2001:db8::80") },
        ],
        truncated: false,
    };
    let expected = include_str!("snapshots/flows.txt");
    assert_eq!(flows(&list, Style::Plain), expected);
    list.truncated = true;
    let more = "2 flows shown; there are more: --limit N shows up to N\n";
    assert_eq!(flows(&list, Style::Plain), format!("{expected}{more}"));
}

fn sample(at_ns: u64, packets: u64) -> Stats {
    let named = |name: &str, packets| NamedCounters { name: name.into(), counters: counters(packets) };
    Stats {
        at_ns,
        total: counters(packets),
        services: vec![named("web", packets)],
        reals: vec![named("web-1", packets / 2), named("web-2", packets * 20_000)],
        dropped: packets / 100,
    }
}

#[test]
fn stats_count_and_shorten() {
    assert_eq!(stats(&sample(0, 12_345), Style::Plain), include_str!("snapshots/stats.txt"));
}

#[test]
fn rates_are_per_second_of_the_daemons_clock() {
    let text = rates(&Rates::between(&sample(1_000_000_000, 1000), &sample(3_000_000_000, 3000)), Style::Plain);
    assert_eq!(text, include_str!("snapshots/rates.txt"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let style =
        |is_terminal, no_color: &str, term: &str| Style::for_output(is_terminal, no_color.as_ref(), term.as_ref());
    assert_eq!(style(true, "", "xterm"), Style::Colour);
    assert_eq!(style(true, "1", "xterm"), Style::Plain);
    assert_eq!(style(true, "", "dumb"), Style::Plain);
    assert_eq!(style(false, "", "xterm"), Style::Plain);
}

#[test]
fn drops_with_their_meaning() {
    let entry =
        |name: &str, count, explanation: &str| Count { name: name.into(), count, explanation: explanation.into() };
    let list = Drops {
        at_ns: 0,
        drops: vec![
            entry(
                "malformed",
                0,
                "A header contradicts itself, or the IP payload is too short for the transport header.",
            ),
            entry("no_next_hop", 12, "The next hop to the real is not known: see lbctl reals."),
        ],
        events: vec![entry("flow_remembered", 123_456_789, "Flows newly written to the flow table.")],
    };
    assert_eq!(drops(&list, Style::Plain), include_str!("snapshots/drops.txt"));
    let coloured = drops(&list, Style::Colour);
    assert_eq!(stripped(&coloured), include_str!("snapshots/drops.txt"));
    assert!(coloured.contains("\nmalformed ") && coloured.contains("\n\x1b[31mno_next_hop "), "{coloured}");
}

#[test]
fn empty_answers_say_so() {
    let none = ServiceList { generation: 1, services: vec![] };
    assert_eq!(services(&none, Style::Plain), "No services are configured.\n");
    assert_eq!(reals(&RealList { generation: 1, reals: vec![] }, Style::Plain), "No reals are configured.\n");
    let text = flows(&FlowList { flows: vec![], truncated: false }, Style::Plain);
    assert!(text.starts_with("The flow table has no such flow."), "{text}");
}

#[test]
fn rates_survive_a_restart_of_the_counters_and_equal_times() {
    let backwards = Rates::between(&sample(1, 1000), &sample(2, 10));
    assert_eq!((backwards.total.packets, backwards.dropped), (0.0, 0.0));
    let no_time = Rates::between(&sample(1, 1000), &sample(1, 2000));
    assert_eq!(no_time.total.packets, 0.0);
    let empty = Stats { services: vec![], ..sample(0, 0) };
    let new_service = Rates::between(&empty, &sample(500_000_000, 1000));
    assert_eq!(new_service.services[0].rate.packets, 2000.0);
}

fn changed(real: Real, changed: bool) -> RealChanged {
    RealChanged { generation: 8, changed, real, warnings: vec![] }
}

#[test]
fn changes_say_what_is_now() {
    let web = || real("web-1", "198.51.100.11");
    let drained = Real { admin: AdminState::Drained, ..web() };
    let text = admin(&changed(drained.clone(), true));
    assert_eq!(text, "web-1 is now drained: it takes no new flows and keeps its old ones (generation 8)\n");
    let text = admin(&changed(drained, false));
    assert_eq!(text, "web-1 was already drained: it takes no new flows and keeps its old ones (generation 8)\n");
    assert_eq!(admin(&changed(web(), true)), "web-1 is now enabled: it takes new flows (generation 8)\n");
    let disabled = Real { admin: AdminState::Disabled, ..web() };
    let warned = RealChanged { warnings: vec!["the change is not on disk".into()], ..changed(disabled, true) };
    let text = admin(&warned);
    assert_eq!(
        text,
        "web-1 is now disabled: it is sent no packet (generation 8)\nwarning: the change is not on disk\n"
    );

    let heavy = Real { weight_override: Some(50), ..web() };
    let text = weight(&changed(heavy, true));
    assert_eq!(text, "web-1 now has weight 50 (its configuration says 100) (generation 8)\n");
    assert_eq!(weight(&changed(web(), false)), "web-1 had already its configured weight, 100 (generation 8)\n");

    let mut reloaded = Reloaded { generation: 9, changed: true, warnings: vec![] };
    assert_eq!(reload(&reloaded), "Reloaded: the new configuration is in use (generation 9)\n");
    reloaded.changed = false;
    assert_eq!(reload(&reloaded), "Reloaded: nothing has changed (generation 9)\n");
}

/// Removes ANSI colours.
fn stripped(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

#[test]
fn colours_change_nothing_else_and_point_at_trouble() {
    let list = service_list();
    let coloured = services(&list, Style::Colour);
    assert_eq!(stripped(&coloured), services(&list, Style::Plain));
    let line = |name: &str| coloured.lines().find(|line| line.contains(name)).unwrap();
    assert!(!line("web-1").contains('\x1b'));
    assert!(line("web-2").starts_with("\x1b[31m"), "a real without a next hop is red");
    assert!(line("web-3").starts_with("\x1b[33m"), "a drained real is yellow");
    assert!(line("web-4").starts_with("\x1b[31m"), "a real that is down is red");

    let unwell = Status { degraded: true, ..healthy() };
    assert!(status(&unwell, Style::Colour).contains("\x1b[31mdegraded\x1b[0m"));
    assert_eq!(stripped(&status(&unwell, Style::Colour)), status(&unwell, Style::Plain));
}

#[test]
fn lines_fit_80_columns() {
    let snapshots = [
        include_str!("snapshots/status.txt"),
        include_str!("snapshots/status-degraded.txt"),
        include_str!("snapshots/services.txt"),
        include_str!("snapshots/reals.txt"),
        include_str!("snapshots/flows.txt"),
        include_str!("snapshots/stats.txt"),
        include_str!("snapshots/rates.txt"),
        include_str!("snapshots/drops.txt"),
    ];
    for line in snapshots.iter().flat_map(|snapshot| snapshot.lines()) {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
}

#[test]
fn numbers_and_durations_are_short() {
    for (value, text) in [(0, "0"), (9_999_999, "9999999"), (10_000_000, "10.0M"), (u64::MAX, "18.4E")] {
        assert_eq!(count(value), text);
    }
    for (value, text) in [
        (0.0, "0"),
        (0.25, "0.2"),
        (99.96, "100.0"),
        (150.4, "150"),
        (9_999.4, "9999"),
        (9_999.6, "10.0k"),
        (999_949.0, "999.9k"),
        (999_951.0, "1.0M"),
        (2e9, "2.0G"),
    ] {
        assert_eq!(scaled(value), text, "{value}");
    }
    for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3_600, "1h 0m"), (90_061, "1d 1h")] {
        assert_eq!(duration(seconds), text);
    }
    for (seconds, text) in [(0.0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (9.96, "10s"), (75.4, "1m 15s")] {
        assert_eq!(short_duration(seconds), text);
    }
}

#[test]
fn long_text_is_wrapped_between_words() {
    assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    assert_eq!(wrap("a-word-that-is-too-long b", 5), ["a-word-that-is-too-long", "b"]);
    assert_eq!(wrap("  ", 5), Vec::<String>::new());
    assert_eq!(labelled("note: ", "short"), "note: short\n");
}
