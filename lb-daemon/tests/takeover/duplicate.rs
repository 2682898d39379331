//! Another host has a VIP already when this node starts.

use std::sync::atomic::Ordering;

use lb_daemon::takeover::Settings;

use crate::stage::{Node, Stage, VIP, VIP_V6, has, ip, mac, settings};

fn careful() -> Settings {
    Settings { duplicate_detection: true, ..settings() }
}

#[test]
fn a_host_that_has_a_vip_forbids_it_until_it_lets_go() {
    for (vip, length) in [(VIP, 32), (VIP_V6, 128)] {
        let stage = Stage::new();
        stage.other.add_address("eth0", ip(vip), length).unwrap();
        let node = Node::start(&stage, &stage.lb, careful());
        // It is asked to take over before it knows.
        let error = node.acquire(false).unwrap_err();
        assert!(error.contains(&format!("{vip} is at {}", mac(&stage.other))), "{error}");
        assert!(!has(&stage.lb, VIP) && !has(&stage.lb, VIP_V6));
        stage.other.ip(&format!("address del {vip}/{length} dev eth0")).unwrap();
        assert_eq!(node.forbidden(), None, "it is asked for again");
        node.acquire(false).unwrap();
    }
}

#[test]
fn the_reason_forbids_the_node_to_serve() {
    let stage = Stage::new();
    stage.other.add_address("eth0", ip(VIP), 32).unwrap();
    let node = Node::start(&stage, &stage.lb, careful());
    let reason = node.forbidden().unwrap();
    assert!(reason.contains(&format!("another host has a VIP: {VIP} is at {}", mac(&stage.other))), "{reason}");
}

#[test]
fn what_a_serving_peer_has_is_its_own() {
    let stage = Stage::new();
    stage.other.add_address("eth0", ip(VIP), 32).unwrap();
    let node = Node::start(&stage, &stage.lb, careful());
    node.peer_serves.store(true, Ordering::Relaxed);
    node.acquire(false).unwrap();
}

#[test]
fn two_that_look_at_the_same_time_are_no_duplicates() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, careful());
    let peer = Node::start_with(&stage.other, careful(), &stage.run.dir().join("peer"), false);
    node.acquire(false).unwrap();
    drop(peer);
}
