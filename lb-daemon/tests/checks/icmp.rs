//! Echoes to the real's address, by either kind of socket.

use lb_core::check::{Kind, Target};

use crate::stage::{REAL_V6, SHORT, Stage, With as _, assert_failed, assert_passed, ip, target};

fn both_families_answer(stage: &Stage) {
    assert_passed(&stage.check(target(Kind::Icmp)));
    assert_passed(&stage.check(Target { address: ip(REAL_V6), ..target(Kind::Icmp) }));
}

#[test]
fn echo_comes_back_by_a_ping_socket() {
    let stage = Stage::new();
    stage.namespace.sysctl("net/ipv4/ping_group_range", "0 0").unwrap();
    both_families_answer(&stage);
}

#[test]
fn echo_comes_back_by_a_raw_socket_where_ping_sockets_are_not_allowed() {
    let stage = Stage::new();
    stage.namespace.sysctl("net/ipv4/ping_group_range", "1 0").unwrap();
    both_families_answer(&stage);
}

#[test]
fn silence_and_missing_ways_fail() {
    let stage = Stage::new();
    for range in ["0 0", "1 0"] {
        stage.namespace.sysctl("net/ipv4/ping_group_range", range).unwrap();
        stage.namespace.sysctl("net/ipv4/icmp_echo_ignore_all", "1").unwrap();
        assert_failed(&stage.check(target(Kind::Icmp).within(SHORT)), "no echo in 1000 ms");
        stage.namespace.sysctl("net/ipv4/icmp_echo_ignore_all", "0").unwrap();
        let nowhere = Target { address: ip("198.51.100.9"), ..target(Kind::Icmp) };
        assert_failed(&stage.check(nowhere), "network is unreachable");
    }
}
