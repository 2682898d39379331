//! `cargo xtask demo`: the load balancer at work, in a minute and on one screen.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_lab::{Connection, Lbd, Load, Network, Plan, Tally, WebServer, interrupt};

use crate::build::{cargo, lab_object, run as run_command};
use crate::prerequisites::{self, Need};

const LOAD_THREADS: usize = 4;
const LOAD_PAUSE: Duration = Duration::from_millis(2);
/// How often the connection that stays open is used.
const HELD_PAUSE: Duration = Duration::from_millis(50);
const BEFORE_KILL: Duration = Duration::from_secs(3);
const WITHOUT_DAEMON: Duration = Duration::from_secs(2);
const AFTER_RESTART: Duration = Duration::from_secs(2);

/// How far bpftool sets in a row, less what is pleasant.
const ROW_INDENT: usize = 6;

/// A service of the demo.
struct Service {
    name: &'static str,
    mode: &'static str,
    target: SocketAddr,
}

/// Everything that is up. Fields are taken down in this order.
struct Stage {
    lbd: Lbd,
    servers: Vec<WebServer>,
    network: Network,
}

/// A connection that is opened once and used through everything that happens.
struct Held {
    connection: Connection,
    requests: u32,
    servers: BTreeSet<String>,
}

/// Builds what is needed, runs the demo and takes everything down again, or leaves it up with `keep`.
pub fn run(root: &Path, keep: bool) -> Result<()> {
    prerequisites::ensure(root, &[Need::Network, Need::Toolchain])?;
    interrupt::install();
    lab_object(root)?;
    run_command(cargo(root).args(["build", "--quiet", "--locked", "-p", "lb-daemon", "-p", "lb-ctl"]))?;
    down()?;
    let services = services();
    let mut stage = Stage::set(&services)?;
    let outcome = perform(&mut stage, &services);
    if keep && outcome.is_ok() {
        return stage.keep(&services);
    }
    drop(stage);
    println!("\nEverything is taken down again.");
    outcome
}

/// Takes down what earlier runs left up, on purpose or by a crash.
pub fn down() -> Result<()> {
    for run in lb_lab::take_down_all()? {
        println!("took down {run}, which an earlier run had left up");
    }
    Ok(())
}

fn services() -> [Service; 2] {
    let vip = |index: u8| SocketAddr::new(Plan::default().vip_addresses(index)[0], 80);
    [Service { name: "web", mode: "dsr", target: vip(0) }, Service { name: "tunnel", mode: "ipip", target: vip(1) }]
}

impl Stage {
    fn set(services: &[Service]) -> Result<Stage> {
        let network = Network::build(Plan::default())?;
        interrupt::check()?;
        let start = |(index, namespace)| WebServer::start(&network.run, namespace, &real_name(index), &[80]);
        let servers = network.reals.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
        interrupt::check()?;
        let lbd = Lbd::start(&network.run, &network.lb, &config(&network, services))?;
        println!("A client, a load balancer and {} real servers are up, each in a network namespace.", servers.len());
        for Service { name, mode, target } in services {
            println!("  service {name:<8} http://{:<15} {mode}", target.ip());
        }
        Ok(Stage { lbd, servers, network })
    }

    /// Leaves everything up after the end of this program.
    fn keep(self, services: &[Service]) -> Result<()> {
        self.network.run.keep()?;
        let client = self.network.client.name();
        let lbctl = format!("{} --socket {}", lb_lab::lbctl()?.display(), self.lbd.socket().display());
        println!("\nEverything is left up. To play with it:");
        println!("  ip netns exec {client} curl http://{}/", services[0].target.ip());
        println!("  {lbctl} services");
        println!("  {lbctl} drain real-2");
        println!("  {lbctl} stats --rate");
        println!("  bpftool map dump pinned {}/services", self.lbd.bpf_dir().display());
        println!("To take it down: cargo xtask demo --down");
        std::mem::forget(self);
        Ok(())
    }
}

fn config(network: &Network, services: &[Service]) -> String {
    let names: Vec<String> = (0..network.reals.len()).map(real_name).collect();
    let mut text = "interfaces = [\"eth0\"]\n".to_string();
    for (name, index) in names.iter().zip(0..) {
        let address = network.plan.real_addresses(index)[0];
        text += &format!("\n[[real]]\nname = \"{name}\"\naddress = \"{address}\"\n");
    }
    for Service { name, mode, target } in services {
        text += &format!("\n[[service]]\nname = \"{name}\"\nvip = \"{}\"\nprotocol = \"tcp\"\n", target.ip());
        text += &format!("port = {}\nmode = \"{mode}\"\nreals = {names:?}\n", target.port());
    }
    text
}

fn real_name(index: usize) -> String {
    format!("real-{}", index + 1)
}

fn perform(stage: &mut Stage, services: &[Service]) -> Result<()> {
    let client = stage.network.client.handle();
    let targets: Vec<SocketAddr> = services.iter().map(|service| service.target).collect();
    let mut held = Held::open(Connection::open(&client, targets[0])?);
    println!("\nThe client sends requests to both, each over a new connection, and keeps one connection open.");
    let load = Load::start(&client, &targets, LOAD_THREADS, LOAD_PAUSE);
    held.use_for(BEFORE_KILL)?;
    kill_and_restart(stage, &load, &mut held)?;
    held.use_for(AFTER_RESTART)?;
    let tallies = load.stop()?;
    report(services, &tallies, &held, stage.servers.len());
    show_map(&stage.lbd, "services")?;
    show_map(&stage.lbd, "reals")?;
    judge(&tallies, &held, stage.servers.len())
}

fn kill_and_restart(stage: &mut Stage, load: &Load, held: &mut Held) -> Result<()> {
    let pid = stage.lbd.running()?.pid();
    let before = load.requests();
    stage.lbd.kill()?;
    held.use_for(WITHOUT_DAEMON)?;
    println!("kill -9 of lbd (pid {pid}): {} requests while no daemon ran", load.requests() - before);
    let begun = Instant::now();
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    let pid = stage.lbd.running()?.pid();
    println!("lbd started again (pid {pid}): ready after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

impl Held {
    fn open(connection: Connection) -> Held {
        Held { connection, requests: 0, servers: BTreeSet::new() }
    }

    /// Asks again and again over the one connection.
    fn use_for(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            let server = self.connection.get("/").context("the connection that stayed open broke")?;
            self.servers.insert(server);
            self.requests += 1;
            interrupt::pause(HELD_PAUSE)?;
        }
        Ok(())
    }
}

fn report(services: &[Service], tallies: &[Tally], held: &Held, reals: usize) {
    print!("\n{:<20}", "requests per real");
    (0..reals).for_each(|index| print!("{:>9}", real_name(index)));
    println!("{:>9}", "failed");
    for (service, tally) in services.iter().zip(tallies) {
        print!("{:<20}", format!("  {} ({})", service.name, service.mode));
        (0..reals).for_each(|index| print!("{:>9}", tally.served.get(&real_name(index)).unwrap_or(&0)));
        println!("{:>9}", tally.failed);
    }
    println!("\nrequests: {}", tallies.iter().map(Tally::total).sum::<u64>());
    println!("failed: {}", tallies.iter().map(|tally| tally.failed).sum::<u64>());
    let servers: Vec<&str> = held.servers.iter().map(String::as_str).collect();
    println!("the open connection: {} requests, all answered by {}", held.requests, servers.join(", "));
}

/// Shows the first used row of a pinned map as bpftool prints it, each field on one line.
fn show_map(lbd: &Lbd, map: &str) -> Result<()> {
    let path = lbd.bpf_dir().join(map);
    let dump = lb_lab::output(lb_lab::tool("bpftool").args(["map", "dump", "pinned"]).arg(&path))?;
    let row = first_used_row(&dump).with_context(|| format!("no row of {} is in use", path.display()))?;
    println!("\n$ bpftool map dump pinned {}\n...\n{}\n...", path.display(), row.join("\n"));
    Ok(())
}

/// The lines of the first row whose value is not all zero. Rows of an array are there whether they are used or not.
fn first_used_row(dump: &str) -> Option<Vec<String>> {
    let mut rows = vec![Vec::<String>::new()];
    for line in dump.lines() {
        match line.trim() {
            // The end of an array of numbers, which bpftool puts on a line of its own.
            end @ ("]" | "],") => rows.last_mut()?.last_mut()?.push_str(end),
            "}]" => {}
            "},{" => rows.push(Vec::new()),
            _ => rows.last_mut()?.push(line.replace("[{", "  ").trim_end().chars().skip(ROW_INDENT).collect()),
        }
    }
    let is_used = |row: &Vec<String>| {
        let value = row.iter().skip_while(|line| !line.contains("\"value\""));
        value.flat_map(|line| line.split_once(':')).any(|(_, number)| number.contains(|c| ('1'..='9').contains(&c)))
    };
    rows.into_iter().find(is_used).map(|row| row.into_iter().filter(|line| !line.is_empty()).collect())
}

fn judge(tallies: &[Tally], held: &Held, reals: usize) -> Result<()> {
    let reasons: Vec<&str> = tallies.iter().flat_map(|tally| &tally.reasons).map(String::as_str).collect();
    let failed: u64 = tallies.iter().map(|tally| tally.failed).sum();
    if failed > 0 {
        bail!("{failed} requests failed, among them: {}", reasons.join("; "));
    }
    if tallies.iter().any(|tally| tally.served.len() != reals) {
        bail!("a real server got no request");
    }
    if held.servers.len() != 1 {
        bail!("the open connection was answered by {} real servers", held.servers.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_rows_of_a_dump_are_passed_over() {
        let row = |key: u32, octet: u32, ifindex: u32| {
            format!(
                "        \"key\": {key},\n        \"value\": {{\n            \"address\": [{octet},0\n            ],\n            \"ifindex\": {ifindex}\n        }}\n"
            )
        };
        let dump = format!("[{{\n{}    }},{{\n{}    }},{{\n{}    }}]\n", row(0, 0, 0), row(7, 0, 3), row(8, 192, 3));
        let shown = first_used_row(&dump).unwrap();
        let shown: Vec<&str> = shown.iter().map(|line| line.trim()).collect();
        assert_eq!(shown, ["\"key\": 7,", "\"value\": {", "\"address\": [0,0],", "\"ifindex\": 3", "}"]);
        assert_eq!(first_used_row(&format!("[{{\n{}    }}]\n", row(0, 0, 0))), None);
    }
}
