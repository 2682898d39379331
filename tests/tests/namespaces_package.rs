//! The Debian packages on a clean Debian 12: installed, edited, started by their units, upgraded under traffic, and purged
//! without a trace. Needs root, and a Debian that `cargo xtask test` makes.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use lb_lab::{
    Connection, Init, KEYS, Load, Machine, Network, Plan, Process, WebServer, describe, output, programs_directory,
    wait_for, write_key_file, xtask,
};
use serde_json::Value;

const HTTP: u16 = 80;
/// How long anything awaited may take.
const LIMIT: Duration = Duration::from_secs(60);
const REAL: &str = "web-1";
const LBD_CONFIG: &str = "/etc/understudy/lbd.toml";
const AGENT_CONFIG: &str = "/etc/understudy/agent.toml";
const KEY_FILE: &str = "/etc/understudy/keys";
/// Where the packages lie on the host.
const PACKAGES: &str = "/root";
/// An address that no interface has, and a service of it.
const SECOND_VIP: &str = "192.0.2.150";
const SECOND_SERVICE: &str =
    "[[service]]\nname = 'second'\nvip = 'VIP'\nprotocol = 'tcp'\nport = 81\nmode = 'dsr'\nreals = ['web-1']\n";
/// Requests that must have ended in each part of a test.
const REQUESTS: u64 = 100;
const LOAD_THREADS: usize = 2;
/// dpkg itself may write here, in other words each time.
const NOT_LOOKED_AT: [&str; 4] = ["/var/lib/dpkg", "/var/log", "/var/cache", PACKAGES];

/// A network of which one node is a host with the packages. Field order is drop order.
struct Site {
    host: Machine,
    _web: WebServer,
    network: Network,
}

impl Site {
    fn prepare(init: Init) -> Result<Site> {
        let network = Network::build(Plan { reals: 1, vips: 1, ..Plan::default() })?;
        let web = WebServer::start(&network.run, &network.reals[0], REAL, &[HTTP])?;
        let host = Machine::boot(&network.run, &network.lb, "host", init)?;
        Ok(Site { host, _web: web, network })
    }

    /// Lays the packages of a revision on the host.
    fn bring_packages(&self, revision: u32) -> Result<()> {
        for file in packages(revision)? {
            let name = file.file_name().context("a package without a name")?.to_string_lossy();
            let target = self.host.path(&format!("{PACKAGES}/{name}"));
            fs::copy(file, &target).with_context(|| format!("cannot copy {} to the host", file.display()))?;
        }
        Ok(())
    }

    fn install(&self, revision: u32) -> Result<()> {
        self.bring_packages(revision)?;
        self.host.sh(&format!("dpkg --install {PACKAGES}/*-{revision}_*.deb")).map(drop)
    }

    /// The three lines that the documentation tells to edit.
    fn edit(&self) -> Result<()> {
        let (vip, real) = (self.vip().ip(), self.network.plan.real_addresses(0)[0]);
        self.replace(LBD_CONFIG, "interfaces = [\"eth0\"]", "interfaces = ['eth0']")?;
        self.replace(LBD_CONFIG, "address = \"192.0.2.11\"", &format!("address = \"{real}\""))?;
        self.replace(LBD_CONFIG, "vip = \"192.0.2.100\"", &format!("vip = \"{vip}\""))?;
        self.host.sh(&format!("lbd check --config {LBD_CONFIG}")).map(drop)
    }

    /// Replaces a line that is there once.
    fn replace(&self, file: &str, old: &str, new: &str) -> Result<()> {
        let path = self.host.path(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        ensure!(text.lines().filter(|line| *line == old).count() == 1, "{file} has not one line `{old}`: {text}");
        let lines = text.lines().map(|line| if line == old { new } else { line });
        let text = lines.flat_map(|line| [line, "\n"]).collect::<String>();
        fs::write(&path, text).with_context(|| format!("cannot write {file}"))
    }

    fn vip(&self) -> SocketAddr {
        SocketAddr::new(self.network.plan.vip_addresses(0)[0], HTTP)
    }

    /// Waits until the daemon has attached its program and knows the way to the real.
    fn wait_until_ready(&self) -> Result<()> {
        wait_for("lbd to be ready", LIMIT, || {
            let list = |words: &str, key: &str| -> Option<Vec<Value>> {
                let text = self.host.sh(&format!("lbctl {words} --json || [ $? = 4 ]")).ok()?;
                Some(serde_json::from_str::<Value>(&text).ok()?.get(key)?.as_array()?.clone())
            };
            let attached = list("status", "interfaces").is_some_and(|all| all.iter().all(|one| !one["mode"].is_null()));
            let known = list("reals", "reals").is_some_and(|all| all.iter().all(|one| !one["next_hop"].is_null()));
            Ok((attached && known).then_some(()))
        })
    }

    fn ask(&self) -> Result<()> {
        let answer = Connection::open(&self.network.client.handle(), self.vip())?.get("/")?;
        ensure!(answer == REAL, "{answer} has answered");
        Ok(())
    }

    fn load(&self) -> Load {
        Load::start(&self.network.client.handle(), &[self.vip()], LOAD_THREADS, Duration::from_millis(1))
    }

    /// What there is of files, with their contents, of users and groups, addresses, routes, rules, pins and XDP programs.
    fn inventory(&self) -> Result<BTreeSet<String>> {
        let pruned = NOT_LOOKED_AT.map(|path| format!("-path {path} -prune -o")).join(" ");
        let files = self.host.sh(&format!(
            "find / -xdev {pruned} -type f -exec sha256sum {{}} + ; find / -xdev {pruned} -printf '%y %m %U %G %p %l\\n'"
        ))?;
        let pins = self.host.sh("find /sys/fs/bpf")?;
        let lb = &self.network.lb;
        let network = [lb.ip("address show")?, lb.ip("route show table all")?, lb.ip("-6 route show table all")?];
        let network = network.iter().flat_map(|text| text.lines()).map(|line| {
            // How long something is still valid goes by.
            line.split_whitespace().filter(|word| !word.ends_with("sec")).collect::<Vec<_>>().join(" ")
        });
        let lines = files.lines().chain(pins.lines()).map(str::to_owned);
        // dpkg keeps the files of users as they were before the last change in others of their own.
        Ok(lines.chain(network).filter(|line| !line.contains("/etc/g") || !line.contains("-")).collect())
    }
}

/// Packages of what the workspace has built, made once for all tests: revisions 1 and 2.
fn packages(revision: u32) -> Result<&'static [PathBuf]> {
    static MADE: [OnceLock<Result<Vec<PathBuf>, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    let made = MADE.get((revision - 1) as usize).context("there is no such revision")?;
    let made = made.get_or_init(|| pack(revision).map_err(|error| format!("{error:#}")));
    made.as_deref().map_err(|error| anyhow!("{error}"))
}

fn pack(revision: u32) -> Result<Vec<PathBuf>> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("packages-{revision}"));
    let mut dist = Command::new(xtask()?);
    dist.args(["dist", "--compression", "none", "--revision", &revision.to_string()]);
    dist.arg("--programs").arg(programs_directory()?).arg("--output").arg(&directory);
    Ok(output(&mut dist)?.lines().filter(|line| line.ends_with(".deb")).map(PathBuf::from).collect())
}

/// Starts what the unit's `ExecStart` says, with the capabilities that the unit asks for.
fn start_by_unit(host: &Machine, unit: &str, log: &str) -> Result<Process> {
    let text = host.sh(&format!("cat /lib/systemd/system/{unit}"))?;
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        lines.next().with_context(|| format!("no {key} in {unit}: {text}"))
    };
    if let Ok(before) = value("ExecStartPre") {
        host.sh(before.trim_start_matches('+'))?;
    }
    let kept = value("CapabilityBoundingSet")?.to_lowercase().replace("cap_", "+").replace(' ', ",");
    let mut command = host.command("setpriv");
    command.args([format!("--bounding-set=-all,{kept}"), "--inh-caps=-all".to_owned(), "--no-new-privs".to_owned()]);
    command.args(value("ExecStart")?.split_whitespace());
    Process::spawn(&mut command, &host.log_directory().join(log))
}

/// What `lbd` says in the end is told when something has failed.
fn journal(host: &Machine) -> String {
    host.sh("journalctl --no-pager --lines 40 --unit lbd --unit lb-agent").unwrap_or_default()
}

#[test]
fn on_a_clean_debian_it_is_installed_edited_started_and_purged_without_a_trace() {
    let site = Site::prepare(Init::Nothing).unwrap();
    let before = site.inventory().unwrap();
    site.install(1).unwrap();
    site.edit().unwrap();

    let mut lbd = start_by_unit(&site.host, "lbd.service", "lbd.log").unwrap();
    site.wait_until_ready().with_context(|| lbd.log()).unwrap();
    site.ask().unwrap();
    let refused = site.host.sh("dpkg --remove understudy").unwrap_err().to_string();
    assert!(refused.contains("another lbd (pid") && refused.contains("stop it first"), "{refused}");
    site.ask().context("after a removal that was refused").unwrap();

    site.host.sh("kill $(pidof lbd)").unwrap();
    assert!(lbd.wait(LIMIT).unwrap().success(), "{}", lbd.log());
    site.ask().context("without lbd").unwrap();
    site.host.sh("dpkg --purge understudy understudy-agent understudy-ctl").unwrap();
    site.ask().unwrap_err();
    let after = site.inventory().unwrap();
    let left: Vec<&String> = after.symmetric_difference(&before).collect();
    assert!(left.is_empty(), "left over, or gone: {left:#?}");
}

/// What an active node of a pair has put on its interface goes with the package, also when `lbd` had no time to do it.
#[test]
fn a_removal_takes_the_vips_of_a_pair_away() {
    let site = Site::prepare(Init::Nothing).unwrap();
    site.install(1).unwrap();
    site.edit().unwrap();
    write_key_file(&site.host.path(KEY_FILE), KEYS).unwrap();
    let lb = &site.network.lb;
    let own = site.network.plan.lb_addresses()[0];
    let config = fs::read_to_string(site.host.path(LBD_CONFIG)).unwrap();
    let path = format!("[[pair.path]]\ntype = 'udp'\ninterface = 'eth0'\nlocal = '{own}'\npeer = '192.0.2.3'\n");
    let service = SECOND_SERVICE.replace("VIP", SECOND_VIP);
    fs::write(site.host.path(LBD_CONFIG), format!("{config}{service}[pair]\nrole = 'primary'\n{path}")).unwrap();

    let mut lbd = start_by_unit(&site.host, "lbd.service", "lbd.log").unwrap();
    let has_vip = || Ok(lb.ip("address show dev eth0")?.contains(SECOND_VIP).then_some(()));
    wait_for("the VIP", LIMIT, has_vip).with_context(|| lbd.log()).unwrap();
    site.host.sh("kill -KILL $(pidof lbd)").unwrap();
    lbd.wait(LIMIT).unwrap();
    let said = site.host.sh("dpkg --purge understudy").unwrap();
    assert!(said.contains(&format!("removed VIP {SECOND_VIP}")), "{said}");
    assert!(has_vip().unwrap().is_none());
    let theirs = site.vip().ip().to_string();
    assert!(lb.ip("address show dev eth0").unwrap().contains(&theirs), "{theirs} was an operator's");
}

#[test]
fn systemd_starts_it_in_its_sandbox_and_an_upgrade_loses_no_request() {
    let site = Site::prepare(Init::Systemd).unwrap();
    site.install(1).unwrap();
    site.edit().unwrap();
    start_units(&site).with_context(|| journal(&site.host)).unwrap();
    site.ask().unwrap();

    let load = site.load();
    let run = || upgrade(&site, &load);
    run().with_context(|| journal(&site.host)).unwrap();
    let tally = load.stop().unwrap().pop().unwrap();
    assert_eq!((tally.failed, tally.reasons), (0, vec![]), "{}", journal(&site.host));

    site.host.sh("dpkg --purge understudy understudy-agent understudy-ctl").unwrap();
    site.ask().unwrap_err();
    let names = r"\( -name '*understudy*' -o -name 'lbd*' -o -name 'lb-agent*' -o -name 'lbctl*' \)";
    let places = "-path /proc -prune -o -path /var/lib/dpkg -prune -o -path /root -prune -o";
    assert_eq!(site.host.sh(&format!("find / {places} {names} -print")).unwrap(), "");
    assert_eq!(site.host.sh("getent group understudy || true").unwrap(), "");
    let link = site.network.lb.ip("link show dev eth0").unwrap();
    assert!(!link.contains("xdp"), "{link}");
}

/// Enables and starts both units. That of the agent needs a key and its own two lines.
fn start_units(site: &Site) -> Result<()> {
    site.host.sh("systemctl enable --now lbd")?;
    site.wait_until_ready()?;
    write_key_file(&site.host.path(KEY_FILE), KEYS)?;
    site.replace(AGENT_CONFIG, "load_balancers = [\"192.0.2.2:6720\"]", "load_balancers = ['192.0.2.2:6720']")?;
    site.host.sh(&format!("lb-agent check --config {AGENT_CONFIG} && systemctl enable --now lb-agent"))?;
    ensure!(site.host.sh("lb-agent state")?.contains("alive"), "the agent does not say that it is alive");
    site.host.sh("systemctl reload lbd lb-agent").map(drop)
}

/// Installs the next revision under a load. A configuration that the operator has edited stays.
fn upgrade(site: &Site, load: &Load) -> Result<()> {
    go_on(load)?;
    let pids = || site.host.sh("systemctl show --property MainPID --value lbd lb-agent");
    let old = pids()?;
    site.install(2)?;
    wait_for("the units to run anew", LIMIT, || {
        let active = site.host.sh("systemctl is-active lbd lb-agent").is_ok();
        Ok((active && pids()?.lines().all(|pid| !old.lines().any(|old| !old.is_empty() && old == pid))).then_some(()))
    })?;
    site.wait_until_ready()?;
    let version = site.host.sh("dpkg-query --show --showformat '${Version}' understudy")?;
    if !version.ends_with("-2") {
        bail!("{version} is installed");
    }
    let status: Value = serde_json::from_str(&site.host.sh("lbctl status --json || [ $? = 4 ]")?)?;
    ensure!(status["adoption"] == "adopted", "{status}");
    go_on(load)
}

fn go_on(load: &Load) -> Result<()> {
    let wanted = load.requests() + REQUESTS;
    wait_for("requests to end", LIMIT, || Ok((load.requests() >= wanted).then_some(())))
}

/// What an editor of the units would be told: directives that systemd does not know, programs that are not there.
#[test]
fn the_units_are_sound_and_closed() {
    let site = Site::prepare(Init::Nothing).unwrap();
    site.install(1).unwrap();
    for unit in ["lbd.service", "lb-agent.service"] {
        let said = site.host.sh(&format!("systemd-analyze --man=no verify /lib/systemd/system/{unit} 2>&1")).unwrap();
        assert_eq!(said, "", "{unit}");
    }
    let mut security = site.host.command("systemd-analyze");
    security.args(["security", "--offline=true", "--threshold=45", "/lib/systemd/system/lbd.service"]);
    let words = describe(&security);
    let output = security.output().unwrap();
    assert!(output.status.success(), "`{words}`: {}", String::from_utf8_lossy(&output.stdout));
}
