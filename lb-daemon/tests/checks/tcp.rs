//! TCP connections to the real's address.

use lb_core::check::{Kind, Target};

use crate::servers;
use crate::stage::{SHORT, Stage, With as _, assert_failed, assert_passed, check, ip, target};

#[test]
fn open_port_passes_and_closed_port_is_refused() {
    let stage = Stage::new();
    stage.block_on(async {
        let port = servers::tcp(servers::closing).await;
        assert_passed(&check(Target { port, ..target(Kind::Tcp) }).await);
        let port = servers::closed_tcp().await;
        assert_failed(&check(Target { port, ..target(Kind::Tcp) }).await, "connection refused");
    });
}

#[test]
fn address_without_a_way_is_told() {
    let stage = Stage::new();
    stage.namespace.ip("route add unreachable 192.0.2.99/32").unwrap();
    let there = Target { address: ip("192.0.2.99"), ..target(Kind::Tcp) };
    assert_failed(&stage.check(there), "no route to host");
    assert_failed(&stage.check(Target { address: ip("198.51.100.9"), ..target(Kind::Tcp) }), "network is unreachable");
}

#[test]
fn host_that_swallows_everything_runs_into_the_time_limit() {
    let stage = Stage::new();
    stage.namespace.ip("link add name hole type veth peer name far").unwrap();
    stage.namespace.ip("link set dev hole up").unwrap();
    stage.namespace.ip("link set dev far up").unwrap();
    stage.namespace.ip("route add 192.0.2.99/32 dev hole").unwrap();
    stage.namespace.ip("neighbour add 192.0.2.99 lladdr 02:00:00:00:00:99 dev hole").unwrap();
    let there = Target { address: ip("192.0.2.99"), ..target(Kind::Tcp) };
    assert_failed(&stage.check(there.within(SHORT)), "no connection in 1000 ms");
}
