//! Client, load balancer and three real servers of different speed, with Understudy and HAProxy in front of them.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lb_lab::{
    Agent, Lbd, Namespace, Network, Plan, Process, SlowMachine, connectable, describe, output, takes_reports, wait_for,
};

/// CPU of each real server, in percent of one CPU: speeds 1:2:4.
pub const SPEEDS: [u32; 3] = [12, 24, 48];
/// Where the real servers listen, and the services.
const PORT: u16 = 8080;
/// Where HAProxy listens.
const HAPROXY_PORT: u16 = 8081;
const START_LIMIT: Duration = Duration::from_secs(20);

/// Who sends requests to real servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Understudy by reported load, without a weight.
    Understudy,
    /// HAProxy, `balance leastconn`, without a weight.
    Haproxy,
    /// Understudy with equal static weights.
    Equal,
}

impl Policy {
    /// All, in the order in which they take turns.
    pub const ALL: [Self; 3] = [Self::Understudy, Self::Haproxy, Self::Equal];

    /// Its name in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Understudy => "understudy",
            Self::Haproxy => "haproxy-leastconn",
            Self::Equal => "equal-weights",
        }
    }
}

/// All of it. Dropped, it goes away. Field order is drop order.
pub struct World {
    reals: Vec<Real>,
    lbd: Lbd,
    _haproxy: Process,
    network: Network,
}

/// A real server. What runs in its control group ends before the group.
struct Real {
    _agent: Agent,
    _server: Process,
    machine: SlowMachine,
}

impl World {
    /// Builds the network and starts everything. `hits` is where on the servers the agents find the number of requests; `None`:
    /// they count connections.
    pub fn build(hits: Option<&str>) -> Result<Self> {
        let network = Network::build(Plan { reals: SPEEDS.len() as u8, ..Plan::default() })?;
        lb_lab::write_keys(&network.run, lb_lab::KEYS)?;
        let reals = (0..).zip(SPEEDS).map(|(index, speed)| Real::start(&network, index, speed, hits));
        let reals = reals.collect::<Result<Vec<_>>>()?;
        let lbd = Lbd::start(&network.run, &network.lb, &lbd_config(&network))?;
        let haproxy = start_haproxy(&network)?;
        Ok(Self { reals, lbd, _haproxy: haproxy, network })
    }

    /// Where the clients are.
    pub fn client(&self) -> &Namespace {
        &self.network.client
    }

    /// Where a policy's clients send their requests.
    pub fn target(&self, policy: Policy) -> SocketAddr {
        let vip = |index| SocketAddr::new(self.network.plan.vip_addresses(index)[0], PORT);
        match policy {
            Policy::Understudy => vip(0),
            Policy::Equal => vip(1),
            Policy::Haproxy => haproxy_address(&self.network.plan),
        }
    }

    /// Makes Understudy forget what it has learnt of the real servers.
    pub fn forget(&mut self) -> Result<()> {
        self.lbd.stop()?;
        output(self.network.lb.command(lb_lab::lbd()?).args(["detach", "--config"]).arg(self.lbd.config()))?;
        let state = self.network.run.dir().join("state");
        fs::remove_dir_all(&state).with_context(|| format!("cannot remove {}", state.display()))?;
        self.lbd.start_again()?;
        self.lbd.wait_until_ready()
    }

    /// CPU time that each real server has used so far, as a part of what it may use in a second: seconds of full use.
    pub fn used(&self) -> Result<Vec<f64>> {
        let used = |(real, speed): (&Real, u32)| Ok(real.machine.used()?.as_secs_f64() * 100.0 / f64::from(speed));
        self.reals.iter().zip(SPEEDS).map(used).collect()
    }

    /// What Understudy makes of the real servers, as it shows it.
    pub fn table(&self) -> Result<String> {
        self.lbd.lbctl(&["table"])
    }
}

impl Real {
    fn start(network: &Network, index: u8, speed: u32, hits: Option<&str>) -> Result<Self> {
        let name = format!("real-{}", index + 1);
        let namespace = &network.reals[usize::from(index)];
        let machine = SlowMachine::new(&network.run, &name, speed)?;
        let dir = network.run.dir().join(&name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let server = start_server(namespace, &machine, &dir)?;
        let load_balancer = network.plan.report_address();
        let agent = Agent::start(&network.run, namespace, &name, load_balancer, &agent_config(&machine, hits))?;
        Ok(Self { _agent: agent, _server: server, machine })
    }
}

fn start_server(namespace: &Namespace, machine: &SlowMachine, dir: &Path) -> Result<Process> {
    let program = std::env::current_exe().context("cannot tell where the bench's program is")?;
    let mut command = namespace.command(program);
    command.args(["serve", "--listen", &format!("0.0.0.0:{PORT}")]);
    machine.bind(&mut command)?;
    let mut process = Process::spawn(&mut command, &dir.join("server.log"))?;
    await_port(namespace, SocketAddr::new([127, 0, 0, 1].into(), PORT), &mut process, &describe(&command))?;
    Ok(process)
}

/// What only this machine does counts.
fn agent_config(machine: &SlowMachine, hits: Option<&str>) -> String {
    let mut text = format!("cgroup = {:?}\nmemory = false\n", machine.path());
    if let Some(path) = hits {
        text += &format!("hits = {{ http = \"http://127.0.0.1:{PORT}{path}\" }}\n");
    }
    text
}

fn lbd_config(network: &Network) -> String {
    let plan = &network.plan;
    let mut text = format!("interfaces = [\"eth0\"]\n{}\n", takes_reports(&network.run));
    for index in 0..plan.reals {
        let address = plan.real_addresses(index)[0];
        text += &format!("[[real]]\nname = \"real-{}\"\naddress = \"{address}\"\n", index + 1);
    }
    for (index, (name, scheduling)) in (0..).zip([("load", "load"), ("equal", "static")]) {
        let vip = plan.vip_addresses(index)[0];
        text += &format!(
            "[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\nport = {PORT}\nprotocol = \"tcp\"\nmode = \"dsr\"\n\
             scheduling = \"{scheduling}\"\nreals = [\"real-1\", \"real-2\", \"real-3\"]\n"
        );
    }
    text
}

fn start_haproxy(network: &Network) -> Result<Process> {
    let mut text = format!(
        "global\n  maxconn 4000\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 120s\n  \
         timeout server 120s\nlisten web\n  bind {}\n  balance leastconn\n",
        haproxy_address(&network.plan)
    );
    for index in 0..network.plan.reals {
        text += &format!("  server real-{} {}:{PORT}\n", index + 1, network.plan.real_addresses(index)[0]);
    }
    let config = network.run.dir().join("haproxy.cfg");
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = network.lb.command("haproxy");
    command.args(["-db", "-f"]).arg(&config);
    let mut process = Process::spawn(&mut command, &network.run.dir().join("haproxy.log"))?;
    await_port(&network.lb, haproxy_address(&network.plan), &mut process, &describe(&command))?;
    Ok(process)
}

fn await_port(namespace: &Namespace, address: SocketAddr, process: &mut Process, what: &str) -> Result<()> {
    wait_for(&format!("`{what}` to listen"), START_LIMIT, || {
        if !process.is_running() {
            bail!("`{what}` has ended: {}", process.log().trim());
        }
        Ok(connectable(&namespace.handle(), address).then_some(()))
    })
}

fn lb_address(plan: &Plan) -> IpAddr {
    plan.lb_addresses()[0]
}

fn haproxy_address(plan: &Plan) -> SocketAddr {
    SocketAddr::new(lb_address(plan), HAPROXY_PORT)
}
