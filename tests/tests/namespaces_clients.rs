//! Clients that are kept at one real, or spread packet by packet, and those that are kept out: affinity, one-packet scheduling, access
//! lists, limits of new flows, and SYN floods. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_lab::{Connection, Plan, Shape, wait_for};
use lb_tests::stage::{Config, ECHO, HTTP, Kind, LIMIT, Stage, real_names};
use lb_tests::traffic::{Clients, FloodPath, Flows, SynFlood, UdpFlows};

/// Clients, each with an address of its own.
const CLIENTS: u8 = 40;
/// Their first address, in the network of the reals.
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 180);
/// Connections of one client.
const CONNECTIONS: usize = 30;
/// Datagrams of one socket: the chance that one of three reals gets none is below 10^-17.
const DATAGRAMS: usize = 100;
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

fn one_service(protocol: Kind, port: u16, lines: &[&str]) -> (Stage, SocketAddr) {
    let plan = Plan { vips: 1, ..Plan::default() };
    let service = SocketAddr::new(plan.vip_addresses(0)[0], port);
    let stage = Stage::set(plan, |network| {
        let config = Config::of(network).service("web", service, protocol, &real_names(3));
        lines.iter().fold(config, |config, line| config.line(line))
    });
    (stage.unwrap(), service)
}

#[test]
fn all_flows_of_a_client_go_to_one_real_and_stay_there() {
    let (stage, service) = one_service(Kind::TcpDsr, HTTP, &["affinity = { timeout = \"10m\" }"]);
    let clients = Clients::add(&stage.network.client, FIRST_CLIENT, CLIENTS).unwrap();
    assert_eq!(stage.ask(service).unwrap().len(), 1, "one client, many ports");
    let before = clients.ask(&stage.network.client, service).unwrap();
    let reals: BTreeSet<&String> = before.values().collect();
    assert_eq!(reals.len(), 3, "clients are spread over all reals: {before:?}");

    // Weights move, and a real gets no new clients at all: who was there stays.
    stage.lbd.lbctl(&["weight", "real-1", "10"]).unwrap();
    stage.lbd.lbctl(&["drain", "real-3"]).unwrap();
    assert_eq!(clients.ask(&stage.network.client, service).unwrap(), before);
    assert_eq!(clients.ask(&stage.network.client, service).unwrap(), before, "by the flow table");
    assert!(stage.count("flow_remembered").unwrap() > 0, "no client's slot has moved");
    let [own, _] = stage.network.plan.client_addresses();
    let mut flows = Flows::open(&stage.network.client.handle(), own, service, CONNECTIONS).unwrap();
    flows.ask_whole().unwrap();
    assert_eq!(flows.by_real().len(), 1);

    // A real that is gone is nobody's.
    stage.lbd.lbctl(&["disable", "real-3"]).unwrap();
    let after = clients.ask(&stage.network.client, service).unwrap();
    assert!(after.values().all(|real| real != "real-3"), "{after:?}");
    let stayed = before.iter().filter(|(_, real)| *real != "real-3").all(|(client, real)| after[client] == *real);
    assert!(stayed, "{before:?} {after:?}");
}

#[test]
fn clients_keep_their_real_over_a_restart() {
    let (mut stage, service) = one_service(Kind::TcpDsr, HTTP, &["affinity = {}"]);
    let clients = Clients::add(&stage.network.client, FIRST_CLIENT, CLIENTS).unwrap();
    stage.lbd.lbctl(&["weight", "real-2", "10"]).unwrap();
    let before = clients.ask(&stage.network.client, service).unwrap();
    stage.lbd.kill().unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    assert_eq!(clients.ask(&stage.network.client, service).unwrap(), before);
}

/// Who answers datagrams of one socket.
fn datagrams(stage: &Stage, service: SocketAddr) -> Result<BTreeMap<String, usize>> {
    stage.network.client.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(service)?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        let mut answers = BTreeMap::new();
        for number in 0..DATAGRAMS {
            socket.send(&[number as u8])?;
            let mut answer = [0; 128];
            let length = socket.recv(&mut answer).with_context(|| format!("datagram {number}"))?;
            let text = String::from_utf8_lossy(&answer[..length]).into_owned();
            let (name, _) = text.split_once(' ').with_context(|| format!("{text:?} names nobody"))?;
            *answers.entry(name.to_owned()).or_default() += 1;
        }
        Ok(answers)
    })
}

#[test]
fn datagrams_of_one_socket_reach_all_reals() {
    let (mut stage, service) = one_service(Kind::UdpDsr, ECHO, &["one_packet = true"]);
    stage.start_echoes().unwrap();
    assert_eq!(datagrams(&stage, service).unwrap().len(), 3);
    // Weights count at once, and nothing is remembered.
    stage.lbd.lbctl(&["drain", "real-2"]).unwrap();
    let answers = datagrams(&stage, service).unwrap();
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["real-1", "real-3"]);
    assert_eq!(stage.count("flow_remembered").unwrap(), 0);
    stage.expect_no_drops().unwrap();
}

/// Sends a datagram to which no answer is expected, and waits until it is counted so.
fn is_denied(stage: &Stage, service: SocketAddr) -> Result<()> {
    let before = stage.count("access_denied")?;
    stage.network.client.run(|| Ok(UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", service)?))?;
    wait_for("a denied packet", LIMIT, || Ok((stage.count("access_denied")? > before).then_some(())))
}

fn is_let_in(stage: &Stage, service: SocketAddr) -> Result<()> {
    UdpFlows::open(&stage.network.client.handle(), service, 3)?.ask_whole()
}

#[test]
fn lists_say_who_is_let_in() {
    let (mut stage, service) = one_service(Kind::UdpDsr, ECHO, &[]);
    stage.start_echoes().unwrap();
    is_let_in(&stage, service).unwrap();
    let own = stage.network.plan.client_addresses()[0];
    let reload = |lines: &[&str]| {
        let config = Config::of(&stage.network).service("web", service, Kind::UdpDsr, &real_names(3));
        let config = lines.iter().fold(config, |config, line| config.line(line));
        stage.lbd.write_config(&config.text()).and_then(|()| stage.lbd.lbctl(&["reload"])).unwrap()
    };
    reload(&[&format!("deny = [\"{own}\"]")]);
    is_denied(&stage, service).unwrap();
    reload(&["deny = [\"203.0.113.0/24\"]"]);
    is_let_in(&stage, service).unwrap();
    reload(&["allow = [\"203.0.113.0/24\"]"]);
    is_denied(&stage, service).unwrap();
    reload(&["allow = [\"203.0.113.0/24\", \"192.0.2.0/24\"]", &format!("deny = [\"{own}/32\"]")]);
    is_denied(&stage, service).unwrap();
    reload(&["deny = [\"192.0.2.0/24\"]", &format!("allow = [\"{own}/32\"]")]);
    is_let_in(&stage, service).unwrap();
    let services = stage.lbd.lbctl_json(&["services"]).unwrap();
    assert_eq!(services["services"][0]["guards"]["deny"][0], "192.0.2.0/24");
    reload(&[]);
    is_let_in(&stage, service).unwrap();
}

#[test]
fn a_source_begins_only_so_many_flows() {
    let (stage, service) = one_service(Kind::TcpDsr, HTTP, &["new_flow_limit = { rate = 15 }"]);
    let from = stage.network.client.handle();
    let own = stage.network.plan.client_addresses()[0];
    let mut open = Flows::open(&from, own, service, 2).unwrap();
    // More at once than the burst: some SYNs have to be sent again, and all connections come about.
    let connections = (0..CONNECTIONS).map(|_| {
        std::thread::spawn({
            let from = from.clone();
            move || Connection::open(&from, service)?.get("/")
        })
    });
    let connections: Vec<_> = connections.collect();
    for connection in connections {
        connection.join().unwrap().unwrap();
    }
    assert!(stage.count("rate_limited").unwrap() > 0);
    open.ask_whole().unwrap();
    assert_eq!(stage.count("access_denied").unwrap(), 0);
}

#[test]
fn under_a_syn_flood_nothing_is_noted_and_clients_go_on() {
    let plan = Plan { shape: Shape::TwoArm, vips: 1, ..Plan::default() };
    let service = SocketAddr::new(plan.vip_addresses(0)[0], HTTP);
    let stage = Stage::set(plan, |network| {
        Config::of(network)
            .service("web", service, Kind::TcpDsr, &real_names(3))
            .line("syn_flood = { threshold = 2000 }")
    });
    let stage = stage.unwrap();
    let [client, _] = stage.network.plan.client_addresses();
    let mut flows = Flows::open(&stage.network.client.handle(), client, service, 1_000).unwrap();
    // A third of the slots remember from now on.
    stage.lbd.lbctl(&["drain", "real-3"]).unwrap();
    flows.ask_whole().unwrap();
    let flooded = || -> Result<bool> {
        let services = stage.lbd.lbctl_json(&["services"])?;
        services["services"][0]["guards"]["syn_flood"]["flooded"].as_bool().context("nobody looks for floods")
    };
    assert!(!flooded().unwrap());

    let flood = start_flood(&stage, service).unwrap();
    let warning = stage.warning("SYN flood of web").unwrap();
    assert!(warning.contains("syn_flood.threshold is 2000"), "{warning}");
    assert!(flooded().unwrap());
    wait_for("SYNs that are not noted", LIMIT, || Ok((stage.count("syn_unnoted")? > 0).then_some(()))).unwrap();
    flows.ask_whole().context("under the flood").unwrap();
    stage.ask(service).context("under the flood").unwrap();
    flood.stop().unwrap();
    stage.no_warning("SYN flood of web").unwrap();
    assert!(!flooded().unwrap());
    flows.ask_whole().context("after the flood").unwrap();
    stage.expect_no_drops().unwrap();
}

fn start_flood(stage: &Stage, service: SocketAddr) -> Result<SynFlood> {
    let (client, lb) = (&stage.network.client, &stage.network.lb);
    let path = FloodPath { ifindex: client.ifindex("eth0")?, from_mac: client.mac("eth0")?, to_mac: lb.mac("eth0")? };
    let IpAddr::V4(vip) = service.ip() else { bail!("{service} is no IPv4 service") };
    SynFlood::start(&client.handle(), path, SocketAddrV4::new(vip, service.port()), u64::MAX)
}
