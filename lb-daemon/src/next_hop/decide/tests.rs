//! Decisions from made-up snapshots.

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn tunnel(address: &str) -> Watch {
    Watch { real: "web".into(), address: ip(address), needs_tunnel: true, needs_same_link: false, known: None }
}

fn dsr(address: &str) -> Watch {
    Watch { needs_tunnel: false, needs_same_link: true, ..tunnel(address) }
}

fn link() -> Link {
    Link { name: "eth1".into(), kind: None, mac: Some(SOURCE_MAC), mtu: 1500, up: true, carrier: true }
}

fn route() -> Route {
    Route { ifindex: 3, gateway: None, source: Some(ip("192.0.2.1")), mtu: None }
}

fn neighbour(state: NeighbourState) -> Option<Neighbour> {
    Some(Neighbour { state, mac: Some(MAC) })
}

fn snapshot() -> Snapshot {
    Snapshot { route: Lookup::Unicast(route()), link: Some(link()), neighbour: neighbour(NeighbourState::Fresh) }
}

fn via(route: Route) -> Snapshot {
    Snapshot { route: Lookup::Unicast(route), ..snapshot() }
}

fn over(link: Link) -> Snapshot {
    Snapshot { link: Some(link), ..snapshot() }
}

fn found() -> NextHop {
    let tunnel_source = ip("192.0.2.1");
    NextHop { ifindex: 3, next_hop_mac: MAC, source_mac: SOURCE_MAC, tunnel_source, mtu: 1500 }
}

#[test]
fn a_known_neighbour_gives_a_next_hop() {
    let decision = decide(&tunnel("192.0.2.11"), &snapshot(), true);
    assert_eq!(decision.next_hop, Some(found()));
    assert_eq!((decision.note.as_str(), decision.ask, decision.silent), ("", Ask::Nothing, false));
    assert_eq!(decision.neighbour, Some(NeighbourKey { ifindex: 3, address: ip("192.0.2.11") }));

    let stale = Snapshot { neighbour: neighbour(NeighbourState::Stale), ..snapshot() };
    let decision = decide(&tunnel("192.0.2.11"), &stale, false);
    assert_eq!((decision.next_hop, decision.ask), (Some(found()), Ask::Confirm));
}

#[test]
fn the_lesser_mtu_counts() {
    for (of_route, of_link, wanted) in
        [(None, 1500, 1500), (Some(1400), 1500, 1400), (Some(9000), 1500, 1500), (None, 9000, 9000)]
    {
        let snapshot =
            Snapshot { link: Some(Link { mtu: of_link, ..link() }), ..via(Route { mtu: of_route, ..route() }) };
        let decision = decide(&tunnel("192.0.2.11"), &snapshot, false);
        assert_eq!(decision.next_hop.map(|hop| hop.mtu), Some(wanted), "{of_route:?} {of_link}");
    }
}

#[test]
fn a_gateway_is_the_neighbour_of_what_is_behind_it() {
    for gateway in ["192.0.2.254", "fe80::1"] {
        let snapshot = via(Route { gateway: Some(ip(gateway)), ..route() });
        let decision = decide(&tunnel("198.51.100.11"), &snapshot, false);
        assert_eq!(decision.neighbour, Some(NeighbourKey { ifindex: 3, address: ip(gateway) }));
        assert_eq!((decision.next_hop, decision.note.as_str()), (Some(found()), ""));

        let decision = decide(&dsr("198.51.100.11"), &snapshot, false);
        assert_eq!(decision.next_hop, Some(found()), "a caution, not a refusal");
        assert!(decision.note.starts_with(&format!("behind the gateway {gateway}: mode dsr needs")));
    }
}

#[test]
fn a_neighbour_that_has_not_answered_is_asked_for() {
    let none = || Snapshot { neighbour: None, ..snapshot() };
    let incomplete = || Snapshot { neighbour: neighbour(NeighbourState::Incomplete), ..snapshot() };
    let failed = || Snapshot { neighbour: neighbour(NeighbourState::Failed), ..snapshot() };
    let without_mac =
        || Snapshot { neighbour: Some(Neighbour { state: NeighbourState::Fresh, mac: None }), ..snapshot() };
    let waiting = "waiting for an ARP answer from 192.0.2.11 on eth1";
    let silent = "no ARP answer from 192.0.2.11 on eth1: check that it is up and on that link";
    for (snapshot, was_silent, note, is_silent) in [
        (none(), false, waiting, false),
        (incomplete(), false, waiting, false),
        (without_mac(), false, waiting, false),
        (failed(), false, silent, true),
        (incomplete(), true, silent, true),
        (none(), true, silent, true),
    ] {
        let decision = decide(&tunnel("192.0.2.11"), &snapshot, was_silent);
        assert_eq!((decision.next_hop, decision.ask), (None, Ask::Resolve), "{snapshot:?}");
        assert_eq!((decision.note.as_str(), decision.silent), (note, is_silent), "{snapshot:?}");
        assert!(!decision.forget);
    }
}

#[test]
fn ipv6_asks_by_nd_and_names_the_gateway() {
    let source = Some(ip("2001:db8::1"));
    let route = Route { gateway: Some(ip("fe80::1")), source, ..route() };
    let snapshot = Snapshot { neighbour: neighbour(NeighbourState::Failed), ..via(route) };
    let decision = decide(&tunnel("2001:db8:b::11"), &snapshot, false);
    assert_eq!(decision.note, "no ND answer from the gateway fe80::1 on eth1: check that it is up and on that link");
}

#[test]
fn an_address_without_a_way_says_what_to_do() {
    for (address, lookup, note, forget) in [
        ("192.0.2.1", Lookup::Local, "192.0.2.1 is an address of this host: a real must be another host", true),
        (
            "192.0.2.255",
            Lookup::NotUnicast,
            "192.0.2.255 is a broadcast or multicast address: a real needs one of its own",
            true,
        ),
        (
            "192.0.2.11",
            Lookup::NoRoute,
            "no route to 192.0.2.11: ip route add 192.0.2.11/32 dev INTERFACE (or: via GATEWAY)",
            false,
        ),
        (
            "2001:db8::11",
            Lookup::NoRoute,
            "no route to 2001:db8::11: ip -6 route add 2001:db8::11/128 dev INTERFACE (or: via GATEWAY)",
            false,
        ),
        (
            "192.0.2.11",
            Lookup::Refused,
            "the route to 192.0.2.11 refuses packets: replace it (ip route get 192.0.2.11 shows it)",
            false,
        ),
    ] {
        let snapshot = Snapshot { route: lookup, link: None, neighbour: None };
        let decision = decide(&tunnel(address), &snapshot, false);
        assert_eq!((decision.next_hop, decision.neighbour, decision.ask), (None, None, Ask::Nothing));
        assert_eq!((decision.note.as_str(), decision.forget), (note, forget));
    }
}

#[test]
fn a_link_that_cannot_send_is_named() {
    let gone = Snapshot { link: None, ..snapshot() };
    for (snapshot, note) in [
        (gone, "the interface of the route to 192.0.2.11 is gone"),
        (over(Link { up: false, carrier: false, ..link() }), "eth1 is down: ip link set eth1 up"),
        (over(Link { carrier: false, ..link() }), "eth1 has no carrier: check its cable or its far end"),
        (
            over(Link { mac: None, kind: Some("tun".into()), ..link() }),
            "eth1 (kind tun) is no Ethernet interface: a real must be reached through one",
        ),
    ] {
        let decision = decide(&tunnel("192.0.2.11"), &snapshot, false);
        assert_eq!((decision.next_hop, decision.note.as_str()), (None, note));
        let key = NeighbourKey { ifindex: 3, address: ip("192.0.2.11") };
        assert_eq!((decision.neighbour, decision.ask), (Some(key), Ask::Nothing), "found again by news of its link");
    }
}

#[test]
fn a_link_that_xdp_cannot_send_by_is_a_caution() {
    for (kind, cautioned) in [("vlan", true), ("bridge", true), ("veth", false), ("bond", false)] {
        let decision = decide(&tunnel("192.0.2.11"), &over(Link { kind: Some(kind.into()), ..link() }), false);
        assert_eq!(decision.next_hop, Some(found()));
        assert_eq!(decision.note.contains("attach mode generic only"), cautioned, "{kind}: {}", decision.note);
    }
}

#[test]
fn a_tunnel_source_is_of_the_reals_family_and_reaches_it() {
    let cases = [
        ("192.0.2.11", Some("192.0.2.1"), true),
        ("192.0.2.11", None, false),
        ("192.0.2.11", Some("0.0.0.0"), false),
        ("192.0.2.11", Some("169.254.0.1"), false),
        ("192.0.2.11", Some("2001:db8::1"), false),
        ("2001:db8::11", Some("2001:db8::1"), true),
        ("2001:db8::11", Some("fe80::1"), false),
        ("fe80::11", Some("fe80::1"), true),
    ];
    for (address, source, usable) in cases {
        let source = source.map(ip);
        let snapshot = via(Route { source, ..route() });
        let decision = decide(&tunnel(address), &snapshot, false);
        let got = decision.next_hop.map(|hop| hop.tunnel_source);
        assert_eq!(got, source.filter(|_| usable), "{address} from {source:?}");
        if !usable {
            let family = if ip(address).is_ipv4() { "IPv4" } else { "IPv6" };
            let note = format!("no {family} address to send tunnel packets from: ip addr add ADDRESS/LENGTH dev eth1");
            assert_eq!(decision.note, note);
            let unspecified = decide(&dsr(address), &snapshot, false).next_hop.unwrap().tunnel_source;
            assert!(unspecified.is_unspecified() && unspecified.is_ipv4() == ip(address).is_ipv4());
        }
    }
}
