//! Checks by the service's own way, over a network of namespaces: to the VIP, by MAC address or in a tunnel.

use std::net::{IpAddr, SocketAddr};

use lb_core::check::{Http, Kind, Outcome, Target, Tls, Via};
use lb_core::service::Mode;
use lb_core::table::NextHop;
use lb_lab::{Network, Plan, Server, output, wait_for};

use crate::http::get;
use crate::stage::{PATIENCE, SHORT, With as _, assert_failed, assert_passed, block_on, check, check_all, ip, target};
use crate::web::{GOOD, HTTP, LAST, WELL, Web};

const ECHO: u16 = 7;
const CLOSED: u16 = 9;

/// A way to a real.
#[derive(Clone, Copy, Debug)]
struct Way {
    mode: Mode,
    vip: IpAddr,
    real: IpAddr,
}

/// A load balancer with VIPs of its own, and a real that has them on its loopback.
struct Scene {
    network: Network,
    _servers: Vec<Server>,
    web: Web,
}

impl Scene {
    fn new() -> Self {
        let network = Network::build(Plan { reals: 1, vips: 1, ..Plan::default() }).unwrap();
        // Answers come with checksums that are left for a network card, as they do from other guests of one host.
        output(network.switch.command("ethtool").args(["-K", "lb", "tx", "on"])).unwrap();
        let vips = network.plan.vip_addresses(0);
        let web =
            Web::start(&network.run, &network.reals[0], &vips.map(|vip| vip.to_string()).each_ref().map(|s| &**s));
        let echo = |vip| Server::udp_echo(&network.reals[0], "web1", SocketAddr::new(vip, ECHO)).unwrap();
        let servers = vips.map(echo).into();
        Self { network, _servers: servers, web }
    }

    /// Every mode with every family that it carries.
    fn ways(&self) -> Vec<Way> {
        let [vip, vip6] = self.network.plan.vip_addresses(0);
        let [real, real6] = self.network.plan.real_addresses(0);
        let way = |mode, vip, real| Way { mode, vip, real };
        vec![
            way(Mode::Dsr, vip, real),
            way(Mode::Dsr, vip6, real6),
            way(Mode::Ipip, vip, real),
            way(Mode::Ipip, vip6, real6),
            way(Mode::Ipip, vip, real6),
            way(Mode::Gue, vip, real),
            way(Mode::Gue, vip6, real6),
            way(Mode::Gue, vip, real6),
        ]
    }

    fn target(&self, way: Way, port: u16, kind: Kind) -> Target {
        let [lb, lb6] = self.network.plan.lb_addresses();
        let hop = NextHop {
            ifindex: self.network.lb.ifindex("eth0").unwrap(),
            next_hop_mac: self.network.reals[0].mac("eth0").unwrap(),
            source_mac: self.network.lb.mac("eth0").unwrap(),
            tunnel_source: if way.real.is_ipv4() { lb } else { lb6 },
            mtu: 1500,
        };
        let target = target(kind).with(|check| check.via = Via::Service);
        Target { address: way.real, vip: way.vip, mode: way.mode, port, next_hop: Some(hop), ..target }
    }

    fn check(&self, target: Target) -> Outcome {
        block_on(&self.network.lb, check(target))
    }

    /// One check of each kind, all of which pass by any way.
    fn every_kind(&self, way: Way) -> Vec<Target> {
        let ask = |path, body: &str| Http { body: Some(body.to_string()), ..get(path) };
        let tls = Tls { verify: true, server_name: None, ca_file: Some(self.web.authority.clone()) };
        let udp = Kind::Udp { send: b"PING".to_vec(), expect: Some(b"web1 PING".to_vec()) };
        let own_name = Http { host: None, ..get("/") };
        vec![
            self.target(way, HTTP, Kind::Tcp).named("tcp"),
            self.target(way, HTTP, Kind::Http(ask("/", WELL))).named("http"),
            self.target(way, HTTP, Kind::Http(ask("/long", LAST))).named("http-long"),
            self.target(way, GOOD, Kind::Https(ask("/long", LAST), tls.clone())).named("https"),
            self.target(way, GOOD, Kind::Https(own_name, tls)).named("https-vip"),
            self.target(way, ECHO, udp).named("udp"),
            self.target(way, ECHO, Kind::Icmp).named("icmp"),
        ]
    }

    fn assert_every_kind_passes(&self) {
        for way in self.ways() {
            let outcomes = block_on(&self.network.lb, check_all(self.every_kind(way)));
            for (name, outcome) in outcomes {
                assert!(matches!(outcome, Outcome::Passed { .. }), "{name} by {way:?}: {outcome:?}");
            }
        }
    }
}

#[test]
fn every_kind_goes_by_every_way() {
    Scene::new().assert_every_kind_passes();
}

#[test]
fn it_does_so_too_where_the_vip_is_no_address_of_this_host() {
    let scene = Scene::new();
    let mac = scene.network.reals[0].ip("-o link show dev eth0").unwrap();
    let mac = mac.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
    for vip in scene.network.plan.vips() {
        scene.network.lb.ip(&format!("address del {vip} dev eth0")).unwrap();
        // A RST of the kernel's, which knows nothing of the connection, would find its way to the real.
        scene.network.lb.ip(&format!("neighbour replace {vip} lladdr {mac} dev eth0")).unwrap();
    }
    scene.assert_every_kind_passes();
}

#[test]
fn real_that_answers_on_its_own_address_only_is_dead_for_the_service() {
    let scene = Scene::new();
    for vip in scene.network.plan.vips() {
        scene.network.reals[0].ip(&format!("address del {vip} dev lo")).unwrap();
    }
    for way in scene.ways() {
        let carried = scene.target(way, HTTP, Kind::Tcp).within(SHORT);
        assert_failed(&scene.check(carried.clone()), "no connection in 1000 ms");
        assert_passed(&scene.check(carried.with(|check| check.via = Via::Address)));
    }
}

#[test]
fn with_nat_the_real_is_asked_at_its_own_address() {
    let scene = Scene::new();
    for vip in scene.network.plan.vips() {
        scene.network.reals[0].ip(&format!("address del {vip} dev lo")).unwrap();
    }
    for way in scene.ways().into_iter().filter(|way| way.mode == Mode::Dsr) {
        let nat = Way { mode: Mode::Nat, ..way };
        for kind in [Kind::Tcp, Kind::Http(get("/")), Kind::Icmp] {
            assert_passed(&scene.check(scene.target(nat, HTTP, kind)));
        }
    }
}

#[test]
fn real_without_decapsulation_is_dead_in_a_tunnel_and_alive_without() {
    let scene = Scene::new();
    scene.network.reals[0].detach_xdp("eth0").unwrap();
    for way in scene.ways() {
        let outcome = scene.check(scene.target(way, HTTP, Kind::Tcp).within(SHORT));
        match way.mode {
            Mode::Dsr | Mode::Nat => assert_passed(&outcome),
            Mode::Ipip | Mode::Gue => assert_failed(&outcome, "no connection in 1000 ms"),
        }
    }
}

#[test]
fn closed_ports_are_told_at_once() {
    let scene = Scene::new();
    for way in scene.ways() {
        assert_failed(&scene.check(scene.target(way, CLOSED, Kind::Tcp)), "connection refused");
        let udp = Kind::Udp { send: b"PING".to_vec(), expect: None };
        assert_failed(&scene.check(scene.target(way, CLOSED, udp)), "port unreachable");
    }
}

#[test]
fn what_is_missing_for_the_way_is_told() {
    let scene = Scene::new();
    let way = scene.ways()[0];
    let tcp = || scene.target(way, HTTP, Kind::Tcp);
    let reason = |target: Target| match scene.check(target) {
        Outcome::Failed { reason } => reason,
        Outcome::Passed { .. } => panic!("it passed"),
    };
    assert_eq!(reason(Target { next_hop: None, ..tcp() }), "the next hop to the real is not known");
    let from = |source: &str| {
        let source = ip(source);
        tcp().with(|check| check.source = Some(source))
    };
    let foreign = "cannot use the source address 192.0.2.77: cannot assign requested address";
    assert_eq!(reason(from("192.0.2.77")), foreign);
    let family = "the source 2001:db8::2 is not of the family of the VIP 192.0.2.101";
    assert_eq!(reason(from("2001:db8::2")), family);
    assert_eq!(reason(from("192.0.2.101")), "the source is the VIP itself: no answer would come back");
    let large = Kind::Udp { send: vec![0; 1473], expect: None };
    let too_large = "a datagram of 1473 bytes does not fit in a packet";
    assert_eq!(reason(scene.target(way, ECHO, large)), too_large);
    scene.network.lb.ip("address del 192.0.2.2/24 dev eth0").unwrap();
    let none = "this host has no IPv4 address towards the real but the VIP; set `source`";
    assert_eq!(reason(tcp()), none);
}

#[test]
fn nothing_is_left_of_a_connection() {
    let scene = Scene::new();
    for way in scene.ways() {
        let tls = Tls { verify: false, server_name: None, ca_file: None };
        assert_passed(&scene.check(scene.target(way, GOOD, Kind::Https(get("/"), tls))));
    }
    // nginx would keep them open for a minute.
    wait_for("the real's connections to end", PATIENCE, || {
        let mut command = scene.network.reals[0].command("ss");
        let open = output(command.args(["-Htn", "state", "connected", "sport", "=", &format!(":{GOOD}")]))?;
        Ok(open.trim().is_empty().then_some(()))
    })
    .unwrap();
}

#[test]
fn configured_source_is_used() {
    let scene = Scene::new();
    scene.network.lb.add_address("eth0", ip("192.0.2.77"), 32).unwrap();
    // The real answers that address and no other of the load balancer.
    scene.network.reals[0].ip("route add blackhole 192.0.2.2/32").unwrap();
    let way = scene.ways()[0];
    let tcp = scene.target(way, HTTP, Kind::Tcp);
    assert_failed(&scene.check(tcp.clone().within(SHORT)), "no connection in 1000 ms");
    assert_passed(&scene.check(tcp.with(|check| check.source = Some(ip("192.0.2.77")))));
}
