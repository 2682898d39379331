//! The kernel's own tables in a network namespace of their own: conntrack, dumped and loaded by `conntrack`, and a map of nftables, by `nft`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_lab::{Namespace, Run, interrupt, output};

use crate::case::Case;
use crate::node::milliseconds;
use crate::report::{Figure, Kind};
use crate::world::{client, service};

/// The most entries of conntrack, of all namespaces together. Only the host may change it, and the bench does not.
const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const CONNTRACK: &str = "conntrack";
const NFT: &str = "nft";
/// No more rounds are begun after so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where all flows go.
const REAL: &str = "198.51.100.1";

/// How a table is loaded from a file and dumped to one.
struct Tool {
    program: &'static str,
    load: &'static [&'static str],
    dump: &'static [&'static str],
    text: fn(u32) -> Result<String>,
}

const TOOLS: [Tool; 2] = [
    Tool { program: CONNTRACK, load: &["--load-file"], dump: &["-L", "-o", "save"], text: connections },
    Tool { program: NFT, load: &["-f"], dump: &["list", "ruleset"], text: elements },
];

/// Loads and dumps as many entries as there are flows. Says why it does not, where it does not.
pub fn measure(case: Case, rounds: usize, directory: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for tool in &TOOLS {
        if let Some(why) = hindrance(tool, case)? {
            eprintln!("{}: left out with {} flows: {why}", tool.program, case.flows);
            continue;
        }
        match tool.measure(case, rounds, directory) {
            Ok(measured) => figures.extend(measured),
            Err(error) => {
                interrupt::check()?;
                eprintln!("{}: left out with {} flows: {error:#}", tool.program, case.flows);
            }
        }
    }
    Ok(figures)
}

/// Why the kernel would not take so many.
fn hindrance(tool: &Tool, case: Case) -> Result<Option<String>> {
    if tool.program != CONNTRACK {
        return Ok(None);
    }
    let Ok(limit) = fs::read_to_string(LIMIT) else { return Ok(Some("this kernel has no conntrack".to_owned())) };
    let limit: u32 = limit.trim().parse().with_context(|| format!("{LIMIT} has no number"))?;
    let why = || format!("the host's nf_conntrack_max is {limit}, and the bench leaves it so");
    Ok((case.flows >= limit).then(why))
}

impl Tool {
    /// Each round in a new namespace, which is empty.
    fn measure(&self, case: Case, rounds: usize, directory: &Path) -> Result<[Figure; 2]> {
        let (loaded, dumped) = (directory.join("loaded"), directory.join("dumped"));
        fs::write(&loaded, (self.text)(case.flows)?)?;
        let (mut loads, mut dumps) = (Vec::new(), Vec::new());
        let since = Instant::now();
        for round in 0..rounds {
            interrupt::check()?;
            if round > 0 && since.elapsed() > PATIENCE {
                break;
            }
            let run = Run::start()?;
            let namespace = Namespace::new(&run, "kernel")?;
            let began = Instant::now();
            output(namespace.command(self.program).args(self.load).arg(&loaded))?;
            loads.push(milliseconds(began));
            let began = Instant::now();
            let mut dump = namespace.command(self.program);
            dump.args(self.dump).stdout(File::create(&dumped)?).stderr(Stdio::null());
            ensure!(dump.status()?.success(), "{} cannot dump", self.program);
            dumps.push(milliseconds(began));
        }
        let size = fs::metadata(&dumped)?.len();
        // Both forms name each client's real once.
        let found = fs::read_to_string(&dumped)?.matches(REAL).count() as u64;
        let missing = u64::from(case.flows).saturating_sub(found);
        ensure!(missing == 0, "{missing} of {} entries were not taken", case.flows);
        Ok([
            Figure::of(self.program, case, Kind::Full, &dumps, size),
            Figure::of(self.program, case, Kind::Cold, &loads, fs::metadata(&loaded)?.len()),
        ])
    }
}

/// Connections in the form of `conntrack -o save`.
fn connections(count: u32) -> Result<String> {
    let (vip, vip_port) = service();
    let mut text = String::new();
    for number in 0..count {
        let (client, port) = client(number);
        writeln!(
            text,
            "-A -t 3600 -u SEEN_REPLY,ASSURED -s {client} -d {vip} -r {REAL} -q {client} -p tcp --sport {port} \
             --dport {vip_port} --reply-port-src {vip_port} --reply-port-dst {port} --state ESTABLISHED"
        )?;
    }
    Ok(text)
}

/// A map from clients to reals.
fn elements(count: u32) -> Result<String> {
    let mut text =
        format!("table ip us {{ map flows {{ type ipv4_addr . inet_service : ipv4_addr; size {count}; elements = {{\n");
    for number in 0..count {
        let (client, port) = client(number);
        writeln!(text, "{client} . {port} : {REAL},")?;
    }
    text.push_str("}\n}\n}\n");
    Ok(text)
}
