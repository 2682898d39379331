//! Bad days of the host: interfaces, disks, pins, neighbours and privileges that are not as they should be. Each gets one
//! clear line that says what to do, and what can be served is served. Needs root.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{Load, Plan, lab_object, output, tool, wait_for};
use lb_tests::stage::{Config, ECHO, HTTP, Kind, LIMIT, Stage, real_names};
use lb_tests::traffic::Volley;
use serde_json::Value;

const NOBODY: &str = "65534";

fn service() -> SocketAddr {
    SocketAddr::new(Plan::default().vip_addresses(0)[0], HTTP)
}

fn config(stage: &Stage) -> Config {
    Config::of(&stage.network).service("web", service(), Kind::TcpDsr, &real_names(3))
}

/// A stage whose daemon does not run yet.
fn prepare() -> Stage {
    Stage::prepare(Plan { vips: 1, ..Plan::default() }, |network| {
        Config::of(network).service("web", service(), Kind::TcpDsr, &real_names(3))
    })
    .unwrap()
}

fn set() -> Stage {
    let mut stage = prepare();
    start(&mut stage);
    stage
}

fn start(stage: &mut Stage) {
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
}

/// All three real servers answer over new connections, and nothing fails.
fn serves(stage: &Stage) {
    assert_eq!(stage.ask(service()).unwrap().len(), 3);
}

/// Waits until the program runs on an interface. With new maps that takes a moment where a next hop is not found.
fn wait_until_attached(stage: &Stage, interface: &str) {
    wait_for(&format!("the program on {interface}"), LIMIT, || {
        let Ok(status) = stage.status() else { return Ok(None) };
        let mut interfaces = status["interfaces"].as_array().into_iter().flatten();
        Ok(interfaces.any(|one| one["name"] == interface && !one["mode"].is_null()).then_some(()))
    })
    .unwrap();
}

fn contains_all(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

/// The exit code of `lbctl status`.
fn status_code(stage: &Stage) -> Option<i32> {
    stage.lbd.lbctl_command(&["status"]).unwrap().output().unwrap().status.code()
}

#[test]
fn an_interface_that_is_missing_at_the_start_is_used_when_it_appears() {
    let mut stage = prepare();
    let lb = &stage.network.lb;
    lb.ip("link add late0 type veth peer name late1").unwrap();
    lb.ip("link set late0 name hidden0").unwrap();
    let text = config(&stage).text().replace("[\"eth0\"]", "[\"eth0\", \"late0\"]");
    stage.lbd.write_config(&text).unwrap();
    stage.lbd.start_again().unwrap();
    contains_all(&stage.warning("interface late0").unwrap(), &["does not exist", "appears", "ip link"]);
    wait_until_attached(&stage, "eth0");
    serves(&stage);
    assert_eq!(status_code(&stage), Some(4));

    stage.network.lb.ip("link set hidden0 name late0").unwrap();
    stage.no_warning("interface late0").unwrap();
    assert_eq!(stage.status().unwrap()["interfaces"][1]["mode"], "driver");
    assert_eq!(status_code(&stage), Some(0));
}

#[test]
fn an_interface_that_goes_away_and_comes_back_is_used_again() {
    let mut stage = set();
    serves(&stage);
    stage.network.switch.ip("link del lb").unwrap();
    contains_all(&stage.warning("interface eth0").unwrap(), &["does not exist", "appears"]);
    contains_all(&stage.warning("interfaces").unwrap(), &["attached to none"]);

    stage.network.wire_lb().unwrap();
    // It has another MAC address than before.
    stage.network.client.ip("neighbour flush all").unwrap();
    stage.lbd.wait_until_ready().unwrap();
    serves(&stage);
    assert_eq!(status_code(&stage), Some(0));
}

#[test]
fn an_interface_that_was_made_anew_while_no_daemon_ran_is_used() {
    let mut stage = set();
    stage.lbd.kill().unwrap();
    stage.network.switch.ip("link del lb").unwrap();
    stage.network.wire_lb().unwrap();
    stage.network.client.ip("neighbour flush all").unwrap();
    start(&mut stage);
    serves(&stage);
    let attachments = fs::read_dir(stage.lbd.bpf_dir()).unwrap().flatten();
    let names = attachments.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let links: Vec<String> = names.filter(|name| name.starts_with("link_")).collect();
    assert_eq!(links.len(), 1, "only that to the new interface is left: {links:?}");
}

#[test]
fn an_interface_that_left_the_configuration_while_no_daemon_ran_is_let_go() {
    let mut stage = prepare();
    stage.network.lb.ip("link add other0 type veth peer name other1").unwrap();
    let one = config(&stage).text();
    stage.lbd.write_config(&one.replace("[\"eth0\"]", "[\"eth0\", \"other0\"]")).unwrap();
    start(&mut stage);
    let has_program = |stage: &Stage| stage.network.lb.ip("link show dev other0").unwrap().contains("xdp");
    assert!(has_program(&stage));
    stage.lbd.kill().unwrap();
    stage.lbd.write_config(&one).unwrap();
    start(&mut stage);
    assert!(!has_program(&stage));
    serves(&stage);
}

#[test]
fn another_xdp_program_is_left_alone_and_waited_for() {
    let mut stage = prepare();
    stage.network.lb.attach_xdp("eth0", &lab_object().unwrap(), "pass_all").unwrap();
    stage.lbd.start_again().unwrap();
    let warning = stage.warning("interface eth0").unwrap();
    contains_all(&warning, &["another XDP program", "bpftool net show dev eth0", "ip link set dev eth0 xdp off"]);
    assert!(stage.network.lb.ip("link show dev eth0").unwrap().contains("xdp"), "it is still there");

    stage.network.lb.detach_xdp("eth0").unwrap();
    stage.lbd.wait_until_ready().unwrap();
    serves(&stage);
}

#[test]
fn a_second_daemon_is_refused() {
    let mut stage = set();
    let pid = stage.lbd.running().unwrap().pid();
    for words in [&["run"][..], &["detach"]] {
        let (status, said) = stage.run_lbd(words).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        contains_all(&said, &[&format!("another lbd (pid {pid})"), "stop it first"]);
    }
    serves(&stage);
}

#[test]
fn pins_of_another_version_are_replaced_under_load() {
    let mut stage = set();
    stage.start_echoes().unwrap();
    let echo = SocketAddr::new(service().ip(), ECHO);
    let text = config(&stage).service("echo", echo, Kind::UdpDsr, &real_names(3)).text();
    stage.lbd.write_config(&text).unwrap();
    stage.lbd.lbctl(&["reload"]).unwrap();
    let volley = Volley::start(&stage.network.client.handle(), echo).unwrap();
    let load = Load::start(&stage.network.client.handle(), &[service()], 1, Duration::from_millis(1));
    stage.lbd.kill().unwrap();
    let abi = stage.lbd.bpf_dir().join("abi");
    output(tool("bpftool").args(["map", "update", "pinned"]).arg(&abi).args(words("key 0 0 0 0 value 99 0 0 0")))
        .unwrap();
    let mark = stage.lbd.log().len();
    start(&mut stage);
    contains_all(&stage.log_line(mark, "replaced").unwrap(), &["WARN", "ABI version 99", "forgotten"]);
    let status = stage.status().unwrap();
    assert_eq!(status["adoption"], "replaced");
    contains_all(status["adoption_reason"].as_str().unwrap(), &["ABI version 99"]);
    serves(&stage);
    let tally = load.stop().unwrap().remove(0);
    assert_eq!((tally.failed, tally.reasons), (0, vec![]));
    assert!(volley.stop().context("a datagram was lost").unwrap() > 0);
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ')
}

#[test]
fn a_real_without_neighbour_is_named_and_the_others_serve() {
    let mut stage = prepare();
    let ghost_vip = SocketAddr::new(service().ip(), HTTP + 1);
    let ghost = "192.0.2.99";
    let with_ghost = config(&stage).real("ghost", ghost.parse().unwrap());
    let text = with_ghost.service("haunted", ghost_vip, Kind::TcpIpip, &["ghost"]).text();
    stage.lbd.write_config(&text).unwrap();
    stage.lbd.start_again().unwrap();
    let warning = wait_for("an answer that does not come", LIMIT, || {
        Ok(Some(stage.warning("real ghost")?).filter(|warning| warning.contains("no ARP answer")))
    });
    contains_all(&warning.unwrap(), &[ghost, "no next hop", "eth0", "check that it is up"]);
    wait_until_attached(&stage, "eth0");
    serves(&stage);
    assert_eq!(status_code(&stage), Some(4));
    let reals = stage.lbd.lbctl_json(&["reals"]).unwrap();
    let real = find(&reals["reals"], "ghost");
    assert!(real["next_hop"].is_null() && real["next_hop_note"].as_str().unwrap().contains("no ARP answer"), "{real}");
    assert!(stage.lbd.lbctl(&["reals"]).unwrap().contains("no ARP answer"));

    // Packets for it are dropped and counted; it is used as soon as it is there.
    assert!(stage.ask(ghost_vip).is_err());
    assert!(stage.count("no_next_hop").unwrap() > 0);
    stage.network.reals[0].add_address("eth0", ghost.parse().unwrap(), 32).unwrap();
    stage.no_warning("real ghost").unwrap();
}

fn find<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

/// A tiny file system under the state directory.
fn mount_tiny_state_dir(stage: &Stage) -> Result<PathBuf> {
    let dir = stage.network.run.dir().join("state");
    fs::create_dir_all(&dir)?;
    output(tool("mount").args(["-t", "tmpfs", "-o", "size=16k", "none"]).arg(&dir))?;
    Ok(dir)
}

#[test]
fn a_full_disk_under_the_state_directory_stops_only_the_saving() {
    let mut stage = prepare();
    let dir = mount_tiny_state_dir(&stage).unwrap();
    let filler = dir.join("filler");
    assert!(fs::write(&filler, vec![0; 1 << 20]).is_err(), "the disk is full now");
    stage.lbd.start_again().unwrap();
    let warning = stage.warning("state").unwrap();
    contains_all(&warning, &["cannot be saved", "No space left", "traffic goes on", "make room"]);
    wait_until_attached(&stage, "eth0");
    serves(&stage);
    assert_eq!(status_code(&stage), Some(4));
    let drained = stage.lbd.lbctl(&["drain", "real-2"]).unwrap();
    contains_all(&drained, &["real-2", "cannot be saved"]);
    assert!(!stage.ask(service()).unwrap().contains_key("real-2"));

    fs::remove_file(&filler).unwrap();
    stage.no_warning("state").unwrap();
    stage.lbd.kill().unwrap();
    start(&mut stage);
    let reals = stage.lbd.lbctl_json(&["reals"]).unwrap();
    assert_eq!(find(&reals["reals"], "real-2")["admin"], "drained");
}

#[test]
fn a_damaged_state_file_is_set_aside() {
    let mut stage = set();
    stage.lbd.stop().unwrap();
    let state = stage.network.run.dir().join("state/state.json");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, &text[..text.len() / 2]).unwrap();
    start(&mut stage);
    contains_all(&stage.warning("state file").unwrap(), &["damaged", "state.json.bad", "lbctl"]);
    serves(&stage);
}

#[test]
fn detach_takes_everything_off() {
    let mut stage = set();
    serves(&stage);
    stage.lbd.stop().unwrap();
    assert!(stage.network.lb.ip("link show dev eth0").unwrap().contains("xdp"), "the program goes on after a stop");
    serves(&stage);
    let (status, said) = stage.run_lbd(&["detach"]).unwrap();
    assert!(status.success(), "{said}");
    contains_all(&said, &["removed attachment", "eth0", "removed map services"]);
    assert!(!stage.network.lb.ip("link show dev eth0").unwrap().contains("xdp"));
    assert!(!stage.lbd.bpf_dir().exists() || fs::read_dir(stage.lbd.bpf_dir()).unwrap().next().is_none());
    let error = format!("{:#}", stage.ask(service()).unwrap_err());
    assert!(error.contains("refused"), "the balancer's own kernel answers: {error}");
    let (status, said) = stage.run_lbd(&["detach"]).unwrap();
    assert!(status.success() && said.contains("nothing to remove"), "{said}");
}

#[test]
fn a_pin_directory_on_no_bpf_file_system_is_refused() {
    let stage = prepare();
    let text = fs::read_to_string(stage.lbd.config()).unwrap();
    let elsewhere = stage.network.run.dir().join("elsewhere");
    let bpf_dir = format!("bpf_dir = \"{}\"", stage.lbd.bpf_dir().display());
    assert!(text.contains(&bpf_dir));
    fs::write(stage.lbd.config(), text.replace(&bpf_dir, &format!("bpf_dir = \"{}\"", elsewhere.display()))).unwrap();
    let (status, said) = stage.run_lbd(&["run"]).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    contains_all(&said, &["mount -t bpf", "bpf_dir", &elsewhere.display().to_string()]);
    assert!(!elsewhere.exists(), "nothing is left there");
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    let stage = prepare();
    stage.lbd.write_config("interfaces = [\"eth0\"]\nweight = 3\n").unwrap();
    let line = fs::read_to_string(stage.lbd.config()).unwrap().lines().position(|line| line == "weight = 3").unwrap();
    for words in [&["run"][..], &["check"]] {
        let (status, said) = stage.run_lbd(words).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        contains_all(&said, &[&format!("lbd.toml:{}:1", line + 1), "weight"]);
    }
}

#[test]
fn a_missing_privilege_is_named() {
    let stage = prepare();
    let lbd = stage.network.run.dir().join("lbd");
    fs::copy(lb_lab::lbd().unwrap(), &lbd).unwrap();
    let mut command = stage.network.lb.command("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(&lbd);
    command.args(["run", "--config"]).arg(stage.lbd.config());
    let (status, said) = stage.run_to_end(&mut command).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    contains_all(&said, &["CAP_NET_ADMIN", "CAP_BPF", "root"]);
}

#[test]
fn a_kernel_without_btf_is_named() {
    let stage = prepare();
    let script = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
    let mut command = stage.network.lb.command("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(lb_lab::lbd().unwrap());
    command.args(["run", "--config"]).arg(stage.lbd.config());
    let (status, said) = stage.run_to_end(&mut command).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    contains_all(&said, &["no BTF", "CONFIG_DEBUG_INFO_BTF"]);
}
