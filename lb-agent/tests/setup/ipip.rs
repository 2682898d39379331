//! Tunnel mode. Where the kernel has no tunnels, a TUN interface stands in: packets come out of it as out of any tunnel.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::time::Duration;

use lb_lab::{Namespace, Run, connect};

use crate::host::Host;
use crate::packet::{Ear, Tunnel};

/// Longer than any machine needs; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(30);
/// Long enough for a packet on the same machine.
const SILENCE: Duration = Duration::from_millis(500);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const WISH: &str = "--mode ipip --vip 192.0.2.100 2001:db8::100 --interface eth0";

/// A host and a client on one link.
fn set() -> (Host, Namespace, Run) {
    let run = Run::start().unwrap();
    let host = Host::new(&run).unwrap();
    let client = Namespace::new(&run, "client").unwrap();
    connect(&host.namespace, "eth0", &client, "eth0").unwrap();
    host.namespace.up("eth0").unwrap();
    client.up("eth0").unwrap();
    host.address().unwrap();
    client.add_address("eth0", CLIENT.into(), 24).unwrap();
    (host, client, run)
}

#[test]
fn what_the_kernel_has_or_a_program_takes_packets_out() {
    let (host, _client, _run) = set();
    let former = host.state().unwrap();
    let said = host.succeed(&format!("setup --apply {WISH}")).unwrap();
    let has_tunnels = host.namespace.ip("link show dev tunl0").is_ok();
    assert_eq!(said.contains("lb-agent decap --interface eth0 --mode ipip"), !has_tunnels, "{said}");
    assert_eq!(host.missing(WISH).unwrap(), (vec![], Some(0)));
    host.succeed("setup --undo").unwrap();
    assert_eq!(host.state().unwrap(), former);
}

#[test]
fn packets_out_of_a_tunnel_are_answered_with_small_segments() {
    let (host, client, _run) = set();
    // eth0 filters because all do; tunl0 begins with the default.
    for place in ["all", "default"] {
        host.set(place, "rp_filter", 1).unwrap();
    }
    let Ok(mut tunnel) = Tunnel::new(&host.namespace, "tunl0") else {
        // The kernel has made a tunl0 for this namespace: then it has tunnels, and the other test has used them.
        return assert!(host.namespace.ip("-details link show dev tunl0").unwrap().contains("ipip"));
    };
    let listener = host.namespace.run(|| Ok(TcpListener::bind("0.0.0.0:80")?)).unwrap();
    let ear = Ear::new(&client).unwrap();
    let mut ask = |port: u16, limit| {
        tunnel.syn(SocketAddrV4::new(CLIENT, port), SocketAddrV4::new(VIP, 80)).unwrap_or_default();
        ear.offered(VIP, port, limit)
    };
    // The kernel gives an interface its queue when it is up for the first time, and never takes it back.
    host.namespace.up("tunl0").unwrap();
    host.namespace.ip("link set dev tunl0 down").unwrap();
    let former = host.state().unwrap();
    assert!(ask(40_000, SILENCE).is_err(), "the host is bare");

    let wish = "--mode ipip --vip 192.0.2.100 --interface eth0";
    host.succeed(&format!("setup --apply {wish}")).unwrap();
    assert_eq!(host.missing(&format!("{wish} --port 80")).unwrap(), (vec![], Some(0)));
    assert_eq!(ask(40_001, LIMIT).unwrap(), 1440);
    let state = host.state().unwrap();
    assert!(state.contains("/eth0/rp_filter:1") && state.contains("/all/rp_filter:0"), "{state}");

    // Each of these alone is enough to break it.
    for (place, value) in [("all", 1), ("tunl0", 2)] {
        host.set(place, "rp_filter", value).unwrap();
        assert!(ask(40_002, SILENCE).is_err(), "{place} filters");
        assert_eq!(host.missing(wish).unwrap().1, Some(1), "{place} filters");
        host.set(place, "rp_filter", 0).unwrap();
    }
    assert_eq!(ask(40_003, LIMIT).unwrap(), 1440);

    let (applied, record) = (host.state().unwrap(), host.record());
    assert_eq!(host.succeed(&format!("setup --apply {wish}")).unwrap(), "All is so already; nothing was changed.\n");
    assert_eq!((host.state().unwrap(), host.record()), (applied, record));
    host.namespace.set_mtu("eth0", 1400).unwrap();
    host.succeed(&format!("setup --apply {wish}")).unwrap();
    assert_eq!(ask(40_004, LIMIT).unwrap(), 1340, "it follows the MTU");
    host.namespace.set_mtu("eth0", 1500).unwrap();

    for _ in 0..2 {
        host.succeed("setup --undo").unwrap();
        assert_eq!(host.state().unwrap(), former);
    }
    drop(listener);
}

#[test]
fn a_table_with_many_vips_is_read_back_as_it_was_written() {
    let (host, _client, _run) = set();
    let Ok(_tunnel) = Tunnel::new(&host.namespace, "tunl0") else { return };
    let vips: Vec<String> = (1..=40).map(|n| format!("198.18.0.{n}")).collect();
    let wish = format!("--mode ipip --vip {} --interface eth0", vips.join(" "));
    host.succeed(&format!("setup --apply {wish}")).unwrap();
    assert_eq!(host.missing(&wish).unwrap(), (vec![], Some(0)));
    host.succeed("setup --apply --mode ipip --vip 198.18.1.1 --interface eth0").unwrap();
    assert_eq!(host.missing("").unwrap(), (vec![], Some(0)), "the earlier ones are still there");
    host.namespace.ip("address del 198.18.0.7/32 dev lo").unwrap();
    let gone = vec!["lo has 198.18.0.7/32".to_owned()];
    assert_eq!(host.missing("").unwrap(), (gone, Some(1)), "the record knows that it was wished");
}
