//! Real ICMP and fragments through the real daemon: echo, errors about a flow, path MTU discovery through a tunnel, and
//! datagrams in pieces. Needs root.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use lb_lab::{Plan, wait_for};
use lb_tests::stage::{Config, ECHO, Kind, LIMIT, SINK, Stage, real_name, real_names, real_names_v6};
use lb_tests::traffic::{Transfer, echo_datagrams, ping};

/// Bytes of a datagram in six fragments.
const LARGE: usize = 8_000;
const DATAGRAMS: usize = 40;
const UPLOAD: u64 = 10_000_000;
const REALS: u8 = 3;
/// A port on which the client does not listen.
const CLOSED: u16 = 999;

/// A service of this kind for every family that it carries, each on a VIP of its own, and their addresses.
fn set(kind: Kind, port: u16) -> Result<(Stage, Vec<SocketAddr>)> {
    let plan = Plan { reals: REALS, ..Plan::default() };
    let [v4, v6] = plan.vip_addresses(0);
    let mut ways = vec![(v4, real_names(REALS)), (v6, real_names_v6(REALS))];
    if matches!(kind, Kind::TcpIpip | Kind::UdpIpip) {
        ways.push((plan.vip_addresses(1)[0], real_names_v6(REALS)));
    }
    let services: Vec<SocketAddr> = ways.iter().map(|(vip, _)| SocketAddr::new(*vip, port)).collect();
    let stage = Stage::set(plan, |network| {
        let numbered = services.iter().zip(&ways).enumerate();
        numbered.fold(Config::of(network), |config, (number, (service, (_, reals)))| {
            config.service(&format!("service-{number}"), *service, kind, reals)
        })
    })?;
    Ok((stage, services))
}

#[test]
fn the_program_answers_ping() {
    let (stage, services) = set(Kind::UdpDsr, ECHO).unwrap();
    for service in &services {
        for length in [0, 56, 1400] {
            ping(&stage.network.client.handle(), service.ip(), &vec![0x5a; length]).unwrap();
        }
    }
    assert_eq!(stage.count("echo_answered").unwrap(), 6);
}

/// The client and the way to the reals have the same MTU, so that full-sized packets do not fit in the tunnel.
#[test]
fn a_large_upload_finds_the_mtu_of_the_tunnel() {
    let (mut stage, services) = set(Kind::TcpIpip, SINK).unwrap();
    stage.start_sinks().unwrap();
    for service in services {
        let before = stage.count("too_big_answered").unwrap();
        let upload = Transfer::upload(&stage.network.client.handle(), service, UPLOAD);
        upload.finish().with_context(|| format!("upload to {service}")).unwrap();
        assert!(stage.count("too_big_answered").unwrap() > before, "{service} had no packet that was too big");
    }
    stage.expect_no_drops().unwrap();
}

#[test]
fn fragments_of_a_datagram_reach_one_real() {
    let (mut stage, services) = set(Kind::UdpDsr, ECHO).unwrap();
    stage.start_echoes().unwrap();
    for service in services {
        let before = stage.count("fragment_forwarded").unwrap();
        let echoes = echo_datagrams(&stage.network.client.handle(), service, DATAGRAMS, LARGE).unwrap();
        assert_eq!(echoes.len(), usize::from(REALS), "{echoes:?}");
        // Of six fragments five are not the first one.
        assert_eq!(stage.count("fragment_forwarded").unwrap() - before, 5 * DATAGRAMS as u64, "{service}");
    }
    stage.expect_no_drops().unwrap();
}

/// The first datagram of a client is lost, and tells it the MTU of the tunnel; the fragments after that fit.
#[test]
fn fragments_of_a_datagram_pass_the_tunnel_once_the_client_knows_its_mtu() {
    let (mut stage, services) = set(Kind::UdpIpip, ECHO).unwrap();
    stage.start_echoes().unwrap();
    for service in services {
        let before = stage.count("too_big_answered").unwrap();
        stage.network.client.run(|| send_one(service)).unwrap();
        wait_for("packet-too-big to be answered", LIMIT, || {
            Ok((stage.count("too_big_answered")? > before).then_some(()))
        })
        .unwrap();
        let echoes = echo_datagrams(&stage.network.client.handle(), service, DATAGRAMS, LARGE).unwrap();
        assert_eq!(echoes.len(), usize::from(REALS), "{echoes:?}");
    }
}

fn send_one(service: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind(any_port(service))?;
    socket.send_to(&[0; LARGE], service).context("cannot send")?;
    Ok(())
}

fn any_port(service: SocketAddr) -> &'static str {
    if service.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }
}

/// The client's host says of a datagram from the VIP that nobody listens. The error must reach the real server that has
/// the flow, whoever sent the datagram.
#[test]
fn an_icmp_error_reaches_the_real_of_its_flow() {
    for kind in [Kind::UdpDsr, Kind::UdpIpip] {
        let (stage, services) = set(kind, ECHO).unwrap();
        for service in services {
            let [v4, v6] = stage.network.plan.client_addresses();
            let client = SocketAddr::new(if service.is_ipv4() { v4 } else { v6 }, CLOSED);
            let sockets = on_each_real(&stage, service, client).unwrap();
            let owner = owner_of_flow(&stage, &sockets, client, service).unwrap();
            let told = told_of_error(&sockets).unwrap();
            assert_eq!(told, owner, "{kind:?} {service}");
        }
        assert!(stage.count("icmp_error_forwarded").unwrap() > 0);
        stage.expect_no_drops().unwrap();
    }
}

/// The real server that a datagram from the client to the service arrives at.
fn owner_of_flow(stage: &Stage, sockets: &[UdpSocket], client: SocketAddr, service: SocketAddr) -> Result<String> {
    stage
        .network
        .client
        .run(|| UdpSocket::bind(client)?.send_to(b"whose?", service).context("cannot send").map(drop))?;
    wait_for_one(sockets, |socket| matches!(socket.recv(&mut [0; 16]), Ok(6)))
}

/// The real server whose socket hears that nobody listens, when the first one sends something. It sends again and again:
/// the client's socket may live on for a moment, in a child process of another test between fork and exec.
fn told_of_error(sockets: &[UdpSocket]) -> Result<String> {
    let refused = |result: io::Result<usize>| result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    let told = wait_for("an error at one of the real servers", LIMIT, || {
        if refused(sockets[0].send(b"nobody there?")) {
            return Ok(Some(0));
        }
        Ok(sockets.iter().position(|socket| refused(socket.recv(&mut [0; 16]))))
    })?;
    Ok(real_name(told as u8))
}

/// A socket on each real server, with the VIP as its address, for this client only.
fn on_each_real(stage: &Stage, service: SocketAddr, client: SocketAddr) -> Result<Vec<UdpSocket>> {
    let open = || {
        let socket = UdpSocket::bind(service).with_context(|| format!("cannot listen on {service}"))?;
        socket.connect(client).with_context(|| format!("cannot connect to {client}"))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    stage.network.reals.iter().map(|real| real.run(open)).collect()
}

fn wait_for_one(sockets: &[UdpSocket], found: impl Fn(&UdpSocket) -> bool) -> Result<String> {
    wait_for("a packet at one of the real servers", LIMIT, || {
        let at = sockets.iter().position(&found);
        Ok(at.map(|at| real_name(at as u8)))
    })
}
