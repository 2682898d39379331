//! Taking the VIPs, announcing them, giving them up.

use std::time::{Duration, Instant};

use lb_core::pair::Input;
use lb_daemon::takeover::Job;
use lb_lab::wait_for;

use crate::stage::{Node, PATIENCE, Stage, VIP, VIP_V6, has, ip, settings, wait_for_vips};

#[test]
fn a_client_finds_the_vips_at_the_new_owner() {
    let stage = Stage::new();
    for (vip, length) in [(VIP, 32), (VIP_V6, 128)] {
        stage.other.add_address("eth0", ip(vip), length).unwrap();
        stage.client_sends_to(vip);
        stage.wait_until_client_finds(vip, &stage.other);
    }
    // The old owner does not answer any more.
    stage.switch.ip("link set dev other down").unwrap();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    for vip in [VIP, VIP_V6] {
        stage.wait_until_client_finds(vip, &stage.lb);
    }
}

#[test]
fn an_ipv6_vip_is_no_source_and_waits_for_nothing() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    let shown = stage.lb.ip("-o address show dev eth0 to 2001:db8::101").unwrap();
    assert!(shown.contains("deprecated") && shown.contains("preferred_lft 0sec"), "{shown}");
    assert!(shown.contains("nodad") && !shown.contains("tentative"), "{shown}");
    let route = stage.lb.ip("-o route get 2001:db8::10").unwrap();
    assert!(route.contains("src 2001:db8::2 "), "{route}");
}

#[test]
fn a_release_removes_the_vips_and_what_an_operator_put_there_stays() {
    let stage = Stage::new();
    stage.lb.add_address("eth0", ip(VIP), 32).unwrap();
    let node = Node::start(&stage, &stage.lb, settings());
    let told = node.trouble("VIP addresses");
    assert!(told.contains("192.0.2.101 is on eth0, and lbd did not put it there"), "{told}");
    node.acquire(false).unwrap();
    assert!(has(&stage.lb, VIP_V6));
    node.ask(Job::Release);
    wait_for("the VIP to go", PATIENCE, || Ok((!has(&stage.lb, VIP_V6)).then_some(()))).unwrap();
    assert!(has(&stage.lb, VIP), "only what lbd added is removed");
    assert!(has(&stage.lb, "192.0.2.2"));
}

#[test]
fn a_second_acquisition_changes_nothing() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    node.acquire(false).unwrap();
    assert!(has(&stage.lb, VIP) && has(&stage.lb, VIP_V6));
}

#[test]
fn vips_of_a_daemon_that_was_killed_are_removed_unless_its_successor_goes_on() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    node.end();
    assert!(has(&stage.lb, VIP) && has(&stage.lb, VIP_V6), "nobody took them off");
    let resumed = Node::start_with(&stage.lb, settings(), &stage.state_dir(), true);
    assert!(has(&stage.lb, VIP) && has(&stage.lb, VIP_V6), "its successor goes on");
    resumed.end();
    let _other = Node::start(&stage, &stage.lb, settings());
    assert!(!has(&stage.lb, VIP) && !has(&stage.lb, VIP_V6), "this one starts as any other");
}

#[test]
fn vips_that_the_kernel_has_taken_off_with_the_link_come_back_with_it() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    stage.lb.ip("link set dev eth0 down").unwrap();
    wait_for("the IPv6 VIP to go", PATIENCE, || Ok((!has(&stage.lb, VIP_V6)).then_some(()))).unwrap();
    stage.lb.up("eth0").unwrap();
    wait_for_vips(&stage.lb, true);
}

#[test]
fn a_missing_interface_is_named_and_the_other_group_is_served() {
    let stage = Stage::new();
    let mut two = settings();
    let mut back = two.groups[0].clone();
    (back.name, back.interface, back.vips) = ("back".to_owned(), "eth7".to_owned(), vec![ip("198.51.100.1")]);
    two.groups.push(back);
    let node = Node::start(&stage, &stage.lb, two);
    let error = node.acquire(false).unwrap_err();
    assert_eq!(error, "VIP group back: there is no interface eth7");
    assert!(has(&stage.lb, VIP));
}

#[test]
fn a_missing_program_is_attached_before_the_vips_are_added() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    assert_eq!(node.attached.try_recv().unwrap(), ["eth0"]);
    stage.lb.attach_xdp("eth0", &lb_lab::lab_object().unwrap(), "pass_all").unwrap();
    node.acquire(false).unwrap();
    assert!(node.attached.try_recv().is_err(), "it is there already");
}

#[test]
fn other_settings_move_the_vips_of_an_owner() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.acquire(false).unwrap();
    let mut other = settings();
    other.groups[0].vips = vec![ip(VIP), ip("192.0.2.102")];
    node.ask(Job::Settings(Box::new(other)));
    let moved = || Ok((has(&stage.lb, "192.0.2.102") && !has(&stage.lb, VIP_V6)).then_some(()));
    wait_for("the other VIPs", PATIENCE, moved).unwrap();
    assert!(has(&stage.lb, VIP));
}

#[test]
fn epochs_are_kept() {
    let stage = Stage::new();
    let node = Node::start(&stage, &stage.lb, settings());
    node.ask(Job::Reserve(8));
    let reserved = node.input(|input| match input {
        Input::Reserved(epoch) => Some(epoch),
        _ => None,
    });
    assert_eq!(reserved, 8);
    node.ask(Job::Hold(true));
    node.acquire(false).unwrap();
    node.end();
    let loaded = lb_daemon::takeover::load(&stage.state_dir(), 0);
    assert_eq!((loaded.memory.epoch, loaded.memory.reserved, loaded.memory.held), (1, 8, true));
}

/// `cargo test -p lb-daemon --test takeover -- --ignored --nocapture`: how long it takes from the wish to own the VIPs until they
/// are announced.
#[test]
#[ignore = "measures, and says nothing about right and wrong"]
fn time_to_the_first_announcement() {
    let stage = Stage::new();
    stage.lb.attach_xdp("eth0", &lb_lab::lab_object().unwrap(), "pass_all").unwrap();
    let node = Node::start(&stage, &stage.lb, settings());
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            node.acquire(false).unwrap();
            let took = begun.elapsed();
            node.ask(Job::Release);
            wait_for_vips(&stage.lb, false);
            took
        })
        .collect();
    times.sort();
    println!("{} takeovers: median {:?}, longest {:?}", times.len(), times[times.len() / 2], times[times.len() - 1]);
}
