//! Another host claims what this node owns.

use std::sync::atomic::Ordering;

use lb_daemon::takeover::Job;

use crate::stage::{Node, Stage, VIP, VIP_V6, mac, settings, wait_for_vips};

#[test]
fn a_rival_is_named_and_the_vips_are_announced_again() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    for vip in [VIP, VIP_V6] {
        stage.client_sends_to(vip);
        stage.wait_until_client_finds(vip, &stage.lb);
    }
    // It announces the VIPs once, and lets go of them.
    let rival = Node::start_with(&stage.other, settings(), &stage.run.dir().join("rival"), false);
    rival.acquire(false).unwrap();
    rival.ask(Job::Release);
    wait_for_vips(&stage.other, false);
    let wanted = [VIP, VIP_V6].map(|vip| format!("{} claims {vip}", mac(&stage.other)));
    loop {
        let told = node.trouble("VIP rivals");
        if wanted.iter().all(|wanted| told.contains(wanted)) {
            break;
        }
    }
    for vip in [VIP, VIP_V6] {
        stage.wait_until_client_finds(vip, &stage.lb);
    }
}

#[test]
fn its_own_announcements_are_no_rivals() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    for _ in 0..10 {
        node.ask(Job::Announce);
    }
    node.acquire(false).unwrap();
    assert!(node.troubles.try_iter().all(|trouble| trouble.message.is_none()));
}

/// The node has given way, and the job that says so still waits: what the peer announces then is no rival's, and stands.
#[test]
fn who_has_given_way_announces_nothing_against_the_peer() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    stage.client_sends_to(VIP);
    stage.wait_until_client_finds(VIP, &stage.lb);
    node.is_owner.store(false, Ordering::Relaxed);
    let peer = Node::start_with(&stage.other, settings(), &stage.run.dir().join("peer"), false);
    peer.acquire(false).unwrap();
    stage.wait_until_client_finds(VIP, &stage.other);
    // Neither when it is asked to, nor by itself. The jobs are done one after the other: the second answer is after the first job.
    node.ask(Job::Announce);
    node.acquire(false).unwrap();
    assert!(node.troubles.try_iter().all(|trouble| trouble.message.is_none()), "no rival is told of");
    stage.wait_until_client_finds(VIP, &stage.other);
    assert!(peer.troubles.try_iter().all(|trouble| trouble.message.is_none()), "the peer hears no rival");
}
