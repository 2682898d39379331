//! How able a node is.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lb_core::pair::{FULLY_FIT, Fitness, Input};
use lb_daemon::tracking::{FEW_REALS, SILENT_GATEWAY, Settings, Tracking, start};
use lb_lab::Namespace;

use crate::stage::{PATIENCE, Stage, ip};

const GATEWAY: &str = "192.0.2.3";
const GATEWAY_V6: &str = "2001:db8::3";

fn settings() -> Settings {
    Settings {
        interfaces: vec!["eth0".to_owned()],
        attached: Vec::new(),
        program: None,
        gateways: Vec::new(),
        gateway_interval: Duration::from_millis(50),
        min_healthy_reals: 0,
        vips: vec![ip("192.0.2.101"), ip("2001:db8::101")],
    }
}

fn track(host: &Namespace, settings: Settings) -> (Tracking, Receiver<(Fitness, String)>) {
    let (sender, told) = channel();
    let tell = move |input| {
        if let Input::Fitness { fitness, reason } = input {
            let _ = sender.send((fitness, reason));
        }
    };
    let tracking = host.run(|| Ok(start(settings, Arc::new(tell))?)).unwrap();
    (tracking, told)
}

fn next(told: &Receiver<(Fitness, String)>) -> (Fitness, String) {
    told.recv_timeout(PATIENCE).expect("nothing new is told")
}

fn fully_fit() -> (Fitness, String) {
    (FULLY_FIT, String::new())
}

#[test]
fn a_lost_carrier_makes_it_unfit_and_one_that_is_back_is_believed_after_a_while() {
    let stage = Stage::new();
    let (_tracking, told) = track(&stage.lb, settings());
    assert_eq!(next(&told), fully_fit());
    stage.switch.ip("link set dev lb down").unwrap();
    assert_eq!(next(&told), (0, "eth0 has no carrier".to_owned()));
    stage.switch.up("lb").unwrap();
    assert_eq!(next(&told), (0, "eth0 has had its carrier back for less than 2s".to_owned()));
    assert_eq!(next(&told), fully_fit());
}

#[test]
fn an_interface_that_is_gone_has_no_carrier() {
    let stage = Stage::new();
    let (_tracking, told) = track(&stage.lb, settings());
    assert_eq!(next(&told), fully_fit());
    stage.lb.ip("link del dev eth0").unwrap();
    assert_eq!(next(&told).0, 0);
}

#[test]
fn a_silent_gateway_makes_it_less_fit() {
    for gateway in [GATEWAY, GATEWAY_V6] {
        let stage = Stage::new();
        let (_tracking, told) = track(&stage.lb, Settings { gateways: vec![ip(gateway)], ..settings() });
        assert_eq!(next(&told), fully_fit());
        // With its carrier up: a switch that swallows everything.
        stage.switch.ip("link set dev other down").unwrap();
        assert_eq!(next(&told), (FULLY_FIT - SILENT_GATEWAY, format!("gateway {gateway} does not answer")));
        stage.switch.up("other").unwrap();
        assert_eq!(next(&told), fully_fit());
    }
}

#[test]
fn a_vip_is_no_way_to_a_gateway() {
    let stage = Stage::new();
    // As on an active node that has no other address in the gateway's network.
    stage.lb.ip("address flush dev eth0").unwrap();
    stage.lb.add_address("eth0", ip("192.0.2.101"), 24).unwrap();
    let (_tracking, told) = track(&stage.lb, Settings { gateways: vec![ip(GATEWAY)], ..settings() });
    assert_eq!(next(&told), fully_fit());
    assert_eq!(next(&told).0, FULLY_FIT - SILENT_GATEWAY);
}

#[test]
fn too_few_healthy_reals_make_it_less_fit() {
    let stage = Stage::new();
    let (tracking, told) = track(&stage.lb, Settings { min_healthy_reals: 2, ..settings() });
    assert_eq!(next(&told), fully_fit(), "nothing is known of them");
    tracking.set_healthy_reals(1);
    assert_eq!(next(&told), (FULLY_FIT - FEW_REALS, "healthy reals: 1, wanted: 2 or more".to_owned()));
    tracking.set(settings());
    assert_eq!(next(&told), fully_fit(), "they do not count any more");
}

#[test]
fn a_program_that_is_not_attached_makes_it_unfit() {
    let stage = Stage::new();
    let (_tracking, told) = track(&stage.lb, Settings { attached: vec!["eth0".to_owned()], ..settings() });
    assert_eq!(next(&told), (0, "the XDP program is not attached to eth0".to_owned()));
    stage.lb.attach_xdp("eth0", &lb_lab::lab_object().unwrap(), "pass_all").unwrap();
    assert_eq!(next(&told), fully_fit());
}

#[test]
fn a_program_of_somebody_else_does_not_count() {
    let stage = Stage::new();
    stage.lb.attach_xdp("eth0", &lb_lab::lab_object().unwrap(), "pass_all").unwrap();
    let shown = stage.lb.ip("link show dev eth0").unwrap();
    let id = shown.split("prog/xdp id ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let id: u32 = id.and_then(|id| id.parse().ok()).expect(&shown);
    let wants = |program| Settings { attached: vec!["eth0".to_owned()], program: Some(program), ..settings() };
    let (tracking, told) = track(&stage.lb, wants(id + 1));
    assert_eq!(next(&told), (0, "the XDP program is not attached to eth0".to_owned()));
    tracking.set(wants(id));
    assert_eq!(next(&told), fully_fit());
}
