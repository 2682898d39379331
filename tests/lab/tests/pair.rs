//! The network of a pair: what is connected, and what each cut takes away.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use lb_lab::{BOTH, Cut, Link, PairNetwork, PairPlan, Pinned, Probe, Server, Watch, Watched, longest_both, wait_for};

const LIMIT: Duration = Duration::from_secs(10);
const ECHO: u16 = 7;

/// Whether datagrams from a node reach the other one by a NIC.
fn reaches(network: &PairNetwork, link: Link, from: usize) -> bool {
    let address = |node| match link {
        Link::Heartbeat => network.plan.heartbeat_addresses(node)[0],
        _ => network.plan.lb_addresses(node)[0],
    };
    arrives(network, (from, address(from)), (1 - from, address(1 - from)))
}

fn arrives(network: &PairNetwork, from: (usize, IpAddr), to: (usize, IpAddr)) -> bool {
    let socket =
        |(node, address): (usize, IpAddr)| network.lbs[node].run(|| Ok(UdpSocket::bind((address, 0))?)).unwrap();
    let (sender, receiver) = (socket(from), socket(to));
    receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let target = receiver.local_addr().unwrap();
    // The address may have to be resolved first.
    for _ in 0..3 {
        sender.send_to(b"there?", target).unwrap();
        match receiver.recv(&mut [0; 16]) {
            Ok(_) => return true,
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
    }
    false
}

#[test]
fn each_cut_takes_away_what_it_names_and_nothing_else() {
    let network = PairNetwork::build(PairPlan::default()).unwrap();
    let connected = || {
        let nics = [Link::Service, Link::Heartbeat];
        nics.map(|link| [reaches(&network, link, 0), reaches(&network, link, 1)])
    };
    assert_eq!(connected(), [[true; 2]; 2]);
    let cases: [(&[Cut], [[bool; 2]; 2]); 4] = [
        (&Cut::path(Link::Service), [[false; 2], [true; 2]]),
        (&Cut::link(Link::Heartbeat, 0), [[true; 2], [false; 2]]),
        (&[Cut::Sent(Link::Service, 0)], [[false, true], [true; 2]]),
        (&[Cut::ToPeer(Link::Heartbeat, 1)], [[true; 2], [true, false]]),
    ];
    for (cuts, expected) in cases {
        network.cut(cuts).unwrap();
        assert_eq!(connected(), expected, "{cuts:?}");
        network.mend(cuts).unwrap();
    }
    network.cut(&Cut::node(1)).unwrap();
    assert_eq!(connected(), [[false; 2]; 2]);
    network.mend_all().unwrap();
    network.lose(1000).unwrap();
    assert_eq!(connected(), [[false; 2]; 2]);
    network.lose(0).unwrap();
    assert_eq!(connected(), [[true; 2]; 2]);
}

#[test]
fn an_unplugged_link_has_no_carrier_and_the_peer_keeps_its_own() {
    let network = PairNetwork::build(PairPlan::default()).unwrap();
    let carrier = |node: usize| network.lbs[node].ip("-o link show dev eth1").unwrap().contains("LOWER_UP");
    network.unplug(Link::Heartbeat, 0).unwrap();
    assert_eq!([carrier(0), carrier(1)], [false, true]);
    network.plug_in(Link::Heartbeat, 0).unwrap();
    wait_for("the carrier", LIMIT, || Ok(carrier(0).then_some(()))).unwrap();
}

/// The nodes themselves answer here: the first has the VIP, then both have it, then the second alone.
#[test]
fn probe_pinned_connections_and_watch_see_who_owns_the_vip() {
    let network = PairNetwork::build(PairPlan::default()).unwrap();
    let vip = network.plan.vip_v4(0);
    let service = SocketAddrV4::new(vip, ECHO);
    let give = |node: usize, verb: &str| network.lbs[node].ip(&format!("address {verb} {vip}/32 dev eth0")).unwrap();
    give(0, "add");
    let mut servers = Vec::new();
    for node in &network.lbs {
        node.sysctl("net/ipv4/ip_nonlocal_bind", "1").unwrap();
        servers.push(Server::udp_echo(node, "node", SocketAddr::V4(service)).unwrap());
        servers.push(Server::tcp_echo(node, SocketAddr::V4(service)).unwrap());
    }
    let client = network.client.handle();
    let pinned = Pinned::open(&client, SocketAddr::V4(service), 3).unwrap();
    wait_for("answers over the connections", LIMIT, || Ok((pinned.answers() > 9).then_some(()))).unwrap();
    let probe = Probe::start(&client, SocketAddr::V4(service)).unwrap();
    let nodes = [network.mac(0).unwrap(), network.mac(1).unwrap()];
    let watched = Watched { service, nodes, client: network.plan.client_address() };
    let answered = |probe: &Probe| {
        let now = Instant::now();
        wait_for("an answer", LIMIT, || Ok(probe.answered_since(now).then_some(()))).unwrap();
    };

    answered(&probe);
    let watch = Watch::start(&network.client, watched.clone()).unwrap();
    answered(&probe);
    let alone = watch.stop().unwrap();
    assert!(alone.iter().any(|look| look.answered == 1) && alone.iter().all(|look| look.answered <= 1));
    assert!(alone.iter().any(|look| look.forwarded == 1) && alone.iter().all(|look| look.forwarded <= 1));
    assert_eq!(longest_both(&alone, |look| look.answered), Duration::ZERO);

    let watch = Watch::start(&network.client, watched).unwrap();
    give(1, "add");
    answered(&probe);
    give(0, "del");
    network.client.ip("neigh flush dev eth0").unwrap();
    answered(&probe);
    let both = watch.stop().unwrap();
    assert!(both.iter().any(|look| look.answered == BOTH && look.forwarded == BOTH));
    assert!(longest_both(&both, |look| look.answered) > Duration::ZERO);
    assert!(both.iter().any(|look| look.answered == 2));

    let samples = probe.stop().unwrap();
    assert!(samples.last().is_some_and(|sample| sample.answered));
    // The second node knows nothing of the connections that the first one had.
    let talk = pinned.close().unwrap();
    assert_eq!((talk.connections, talk.broken.len()), (3, 3), "{talk:?}");
}
