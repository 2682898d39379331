//! The agent of a real server: `lb-agent` in its namespace, with directories of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::binaries;
use crate::command::output;
use crate::namespace::Namespace;
use crate::process::{Process, wait_for};
use crate::reports::key_file;
use crate::run::Run;

const START_LIMIT: Duration = Duration::from_secs(10);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running agent. Dropped, it is killed.
#[derive(Debug)]
pub struct Agent {
    socket: PathBuf,
    process: Process,
}

impl Agent {
    /// Starts an agent in `namespace` that reports for the real `name`, signed with a key of the run's key file, and waits
    /// until it can be told what to say. One for each name and run.
    ///
    /// `lines` are those of its configuration that are not about names, keys and directories.
    pub fn start(
        run: &Run,
        namespace: &Namespace,
        name: &str,
        load_balancer: SocketAddr,
        lines: &str,
    ) -> Result<Agent> {
        let dir = run.dir().join(format!("agent-{name}"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let config = dir.join("agent.toml");
        let text = format!(
            "name = \"{name}\"\nload_balancers = [\"{load_balancer}\"]\nkey_file = {keys:?}\n\
             run_dir = {run_dir:?}\nstate_dir = {state_dir:?}\n{lines}\n",
            keys = key_file(run),
            run_dir = dir.join("run"),
            state_dir = dir.join("state"),
        );
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = namespace.command(binaries::lb_agent()?);
        command.args(["run", "--config"]).arg(&config);
        let process = Process::spawn(&mut command, &dir.join("agent.log"))?;
        let mut agent = Agent { socket: dir.join("run/lb-agent.sock"), process };
        agent.wait_until_it_answers(name)?;
        Ok(agent)
    }

    /// Where it can be told what to say.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Has it say `alive`, `drain` or `stop` from now on.
    pub fn say(&self, state: &str) -> Result<()> {
        let mut command = crate::tool(binaries::lb_agent()?);
        output(command.args(["state", state, "--socket"]).arg(&self.socket)).map(drop)
    }

    /// Asks it to end (SIGTERM) and waits for that.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate(STOP_LIMIT).map(drop)
    }

    fn wait_until_it_answers(&mut self, name: &str) -> Result<()> {
        wait_for(&format!("the agent of {name}"), START_LIMIT, || {
            if !self.process.is_running() {
                bail!("the agent of {name} has ended: {}", self.process.log().trim());
            }
            Ok(self.socket.exists().then_some(()))
        })
    }
}
