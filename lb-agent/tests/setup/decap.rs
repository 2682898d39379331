//! The program that takes packets out of tunnels: packets in outer headers are answered, and nothing else changes.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::time::Duration;

use lb_lab::{Namespace, Run, connect, lab_object};

use crate::host::{ADDRESSES, Host, stderr};
use crate::packet::{Ear, Sender, syn};

/// Longer than any machine needs; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(30);
/// Long enough for a packet on the same machine.
const SILENCE: Duration = Duration::from_millis(500);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
const OTHER_VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const REAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 21);
const GUE_PORT: u16 = 6080;

/// A host with a server, and a client on the same link that sends as a load balancer does.
struct Stage {
    host: Host,
    sender: Sender,
    ear: Ear,
    _listener: TcpListener,
    _client: Namespace,
    _run: Run,
}

impl Stage {
    fn new() -> Stage {
        let run = Run::start().unwrap();
        let host = Host::new(&run).unwrap();
        let client = Namespace::new(&run, "client").unwrap();
        connect(&host.namespace, "eth0", &client, "eth0").unwrap();
        for namespace in [&host.namespace, &client] {
            namespace.up("eth0").unwrap();
        }
        host.address().unwrap();
        client.add_address("eth0", CLIENT.into(), 24).unwrap();
        client.add_address("eth0", "2001:db8::10".parse().unwrap(), 64).unwrap();
        let listener = host.namespace.run(|| Ok(TcpListener::bind("0.0.0.0:80")?)).unwrap();
        let (sender, ear) = (Sender::new(&client).unwrap(), Ear::new(&client).unwrap());
        Stage { host, sender, ear, _listener: listener, _client: client, _run: run }
    }

    /// The largest segment that is offered to a SYN in an outer IPv4 header.
    fn ask_by_ipip(&self, vip: Ipv4Addr, port: u16, limit: Duration) -> Option<u16> {
        self.sender.ipip(REAL, &syn(SocketAddrV4::new(CLIENT, port), SocketAddrV4::new(vip, 80))).unwrap();
        self.ear.offered(vip, port, limit).ok()
    }

    /// The same in an outer IP and a UDP header.
    fn ask_by_gue(&self, to: SocketAddr, vip: Ipv4Addr, port: u16, limit: Duration) -> Option<u16> {
        self.sender.gue(to, &syn(SocketAddrV4::new(CLIENT, port), SocketAddrV4::new(vip, 80))).unwrap();
        self.ear.offered(vip, port, limit).ok()
    }
}

fn real(index: usize, port: u16) -> SocketAddr {
    SocketAddr::new(ADDRESSES[index].parse().unwrap(), port)
}

#[test]
fn packets_in_ip_are_taken_out() {
    let stage = Stage::new();
    let former = stage.host.state().unwrap();
    assert_eq!(stage.ask_by_ipip(VIP, 40_000, SILENCE), None, "the host is bare");
    let wish = "--mode ipip --program --vip 192.0.2.100 --interface eth0";
    stage.host.succeed(&format!("setup --apply {wish}")).unwrap();
    assert_eq!(stage.host.missing(&format!("{wish} --port 80")).unwrap(), (vec![], Some(0)));
    assert_eq!(stage.ask_by_ipip(VIP, 40_001, LIMIT), Some(1440));
    // No tunnel for UDP was asked for.
    assert_eq!(stage.ask_by_gue(real(0, GUE_PORT), VIP, 40_002, SILENCE), None);
    // Its address is the host's, too, but no VIP.
    stage.host.namespace.add_address("lo", OTHER_VIP.into(), 32).unwrap();
    assert_eq!(stage.ask_by_ipip(OTHER_VIP, 40_003, SILENCE), None);
    stage.host.namespace.ip("address del 192.0.2.101/32 dev lo").unwrap();
    assert_eq!(
        stage.host.succeed(&format!("setup --apply {wish}")).unwrap(),
        "All is so already; nothing was changed.\n"
    );
    stage.host.succeed("setup --undo").unwrap();
    assert_eq!(stage.host.state().unwrap(), former);
    assert_eq!(stage.ask_by_ipip(VIP, 40_004, SILENCE), None);
}

#[test]
fn packets_in_udp_are_taken_out() {
    let stage = Stage::new();
    let former = stage.host.state().unwrap();
    let wish = "--mode gue --vip 192.0.2.100 --interface eth0";
    assert_eq!(stage.ask_by_gue(real(0, GUE_PORT), VIP, 40_000, SILENCE), None, "the host is bare");
    stage.host.succeed(&format!("setup --apply {wish}")).unwrap();
    assert_eq!(stage.host.missing(&format!("{wish} --port 80")).unwrap(), (vec![], Some(0)));
    assert_eq!(stage.ask_by_gue(real(0, GUE_PORT), VIP, 40_001, LIMIT), Some(1432));
    assert_eq!(stage.ask_by_gue(real(0, GUE_PORT + 1), VIP, 40_002, SILENCE), None, "another port");
    assert_eq!(stage.ask_by_ipip(VIP, 40_003, SILENCE), None);
    assert_eq!(stage.ask_by_gue(real(1, GUE_PORT), VIP, 40_004, SILENCE), None, "no tunnel ends there");

    // What more is asked for adds up: another VIP, and an outer header of the other family.
    let more = "setup --apply --mode gue --vip 192.0.2.101 --interface eth0 --address 2001:db8::21";
    stage.host.succeed(more).unwrap();
    assert_eq!(stage.ask_by_gue(real(1, GUE_PORT), OTHER_VIP, 40_005, LIMIT), Some(1412));
    assert!(stage.ask_by_gue(real(0, GUE_PORT), VIP, 40_006, LIMIT).is_some());
    assert_eq!(stage.host.missing("").unwrap(), (vec![], Some(0)));
    stage.host.succeed("setup --undo").unwrap();
    assert_eq!(stage.host.state().unwrap(), former);
}

#[test]
fn another_xdp_program_is_left_alone() {
    let stage = Stage::new();
    stage.host.namespace.attach_xdp("eth0", &lab_object().unwrap(), "pass_all").unwrap();
    let former = stage.host.state().unwrap();
    let output = stage.host.lb_agent("setup --apply --mode gue --vip 192.0.2.100 --interface eth0").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("nothing was changed") && said.contains("another XDP program is there"), "{said}");
    assert_eq!(stage.host.state().unwrap(), former);
    let words = "--interface eth0 --mode gue --address 192.0.2.21 --vip 192.0.2.100";
    let output = stage.host.decap(words).unwrap();
    assert!(stderr(&output).contains("eth0 has another XDP program"), "{}", stderr(&output));
    assert_eq!(stage.host.state().unwrap(), former);
}
