//! Everything that is up: a client, the load balancer, and real servers with an agent and a machine of their own each.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use lb_lab::{Agent, Lbd, Network, Plan, Process, SlowMachine, WebServer, interrupt};

/// What a real server's machine may use, in percent of one CPU.
pub const MACHINE_PERCENT: u32 = 20;
/// From one check, report and decision to the next, in milliseconds: short, for a demo.
pub const INTERVAL_MS: u32 = 500;
/// After so many failed checks in a row a real server is down.
pub const FALL: u32 = 3;
/// How long a real server that has come back takes to get its whole share.
const SLOW_START: &str = "5s";
const HTTP: u16 = 80;

/// A service of the demo.
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// How packets reach its real servers.
    pub mode: &'static str,
    /// Its VIP and port.
    pub target: SocketAddr,
}

/// The whole. Fields are taken down in this order.
pub struct Stage {
    pub lbd: Lbd,
    pub reals: Vec<Real>,
    pub network: Network,
    pub services: [Service; 2],
}

/// A real server. What runs on its machine ends before the machine does.
pub struct Real {
    agent: Agent,
    server: Option<WebServer>,
    machine: SlowMachine,
}

impl Stage {
    /// Builds the network and starts everything.
    pub fn set() -> Result<Stage> {
        let services = services();
        let network = Network::build(Plan::default())?;
        lb_lab::write_keys(&network.run, lb_lab::KEYS)?;
        let reals = (0..network.reals.len()).map(|index| Real::start(&network, index)).collect::<Result<Vec<_>>>()?;
        interrupt::check()?;
        let lbd = Lbd::start(&network.run, &network.lb, &config(&network, &services))?;
        println!("A client, a load balancer and {} real servers are up, each in a network namespace.", reals.len());
        for Service { name, mode, target } in &services {
            println!("  service {name:<8} http://{:<15} {mode}", target.ip());
        }
        println!(
            "Each real server may use {MACHINE_PERCENT}% of a CPU, is checked by HTTP, and reports its load. No weight is configured."
        );
        Ok(Stage { lbd, reals, network, services })
    }

    /// Where the client sends its requests.
    pub fn targets(&self) -> Vec<SocketAddr> {
        self.services.iter().map(|service| service.target).collect()
    }

    /// Has a process on a real server's machine use all CPU time that it can get, until it is dropped.
    pub fn keep_busy(&self, index: usize) -> Result<Process> {
        let mut command = self.network.reals[index].command("sh");
        command.args(["-c", "while :; do :; done"]);
        self.reals[index].machine.bind(&mut command)?;
        Process::spawn(&mut command, &self.network.run.dir().join("busy.log"))
    }

    /// Kills the web server of a real server: `kill -9`.
    pub fn kill_server(&mut self, index: usize) -> Result<()> {
        self.reals[index].server.take().context("the web server does not run")?.kill();
        Ok(())
    }

    /// Starts the web server of a real server again.
    pub fn start_server(&mut self, index: usize) -> Result<()> {
        let Stage { reals, network, .. } = self;
        reals[index].server = Some(start_server(network, index, &reals[index].machine)?);
        Ok(())
    }

    /// Runs `lbctl` and shows it as a user would see it.
    pub fn show(&self, arguments: &[&str]) -> Result<()> {
        println!("\n$ lbctl {}\n{}", arguments.join(" "), self.lbd.lbctl(arguments)?.trim_end());
        Ok(())
    }

    /// Leaves everything up after the end of this program.
    pub fn keep(self) -> Result<()> {
        self.network.run.keep()?;
        let client = self.network.client.name();
        let lbctl = format!("{} --socket {}", lb_lab::lbctl()?.display(), self.lbd.socket().display());
        println!("\nEverything is left up. To play with it:");
        println!("  ip netns exec {client} curl http://{}/", self.services[0].target.ip());
        println!("  {lbctl} table");
        println!("  {lbctl} explain real-1");
        println!("  {lbctl} drain real-2");
        println!("  {lbctl} stats --rate");
        let agent = self.reals[2].agent.socket();
        println!("  {} state drain --socket {}", lb_lab::lb_agent()?.display(), agent.display());
        println!("  bpftool map dump pinned {}/services", self.lbd.bpf_dir().display());
        println!("To take it down: cargo xtask demo --down");
        std::mem::forget(self);
        Ok(())
    }
}

impl Real {
    fn start(network: &Network, index: usize) -> Result<Real> {
        interrupt::check()?;
        let Network { run, reals, plan, .. } = network;
        let name = real_name(index);
        let machine = SlowMachine::new(run, &name, MACHINE_PERCENT)?;
        let server = start_server(network, index, &machine)?;
        let agent = Agent::start(run, &reals[index], &name, plan.report_address(), &agent_config(&machine))?;
        Ok(Real { agent, server: Some(server), machine })
    }
}

fn start_server(network: &Network, index: usize, machine: &SlowMachine) -> Result<WebServer> {
    WebServer::start_on(machine, &network.run, &network.reals[index], &real_name(index), &[HTTP])
}

/// A real server's name, counted from 0.
pub fn real_name(index: usize) -> String {
    format!("real-{}", index + 1)
}

fn services() -> [Service; 2] {
    let vip = |index: u8| SocketAddr::new(Plan::default().vip_addresses(index)[0], HTTP);
    [Service { name: "web", mode: "dsr", target: vip(0) }, Service { name: "tunnel", mode: "ipip", target: vip(1) }]
}

/// What only this machine uses counts: the CPU time of its control group, the traffic of its namespace.
fn agent_config(machine: &SlowMachine) -> String {
    format!(
        "report_interval = \"{INTERVAL_MS}ms\"\ncgroup = {:?}\nmemory = false\ninterfaces = [\"eth0\"]\nlink_speed = \"1Gbit\"\n",
        machine.path()
    )
}

fn config(network: &Network, services: &[Service]) -> String {
    let names: Vec<String> = (0..network.reals.len()).map(real_name).collect();
    let mut text = format!("interfaces = [\"eth0\"]\n{}\n{}", lb_lab::takes_reports(&network.run), pace());
    for (name, index) in names.iter().zip(0..) {
        let address = network.plan.real_addresses(index)[0];
        text += &format!("\n[[real]]\nname = \"{name}\"\naddress = \"{address}\"\n");
    }
    for Service { name, mode, target } in services {
        text += &format!("\n[[service]]\nname = \"{name}\"\nvip = \"{}\"\nprotocol = \"tcp\"\n", target.ip());
        text += &format!("port = {}\nmode = \"{mode}\"\nchecks = [\"alive\"]\nreals = {names:?}\n", target.port());
    }
    text
}

/// How often real servers are checked and weights decided.
fn pace() -> String {
    format!(
        "[scheduler]\ninterval = \"{INTERVAL_MS}ms\"\nsmoothing = \"2s\"\nslow_start = \"{SLOW_START}\"\n\
         [[check]]\nname = \"alive\"\ntype = \"http\"\ninterval = \"{INTERVAL_MS}ms\"\nfall = {FALL}\n"
    )
}
