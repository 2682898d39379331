//! NAT through the real daemon: reals without VIPs that listen on other ports and route back through the load balancer. Needs root.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Context, Result, bail};
use lb_lab::{Connection, Network, Plan, Server, Shape, WebServer, wait_for};
use lb_tests::stage::{Config, ECHO, HTTP, Kind, LIMIT, SINK, Stage, real_name, real_names, real_names_v6};
use lb_tests::traffic::{Transfer, echo_datagrams, write_pattern};

const REALS: u8 = 2;
/// Where the reals listen.
const REAL_HTTP: u16 = 8_080;
const REAL_ECHO: u16 = 7_007;
const REAL_SINK: u16 = 9_009;
/// A port, and one of the reals, on which nobody listens.
const CLOSED: u16 = 999;
const REAL_CLOSED: u16 = 9_999;
/// Datagrams from ports of their own: the chance that one of two reals gets none is below 10^-11.
const DATAGRAMS: usize = 40;
/// Bytes of a datagram in one packet, and in six fragments.
const SMALL: usize = 64;
const LARGE: usize = 8_000;
const TRANSFER: u64 = 20_000_000;
const FILE: &str = "twenty-megabytes";

/// Each VIP with the reals of its family.
fn fronts(plan: &Plan) -> [(&'static str, IpAddr, Vec<String>); 2] {
    let [v4, v6] = plan.vip_addresses(0);
    [("v4", v4, real_names(REALS)), ("v6", v6, real_names_v6(REALS))]
}

/// Every service, at the reals' other ports.
fn config(network: &Network) -> Config {
    let mut config = Config::of(network);
    for (family, vip, reals) in fronts(&network.plan) {
        for (name, port, kind, real_port) in [
            ("web", HTTP, Kind::TcpNat, REAL_HTTP),
            ("sink", SINK, Kind::TcpNat, REAL_SINK),
            ("echo", ECHO, Kind::UdpNat, REAL_ECHO),
            ("closed", CLOSED, Kind::UdpNat, REAL_CLOSED),
        ] {
            config = config.service(&format!("{name}-{family}"), SocketAddr::new(vip, port), kind, &reals);
            config = config.at_port(real_port);
        }
    }
    config
}

fn plan() -> Plan {
    Plan { shape: Shape::TwoArm, reals: REALS, vips: 1, ..Plan::default() }
}

/// The network with its servers, and a daemon that does not run yet.
fn prepare(plan: Plan, config: impl FnOnce(&Network) -> Config) -> Result<Stage> {
    let mut stage = Stage::prepare(plan, config)?;
    stage.network.route_through_lb()?;
    stage.web.clear();
    for index in 0..REALS {
        let (real, name) = (&stage.network.reals[usize::from(index)], real_name(index));
        stage.web.push(WebServer::start(&stage.network.run, real, &name, &[REAL_HTTP])?);
        for address in stage.network.plan.real_addresses(index) {
            stage.servers.push(Server::udp_echo(real, &name, SocketAddr::new(address, REAL_ECHO))?);
            stage.servers.push(Server::tcp_sink(real, &name, SocketAddr::new(address, REAL_SINK))?);
        }
    }
    Ok(stage)
}

fn set(plan: Plan, config: impl FnOnce(&Network) -> Config) -> Result<Stage> {
    let mut stage = prepare(plan, config)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    Ok(stage)
}

fn names(counts: &BTreeMap<String, usize>) -> Vec<String> {
    counts.keys().cloned().collect()
}

/// A file on every real.
fn write_file(stage: &Stage) -> Result<()> {
    stage.web.iter().try_for_each(|web| write_pattern(&web.files().join(FILE), TRANSFER))
}

fn download(stage: &Stage, vip: IpAddr) -> Transfer {
    let (client, web) = (stage.network.client.handle(), SocketAddr::new(vip, HTTP));
    Transfer::download(&client, web, &format!("/files/{FILE}"), TRANSFER)
}

#[test]
fn tcp_and_udp_of_both_families_at_other_ports() {
    let stage = set(plan(), config).unwrap();
    for (family, vip, _) in fronts(&stage.network.plan) {
        let served = stage.ask(SocketAddr::new(vip, HTTP)).with_context(|| format!("TCP, {family}")).unwrap();
        assert_eq!(names(&served), real_names(REALS), "TCP, {family}: {served:?}");
        for length in [SMALL, LARGE] {
            let echo = SocketAddr::new(vip, ECHO);
            let echoes = echo_datagrams(&stage.network.client.handle(), echo, DATAGRAMS, length);
            let echoes = echoes.with_context(|| format!("UDP of {length} bytes, {family}")).unwrap();
            assert_eq!(names(&echoes), real_names(REALS), "UDP, {family}: {echoes:?}");
        }
    }
    stage.expect_no_drops().unwrap();
    assert!(stage.count("reply_forwarded").unwrap() > 2 * 100 * 3);
}

#[test]
fn long_transfers_in_both_directions() {
    let stage = set(plan(), config).unwrap();
    write_file(&stage).unwrap();
    for (family, vip, _) in fronts(&stage.network.plan) {
        let upload = Transfer::upload(&stage.network.client.handle(), SocketAddr::new(vip, SINK), TRANSFER);
        let download = download(&stage, vip);
        download.finish().with_context(|| format!("download, {family}")).unwrap();
        upload.finish().with_context(|| format!("upload, {family}")).unwrap();
    }
    stage.expect_no_drops().unwrap();
}

/// A client that sends more than fits to the reals is told so by the program.
#[test]
fn a_narrow_way_to_the_reals() {
    let stage = set(Plan { fabric_mtu: 1_400, ..plan() }, config).unwrap();
    for (family, vip, _) in fronts(&stage.network.plan) {
        let before = stage.count("too_big_answered").unwrap();
        let echo = SocketAddr::new(vip, ECHO);
        // The datagram is lost, and what the client learns by it makes the next ones fit.
        stage.network.client.run(|| send_one(echo, 1_450)).unwrap();
        wait_for("an answer to a datagram that is too big", LIMIT, || {
            Ok((stage.count("too_big_answered")? > before).then_some(()))
        })
        .unwrap();
        let echoes = echo_datagrams(&stage.network.client.handle(), echo, DATAGRAMS, 1_450).unwrap();
        assert_eq!(names(&echoes), real_names(REALS), "{family}");
    }
}

fn send_one(target: SocketAddr, length: usize) -> Result<()> {
    connected(target)?.send(&vec![0x5a; length]).context("cannot send")?;
    Ok(())
}

fn connected(target: SocketAddr) -> Result<UdpSocket> {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).context("cannot bind a socket")?;
    socket.connect(target).context("cannot connect a socket")?;
    socket.set_read_timeout(Some(LIMIT)).context("cannot set a timeout")?;
    Ok(socket)
}

#[test]
fn a_closed_port_of_a_real_is_told_to_the_client() {
    let stage = set(plan(), config).unwrap();
    for (family, vip, _) in fronts(&stage.network.plan) {
        let refused = stage.network.client.run(|| {
            let socket = connected(SocketAddr::new(vip, CLOSED))?;
            socket.send(b"anybody?").context("cannot send")?;
            match socket.recv(&mut [0; 16]) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
                other => bail!("no port unreachable, but {other:?}"),
            }
        });
        refused.with_context(|| format!("UDP, {family}")).unwrap();
    }
}

/// The client knows the VIP's MAC address for good, so that it asks for nothing by which the balancer would learn the client's.
#[test]
fn a_client_that_the_kernel_does_not_know_is_asked_for() {
    let stage = set(plan(), config).unwrap();
    let mac = stage.network.lb.mac("eth0").unwrap().map(|byte| format!("{byte:02x}")).join(":");
    let clients = stage.network.plan.client_addresses();
    for ((family, vip, _), client) in fronts(&stage.network.plan).into_iter().zip(clients) {
        let own = &stage.network.client;
        own.ip(&format!("neigh replace {vip} lladdr {mac} nud permanent dev eth0")).unwrap();
        let before = stage.count("no_neighbour").unwrap();
        let asked = own.run(|| {
            let mut connection = Connection::open_here(SocketAddr::new(vip, HTTP))?;
            connection.get("/")?;
            stage.network.lb.ip(&format!("neigh del {client} dev eth0"))?;
            connection.get("/")
        });
        asked.with_context(|| family.to_string()).unwrap();
        assert!(stage.count("no_neighbour").unwrap() > before, "{family}: it was known");
        assert!(stage.network.lb.neighbour(client).unwrap().is_some(), "{family}");
    }
}

#[test]
fn services_come_and_go() {
    let [(_, v4, reals), _] = fronts(&plan());
    let (web, echo) = (SocketAddr::new(v4, HTTP), SocketAddr::new(v4, ECHO));
    let web_only = |network: &Network| Config::of(network).service("web", web, Kind::TcpNat, &reals).at_port(REAL_HTTP);
    let stage = set(plan(), web_only).unwrap();
    write_file(&stage).unwrap();
    let mut download = download(&stage, v4);
    download.move_on(TRANSFER / 5).unwrap();
    let both = web_only(&stage.network).service("echo", echo, Kind::UdpNat, &reals).at_port(REAL_ECHO);
    stage.lbd.write_config(&both.text()).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    let echoes = echo_datagrams(&stage.network.client.handle(), echo, DATAGRAMS, SMALL).unwrap();
    assert_eq!(names(&echoes), real_names(REALS));
    download.move_on(TRANSFER / 5).unwrap();
    stage.lbd.lbctl(&["remove", "service", "echo"]).unwrap();
    let gone = stage.network.client.run(|| {
        let socket = connected(echo)?;
        socket.send(b"anybody?").context("cannot send")?;
        Ok(socket.recv(&mut [0; 16]).map_err(|error| error.kind()))
    });
    assert_eq!(gone.unwrap(), Err(ErrorKind::ConnectionRefused), "the host answers as without a load balancer");
    download.finish().unwrap();
    stage.expect_no_drops().unwrap();
}

/// Whichever of the two reals has it, a download goes on when one after the other is taken out of the service, and over a restart.
#[test]
fn older_flows_outlive_their_reals_membership_and_the_daemon() {
    let mut stage = set(plan(), config).unwrap();
    write_file(&stage).unwrap();
    let [(_, v4, reals), _] = fronts(&stage.network.plan);
    let mut download = download(&stage, v4);
    download.move_on(TRANSFER / 10).unwrap();
    for member in &reals {
        let left = Config::of(&stage.network).service("web-v4", SocketAddr::new(v4, HTTP), Kind::TcpNat, &[member]);
        stage.lbd.write_config(&left.at_port(REAL_HTTP).text()).unwrap();
        stage.lbd.lbctl(&["reload"]).unwrap();
        download.move_on(TRANSFER / 10).with_context(|| format!("with {member} alone")).unwrap();
    }
    stage.lbd.stop().unwrap();
    download.move_on(TRANSFER / 10).context("without a daemon").unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    assert_eq!(stage.status().unwrap()["adoption"], "adopted");
    download.finish().context("after the restart").unwrap();
    stage.expect_no_drops().unwrap();
}

#[test]
fn a_host_that_does_not_forward_is_told() {
    let stage = set(plan(), config).unwrap();
    let [(_, v4, _), _] = fronts(&stage.network.plan);
    stage.network.lb.sysctl("net/ipv4/conf/eth1/forwarding", "0").unwrap();
    let warning = stage.warning("nat eth1 IPv4").unwrap();
    assert!(warning.contains("sysctl -w net/ipv4/conf/eth1/forwarding=1"), "{warning}");
    stage.network.client.run(|| send_one(SocketAddr::new(v4, ECHO), SMALL)).unwrap();
    wait_for("a reply that is dropped", LIMIT, || Ok((stage.count("not_forwarding")? > 0).then_some(()))).unwrap();
    let (status, said) = stage.run_lbd(&["doctor"]).unwrap();
    assert!(!status.success() && said.contains("it forwards no IPv4 packets"), "{said}");
    stage.network.lb.sysctl("net/ipv4/conf/eth1/forwarding", "1").unwrap();
    stage.no_warning("nat eth1 IPv4").unwrap();
    assert_eq!(names(&stage.ask(SocketAddr::new(v4, HTTP)).unwrap()), real_names(REALS));
}
