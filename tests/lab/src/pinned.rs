//! TCP connections that stay open and talk all the time, and a count of those that break.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::http::REQUEST_LIMIT;
use crate::namespace::NamespaceHandle;
use crate::realtime::wait_readable;

/// How often each connection says something, once it has been answered.
const PAUSE: Duration = Duration::from_millis(20);
/// A connection without an answer for so long is broken: longer than the pauses between the repetitions of TCP, which double.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
const WORD: &[u8] = b"are you there?\n";
const CHUNK: usize = 512;

/// The connections and the thread that talks on them. Dropped, they are closed.
#[derive(Debug)]
pub struct Pinned {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Talk>>,
}

/// What has become of the connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Talk {
    /// How many there were.
    pub connections: usize,
    /// Those that were reset, closed or silent for too long: why, for each.
    pub broken: Vec<String>,
    /// Answers in all.
    pub answers: u64,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answers: AtomicU64,
}

impl Pinned {
    /// Opens `count` connections to an echo server, from a namespace, and talks on them.
    pub fn open(from: &NamespaceHandle, target: SocketAddr, count: usize) -> Result<Pinned> {
        let open = || {
            let stream = TcpStream::connect_timeout(&target, REQUEST_LIMIT)
                .with_context(|| format!("cannot connect to {target}"))?;
            stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
            stream.set_nonblocking(true).context("cannot make a connection non-blocking")?;
            Ok(Connection { stream, owed: 0, heard: Instant::now() })
        };
        let connections: Vec<Connection> = from.run(|| (0..count).map(|_| open()).collect())?;
        let shared = Arc::new(Shared::default());
        let seen = shared.clone();
        Ok(Pinned { shared, thread: Some(std::thread::spawn(move || talk(connections, &seen))) })
    }

    /// Answers so far.
    pub fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Relaxed)
    }

    /// Closes the connections. Those that were owed an answer get time to hear it.
    pub fn close(mut self) -> Result<Talk> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the connections have been closed before")?;
        thread.join().map_err(|_| anyhow!("the thread that talks has panicked"))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// Bytes that have not come back yet.
    owed: usize,
    heard: Instant,
}

fn talk(mut open: Vec<Connection>, shared: &Shared) -> Talk {
    let mut talk = Talk { connections: open.len(), ..Talk::default() };
    loop {
        let stop = shared.stop.load(Ordering::Relaxed);
        open.retain_mut(|connection| match connection.turn(stop, &mut talk.answers) {
            Ok(()) => true,
            Err(reason) => {
                talk.broken.push(reason);
                false
            }
        });
        shared.answers.store(talk.answers, Ordering::Relaxed);
        if stop && open.iter().all(|connection| connection.owed == 0) {
            return talk;
        }
        let descriptors: Vec<_> = open.iter().map(|connection| connection.stream.as_raw_fd()).collect();
        let until = Instant::now() + PAUSE;
        // Answers are read in the next turn; what has come early only shortens the wait, so the rest is slept.
        if wait_readable(&descriptors, PAUSE) {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl Connection {
    /// Hears what has come, and says something when nothing is owed.
    fn turn(&mut self, last: bool, answers: &mut u64) -> Result<(), String> {
        self.hear(answers)?;
        if self.owed > 0 && self.heard.elapsed() > SILENCE_LIMIT {
            return Err(format!("no answer for {SILENCE_LIMIT:?}"));
        }
        if self.owed == 0 && !last {
            self.owed = self.stream.write(WORD).map_err(|error| error.to_string())?;
            self.heard = Instant::now();
        }
        Ok(())
    }

    fn hear(&mut self, answers: &mut u64) -> Result<(), String> {
        let mut buffer = [0; CHUNK];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("closed by the other end".to_string()),
            Ok(length) => {
                self.heard = Instant::now();
                self.owed = self.owed.saturating_sub(length);
                *answers += u64::from(self.owed == 0);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
