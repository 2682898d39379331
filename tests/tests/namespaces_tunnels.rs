//! Tunnels by GUE, outer sources that differ by flow, and SCTP: through the real daemon to real servers. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{Plan, Shape};
use lb_tests::stage::{Config, ECHO, HTTP, Kind, LIMIT, Stage, real_names, real_names_v6};
use lb_tests::traffic::echo_datagrams;
use socket2::{Domain, Protocol, Socket, Type};

const DATAGRAMS: usize = 100;
const SMALL: usize = 64;
const GUE: u16 = 6080;
const SCTP: i32 = 132;
const SCTP_PORT: u16 = 3868;
/// Flows of a test, each with a port of its own.
const FLOWS: u16 = 60;
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const SOURCES: &str = "tunnel = { source_v4 = \"198.18.0.0/16\", source_v6 = \"2001:db8:ffff::/96\" }";
const CHECK: &str = "\n[[check]]\nname = \"alive\"\ntype = \"tcp\"\nport = 80\nvia = \"service\"\ninterval = \"200ms\"";

/// Every VIP and family that GUE carries, with checks by the service's own way.
fn set(shape: Shape, top: &str) -> Result<Stage> {
    let plan = Plan { shape, vips: 2, ..Plan::default() };
    let mut stage = Stage::set(plan, |network| {
        let mut config = Config::of(network).top(top).top(CHECK);
        for (name, vip, reals) in cases(&network.plan) {
            config = config.service(&format!("{name}-tcp"), SocketAddr::new(vip, HTTP), Kind::TcpGue, &reals);
            config = config.line("checks = [\"alive\"]");
            config = config.service(&format!("{name}-udp"), SocketAddr::new(vip, ECHO), Kind::UdpGue, &reals);
        }
        config
    })?;
    stage.start_echoes()?;
    Ok(stage)
}

fn cases(plan: &Plan) -> [(&'static str, IpAddr, Vec<String>); 3] {
    let ([v4, v6], [in6, _]) = (plan.vip_addresses(0), plan.vip_addresses(1));
    [
        ("v4-in-v4", v4, real_names(plan.reals)),
        ("v6-in-v6", v6, real_names_v6(plan.reals)),
        ("v4-in-v6", in6, real_names_v6(plan.reals)),
    ]
}

fn every_service_works(stage: &Stage) -> Result<()> {
    for (name, vip, _) in cases(&stage.network.plan) {
        let served = stage.ask(SocketAddr::new(vip, HTTP)).with_context(|| format!("{name}, TCP"))?;
        assert_eq!(served.len(), 3, "{name}, TCP: {served:?}");
        let target = SocketAddr::new(vip, ECHO);
        let echoes = echo_datagrams(&stage.network.client.handle(), target, DATAGRAMS, SMALL);
        assert_eq!(echoes.with_context(|| format!("{name}, UDP"))?.len(), 3, "{name}, UDP");
    }
    // Checks go by the same way, and find the servers.
    let services = stage.lbd.lbctl_json(&["services"])?;
    for service in services["services"].as_array().context("no services")? {
        assert_eq!(service["mode"], "gue", "{service}");
        for real in service["reals"].as_array().context("no reals")? {
            assert!(["up", "unchecked"].contains(&real["health"].as_str().unwrap_or_default()), "{service}");
        }
    }
    stage.expect_no_drops()
}

#[test]
fn gue_reaches_the_reals_on_the_interface_that_packets_came_by() {
    every_service_works(&set(Shape::OneArm, "").unwrap()).unwrap();
}

#[test]
fn gue_reaches_the_reals_out_of_another_interface_with_sources_that_differ_by_flow() {
    every_service_works(&set(Shape::TwoArm, SOURCES).unwrap()).unwrap();
}

/// What a real receives of flows by GUE: outer source and source port by the inner one.
fn outer_sources(stage: &Stage, service: SocketAddr) -> Result<BTreeMap<u16, BTreeSet<SocketAddr>>> {
    let real = &stage.network.reals[0];
    let socket = real.run(|| Ok(UdpSocket::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), GUE))?))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    let mut seen: BTreeMap<u16, BTreeSet<SocketAddr>> = BTreeMap::new();
    for flow in 0..2 * FLOWS {
        let port = 40_000 + flow % FLOWS;
        stage.network.client.run(|| {
            Ok(UdpSocket::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?.send_to(b"x", service)?)
        })?;
        let mut packet = [0; 128];
        let (length, from) = socket.recv_from(&mut packet).with_context(|| format!("no packet of flow {port}"))?;
        assert_eq!((length, packet[0]), (29, 0x45), "an IPv4 packet");
        let inner = u16::from_be_bytes([packet[20], packet[21]]);
        assert_eq!(inner, port);
        seen.entry(inner).or_default().insert(from);
    }
    Ok(seen)
}

#[test]
fn outer_sources_differ_by_flow_and_are_the_same_for_one() {
    let plan = Plan { reals: 1, vips: 1, ..Plan::default() };
    let service = SocketAddr::new(plan.vip_addresses(0)[0], ECHO);
    let config = |stage: &lb_lab::Network, top: &str| {
        Config::of(stage).top(top).service("echo", service, Kind::UdpGue, &["real-1"])
    };
    let stage = Stage::set(plan, |network| config(network, "")).unwrap();
    // The real's kernel shows what comes, as nobody takes the outer headers off.
    stage.network.reals[0].detach_xdp("eth0").unwrap();
    let seen = outer_sources(&stage, service).unwrap();
    let lb = stage.network.plan.lb_addresses()[0];
    assert!(seen.values().flatten().all(|source| source.ip() == lb && source.port() >= 0xc000), "{seen:?}");
    assert!(seen.values().all(|sources| sources.len() == 1), "{seen:?}");
    let ports: BTreeSet<u16> = seen.values().flatten().map(SocketAddr::port).collect();
    assert!(ports.len() > usize::from(FLOWS) / 2, "{ports:?}");

    stage.lbd.write_config(&config(&stage.network, SOURCES).text()).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    let seen = outer_sources(&stage, service).unwrap();
    assert!(seen.values().all(|sources| sources.len() == 1), "{seen:?}");
    let sources: BTreeSet<IpAddr> = seen.values().flatten().map(SocketAddr::ip).collect();
    assert!(sources.len() > usize::from(FLOWS) / 2, "{sources:?}");
    let in_prefix = |source: &IpAddr| matches!(source, IpAddr::V4(v4) if v4.octets()[..2] == [198, 18]);
    assert!(sources.iter().all(in_prefix), "{sources:?}");
}

/// This kernel speaks no SCTP, so sockets of the bare protocol stand in: a common header, and a chunk that nobody reads.
#[test]
fn sctp_reaches_the_reals_and_an_association_stays() {
    let plan = Plan { vips: 2, ..Plan::default() };
    let (dsr, gue) = (plan.vip_addresses(0)[0], plan.vip_addresses(1)[0]);
    let stage = Stage::set(plan, |network| {
        let service = |config: Config, name: &str, vip, kind| {
            config.service(name, SocketAddr::new(vip, SCTP_PORT), kind, &real_names(3))
        };
        service(service(Config::of(network), "dsr", dsr, Kind::SctpDsr), "gue", gue, Kind::SctpGue)
    });
    let stage = stage.unwrap();
    let raw = || -> Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(SCTP)))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let servers: Vec<Socket> = stage.network.reals.iter().map(|real| real.run(raw).unwrap()).collect();
    let client = stage.network.client.run(raw).unwrap();
    for vip in [dsr, gue] {
        let mut reals = BTreeSet::new();
        for port in 50_000..50_000 + FLOWS {
            let first = deliver(&client, &servers, vip, port).unwrap();
            assert_eq!(deliver(&client, &servers, vip, port).unwrap(), first, "an association has one real");
            reals.insert(first);
        }
        assert_eq!(reals.len(), 3, "{vip}");
    }
    stage.lbd.lbctl(&["drain", "real-1"]).unwrap();
    stage.expect_no_drops().unwrap();
    let services = stage.lbd.lbctl_json(&["services"]).unwrap();
    assert_eq!(services["services"][0]["protocol"], "sctp");
    assert_eq!(services["services"][0]["counters"]["packets"], 2 * FLOWS);
}

/// Sends a packet and returns which server got it.
fn deliver(client: &Socket, servers: &[Socket], vip: IpAddr, port: u16) -> Result<usize> {
    let mut packet = [port.to_be_bytes(), SCTP_PORT.to_be_bytes()].concat();
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 4]);
    client.send_to(&packet, &SocketAddr::new(vip, 0).into())?;
    lb_lab::wait_for("the packet at a real", LIMIT, || {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 128];
        Ok(servers.iter().position(|server| server.recv(&mut buffer).is_ok()))
    })
}
