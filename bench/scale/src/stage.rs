//! A namespace with an interface, permanent neighbours for all reals, and the daemon.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lb_lab::{KEYS, Lbd, Namespace, Run, connect, key_file, output, tool, wait_for, write_keys};
use serde_json::Value;

use crate::config::Pools;
use crate::report::{Memory, Step};

/// How long a start may take.
const LIMIT: Duration = Duration::from_mins(10);
const LB_ADDRESS: &str = "198.19.255.254/15";
/// What the kernel takes for a ring: 65,537 slots of 8 bytes in whole pages, and the map's own.
const RING_BYTES: u64 = (65_537 * 8_u64).next_multiple_of(4_096) + 4_096;
/// What stands before the daemon's own figures in its log.
const OWN: &str = "ms (";
const LOG_END: usize = 2_000;
/// Longer than it takes until the daemon has swept its flow table and saved its state: these and what is due each second fall into it.
const WATCH: Duration = Duration::from_secs(12);
/// Between two looks whether the daemon is ready.
const LOOK: Duration = Duration::from_millis(500);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);
/// Where checkpoints are written: on a disk.
const DISK: &str = "/var/tmp";

/// Everything. Fields are taken down in this order.
pub struct Stage {
    lbd: Lbd,
    _disk: Disk,
    _lb: Namespace,
    _other: Namespace,
    _run: Run,
}

/// What was so when a step began.
struct Begun {
    at: Instant,
    log: usize,
    pid: Option<u32>,
    cpu: Duration,
}

/// A directory, removed when dropped.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        // There may have been no checkpoint.
        let _ = fs::remove_dir_all(&self.0);
    }
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
        write_keys(&run, KEYS)?;
        let disk = Disk(Path::new(DISK).join(run.name("scale")));
        // The daemon may only write to directories that are there when it starts.
        fs::create_dir_all(&disk.0).with_context(|| format!("cannot create {}", disk.0.display()))?;
        let lbd = Lbd::prepare(&run, &lb, &pools.text())?;
        Ok(Stage { lbd, _disk: disk, _lb: lb, _other: other, _run: run })
    }

    /// The lines that have the daemon keep checkpoints on a disk.
    pub fn checkpoints(&self) -> String {
        let (keys, disk) = (key_file(&self._run), &self._disk.0);
        format!("[checkpoint]\nkey_file = {keys:?}\ndirectory = {disk:?}\n")
    }

    /// What the daemon says, before it starts, that its maps take.
    pub fn foretell(&self, pools: &Pools) -> Result<String> {
        self.lbd.write_config(&pools.text())?;
        let text = output(tool(lb_lab::lbd()?).args(["check", "--config"]).arg(self.lbd.config()))?;
        let line = text.lines().find(|line| line.contains("of kernel memory"));
        Ok(line.context("lbd check says nothing of memory")?.trim().to_owned())
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self, what: &str, pools: &Pools) -> Result<Step> {
        self.lbd.write_config(&pools.text())?;
        let begun = self.begin();
        self.lbd.start_again()?;
        wait_for("lbd to answer", LIMIT, || {
            if !self.lbd.is_running() {
                bail!("lbd has ended");
            }
            Ok(self.lbd.lbctl(&["drops"]).is_ok().then_some(()))
        })?;
        let took = begun.at.elapsed();
        self.step(what, took, &begun)
    }

    /// Waits until the daemon has attached its program and knows the way to all reals.
    pub fn ready(&mut self, what: &str) -> Result<Step> {
        let begun = self.begin();
        while !self.is_ready()? {
            anyhow::ensure!(begun.at.elapsed() < LIMIT, "lbd does not get ready");
            // An answer about all reals is long.
            std::thread::sleep(LOOK);
        }
        self.step(what, begun.at.elapsed(), &begun)
    }

    fn is_ready(&self) -> Result<bool> {
        let (status, reals) = (self.answer(&["status"])?, self.answer(&["reals"])?);
        let all_have = |answer: &Value, list: &str, what: &str| {
            answer[list].as_array().is_some_and(|all| all.iter().all(|one| !one[what].is_null()))
        };
        Ok(all_have(&status, "interfaces", "mode") && all_have(&reals, "reals", "next_hop"))
    }

    /// Kills the daemon and starts it again with the maps that it has left.
    pub fn restart(&mut self, what: &str, pools: &Pools) -> Result<Step> {
        self.lbd.kill()?;
        self.start(what, pools)
    }

    /// Kills the daemon, takes its maps away, as a host that starts again does, and starts it.
    pub fn reboot(&mut self, what: &str, pools: &Pools) -> Result<Step> {
        self.lbd.kill()?;
        output(tool(lb_lab::lbd()?).args(["detach", "--config"]).arg(self.lbd.config()))?;
        self.start(what, pools)
    }

    /// Has the daemon read another file.
    pub fn reload(&mut self, what: &str, pools: &Pools) -> Result<Step> {
        self.lbd.write_config(&pools.text())?;
        self.ask(what, &["reload"])
    }

    /// Has `lbctl` do something.
    pub fn ask(&mut self, what: &str, words: &[&str]) -> Result<Step> {
        let begun = self.begin();
        self.lbd.lbctl(words)?;
        self.step(what, begun.at.elapsed(), &begun)
    }

    /// What `lbctl` answers to a question, parsed.
    pub fn answer(&self, words: &[&str]) -> Result<Value> {
        self.lbd.lbctl_json(words)
    }

    /// Asks something that the daemon answers in no time, again and again: the longest wait is how long it was at something else.
    pub fn watch(&mut self, what: &str) -> Result<Step> {
        let begun = self.begin();
        let mut longest = Duration::ZERO;
        while begun.at.elapsed() < WATCH {
            let asked = Instant::now();
            self.lbd.lbctl(&["drops"])?;
            longest = longest.max(asked.elapsed());
            std::thread::sleep(PAUSE);
        }
        self.step(what, longest, &begun)
    }

    /// What somebody else has done, in so long a time.
    pub fn note(&mut self, what: &str, took: Duration) -> Result<Step> {
        let begun = self.begin();
        self.step(what, took, &begun)
    }

    /// Where the daemon pins a map.
    pub fn pin(&self, map: &str) -> PathBuf {
        self.lbd.bpf_dir().join(map)
    }

    /// What the daemon said last.
    pub fn end_of_log(&self) -> String {
        let log = self.lbd.log();
        log.get(log.len().saturating_sub(LOG_END)..).unwrap_or(&log).to_owned()
    }

    fn begin(&mut self) -> Begun {
        let pid = self.lbd.running().ok().map(|process| process.pid());
        let cpu = pid.and_then(cpu_of).unwrap_or_default();
        Begun { at: Instant::now(), log: self.lbd.log().len(), pid, cpu }
    }

    fn step(&mut self, what: &str, took: Duration, begun: &Begun) -> Result<Step> {
        let pid = self.lbd.running()?.pid();
        let before = if begun.pid == Some(pid) { begun.cpu } else { Duration::ZERO };
        let cpu = cpu_of(pid).unwrap_or_default().saturating_sub(before);
        let memory = self.memory()?;
        let said = self.lbd.log();
        let own = said[begun.log..].lines().rev().find_map(|line| Some(line.split_once(OWN)?.1.split_once(')')?.0));
        let own = own.unwrap_or_default().to_owned();
        let [took_ms, cpu_ms] = [took, cpu].map(|time| time.as_secs_f64() * 1e3);
        let step = Step { what: what.to_owned(), took_ms, cpu_ms, memory, own };
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
        let map_bytes = self.map_bytes()?;
        Ok(Memory { rings, ring_bytes: rings as u64 * RING_BYTES, map_bytes, anonymous, peak })
    }

    /// The maps that services have for rings, each counted once.
    fn rings(&self) -> Result<usize> {
        let entries = bpftool(&["map", "dump", "pinned"], &self.pin("rings"))?;
        let id = |entry: &Value| entry.get("inner_map_id").or_else(|| entry.get("value")).map(Value::to_string);
        let ids = entries.as_array().context("no list from bpftool")?.iter().filter_map(id);
        Ok(ids.filter(|id| !id.contains("error")).collect::<HashSet<_>>().len())
    }

    /// What the kernel says that all pinned maps take.
    fn map_bytes(&self) -> Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(self.lbd.bpf_dir()).context("cannot list the pins")? {
            let path = entry?.path();
            // Links are pinned, too.
            let Ok(shown) = bpftool(&["map", "show", "pinned"], &path) else { continue };
            sum += shown["bytes_memlock"].as_u64().unwrap_or_default();
        }
        Ok(sum)
    }
}

/// CPU time that a process has used, its threads that have ended counted: by /proc/PID/stat, in hundredths of a second.
fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may have spaces; the first field after it is the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

fn bpftool(words: &[&str], path: &Path) -> Result<Value> {
    let text = output(tool("bpftool").arg("-j").args(words).arg(path))?;
    serde_json::from_str(&text).context("no JSON from bpftool")
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
