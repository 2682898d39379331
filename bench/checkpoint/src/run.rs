//! Runs all cases, step by step, and gathers the figures.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use lb_lab::interrupt;

use crate::Options;
use crate::case::Case;
use crate::node::milliseconds;
use crate::report::{Figure, Kind, Table, median};
use crate::rivals::kernel;
use crate::scratch::Scratch;
use crate::steps::{FORWARDS, Start};
use crate::world::KEYS;

const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 3;

/// Measures, prints and writes the figures.
pub fn run(options: &Options) -> Result<()> {
    lb_lab::require_root()?;
    let cannot_write = |path: &Path| format!("cannot write {}", path.display());
    // Before the work, so that a path that cannot be written costs no minute.
    let json = options.json.as_deref().map(|path| File::create(path).with_context(|| cannot_write(path)));
    let json = json.transpose()?;
    let rounds = if options.quick { QUICK_ROUNDS } else { ROUNDS };
    let scratch = Scratch::new(&options.directory)?;
    let mut figures = Vec::new();
    for case in Case::all(options.quick) {
        interrupt::check()?;
        eprintln!("{} flows, {} remembered", case.flows, case.remembered);
        figures.extend(measure(case, rounds, &scratch)?);
    }
    print!("{}", Table(&figures));
    if let (Some(file), Some(path)) = (json, &options.json) {
        serde_json::to_writer_pretty(file, &figures).with_context(|| cannot_write(path))?;
    }
    Ok(())
}

fn measure(case: Case, rounds: usize, scratch: &Scratch) -> Result<Vec<Figure>> {
    let (owner, standby) = (scratch.place("owner")?, scratch.place("standby")?);
    for directory in [&owner, &standby] {
        write_keys(&directory.join("keys"))?;
    }
    let others = case.is_all_remembered().then(|| scratch.place("others")).transpose()?;
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.to_owned()).collect() };
    let (flows, remembered) = (case.flows.to_string(), case.remembered.to_string());
    let mut own = step(&words(&["own", &flows, &remembered, &rounds.to_string()]))?;
    own.arg(&owner).args(&others);
    let mut figures = figures_of(&mut own)?;
    figures.extend(figures_of(step(&words(&["take-over", &flows, &remembered]))?.arg(&owner).arg(&standby))?);
    let starts: Result<Vec<(f64, Start)>> = (0..rounds)
        .map(|_| {
            forget_cached(&owner.join("state/checkpoint"))?;
            start(step(&words(&["start", &flows, &remembered]))?.arg(&owner))
        })
        .collect();
    figures.push(cold(case, &starts?, &owner.join("state/checkpoint"))?);
    if let Some(directory) = others {
        figures.extend(kernel::measure(case, rounds, &directory)?);
    }
    Ok(figures)
}

fn cold(case: Case, starts: &[(f64, Start)], directory: &Path) -> Result<Figure> {
    let of = |value: fn(&Start) -> f64| median(&starts.iter().map(|(_, start)| value(start)).collect::<Vec<_>>());
    let ms: Vec<f64> = starts.iter().map(|(ms, _)| *ms).collect();
    let mut bytes = 0;
    for file in fs::read_dir(directory)? {
        bytes += file?.metadata()?.len();
    }
    let mut figure = Figure::new(case, Kind::Cold, &ms, bytes)
        .with("load_ms", of(|start| start.load_ms))
        .with("disk_ms", of(|start| start.disk_ms))
        .with("engine_ms", of(|start| start.engine_ms))
        .with("restore_ms", of(|start| start.disk_ms + start.engine_ms))
        .with("rss_bytes", of(|start| start.rss_bytes as f64))
        .with("peak_bytes", of(|start| start.peak_bytes as f64));
    figure.broken_connections = starts.iter().map(|(_, start)| start.broken).max().unwrap_or_default();
    Ok(figure)
}

/// This program again, for a step.
fn step(words: &[String]) -> Result<Command> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null());
    Ok(command)
}

fn figures_of(step: &mut Command) -> Result<Vec<Figure>> {
    let output = step.stderr(Stdio::inherit()).output().context("cannot start a step")?;
    ensure!(output.status.success(), "a step has failed");
    serde_json::from_slice(&output.stdout).context("cannot read what a step has measured")
}

/// Starts a node: how long it took until that forwarded, in milliseconds, and what it says of itself.
fn start(step: &mut Command) -> Result<(f64, Start)> {
    let began = Instant::now();
    let mut child = step.stdout(Stdio::piped()).spawn().context("cannot start a step")?;
    let mut said = BufReader::new(child.stdout.take().context("no output")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    let ms = milliseconds(began);
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    ensure!(child.wait()?.success() && line.trim_end() == FORWARDS, "a node did not start");
    Ok((ms, serde_json::from_str(&rest).context("cannot read what a start has said")?))
}

fn write_keys(path: &Path) -> Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    Ok(std::io::Write::write_all(&mut file, KEYS.as_bytes())?)
}

/// Has the kernel drop what it keeps in memory of these files, as after a power cut.
fn forget_cached(directory: &Path) -> Result<()> {
    for file in fs::read_dir(directory)? {
        let file = File::open(file?.path())?;
        file.sync_all()?;
        nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}
