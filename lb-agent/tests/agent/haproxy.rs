//! A real HAProxy asks `lb-agent` by its agent check: weight and state of its server follow what the agent says. In a network
//! namespace of the test's own, since both have ports that are fixed. Needs root.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use lb_lab::{Namespace, Process, Run, wait_for};

use crate::support::{Agent, LIMIT};

/// Only the custom measure decides: there is no such control group, and no link.
const AGENT: &str = "name = \"web1\"\nagent_check_listen = \"127.0.0.1:9777\"\nreport_interval = \"100ms\"\n\
                     cgroup = \"/us-none\"\nmemory = false\n";

/// What HAProxy makes of its server.
#[derive(Debug, PartialEq)]
struct Server {
    /// `SRV_ST` of `show servers state`: 0 is stopped, 2 runs.
    state: u32,
    drained: bool,
    /// The weight that was asked for, of 200.
    weight: u32,
}

/// Bit of `srv_admin_state`: drained by a word from outside.
const FORCED_DRAIN: u32 = 0x08;

struct HaProxy {
    _process: Process,
    socket: PathBuf,
}

impl HaProxy {
    fn start(run: &Run, namespace: &Namespace) -> Result<Self> {
        let (config, socket) = (run.dir().join("haproxy.cfg"), run.dir().join("haproxy.sock"));
        let text = format!(
            "global\n stats socket {} level admin\n\
             defaults\n mode tcp\n timeout connect 1s\n timeout client 10s\n timeout server 10s\n\
             listen web\n bind 127.0.0.1:8080\n \
             server web1 127.0.0.1:8081 weight 200 agent-check agent-port 9777 agent-inter 100ms agent-send \"web/web1\\n\"\n",
            socket.display()
        );
        fs::write(&config, text)?;
        let mut command = namespace.command("haproxy");
        command.arg("-db").arg("-f").arg(&config);
        let process = Process::spawn(&mut command, &run.dir().join("haproxy.log"))?;
        Ok(Self { _process: process, socket })
    }

    /// None while it does not answer.
    fn server(&self) -> Result<Option<Server>> {
        let Ok(mut stream) = UnixStream::connect(&self.socket) else { return Ok(None) };
        stream.write_all(b"show servers state web\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        parse(&answer).with_context(|| format!("no server in {answer}")).map(Some)
    }

    fn wait(&self, agent: &Agent, expected: &Server) -> Result<()> {
        let mut last = None;
        let outcome = wait_for("HAProxy to follow the agent", LIMIT, || {
            last = self.server()?;
            Ok((last.as_ref() == Some(expected)).then_some(()))
        });
        outcome.with_context(|| format!("{expected:?} wanted, {last:?} seen; the agent said: {}", agent.log()))
    }
}

/// Finds columns by their names, in the line that begins with `#`.
fn parse(answer: &str) -> Option<Server> {
    let names: Vec<&str> = answer.lines().find_map(|line| line.strip_prefix("# "))?.split(' ').collect();
    let values: Vec<&str> = answer.lines().find(|line| line.contains(" web1 "))?.split(' ').collect();
    let number = |name: &str| {
        let column = names.iter().position(|found| *found == name)?;
        values.get(column)?.parse::<u32>().ok()
    };
    let drained = number("srv_admin_state")? & FORCED_DRAIN != 0;
    Some(Server { state: number("srv_op_state")?, drained, weight: number("srv_uweight")? })
}

#[test]
fn weight_and_state_in_haproxy_follow_the_agent() -> Result<()> {
    let run = Run::start()?;
    let host = Namespace::new(&run, "real")?;
    let mut agent = Agent::prepare("", AGENT)?;
    let used = agent.path("used");
    fs::write(&used, "40%")?;
    agent.write_config(&format!("{AGENT}stop_delay = \"1h\"\ncustom = {{ file = {used:?} }}\n"))?;
    agent.start(|command| host.handle().bind(command))?;
    let haproxy = HaProxy::start(&run, &host)?;
    let runs = |weight: u32| Server { state: 2, drained: false, weight };
    haproxy.wait(&agent, &runs(120))?;
    fs::write(&used, "0.9")?;
    haproxy.wait(&agent, &runs(20))?;
    agent.state(&["drain"])?;
    haproxy.wait(&agent, &Server { drained: true, ..runs(20) })?;
    agent.state(&["alive"])?;
    haproxy.wait(&agent, &runs(20))?;
    fs::write(&used, "250%")?;
    haproxy.wait(&agent, &runs(2))?;
    agent.running()?.signal(libc::SIGTERM)?;
    haproxy.wait(&agent, &Server { state: 0, ..runs(2) })?;
    agent.running()?.kill()?;
    fs::write(&used, "0")?;
    agent.start(|command| host.handle().bind(command))?;
    haproxy.wait(&agent, &runs(200))
}
