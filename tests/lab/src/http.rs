//! A small HTTP client: one connection that stays open, and a load of short ones that counts who answered.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::namespace::NamespaceHandle;

/// How long a connection attempt, or an answer, may take before the request counts as failed.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the largest answer that the client reads.
const MAX_BODY: u64 = 1 << 20;
const MAX_HEADER_LINE: u64 = 16 << 10;
/// How many failures keep their reason; all are counted.
const MAX_REASONS: usize = 5;

/// An HTTP/1.1 connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    target: SocketAddr,
}

impl Connection {
    /// Connects to `target` from a namespace.
    pub fn open(from: &NamespaceHandle, target: SocketAddr) -> Result<Connection> {
        from.run(|| Connection::open_here(target))
    }

    /// Connects to `target` from the calling thread's namespace.
    pub fn open_here(target: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect_timeout(&target, REQUEST_LIMIT)
            .with_context(|| format!("cannot connect to {target}"))?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        stream.set_read_timeout(Some(REQUEST_LIMIT)).context("cannot set a time limit")?;
        stream.set_write_timeout(Some(REQUEST_LIMIT)).context("cannot set a time limit")?;
        Ok(Connection { stream: BufReader::new(stream), target })
    }

    /// Asks for `path` and returns the body, without its line end. Any status but 200 is an error.
    pub fn get(&mut self, path: &str) -> Result<String> {
        self.exchange(path).with_context(|| format!("GET http://{}{path}", self.target))
    }

    /// The address and port that the connection comes from.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.stream.get_ref().local_addr().context("the connection has no address")
    }

    fn exchange(&mut self, path: &str) -> Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).context("cannot send")?;
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
        let length: u64 = length.filter(|length| *length <= MAX_BODY).context("no sound Content-Length")?;
        let mut body = vec![0; usize::try_from(length)?];
        self.stream.read_exact(&mut body).context("the answer was cut off")?;
        if status.split(' ').nth(1) != Some("200") {
            bail!("answered `{status}`");
        }
        Ok(String::from_utf8_lossy(&body).trim_end().to_string())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(MAX_HEADER_LINE).read_line(&mut line).context("no answer")?;
        if !line.ends_with('\n') {
            bail!("the connection was closed before the answer ended");
        }
        Ok(line.trim_end().to_string())
    }
}

/// Who answered how many requests for one target, and what failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by the name that the real server gave.
    pub served: BTreeMap<String, u64>,
    /// Requests without an answer.
    pub failed: u64,
    /// The reasons of the first few failures.
    pub reasons: Vec<String>,
    /// When the last one of the failed requests began.
    pub last_failed: Option<Instant>,
}

impl Tally {
    /// Answers of all real servers.
    pub fn total(&self) -> u64 {
        self.served.values().sum()
    }

    /// Counts a request that began at `began`.
    fn count(&mut self, began: Instant, answer: Result<String>) {
        match answer {
            Ok(name) => *self.served.entry(name).or_default() += 1,
            Err(error) => {
                self.failed += 1;
                self.last_failed = self.last_failed.max(Some(began));
                if self.reasons.len() < MAX_REASONS {
                    self.reasons.push(format!("{error:#}"));
                }
            }
        }
    }
}

/// A load: threads that ask each target in turn, each time over a new connection, until they are stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    tallies: Arc<Mutex<Vec<Tally>>>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    /// Starts `threads` threads in a namespace, each waiting `pause` after every request.
    pub fn start(from: &NamespaceHandle, targets: &[SocketAddr], threads: usize, pause: Duration) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let tallies = Arc::new(Mutex::new(vec![Tally::default(); targets.len()]));
        let start_one = |_| {
            let (stop, sent, tallies) = (stop.clone(), sent.clone(), tallies.clone());
            let (from, targets) = (from.clone(), targets.to_vec());
            std::thread::spawn(move || {
                from.enter()?;
                while !stop.load(Ordering::Relaxed) {
                    for (index, target) in targets.iter().enumerate() {
                        let began = Instant::now();
                        let answer = Connection::open_here(*target).and_then(|mut connection| connection.get("/"));
                        locked(&tallies)[index].count(began, answer);
                        sent.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(pause);
                    }
                }
                Ok(())
            })
        };
        let threads = (0..threads).map(start_one).collect();
        Load { stop, sent, tallies, threads }
    }

    /// Requests that have ended so far, failed ones too.
    pub fn requests(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// One tally for each target, in the order given, of the requests that have ended so far.
    pub fn tallies(&self) -> Vec<Tally> {
        locked(&self.tallies).clone()
    }

    /// Stops the load and returns one tally for each target, in the order given.
    pub fn stop(mut self) -> Result<Vec<Tally>> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| anyhow!("a thread of the load has panicked"))??;
        }
        Ok(self.tallies())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn locked(tallies: &Mutex<Vec<Tally>>) -> std::sync::MutexGuard<'_, Vec<Tally>> {
    tallies.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_failed_request_is_the_one_that_began_last() {
        let began = Instant::now();
        let [first, second, third] = [0, 1, 2].map(|seconds| began + Duration::from_secs(seconds));
        let mut tally = Tally::default();
        tally.count(first, Err(anyhow!("refused")));
        assert_eq!(tally.last_failed, Some(first));
        tally.count(third, Ok("real-1".to_string()));
        tally.count(second, Err(anyhow!("refused")));
        // One that took so long that a later one ended before it.
        tally.count(first, Err(anyhow!("timed out")));
        assert_eq!((tally.last_failed, tally.failed, tally.total()), (Some(second), 3, 1));
    }
}
