//! What `lb-agent` measures of a real server at work: nginx in a network namespace of the test's own.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use lb_core::report::Load;
use lb_lab::{Connection, Namespace, Run, WebServer};

use crate::load_balancer::{KEY_1, LoadBalancer};
use crate::support::Agent;

const PORT: u16 = 8080;
/// Requests over one connection.
const REQUESTS: u32 = 4;
/// Connections, one after the other, between two looks at a report.
const CONNECTIONS: u32 = 100;
/// Rounds after which no report is hoped for any more.
const MOST_ROUNDS: u32 = 300;
/// More hits a second than the agent makes by asking itself, ten times a second.
const HITS_OF_CLIENTS: f64 = 100.0;

/// A real server, its agent, and a load balancer, all on one loopback.
struct Host {
    web: WebServer,
    lb: LoadBalancer,
    _agent: Agent,
    namespace: Namespace,
    _run: Run,
}

impl Host {
    fn new(config: &str) -> Result<Self> {
        let run = Run::start()?;
        let namespace = Namespace::new(&run, "real")?;
        let web = WebServer::start(&run, &namespace, "web1", &[PORT])?;
        let mut lb = namespace.run(|| LoadBalancer::new("127.0.0.1:6720"))?;
        let to = "name = \"web1\"\nload_balancers = [\"127.0.0.1:6720\"]\nreport_interval = \"100ms\"\n";
        let mut agent = Agent::prepare(KEY_1, &format!("{to}{config}"))?;
        agent.start(|command| namespace.handle().bind(command))?;
        lb.next()?;
        Ok(Self { web, lb, _agent: agent, namespace, _run: run })
    }

    /// Opens a connection and asks over it.
    fn connect(&self) -> Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], PORT));
        let mut connection = Connection::open(&self.namespace.handle(), address)?;
        (0..REQUESTS).try_for_each(|_| connection.get("/").map(drop))
    }

    /// The next report whose load is so.
    fn wait(&mut self, is_so: impl Fn(&Load) -> bool) -> Result<Load> {
        self.lb.wait(|report| is_so(&report.load)).map(|report| report.load)
    }

    /// As [`Host::wait`], while clients ask a lot.
    fn wait_while_busy(&mut self, is_so: impl Fn(&Load) -> bool) -> Result<Load> {
        for _ in 0..MOST_ROUNDS {
            (0..CONNECTIONS).try_for_each(|_| self.connect())?;
            let load = self.lb.next()?.load;
            if is_so(&load) {
                return Ok(load);
            }
        }
        bail!("{MOST_ROUNDS} times {CONNECTIONS} connections, and no such report")
    }
}

#[test]
fn the_kernel_counts_connections() -> Result<()> {
    let mut host = Host::new("")?;
    host.wait(|load| load.hits == Some(0)).context("nothing before")?;
    host.connect()?;
    host.wait(|load| load.hits.is_some_and(|hits| hits > 0)).context("a connection")?;
    host.wait(|load| load.hits == Some(0)).context("nothing after")?;
    Ok(())
}

#[test]
fn nginx_counts_requests_until_it_ends() -> Result<()> {
    let mut host = Host::new(&format!("hits = {{ stub_status = \"http://127.0.0.1:{PORT}/status\" }}\n"))?;
    host.wait_while_busy(|load| load.hits_per_second().is_some_and(|hits| hits > HITS_OF_CLIENTS))?;
    let Host { web, mut lb, _agent, namespace: _namespace, _run } = host;
    web.stop()?;
    lb.wait(|report| report.load.hits.is_none()).map(drop)
}

#[test]
fn traffic_is_counted_against_the_speed_of_the_link() -> Result<()> {
    let mut host = Host::new("interfaces = [\"lo\"]\nlink_speed = \"1Mbit\"\n")?;
    host.connect()?;
    let load = host.wait(|load| load.network.is_some_and(|network| network.received > 0))?;
    let network = load.network.context("no network")?;
    assert_eq!(network.limit, 125_000);
    assert!(network.sent > 0 && load.utilisation().is_some());
    Ok(())
}
