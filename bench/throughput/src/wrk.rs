//! The load of HTTP requests: `wrk`, and what it says at its end.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use lb_lab::{Namespace, output};

/// Connections at once.
const CONNECTIONS: u32 = 64;
const THREADS: u32 = 2;
/// So many requests in all may fail for one that does.
const TOLERATED: u64 = 1_000;

/// What the requests are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// A connection for each, which ends with the answer.
    Close,
    /// One after the other on connections that stay open.
    Keep,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// How many were answered.
    pub requests: u64,
    /// In a second.
    pub rate: f64,
    /// In microseconds, half of them took less, and 99 in a hundred.
    pub latencies_us: [f64; 2],
    failed: u64,
}

/// Puts the load on these addresses from a namespace for some seconds, each thread on one of them in turn.
pub fn run(
    client: &Namespace,
    directory: &Path,
    targets: &[IpAddr],
    port: u16,
    load: Load,
    seconds: u64,
) -> Result<Outcome> {
    let script = directory.join("wrk.lua");
    fs::write(&script, lua(targets, port)).with_context(|| format!("cannot write {}", script.display()))?;
    let target = targets.first().context("nobody to ask")?;
    let mut command = client.command("wrk");
    command.args(["--threads", &THREADS.to_string(), "--connections", &CONNECTIONS.to_string(), "--latency"]);
    command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(script);
    if load == Load::Close {
        command.args(["--header", "Connection: close"]);
    }
    let printed = output(command.arg(format!("http://{target}:{port}/")))?;
    let outcome = parse(&printed).with_context(|| format!("wrk said: {printed}"))?;
    if outcome.failed * TOLERATED > outcome.requests {
        bail!("too many requests have failed; wrk said: {printed}");
    }
    Ok(outcome)
}

/// Which address each thread connects to.
fn lua(targets: &[IpAddr], port: u16) -> String {
    let mut text = "local hosts = {".to_string();
    for target in targets {
        let _ = write!(text, "\"{target}\", ");
    }
    let _ = write!(
        text,
        "}}\nlocal threads = 0\nfunction setup(thread)\n  thread.addr = wrk.lookup(hosts[threads % #hosts + 1], \"{port}\")[1]\n  \
         threads = threads + 1\nend\n"
    );
    text
}

fn parse(printed: &str) -> Option<Outcome> {
    let mut outcome = Outcome::default();
    let mut found = [false; 4];
    for line in printed.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["50%", time] => (outcome.latencies_us[0], found[0]) = (microseconds(time)?, true),
            ["99%", time] => (outcome.latencies_us[1], found[1]) = (microseconds(time)?, true),
            [count, "requests", "in", ..] => (outcome.requests, found[2]) = (count.parse().ok()?, true),
            ["Requests/sec:", rate] => (outcome.rate, found[3]) = (rate.parse().ok()?, true),
            ["Socket", "errors:", ..] | ["Non-2xx", ..] => outcome.failed += numbers(line),
            _ => {}
        }
    }
    (found == [true; 4] && outcome.requests > 0).then_some(outcome)
}

/// `1.23ms`.
fn microseconds(text: &str) -> Option<f64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// The sum of the numbers behind the colon.
fn numbers(line: &str) -> u64 {
    let counts = line.split_once(':').map_or("", |(_, counts)| counts);
    counts.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running 2s test @ http://198.18.0.101:80/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.20ms    1.10ms  20.15ms   75.00%
    Req/Sec     4.55k   400.00     5.50k    70.00%
  Latency Distribution
     50%  950.00us
     75%    3.90ms
     90%    4.60ms
     99%    1.02s
  18200 requests in 2.01s, 2.90MB read
  Socket errors: connect 0, read 3, write 1, timeout 2
  Non-2xx or 3xx responses: 5
Requests/sec:   9054.73
Transfer/sec:      1.44MB
";

    #[test]
    fn what_wrk_says_is_read() {
        let wanted = Outcome { requests: 18_200, rate: 9_054.73, latencies_us: [950.0, 1_020_000.0], failed: 11 };
        assert_eq!(parse(PRINTED), Some(wanted));
    }

    #[test]
    fn an_answer_without_figures_is_none() {
        assert_eq!(parse("unable to connect to 198.18.0.101:80\n"), None);
        assert_eq!(parse(&PRINTED.replace("99%", "98%")), None);
        assert_eq!(parse(&PRINTED.replace("18200 requests", "0 requests")), None);
        assert_eq!(parse(&PRINTED.replace("950.00us", "950.00parsecs")), None);
    }

    #[test]
    fn each_thread_gets_the_next_address() {
        let text = lua(&["198.18.33.21".parse().unwrap(), "198.18.34.21".parse().unwrap()], 80);
        assert!(text.starts_with("local hosts = {\"198.18.33.21\", \"198.18.34.21\", }\n"), "{text}");
    }
}
