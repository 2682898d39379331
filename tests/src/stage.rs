//! What a test in network namespaces plays on: the usual network with web servers, a running `lbd`, and a configuration
//! that is put together service by service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_lab::{Connection, Lbd, Network, Plan, Process, Server, Shape, WebServer, wait_for};
use serde_json::Value;

/// The port of the web servers.
pub const HTTP: u16 = 80;
/// The port of the UDP echo.
pub const ECHO: u16 = 7;
/// The port of the TCP sink.
pub const SINK: u16 = 9;
/// How long a test waits for what must come.
pub const LIMIT: Duration = Duration::from_secs(20);
/// New connections after which every real server of a few must have got one: with 3 equal ones the chance that one has
/// not is below 10^-17.
const ENOUGH: usize = 100;

/// A configuration under construction.
#[derive(Clone, Debug, Default)]
pub struct Config {
    interfaces: Vec<String>,
    top: Vec<String>,
    reals: Vec<Real>,
    services: Vec<Service>,
}

#[derive(Clone, Debug)]
struct Real {
    name: String,
    address: IpAddr,
}

#[derive(Clone, Debug)]
struct Service {
    name: String,
    vip: SocketAddr,
    vip_prefix: Option<u8>,
    protocol: &'static str,
    mode: &'static str,
    reals: Vec<String>,
    /// Those of them that are fallbacks.
    fallbacks: Vec<String>,
    /// The port at which the reals serve, where that is another.
    real_port: Option<u16>,
    /// By real: its QUIC server id, in hexadecimal digits.
    server_ids: BTreeMap<String, String>,
    lines: Vec<String>,
}

impl Service {
    /// Its `reals`.
    fn members(&self) -> String {
        let port = self.real_port.map(|port| format!(", port = {port}")).unwrap_or_default();
        let member = |real: &String| {
            let fallback = if self.fallbacks.contains(real) { ", fallback = true" } else { "" };
            let id = self.server_ids.get(real).map(|id| format!(", quic_server_ids = [{id:?}]")).unwrap_or_default();
            format!("{{ name = {real:?}{port}{fallback}{id} }}")
        };
        format!("[{}]", self.reals.iter().map(member).collect::<Vec<_>>().join(", "))
    }
}

impl Config {
    /// Reals and services are still to come.
    pub fn new(interfaces: &[&str]) -> Config {
        Config { interfaces: interfaces.iter().map(ToString::to_string).collect(), ..Config::default() }
    }

    /// The interfaces of a network's balancer, and no service yet. The reals are all of the network's, by each of their
    /// addresses: `real-1` and `real-1-v6` and so on.
    pub fn of(network: &Network) -> Config {
        let mut config = Config::new(interfaces(&network.plan));
        for index in 0..network.plan.reals {
            let [v4, v6] = network.plan.real_addresses(index);
            config = config.real(&real_name(index), v4).real(&real_name_v6(index), v6);
        }
        config
    }

    /// Adds a line above the reals and services.
    #[must_use]
    pub fn top(mut self, line: &str) -> Config {
        self.top.push(line.to_string());
        self
    }

    /// Adds a real.
    #[must_use]
    pub fn real(mut self, name: &str, address: IpAddr) -> Config {
        self.reals.push(Real { name: name.to_string(), address });
        self
    }

    /// Leaves a real out.
    #[must_use]
    pub fn without_real(mut self, name: &str) -> Config {
        self.reals.retain(|real| real.name != name);
        self
    }

    /// Adds a service of one port.
    #[must_use]
    pub fn service<S: AsRef<str>>(mut self, name: &str, vip: SocketAddr, kind: Kind, reals: &[S]) -> Config {
        let reals = reals.iter().map(|real| real.as_ref().to_string()).collect();
        let (protocol, mode) = kind.words();
        let (name, fallbacks, lines, server_ids) = (name.to_string(), Vec::new(), Vec::new(), BTreeMap::new());
        self.services.push(Service {
            name,
            vip,
            vip_prefix: None,
            protocol,
            mode,
            reals,
            fallbacks,
            real_port: None,
            server_ids,
            lines,
        });
        self
    }

    /// Gives the service that was added last a whole prefix as its VIP, which begins with the VIP that it has.
    #[must_use]
    pub fn vip_prefix(mut self, length: u8) -> Config {
        if let Some(service) = self.services.last_mut() {
            service.vip_prefix = Some(length);
        }
        self
    }

    /// Has the reals of the service that was added last serve it at another port.
    #[must_use]
    pub fn at_port(mut self, port: u16) -> Config {
        if let Some(service) = self.services.last_mut() {
            service.real_port = Some(port);
        }
        self
    }

    /// Gives reals of the service that was added last QUIC server ids, in hexadecimal digits.
    #[must_use]
    pub fn server_ids(mut self, ids: BTreeMap<String, String>) -> Config {
        if let Some(service) = self.services.last_mut() {
            service.server_ids = ids;
        }
        self
    }

    /// Has the service that was added last have this real, too, as a fallback.
    #[must_use]
    pub fn fallback(mut self, real: &str) -> Config {
        if let Some(service) = self.services.last_mut() {
            service.reals.push(real.to_owned());
            service.fallbacks.push(real.to_owned());
        }
        self
    }

    /// Adds a line to the service that was added last.
    #[must_use]
    pub fn line(mut self, line: &str) -> Config {
        if let Some(service) = self.services.last_mut() {
            service.lines.push(line.to_string());
        }
        self
    }

    /// The file's text, without the directories.
    pub fn text(&self) -> String {
        let mut text = format!("interfaces = {:?}\n", self.interfaces);
        self.top.iter().for_each(|line| text += &format!("{line}\n"));
        for Real { name, address } in &self.reals {
            let _ = write!(text, "\n[[real]]\nname = \"{name}\"\naddress = \"{address}\"\n");
        }
        for service in &self.services {
            let Service { name, vip, vip_prefix, protocol, mode, lines, .. } = service;
            let length = vip_prefix.map(|length| format!("/{length}")).unwrap_or_default();
            let _ = write!(
                text,
                "\n[[service]]\nname = \"{name}\"\nvip = \"{}{length}\"\nport = {}\n",
                vip.ip(),
                vip.port()
            );
            let _ = write!(text, "protocol = \"{protocol}\"\nmode = \"{mode}\"\nreals = {}\n", service.members());
            lines.iter().for_each(|line| text += &format!("{line}\n"));
        }
        text
    }
}

/// Protocol and mode of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP, by rewriting the MAC addresses.
    TcpDsr,
    /// TCP, in an outer header.
    TcpIpip,
    /// UDP, by rewriting the MAC addresses.
    UdpDsr,
    /// UDP, in an outer header.
    UdpIpip,
    /// TCP, by rewriting addresses and ports.
    TcpNat,
    /// UDP, by rewriting addresses and ports.
    UdpNat,
    /// TCP, in outer headers of IP and UDP.
    TcpGue,
    /// UDP, in outer headers of IP and UDP.
    UdpGue,
    /// SCTP, by rewriting the MAC addresses.
    SctpDsr,
    /// SCTP, in outer headers of IP and UDP.
    SctpGue,
}

impl Kind {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::TcpDsr => ("tcp", "dsr"),
            Kind::TcpIpip => ("tcp", "ipip"),
            Kind::UdpDsr => ("udp", "dsr"),
            Kind::UdpIpip => ("udp", "ipip"),
            Kind::TcpNat => ("tcp", "nat"),
            Kind::UdpNat => ("udp", "nat"),
            Kind::TcpGue => ("tcp", "gue"),
            Kind::UdpGue => ("udp", "gue"),
            Kind::SctpDsr => ("sctp", "dsr"),
            Kind::SctpGue => ("sctp", "gue"),
        }
    }
}

/// Name of a real by its IPv4 address, counted from 0; its web server bears the same name.
pub fn real_name(index: u8) -> String {
    format!("real-{}", index + 1)
}

/// Name of the same real server by its IPv6 address.
pub fn real_name_v6(index: u8) -> String {
    format!("real-{}-v6", index + 1)
}

/// Names of the first `count` reals by their IPv4 addresses.
pub fn real_names(count: u8) -> Vec<String> {
    (0..count).map(real_name).collect()
}

/// Names of the first `count` reals by their IPv6 addresses.
pub fn real_names_v6(count: u8) -> Vec<String> {
    (0..count).map(real_name_v6).collect()
}

fn interfaces(plan: &Plan) -> &'static [&'static str] {
    match plan.shape {
        Shape::OneArm => &["eth0"],
        Shape::TwoArm => &["eth0", "eth1"],
    }
}

/// The network with its servers and a running daemon. Dropped, all of it goes away. Field order is drop order.
#[derive(Debug)]
pub struct Stage {
    /// The daemon.
    pub lbd: Lbd,
    /// Web servers, one on each real server, on [`HTTP`].
    pub web: Vec<WebServer>,
    /// Other servers that the test needs.
    pub servers: Vec<Server>,
    /// The network.
    pub network: Network,
}

impl Stage {
    /// Builds the network, starts the web servers, and starts `lbd` with the configuration that `config` makes.
    pub fn set(plan: Plan, config: impl FnOnce(&Network) -> Config) -> Result<Stage> {
        let mut stage = Stage::prepare(plan, config)?;
        stage.lbd.start_again()?;
        stage.lbd.wait_until_ready()?;
        Ok(stage)
    }

    /// As [`Stage::set`], with a daemon that does not run yet.
    pub fn prepare(plan: Plan, config: impl FnOnce(&Network) -> Config) -> Result<Stage> {
        let network = Network::build(plan)?;
        let mut web = Vec::new();
        for (index, namespace) in (0..).zip(&network.reals) {
            web.push(WebServer::start(&network.run, namespace, &real_name(index), &[HTTP])?);
        }
        let lbd = Lbd::prepare(&network.run, &network.lb, &config(&network).text())?;
        Ok(Stage { lbd, web, servers: Vec::new(), network })
    }

    /// Starts a UDP echo on each real server for each VIP, on [`ECHO`].
    pub fn start_echoes(&mut self) -> Result<()> {
        self.start_servers(|network, index, vip| {
            Server::udp_echo(&network.reals[usize::from(index)], &real_name(index), SocketAddr::new(vip, ECHO))
        })
    }

    /// Starts a TCP sink on each real server for each VIP, on [`SINK`].
    pub fn start_sinks(&mut self) -> Result<()> {
        self.start_servers(|network, index, vip| {
            Server::tcp_sink(&network.reals[usize::from(index)], &real_name(index), SocketAddr::new(vip, SINK))
        })
    }

    fn start_servers(&mut self, start: impl Fn(&Network, u8, IpAddr) -> Result<Server>) -> Result<()> {
        for index in 0..self.network.plan.reals {
            for vip in self.network.plan.vips() {
                self.servers.push(start(&self.network, index, vip)?);
            }
        }
        Ok(())
    }

    /// Asks a web service over new connections, [`ENOUGH`] of them. Returns the answers by real server.
    ///
    /// # Errors
    /// Any request fails.
    pub fn ask(&self, service: SocketAddr) -> Result<BTreeMap<String, usize>> {
        self.network.client.run(|| {
            let mut served = BTreeMap::new();
            for _ in 0..ENOUGH {
                let name = Connection::open_here(service)?.get("/")?;
                *served.entry(name).or_default() += 1;
            }
            Ok(served)
        })
    }

    /// The count of a drop reason or of an event, by its name.
    pub fn count(&self, name: &str) -> Result<u64> {
        let counts = self.lbd.lbctl_json(&["drops"])?;
        let all = ["drops", "events"].iter().filter_map(|list| counts[list].as_array()).flatten();
        let found = all.into_iter().find(|count| count["name"] == name);
        found.and_then(|count| count["count"].as_u64()).with_context(|| format!("no count of {name} in {counts}"))
    }

    /// An error that names them when packets were dropped.
    pub fn expect_no_drops(&self) -> Result<()> {
        let counts = self.lbd.lbctl_json(&["drops"])?;
        let drops = counts["drops"].as_array().context("no drops in the answer of lbctl")?;
        let dropped: Vec<&Value> = drops.iter().filter(|count| count["count"] != 0).collect();
        if !dropped.is_empty() {
            bail!("packets were dropped: {dropped:?}");
        }
        Ok(())
    }

    /// What `lbctl status` says, whatever its exit code.
    pub fn status(&self) -> Result<Value> {
        let output = self.lbd.lbctl_command(&["status", "--json"])?.output().context("cannot run lbctl")?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no status: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The status' warning about a subject, once there is one.
    pub fn warning(&self, subject: &str) -> Result<String> {
        wait_for(&format!("a warning about {subject}"), LIMIT, || {
            // The daemon may be about to start.
            let Ok(status) = self.status() else { return Ok(None) };
            let warnings = status["warnings"].as_array().into_iter().flatten();
            let found = warnings.into_iter().find(|warning| warning["subject"] == subject);
            Ok(found.and_then(|warning| Some(warning["message"].as_str()?.to_string())))
        })
        .with_context(|| format!("the log of lbd: {}", self.lbd.log().trim()))
    }

    /// Waits until the status has no warning about a subject.
    pub fn no_warning(&self, subject: &str) -> Result<()> {
        wait_for(&format!("the end of the warning about {subject}"), LIMIT, || {
            let Ok(status) = self.status() else { return Ok(None) };
            let mut warnings = status["warnings"].as_array().into_iter().flatten();
            Ok((!warnings.any(|warning| warning["subject"] == subject)).then_some(()))
        })
        .with_context(|| format!("the log of lbd: {}", self.lbd.log().trim()))
    }

    /// Waits until the daemon has said a text, `from` this byte of its log on, and returns the whole line.
    pub fn log_line(&self, from: usize, text: &str) -> Result<String> {
        wait_for(&format!("`{text}` in the log of lbd"), LIMIT, || {
            let log = self.lbd.log();
            Ok(log.get(from..).and_then(|log| log.lines().find(|line| line.contains(text)).map(str::to_string)))
        })
        .with_context(|| format!("the log of lbd: {}", self.lbd.log().trim()))
    }

    /// Runs `lbd` with these words and the configuration, beside the daemon that may run, to its end.
    pub fn run_lbd(&self, words: &[&str]) -> Result<(ExitStatus, String)> {
        let mut command = self.network.lb.command(lb_lab::lbd()?);
        command.args(words).arg("--config").arg(self.lbd.config());
        self.run_to_end(&mut command)
    }

    /// Runs a command to its end, within [`LIMIT`], and returns what it said.
    pub fn run_to_end(&self, command: &mut Command) -> Result<(ExitStatus, String)> {
        let log = self.network.run.dir().join("command.log");
        let mut process = Process::spawn(command, &log)?;
        let status = process.wait(LIMIT)?;
        let said = process.log();
        std::fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))?;
        Ok((status, said))
    }
}
