//! Faults that are planted around one load balancer, each of which `doctor` names with the fix that mends it; and the support
//! bundle, which has no secret in it. Needs root.

use std::fs::{self, Permissions};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lb_lab::{
    KEYS, Namespace, Plan, WebServer, connect, key_file, lab_object, lbd, output, takes_reports, tool, write_keys,
};
use lb_tests::doctor::{complaints, named};
use lb_tests::stage::{Config, HTTP, Kind, Stage, real_names};
use serde_json::Value;

/// A box with a NAT: its address on the network of the reals, and between it and the server behind it.
const BOX: &str = "192.0.2.60";
const INSIDE: &str = "203.0.113.1";
const BEHIND: &str = "203.0.113.2";
/// A host that is not there.
const NOBODY: &str = "192.0.2.99";
/// How far the wall clock is set.
const HOUR: &str = "3600 s";

/// Adds an hour to the wall clock of the process that it is loaded into, while a file is there.
const CLOCK_LIBRARY: &str = r#"
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *file = getenv("US_CLOCK_FILE");
    if (result == 0 && clock == CLOCK_REALTIME && file && access(file, F_OK) == 0) time->tv_sec += 3600;
    return result;
}
"#;

fn plan() -> Plan {
    Plan { reals: 2, vips: 1, ..Plan::default() }
}

fn vip() -> IpAddr {
    plan().vip_addresses(0)[0]
}

fn service() -> SocketAddr {
    SocketAddr::new(vip(), HTTP)
}

fn web(network: &lb_lab::Network, kind: Kind) -> Config {
    Config::of(network).service("web", service(), kind, &real_names(2))
}

fn set(kind: Kind) -> Result<Stage> {
    Stage::set(plan(), |network| web(network, kind))
}

#[test]
fn a_load_balancer_that_is_well_is_said_to_be() -> Result<()> {
    let stage = set(Kind::TcpDsr)?;
    let diagnosis = stage.lbd.lbctl_json(&["doctor"])?;
    assert_eq!(complaints(&diagnosis), Vec::<String>::new());
    assert_eq!(diagnosis["healthy"], true);
    let status = stage.lbd.lbctl_command(&["doctor"])?.output()?.status;
    assert_eq!(status.code(), Some(0));
    let delivered = diagnosis["findings"].as_array().context("no findings")?;
    let delivered = delivered.iter().filter(|finding| finding["check"] == "delivery" && finding["severity"] == "ok");
    assert_eq!(delivered.count(), 2, "each real is tried");
    Ok(())
}

#[test]
fn a_wrong_mtu() -> Result<()> {
    let plan = Plan { fabric_mtu: 1400, ..plan() };
    let stage = Stage::set(plan, |network| web(network, Kind::TcpIpip))?;
    named(
        &stage.lbd,
        "mtu",
        "real real-1",
        "packets of 1400 bytes, and 1420 are needed",
        "ip link set dev eth0 mtu 1420",
    )?;
    assert_eq!(stage.lbd.lbctl_command(&["doctor"])?.output()?.status.code(), Some(4));
    Ok(())
}

#[test]
fn no_vip_on_the_real() -> Result<()> {
    let stage = set(Kind::TcpDsr)?;
    stage.network.reals[1].ip(&format!("address del {}/32 dev lo", vip()))?;
    let fix = format!("lb-agent setup --mode dsr --vip {} --apply", vip());
    named(&stage.lbd, "delivery", "real real-2 in service web", &format!("and not on {}", vip()), &fix)?;
    stage.network.reals[1].add_address("lo", vip(), 32)?;
    let diagnosis = stage.lbd.lbctl_json(&["doctor"])?;
    assert_eq!(complaints(&diagnosis), Vec::<String>::new(), "the fix mends it");
    Ok(())
}

#[test]
fn a_dead_next_hop() -> Result<()> {
    let nobody: IpAddr = NOBODY.parse()?;
    let mut stage = Stage::prepare(plan(), |network| {
        web(network, Kind::TcpDsr).real("ghost", nobody).service(
            "haunted",
            SocketAddr::new(vip(), HTTP + 1),
            Kind::TcpDsr,
            &["ghost"],
        )
    })?;
    stage.lbd.start_again()?;
    named(&stage.lbd, "next-hop", "real ghost", "no ARP answer", &format!("ip neighbour show {NOBODY}"))
}

#[test]
fn another_xdp_program() -> Result<()> {
    let mut stage = Stage::prepare(plan(), |network| web(network, Kind::TcpDsr))?;
    stage.network.lb.attach_xdp("eth0", &lab_object()?, "pass_all")?;
    stage.lbd.start_again()?;
    named(&stage.lbd, "xdp", "eth0", "another XDP program", "ip link set dev eth0 xdp off")
}

#[test]
fn a_wrong_interface() -> Result<()> {
    let mut stage = Stage::prepare(plan(), |network| web(network, Kind::TcpDsr))?;
    stage.network.lb.ip("link add other0 type veth peer name other1")?;
    stage.network.lb.up("other0")?;
    stage.network.lb.up("other1")?;
    let text = web(&stage.network, Kind::TcpDsr).text();
    stage.lbd.write_config(&text.replace("[\"eth0\"]", "[\"other0\", \"eth9\"]"))?;
    stage.lbd.start_again()?;
    named(
        &stage.lbd,
        "vip",
        &format!("VIP {}", vip()),
        "it is on eth0, where the XDP program does not run",
        "add \"eth0\"",
    )?;
    named(&stage.lbd, "interface", "eth9", "no such interface", "name one of these in `interfaces`")
}

#[test]
fn a_real_behind_a_nat() -> Result<()> {
    let address: IpAddr = BOX.parse()?;
    let mut stage = Stage::prepare(plan(), |network| {
        Config::of(network).real("hidden", address).service("web", service(), Kind::TcpDsr, &["hidden"])
    })?;
    let _hidden = hide_a_server(&stage)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    named(&stage.lbd, "nat", "real hidden in service web", "a server behind it (NAT)", "the server's own address")
}

/// A server behind a box that has its address on the network of the reals.
fn hide_a_server(stage: &Stage) -> Result<(Namespace, Namespace, WebServer)> {
    let run = &stage.network.run;
    let (middle, hidden) = (Namespace::new(run, "nat")?, Namespace::new(run, "hidden")?);
    stage.network.plug(&middle, "eth0", "nat", 1500)?;
    middle.add_address("eth0", BOX.parse()?, 24)?;
    connect(&middle, "eth1", &hidden, "eth0")?;
    middle.add_address("eth1", INSIDE.parse()?, 24)?;
    hidden.add_address("eth0", BEHIND.parse()?, 24)?;
    middle.up("eth1")?;
    hidden.up("eth0")?;
    hidden.ip(&format!("route add default via {INSIDE}"))?;
    middle.sysctl("net/ipv4/ip_forward", "1")?;
    let rules = format!(
        "add table ip us_nat\nadd chain ip us_nat in {{ type nat hook prerouting priority -100; }}\n\
         add rule ip us_nat in ip daddr {BOX} tcp dport {HTTP} dnat to {BEHIND}"
    );
    output(middle.command("nft").arg(rules))?;
    let server = WebServer::start(run, &hidden, "hidden", &[HTTP])?;
    Ok((middle, hidden, server))
}

#[test]
fn a_full_disk() -> Result<()> {
    let mut stage = Stage::prepare(plan(), |network| web(network, Kind::TcpDsr))?;
    let dir = stage.network.run.dir().join("state");
    fs::create_dir_all(&dir)?;
    output(tool("mount").args(["-t", "tmpfs", "-o", "size=16k", "none"]).arg(&dir))?;
    assert!(fs::write(dir.join("filler"), vec![0; 1 << 20]).is_err(), "the disk is full now");
    stage.lbd.start_again()?;
    named(&stage.lbd, "disk", "state_dir", "No space left", "make room")
}

#[test]
fn a_clock_that_jumps() -> Result<()> {
    let mut stage = Stage::prepare(plan(), |network| web(network, Kind::TcpDsr))?;
    let (program, jump) = lbd_with_a_clock_of_its_own(&stage)?;
    stage.lbd.use_program(&program);
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    let before = stage.lbd.lbctl_json(&["doctor"])?;
    assert_eq!(complaints(&before), Vec::<String>::new());
    fs::write(&jump, "")?;
    named(&stage.lbd, "clock", "the wall clock", &format!("set forward by {HOUR}"), "chronyc tracking")
}

/// A program that runs `lbd`, and the file that sets its clock when it is there.
fn lbd_with_a_clock_of_its_own(stage: &Stage) -> Result<(PathBuf, PathBuf)> {
    let path = |name: &str| stage.network.run.dir().join(name);
    let (source, library, jump, program) = (path("clock.c"), path("clock.so"), path("jump"), path("lbd-clock"));
    fs::write(&source, CLOCK_LIBRARY)?;
    output(tool("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source))?;
    let script = format!(
        "#!/bin/sh\nexport US_CLOCK_FILE={} LD_PRELOAD={}\nexec {} \"$@\"\n",
        jump.display(),
        library.display(),
        lbd()?.display()
    );
    fs::write(&program, script)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    Ok((program, jump))
}

#[test]
fn a_port_that_somebody_else_has() -> Result<()> {
    let stage = Stage::prepare(plan(), |network| web(network, Kind::TcpDsr).top(&takes_reports(&network.run)))?;
    write_keys(&stage.network.run, KEYS)?;
    let port = stage.network.plan.report_address().port();
    let _squatter = stage.network.lb.run(|| UdpSocket::bind(("0.0.0.0", port)).context("cannot bind"))?;
    let (status, said) = stage.run_lbd(&["doctor"])?;
    assert_eq!(status.code(), Some(4), "{said}");
    for words in ["error    reports.listen", "is taken", &format!("ss -lnup 'sport = :{port}'"), "skipped  delivery"] {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
    Ok(())
}

#[test]
fn a_support_bundle_has_no_key_in_it() -> Result<()> {
    let mut stage = Stage::prepare(plan(), |network| {
        web(network, Kind::TcpDsr)
            .top(&takes_reports(&network.run))
            .top("[[check]]\nname = \"own\"\ntype = \"exec\"\ncommand = [\"/bin/true\", \"hunter2\"]")
    })?;
    write_keys(&stage.network.run, KEYS)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    let file = stage.network.run.dir().join("bundle.json");
    let said = stage.lbd.lbctl(&["support-bundle", &file.display().to_string()])?;
    assert!(said.contains("Keys are not in it"), "{said}");
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file)?;
    let secret = KEYS.split_whitespace().nth(1).context("the key file has a key")?;
    for secret in [secret, &secret.to_uppercase(), "hunter2"] {
        ensure!(!text.contains(secret), "{secret} is in the bundle");
    }
    assert!(fs::read_to_string(key_file(&stage.network.run))?.contains(secret), "it is the daemon's key");
    let bundle: Value = serde_json::from_str(&text)?;
    assert_eq!(bundle["status"]["services"], 1);
    for part in ["services", "reals", "table", "reports", "stats", "drops", "doctor"] {
        assert!(bundle["daemon"][part].is_object(), "no {part}: {}", bundle["missing"]);
    }
    assert_eq!(bundle["config"]["check"][0]["name"], "own");
    assert!(bundle["host"]["kernel"].as_str().is_some_and(|kernel| kernel.starts_with("Linux")));
    // What is there already stays.
    let again = stage.lbd.lbctl(&["support-bundle", &file.display().to_string()]);
    assert!(format!("{:#}", again.unwrap_err()).contains("File exists"));
    Ok(())
}
