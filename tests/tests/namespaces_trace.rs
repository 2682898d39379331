//! Packets between namespaces: `lbctl simulate` says before where they go, and `lbctl trace` shows them while they go. Needs root.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use lb_lab::{Connection, Network, Plan, Shape, wait_for};
use lb_tests::stage::{Config, HTTP, Kind, LIMIT, Stage, real_names};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

const REALS: u8 = 3;
const CONNECTIONS: usize = 12;
/// Of the clients of the trace.
const FIRST_PORT: u16 = 40_000;

fn plan() -> Plan {
    Plan { shape: Shape::TwoArm, reals: REALS, vips: 1, ..Plan::default() }
}

fn service() -> SocketAddr {
    SocketAddr::new(plan().vip_addresses(0)[0], HTTP)
}

fn stage() -> Result<Stage> {
    Stage::set(plan(), |network: &Network| {
        Config::of(network).service("web", service(), Kind::TcpDsr, &real_names(REALS))
    })
}

/// Where a new connection from there would go.
fn foretold(stage: &Stage, from: SocketAddr, syn: bool) -> Result<Value> {
    let (from, to) = (from.to_string(), service().to_string());
    let mut words = vec!["simulate", "--from", &from, "--to", &to];
    words.extend(syn.then_some("--syn"));
    stage.lbd.lbctl_json(&words)
}

/// A trace that runs.
struct Trace {
    child: Child,
    lines: Receiver<String>,
}

impl Trace {
    fn start(stage: &Stage, words: &[&str]) -> Result<Self> {
        let mut command = stage.lbd.lbctl_command(&[&["trace", "--json"], words].concat())?;
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run lbctl")?;
        let output = BufReader::new(child.stdout.take().context("no stdout")?);
        let (send, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Ok(Self { child, lines })
    }

    /// The packet that a flow begins with.
    fn syn(&self, client_port: u16) -> Result<Value> {
        loop {
            let line = self.lines.recv_timeout(LIMIT).with_context(|| format!("no SYN of port {client_port}"))?;
            let line: Value = serde_json::from_str(&line).with_context(|| format!("no line of a trace: {line:?}"))?;
            let packet = &line["packet"];
            if packet["client_port"] == client_port && packet["flags"] == "S" {
                return Ok(packet.clone());
            }
        }
    }

    /// Has it begun? A packet that it shows says so.
    fn has_begun(&self) -> bool {
        self.lines.recv_timeout(Duration::from_millis(200)).is_ok()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection from this address and port.
fn connect_from(from: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, None).context("cannot make a socket")?;
    socket.bind(&from.into()).with_context(|| format!("cannot use {from}"))?;
    socket.connect(&service().into()).with_context(|| format!("cannot connect from {from}"))?;
    Ok(socket.into())
}

#[test]
fn packets_go_where_they_are_foretold_to() -> Result<()> {
    let stage = stage()?;
    let client: IpAddr = stage.network.plan.client_addresses()[0];
    // With every slot of a drained real moved, slots remember.
    for drained in [false, true] {
        if drained {
            stage.lbd.lbctl(&["drain", "real-1"])?;
        }
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = stage.network.client.run(|| Connection::open_here(service()))?;
            let from = SocketAddr::new(client, connection.local_address()?.port());
            let served = connection.get("/")?;
            let foretold = foretold(&stage, from, false)?;
            assert_eq!(foretold["real"], served.as_str(), "{foretold}");
            assert_eq!(foretold["fate"], "forward", "{foretold}");
            open.push(connection);
        }
    }
    Ok(())
}

#[test]
fn a_new_flow_goes_where_it_is_foretold_to_and_is_traced() -> Result<()> {
    let stage = stage()?;
    let [client, _] = stage.network.plan.client_addresses();
    let vip = service().to_string();
    let prefix = client.to_string();
    let trace = Trace::start(&stage, &[&vip, "--client", &prefix])?;
    let mut ports = FIRST_PORT..;
    let mut next = || ports.next().context("no port is left");
    wait_for("the trace to begin", LIMIT, || {
        let from = SocketAddr::new(client, next()?);
        stage.network.client.run(|| connect_from(from))?;
        Ok(trace.has_begun().then_some(()))
    })?;
    for _ in 0..CONNECTIONS {
        let from = SocketAddr::new(client, next()?);
        let foretold = foretold(&stage, from, true)?;
        let _connection = stage.network.client.run(|| connect_from(from))?;
        let packet = trace.syn(from.port())?;
        for field in ["real", "slot", "service"] {
            assert_eq!(packet[field], foretold[field], "{field}: {packet} {foretold}");
        }
        assert_eq!(packet["verdict"], "redirect", "{packet}");
        assert_eq!((&packet["ingress"], &packet["egress"]), (&Value::from("eth0"), &Value::from("eth1")), "{packet}");
    }
    Ok(())
}

#[test]
fn a_trace_ends_by_itself_and_only_one_runs() -> Result<()> {
    let stage = stage()?;
    let vip = service().to_string();
    let trace = Trace::start(&stage, &[&vip])?;
    wait_for("the trace to begin", LIMIT, || {
        stage.ask(service())?;
        Ok(trace.has_begun().then_some(()))
    })?;
    let refused = stage.lbd.lbctl(&["trace", &vip, "--seconds", "1"]);
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("another trace is running")));
    drop(trace);
    // The first one has gone with its connection; now one that ends by its time, with a file.
    let file = stage.network.run.dir().join("trace.pcap");
    let path = file.to_str().context("no path")?.to_string();
    wait_for("another trace", LIMIT, || Ok(stage.lbd.lbctl(&["trace", &vip, "--seconds", "1", "--pcap", &path]).ok()))?;
    assert!(std::fs::read(&file)?.starts_with(&[0x4d, 0x3c, 0xb2, 0xa1]));
    std::fs::remove_file(&file)?;
    Ok(())
}
