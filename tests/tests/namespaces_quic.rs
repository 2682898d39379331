//! QUIC connections whose clients move to other addresses and ports, to servers whose connection ids say which one they are of; by quinn
//! and by aioquic. Needs root, and for aioquic `cargo xtask test --only aioquic` once.

mod quic;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use lb_lab::{Network, Plan, wait_for};
use lb_tests::stage::{Config, Kind, LIMIT, Stage, real_name, real_names, real_names_v6};
use quic::{Client, Connection, Encoding, Library, Server, World, strays};

const PORT: u16 = 4433;
/// Connections of a test.
const CONNECTIONS: usize = 6;
/// Each of them moves so often.
const MOVES: u8 = 3;
/// A weight beside which the others' are small.
const HEAVY: &str = "400";
/// New connections after which every one of three equal reals must have got one: the chance that one has not is below 10^-6.
const NEW: usize = 40;
/// The client's addresses that are not its first one.
const FIRST_ADDRESS: u8 = 180;

/// An address that the client gets for a move, beside its first one of the same family.
fn other_address(own: IpAddr, number: u8) -> IpAddr {
    match own {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, FIRST_ADDRESS + number).into(),
        IpAddr::V6(own) => Ipv6Addr::from(u128::from(own) + 0x1000 + u128::from(number)).into(),
    }
}

fn with_addresses(network: &Network) -> Result<()> {
    for own in network.plan.client_addresses() {
        for number in 0..MOVES {
            let length = if own.is_ipv4() { 24 } else { 64 };
            network.client.add_address("eth0", other_address(own, number), length)?;
        }
    }
    Ok(())
}

/// No balancer in between: servers make connection ids of their own, and connections go on wherever the client is.
#[test]
fn connections_migrate_without_a_balancer() {
    let network = Network::build(Plan { vips: 1, ..Plan::default() }).unwrap();
    let world = World::new(network.run.dir()).unwrap();
    with_addresses(&network).unwrap();
    let ends = Library::ALL.into_iter().flat_map(|library| Encoding::ALL.map(|encoding| (library, encoding)));
    for (port, (library, encoding)) in (PORT..).zip(ends) {
        let address = SocketAddr::new(network.plan.real_addresses(1)[0], port);
        let server = world.serve(library, &network.reals[1], 1, address, encoding).unwrap();
        for by in Library::ALL {
            let client = world.client(by, network.client.handle(), address).unwrap();
            let [own, _] = network.plan.client_addresses();
            let mut connection = client.connect(SocketAddr::new(own, 0)).unwrap();
            assert_eq!(connection.ask().unwrap().real, real_name(1));
            for number in 0..MOVES {
                connection.move_to(SocketAddr::new(other_address(own, number), 0)).unwrap();
                let answer = connection.ask().unwrap();
                assert_eq!(
                    (answer.real.as_str(), answer.seen_at),
                    (real_name(1).as_str(), connection.local()),
                    "{by:?} with {library:?}, {encoding:?}"
                );
            }
        }
        assert!(server.issued().unwrap().len() > 2, "{library:?}: clients move to connection ids of their own");
        assert_eq!(strays(&[server]).unwrap(), 0);
    }
}

/// Whose servers and client a scene has.
struct Ends {
    servers: Library,
    client: Library,
}

const QUINN: Ends = Ends { servers: Library::Quinn, client: Library::Quinn };
const AIOQUIC: Ends = Ends { servers: Library::Aioquic, client: Library::Aioquic };

/// Servers on all reals, and the balancer with their ids. Field order is drop order.
struct Scene {
    client: Box<dyn Client>,
    servers: Vec<Box<dyn Server>>,
    stage: Stage,
    service: SocketAddr,
    _world: Arc<World>,
}

impl Scene {
    fn set(ends: &Ends, encoding: Encoding, family: usize) -> Result<Scene> {
        let plan = Plan { vips: 1, ..Plan::default() };
        let service = SocketAddr::new(plan.vip_addresses(0)[family], PORT);
        let stage = Stage::set(plan, |network| {
            let reals = if family == 0 { real_names(3) } else { real_names_v6(3) };
            let keys = encoding.key_file(network.run.dir()).expect("a file in the run's directory");
            let config = Config::of(network).service("quic", service, Kind::UdpDsr, &reals);
            let ids = reals.iter().zip(0..).map(|(real, index)| (real.clone(), encoding.server_id_text(index)));
            config.line(&format!("quic = [{}]", encoding.table(keys.as_deref()))).server_ids(ids.collect())
        })?;
        with_addresses(&stage.network)?;
        let world = World::new(stage.network.run.dir())?;
        let namespace = |index: u8| &stage.network.reals[usize::from(index)];
        let serve = |index: u8| world.serve(ends.servers, namespace(index), index, service, encoding);
        let servers = (0..3).map(serve).collect::<Result<_>>()?;
        let client = world.client(ends.client, stage.network.client.handle(), service)?;
        Ok(Scene { client, servers, stage, service, _world: world })
    }

    /// The client's own address in the service's family, any port.
    fn own(&self) -> SocketAddr {
        let [v4, v6] = self.stage.network.plan.client_addresses();
        SocketAddr::new(if self.service.is_ipv4() { v4 } else { v6 }, 0)
    }

    /// An address and port of the client from which new connections go to another real than this one.
    fn where_flows_go_elsewhere(&self, address: IpAddr, real: &str) -> Result<SocketAddr> {
        for _ in 0..NEW {
            let connection = self.client.connect(SocketAddr::new(address, 0))?;
            let (answered, local) = (connection.ask()?.real, connection.local());
            connection.close()?;
            if answered != real {
                return Ok(local);
            }
        }
        anyhow::bail!("{NEW} new connections from {address} have all gone to {real}")
    }

    fn new_connections(&self) -> Result<BTreeSet<String>> {
        let one = |_| {
            let connection = self.client.connect(self.own())?;
            Ok(connection.ask()?.real)
        };
        (0..NEW).map(one).collect()
    }

    /// Packets at servers that their connection ids do not name.
    fn strays(&self) -> Result<usize> {
        strays(&self.servers)
    }

    /// What `lbctl simulate` says of a packet of the client.
    fn simulated(&self) -> Result<String> {
        let (from, to) = (SocketAddr::new(self.own().ip(), PORT).to_string(), self.service.to_string());
        let said = self.stage.lbd.lbctl_json(&["simulate", "--from", &from, "--to", &to, "--protocol", "udp"])?;
        Ok(said["lines"].to_string())
    }

    /// Moves a connection to where its flow alone would lead to another real, and sees that it keeps its own.
    fn move_away(&self, connection: &mut Box<dyn Connection + '_>, real: &str, address: IpAddr) -> Result<()> {
        let to = self.where_flows_go_elsewhere(address, real)?;
        connection.move_to(to)?;
        let answer = connection.ask().with_context(|| format!("moved to {to}, of {real}"))?;
        ensure!((answer.real.as_str(), answer.seen_at) == (real, to), "{real} has the connection at {to}: {answer:?}");
        Ok(())
    }

    fn address_for(&self, number: u8) -> IpAddr {
        other_address(self.own().ip(), number)
    }
}

fn connections_stay(ends: &Ends, encoding: Encoding, family: usize) -> Result<()> {
    let scene = Scene::set(ends, encoding, family)?;
    assert_eq!(scene.new_connections()?.len(), 3, "new connections go to all reals");
    assert!(scene.simulated()?.contains("a packet whose QUIC connection id"));
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = scene.client.connect(scene.own())?;
        let real = connection.ask()?.real;
        open.push((connection, real));
    }
    for number in 0..MOVES {
        for (connection, real) in &mut open {
            scene.move_away(connection, real, scene.address_for(number))?;
        }
        // So the slots of the next moves are others.
        let heavy = configured(&real_name(number), family);
        scene.stage.lbd.lbctl(&["weight", &heavy, HEAVY])?;
        for (connection, real) in &open {
            assert_eq!(connection.ask().with_context(|| format!("with {heavy} heavy"))?.real, *real);
        }
    }
    assert!(scene.stage.count("quic_routed")? > 0);

    // A real that is drained keeps its connections, also those that move. (Its slots remember it: UDP has no SYN, so a new flow may be an
    // old one of its own for as long as `flow_idle_timeout`.)
    let drained = open[0].1.clone();
    scene.stage.lbd.lbctl(&["drain", &configured(&drained, family)])?;
    for (connection, real) in &mut open {
        scene.move_away(connection, real, scene.address_for(0)).context("after the drain")?;
    }
    assert_eq!(scene.strays()?, 0, "packets have come to a real that their connection id does not name");
    scene.stage.expect_no_drops()?;

    // A real that is no more: its connections' packets go to others, who know nothing of them, and new ones work.
    scene.stage.lbd.lbctl(&["disable", &configured(&drained, family)])?;
    let (orphan, _) = open.swap_remove(0);
    orphan.ask_in_vain()?;
    wait_for("packets of the disabled real at others", LIMIT, || Ok((scene.strays()? > 0).then_some(())))?;
    assert!(!scene.new_connections()?.contains(&drained));
    for (connection, real) in open.iter().filter(|(_, real)| *real != drained) {
        assert_eq!(connection.ask().context("after another real has gone")?.real, *real);
    }
    Ok(())
}

/// The name of a real in the configuration: by its IPv6 address it has another.
fn configured(real: &str, family: usize) -> String {
    if family == 0 { real.to_owned() } else { format!("{real}-v6") }
}

#[test]
fn connections_stay_by_ids_in_the_clear() {
    connections_stay(&QUINN, Encoding::Clear, 0).unwrap();
}

#[test]
fn connections_stay_by_ids_of_one_pass() {
    connections_stay(&QUINN, Encoding::OnePass, 0).unwrap();
}

#[test]
fn connections_stay_by_ids_of_four_passes() {
    connections_stay(&QUINN, Encoding::FourPasses, 0).unwrap();
}

#[test]
fn connections_stay_by_ids_of_four_passes_and_ipv6() {
    connections_stay(&QUINN, Encoding::FourPasses, 1).unwrap();
}

#[test]
fn connections_stay_by_plain_ids() {
    connections_stay(&QUINN, Encoding::Plain, 0).unwrap();
}

#[test]
fn connections_of_aioquic_stay_by_ids_in_the_clear() {
    connections_stay(&AIOQUIC, Encoding::Clear, 0).unwrap();
}

#[test]
fn connections_of_aioquic_stay_by_ids_of_one_pass() {
    connections_stay(&AIOQUIC, Encoding::OnePass, 0).unwrap();
}

#[test]
fn connections_of_aioquic_stay_by_ids_of_four_passes() {
    connections_stay(&AIOQUIC, Encoding::FourPasses, 0).unwrap();
}

#[test]
fn connections_of_aioquic_stay_by_ids_of_four_passes_and_ipv6() {
    connections_stay(&AIOQUIC, Encoding::FourPasses, 1).unwrap();
}

#[test]
fn connections_of_aioquic_stay_by_plain_ids() {
    connections_stay(&AIOQUIC, Encoding::Plain, 0).unwrap();
}

#[test]
fn connections_of_quinn_stay_at_servers_of_aioquic() {
    let ends = Ends { servers: Library::Aioquic, client: Library::Quinn };
    connections_stay(&ends, Encoding::FourPasses, 0).unwrap();
}

#[test]
fn connections_of_aioquic_stay_at_servers_of_quinn() {
    let ends = Ends { servers: Library::Quinn, client: Library::Aioquic };
    connections_stay(&ends, Encoding::OnePass, 0).unwrap();
}
