//! Reloads under load: all or nothing, and what operators have set outlives them and restarts. Needs root.

use std::net::SocketAddr;
use std::time::Duration;

use lb_lab::{Load, Plan, wait_for};
use lb_tests::stage::{Config, HTTP, Kind, LIMIT, Stage, real_names};
use serde_json::Value;

fn web(plan: &Plan, index: u8) -> SocketAddr {
    SocketAddr::new(plan.vip_addresses(index)[0], HTTP)
}

fn set() -> Stage {
    Stage::set(Plan::default(), |network| {
        Config::of(network).service("web", web(&network.plan, 0), Kind::TcpDsr, &real_names(3))
    })
    .unwrap()
}

/// The service of [`set`], and another one.
fn two_services(stage: &Stage) -> Config {
    let plan = &stage.network.plan;
    let config = Config::of(&stage.network).service("web", web(plan, 0), Kind::TcpDsr, &real_names(3));
    config.service("tunnel", web(plan, 1), Kind::TcpIpip, &real_names(3))
}

fn real(stage: &Stage, name: &str) -> Value {
    let list = stage.lbd.lbctl_json(&["reals"]).unwrap();
    list["reals"].as_array().unwrap().iter().find(|real| real["name"] == name).unwrap().clone()
}

#[test]
fn a_bad_file_changes_nothing_and_a_good_one_adds_a_service() {
    let mut stage = set();
    let (first, second) = (web(&stage.network.plan, 0), web(&stage.network.plan, 1));
    let load = Load::start(&stage.network.client.handle(), &[first], 1, Duration::from_millis(1));
    let before = stage.lbd.lbctl(&["services", "--json"]).unwrap();
    let generation = |services: &str| serde_json::from_str::<Value>(services).unwrap()["generation"].clone();

    // The new service is sound, and its mode is not.
    let good = two_services(&stage).text();
    let bad = good.replace("mode = \"ipip\"", "mode = \"teleport\"");
    stage.lbd.write_config(&bad).unwrap();
    let text = std::fs::read_to_string(stage.lbd.config()).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("teleport")).unwrap();
    let place = format!("{}:{line}:8", stage.lbd.config().display());

    let refused = stage.lbd.lbctl_command(&["reload"]).unwrap().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(&place) && said.contains("teleport") && said.contains("ipip"), "{place} in: {said}");

    let mark = stage.lbd.log().len();
    stage.lbd.running().unwrap().signal(libc::SIGHUP).unwrap();
    stage.log_line(mark, "reload refused").unwrap();
    assert!(stage.lbd.log()[mark..].contains(&place), "{}", stage.lbd.log());
    let after = stage.lbd.lbctl(&["services", "--json"]).unwrap();
    assert_eq!(generation(&after), generation(&before));
    assert_eq!(stage.ask(first).unwrap().len(), 3);

    stage.lbd.write_config(&good).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    assert_eq!(stage.ask(second).unwrap().len(), 3);
    let tallies = load.stop().unwrap();
    assert_eq!((tallies[0].failed, &tallies[0].reasons), (0, &vec![]));
    stage.expect_no_drops().unwrap();
}

#[test]
fn sighup_takes_a_service_away_and_its_packets_go_to_the_host() {
    let mut stage = set();
    stage.lbd.write_config(&two_services(&stage).text()).unwrap();
    stage.lbd.running().unwrap().signal(libc::SIGHUP).unwrap();
    let second = web(&stage.network.plan, 1);
    wait_for("the second service", LIMIT, || {
        Ok((stage.lbd.lbctl_json(&["services"])?["services"].as_array().map(Vec::len) == Some(2)).then_some(()))
    })
    .unwrap();
    assert_eq!(stage.ask(second).unwrap().len(), 3);

    let one = Config::of(&stage.network).service("web", web(&stage.network.plan, 0), Kind::TcpDsr, &real_names(3));
    stage.lbd.write_config(&one.text()).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    let error = format!("{:#}", stage.ask(second).unwrap_err());
    assert!(error.contains("refused"), "the balancer's own kernel answers: {error}");
    assert_eq!(stage.ask(web(&stage.network.plan, 0)).unwrap().len(), 3);
}

#[test]
fn what_operators_set_survives_reload_kill_and_restart() {
    let mut stage = set();
    let service = web(&stage.network.plan, 0);
    stage.lbd.lbctl(&["drain", "real-2"]).unwrap();
    stage.lbd.lbctl(&["weight", "real-1", "7"]).unwrap();
    let check = |stage: &Stage, when: &str| {
        assert_eq!(real(stage, "real-2")["admin"], "drained", "{when}");
        assert_eq!(real(stage, "real-2")["slots"], 0, "{when}");
        assert_eq!(real(stage, "real-1")["weight_override"], 7, "{when}");
        assert!(!stage.ask(service).unwrap().contains_key("real-2"), "{when}");
    };
    let ids = |stage: &Stage| ["real-1", "real-2", "real-3"].map(|name| real(stage, name)["id"].clone());
    let before = ids(&stage);
    check(&stage, "at once");

    stage.lbd.write_config(&two_services(&stage).text()).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    check(&stage, "after a reload");

    stage.lbd.kill().unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    check(&stage, "after kill -9 and a restart");

    // New maps know nothing: what operators have set comes from the file.
    stage.lbd.stop().unwrap();
    let (status, said) = stage.run_lbd(&["detach"]).unwrap();
    assert!(status.success(), "{said}");
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    check(&stage, "after a start with new maps");
    assert_eq!(ids(&stage), before);
}
