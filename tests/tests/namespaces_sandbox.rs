//! A running `lbd` keeps few capabilities and reaches few files, programs of the operator's run all the same, the API asks who is there,
//! and systemd hears that it lives. Needs root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result};
use lb_core::api::Health;
use lb_lab::{Plan, Process, wait_for};
use lb_tests::stage::{Config, HTTP, Kind, LIMIT, Stage, real_name, real_names};

/// NET_BIND_SERVICE, NET_ADMIN, NET_RAW, IPC_LOCK, SYS_NICE, PERFMON and BPF, by their bits in capability.h.
const KEPT: u64 = 1 << 10 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 23 | 1 << 38 | 1 << 39;
/// CHOWN, where the API's socket has a group.
const CHOWN: u64 = 1;
/// The thread that starts programs.
const PROGRAMS: &str = "programs";
/// Groups that every Debian has, by number and name, and a user and a group of nobody.
const ADM: (u32, &str) = (4, "adm");
const MAIL: (u32, &str) = (8, "mail");
const NOBODY: u32 = 65_534;

fn config(network: &lb_lab::Network, top: &str, checks: &str) -> Config {
    let service = std::net::SocketAddr::new(network.plan.vip_addresses(0)[0], HTTP);
    Config::of(network).top(top).service("web", service, Kind::TcpDsr, &real_names(1)).line(checks)
}

fn stage(top: &str, checks: &str) -> Result<Stage> {
    Stage::set(Plan { reals: 1, vips: 1, ..Plan::default() }, |network| config(network, top, checks))
}

/// What the kernel says of a thread: `CapPrm`, `CapEff` and `NoNewPrivs`.
type Limits = (u64, u64, bool);

/// What the kernel says of each thread of `lbd`, by its name.
fn threads(stage: &mut Stage) -> Result<BTreeMap<String, Vec<Limits>>> {
    let mut threads = BTreeMap::<_, Vec<_>>::new();
    let pid = stage.lbd.running()?.pid();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(entry?.path().join("status"))?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let bits = |name| field(name).and_then(|text| u64::from_str_radix(text, 16).ok()).context("no such field");
        let state = (bits("CapPrm:")?, bits("CapEff:")?, field("NoNewPrivs:") == Some("1"));
        threads.entry(field("Name:").unwrap_or_default().to_owned()).or_default().push(state);
    }
    Ok(threads)
}

/// Asserts that all threads have these capabilities alone and get no others.
fn assert_narrow(threads: &BTreeMap<String, Vec<(u64, u64, bool)>>, kept: u64) {
    for (name, states) in threads.iter().filter(|(name, _)| *name != PROGRAMS) {
        for state in states {
            assert_eq!(*state, (kept, kept, true), "thread {name}: {:x} {:x}", state.0, state.1);
        }
    }
}

#[test]
fn without_programs_nothing_is_left_that_could_run_one() {
    let mut stage = stage("", "").unwrap();
    let threads = threads(&mut stage).unwrap();
    assert!(!threads.contains_key(PROGRAMS) && threads.contains_key("engine"), "{:?}", threads.keys());
    assert_narrow(&threads, KEPT);
    stage.ask(std::net::SocketAddr::new(stage.network.plan.vip_addresses(0)[0], HTTP)).unwrap();
}

/// A check that writes where `lbd` itself may not.
#[test]
fn a_program_of_a_check_runs_outside_of_the_sandbox() {
    let mark = std::env::temp_dir().join(format!("us-{}-checked", std::process::id()));
    let check = format!(
        "[[check]]\nname = \"own\"\ntype = \"exec\"\ninterval = \"200ms\"\ncommand = [\"/usr/bin/touch\", {:?}]",
        mark.display().to_string()
    );
    let outcome = stage(&check, "checks = [\"own\"]").and_then(|mut stage| {
        stage.wait_for_real(&real_name(0), "up", |real| real.health == Health::Up)?;
        let threads = threads(&mut stage)?;
        assert_narrow(&threads, KEPT);
        Ok((mark.exists(), threads.contains_key(PROGRAMS)))
    });
    let _ = fs::remove_file(&mark);
    assert_eq!(outcome.unwrap(), (true, true));
}

/// Runs `lbctl` as somebody of this group and no other.
fn as_member(stage: &Stage, group: u32, words: &[&str]) -> Result<Output> {
    stage.lbd.lbctl_command(words)?.uid(NOBODY).gid(group).output().context("cannot run lbctl")
}

#[test]
fn the_api_asks_who_is_there() {
    let groups = format!("[api]\ngroup = \"{}\"\nreaders = \"{}\"", ADM.1, MAIL.1);
    let mut stage = stage(&groups, "").unwrap();
    assert_narrow(&threads(&mut stage).unwrap(), KEPT | CHOWN);
    let real = real_name(0);
    let refused = |group, words: &[&str]| -> Option<String> {
        let output = as_member(&stage, group, words).unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code() == Some(1)).then_some(error)
    };
    for words in [["reals"].as_slice(), &["drain", &real], &["enable", &real]] {
        assert_eq!(refused(ADM.0, words), None, "{words:?}");
    }
    assert_eq!(refused(MAIL.0, &["reals"]), None);
    let error = refused(MAIL.0, &["drain", &real]).unwrap();
    assert!(error.contains("may not change anything") && error.contains("api.group"), "{error}");
    let error = refused(NOBODY, &["reals"]).unwrap();
    assert!(error.contains("user 65534 may not use lbd's API"), "{error}");
    let mode = fs::metadata(stage.lbd.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
}

/// The messages of the daemon to systemd, as far as they have come.
fn wait_for_message(systemd: &UnixDatagram, wanted: &str) -> Result<()> {
    let mut buffer = [0; 4096];
    wait_for(&format!("{wanted} for systemd"), LIMIT, || match systemd.recv(&mut buffer) {
        Ok(length) => Ok(String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == wanted).then_some(())),
        Err(_) => Ok(None),
    })
}

#[test]
fn systemd_hears_that_it_lives() {
    let stage =
        Stage::prepare(Plan { reals: 1, vips: 1, ..Plan::default() }, |network| config(network, "", "")).unwrap();
    let path = stage.network.run.dir().join("notify.sock");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_nonblocking(true).unwrap();
    let mut lbd = spawn_as_service(&stage, &path).unwrap();
    wait_for_message(&systemd, "READY=1").unwrap();
    wait_for_message(&systemd, "WATCHDOG=1").unwrap();
    lbd.terminate(LIMIT).unwrap();
}

fn spawn_as_service(stage: &Stage, systemd: &Path) -> Result<Process> {
    let mut command = stage.network.lb.command(lb_lab::lbd()?);
    command.args(["run", "--config"]).arg(stage.lbd.config());
    command.env("NOTIFY_SOCKET", systemd).env("WATCHDOG_USEC", "10000000");
    Process::spawn(&mut command, &stage.network.run.dir().join("service.log"))
}

/// What a user of the API can ask for that is not the same everywhere.
const QUESTIONS: [&[&str]; 8] =
    [&["status"], &["services"], &["reals"], &["table"], &["reports"], &["stats"], &["drops"], &["flows"]];

#[test]
fn no_secret_gets_out() {
    let stage = Stage::set(Plan { reals: 1, vips: 1, ..Plan::default() }, |network| {
        lb_lab::write_keys(&network.run, lb_lab::KEYS).unwrap();
        config(network, &format!("log = \"trace\"\n{}", lb_lab::takes_reports(&network.run)), "")
    });
    let mut stage = stage.unwrap();
    let pid = stage.lbd.running().unwrap().pid();
    let secret = lb_lab::KEYS.split_whitespace().nth(1).unwrap();
    let mut told = vec![stage.lbd.log()];
    told.extend(["cmdline", "environ"].map(|file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()));
    told.extend(QUESTIONS.map(|words| stage.lbd.lbctl_json(words).unwrap().to_string()));
    // Half of it would be as bad.
    for part in [&secret[..16], &secret[secret.len() - 16..]] {
        assert_eq!(told.iter().find(|text| text.to_lowercase().contains(part)), None);
    }
}
