//! Another host has a VIP already when this node starts.

use std::sync::atomic::Ordering;

use lb_daemon::takeover::{Job, Settings};

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
        assert!(!node.found_nobody.load(Ordering::Relaxed), "the data plane stays silent");
        stage.other.ip(&format!("address del {vip}/{length} dev eth0")).unwrap();
        assert_eq!(node.forbidden(), None, "it is asked for again");
        node.acquire(false).unwrap();
        assert!(node.found_nobody.load(Ordering::Relaxed));
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
fn what_a_peer_has_that_has_served_is_its_own() {
    let stage = Stage::new();
    stage.other.add_address("eth0", ip(VIP), 32).unwrap();
    let node = Node::start(&stage, &stage.lb, careful());
    node.peer_has_served.store(true, Ordering::Relaxed);
    node.acquire(false).unwrap();
}

#[test]
fn a_handover_amid_the_look_waits_for_nothing() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, careful());
    node.peer_is_undecided.store(true, Ordering::Relaxed);
    node.peer_has_served.store(true, Ordering::Relaxed);
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

#[test]
fn a_node_that_is_alone_looks_once_more_when_it_takes_over() {
    let stage = Stage::new();
    stage.other.add_address("eth0", ip(VIP), 32).unwrap();
    let node = Node::start(&stage, &stage.lb, careful());
    node.forbidden().unwrap();
    stage.other.ip(&format!("address del {VIP}/32 dev eth0")).unwrap();
    assert_eq!(node.forbidden(), None, "nobody has it now");
    assert!(!node.found_nobody.load(Ordering::Relaxed));
    stage.other.add_address("eth0", ip(VIP), 32).unwrap();
    let error = node.acquire(false).unwrap_err();
    assert!(error.contains(&format!("{VIP} is at {}", mac(&stage.other))), "{error}");
    assert!(!has(&stage.lb, VIP) && !node.found_nobody.load(Ordering::Relaxed));
}

/// A VIP that a reload brings, and that another host has.
const NEW: &str = "192.0.2.102";

fn with_new_vip() -> Job {
    let mut more = careful();
    more.groups[0].vips.push(ip(NEW));
    Job::Settings(Box::new(more))
}

#[test]
fn a_new_vip_that_a_host_has_forbids_a_standby_to_serve() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, careful());
    node.acquire(false).unwrap();
    node.ask(Job::Release);
    stage.other.add_address("eth0", ip(NEW), 32).unwrap();
    node.ask(with_new_vip());
    let reason = node.forbidden().unwrap();
    assert!(reason.contains(&format!("{NEW} is at {}", mac(&stage.other))), "{reason}");
    node.ask(Job::Settings(Box::new(settings())));
    assert_eq!(node.forbidden(), None, "nobody looks any more");
}

#[test]
fn a_new_vip_that_a_host_has_is_a_rival_of_the_owner() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, careful());
    node.acquire(false).unwrap();
    stage.other.add_address("eth0", ip(NEW), 32).unwrap();
    node.ask(with_new_vip());
    let told = node.trouble("VIP rivals");
    assert!(told.contains(&format!("{} claims {NEW}", mac(&stage.other))), "{told}");
    assert!(has(&stage.lb, VIP), "it keeps what it has");
}
