//! A namespace with an interface, permanent neighbours for all reals, and the daemon.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_lab::{Lbd, Namespace, Run, connect, output, tool, wait_for};
use serde_json::Value;

use crate::config::Pools;
use crate::report::{Memory, Step};

/// How long a start may take.
const LIMIT: Duration = Duration::from_mins(5);
const LB_ADDRESS: &str = "198.18.255.254/15";
/// What the kernel takes for a ring: 65,537 slots of 8 bytes in whole pages, and the map's own.
const RING_BYTES: u64 = (65_537 * 8_u64).next_multiple_of(4_096) + 4_096;
/// What stands before the daemon's own figures in its log.
const OWN: &str = "ms (";
const LOG_END: usize = 2_000;

/// Everything. Fields are taken down in this order.
pub struct Stage {
    lbd: Lbd,
    _lb: Namespace,
    _other: Namespace,
    _run: Run,
}

impl Stage {
    /// All but the daemon's start.
    pub fn set(pools: &Pools) -> Result<Stage> {
        let run = Run::start()?;
        let (lb, other) = (Namespace::new(&run, "lb")?, Namespace::new(&run, "other")?);
        connect(&lb, "eth0", &other, "eth0")?;
        lb.ip(&format!("addr add {LB_ADDRESS} dev eth0"))?;
        lb.ip("link set lo up")?;
        lb.up("eth0")?;
        other.up("eth0")?;
        add_neighbours(&lb, pools)?;
        let lbd = Lbd::prepare(&run, &lb, &pools.text())?;
        Ok(Stage { lbd, _lb: lb, _other: other, _run: run })
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self, what: &'static str, pools: &Pools) -> Result<Step> {
        self.lbd.write_config(&pools.text())?;
        let log = self.lbd.log().len();
        let began = Instant::now();
        self.lbd.start_again()?;
        wait_for("lbd to answer", LIMIT, || {
            if !self.lbd.is_running() {
                bail!("lbd has ended");
            }
            Ok(self.lbd.lbctl(&["drops"]).is_ok().then_some(()))
        })?;
        let took = began.elapsed();
        self.lbd.wait_until_ready()?;
        self.step(what, took, log)
    }

    /// Kills the daemon and starts it again with the maps that it has left.
    pub fn restart(&mut self, what: &'static str, pools: &Pools) -> Result<Step> {
        self.lbd.kill()?;
        self.start(what, pools)
    }

    /// Has the daemon read another file.
    pub fn reload(&mut self, what: &'static str, pools: &Pools) -> Result<Step> {
        self.lbd.write_config(&pools.text())?;
        let log = self.lbd.log().len();
        let began = Instant::now();
        self.lbd.lbctl(&["reload"])?;
        self.step(what, began.elapsed(), log)
    }

    /// What the daemon said last.
    pub fn end_of_log(&self) -> String {
        let log = self.lbd.log();
        log.get(log.len().saturating_sub(LOG_END)..).unwrap_or(&log).to_owned()
    }

    fn step(&mut self, what: &'static str, took: Duration, log: usize) -> Result<Step> {
        let memory = self.memory()?;
        let said = self.lbd.log();
        let own = said[log..].lines().rev().find_map(|line| Some(line.split_once(OWN)?.1.split_once(')')?.0));
        let step = Step { what, took_ms: took.as_secs_f64() * 1e3, memory, own: own.unwrap_or_default().to_owned() };
        println!("{step}");
        Ok(step)
    }

    fn memory(&mut self) -> Result<Memory> {
        let status = format!("/proc/{}/status", self.lbd.running()?.pid());
        let status = fs::read_to_string(&status).with_context(|| format!("cannot read {status}"))?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
        };
        let rings = self.rings()?;
        let [anonymous, peak] = [field("RssAnon:"), field("VmHWM:")].map(|bytes| bytes.unwrap_or_default());
        Ok(Memory { rings, ring_bytes: rings as u64 * RING_BYTES, anonymous, peak })
    }

    /// The maps that services have for rings, each counted once.
    fn rings(&self) -> Result<usize> {
        let path = self.lbd.bpf_dir().join("rings");
        let text = output(tool("bpftool").args(["-j", "map", "dump", "pinned"]).arg(path))?;
        let entries: Value = serde_json::from_str(&text).context("no JSON from bpftool")?;
        let id = |entry: &Value| entry.get("inner_map_id").or_else(|| entry.get("value")).map(Value::to_string);
        let ids = entries.as_array().context("no list from bpftool")?.iter().filter_map(id);
        Ok(ids.filter(|id| !id.contains("error")).collect::<HashSet<_>>().len())
    }
}

fn add_neighbours(lb: &Namespace, pools: &Pools) -> Result<()> {
    let mut lines = String::new();
    for address in pools.reals() {
        let _ = writeln!(lines, "neigh add {address} lladdr 02:00:5e:10:00:01 dev eth0 nud permanent");
    }
    let mut command = lb.command("ip");
    let mut child = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("cannot run ip")?;
    child.stdin.take().context("ip has no input")?.write_all(lines.as_bytes())?;
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "cannot add neighbours");
    Ok(())
}
