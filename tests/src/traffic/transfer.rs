//! A long download or upload that goes on only as far as it is allowed to, so that a test decides what happens while it
//! is under way. Its content is the [`pattern`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use lb_lab::{NamespaceHandle, checksum};

use super::pattern;

/// How long the transfer may stand still although it is allowed to go on.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// Bytes of one read or write.
const PIECE: usize = 256 << 10;

/// A transfer on a thread of its own. It begins with nothing allowed.
#[derive(Debug)]
pub struct Transfer {
    gate: Arc<Gate>,
    thread: Option<JoinHandle<Result<()>>>,
    length: u64,
}

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    allowed: u64,
    moved: u64,
    ended: bool,
}

impl Transfer {
    /// Begins to fetch `path`, which holds `length` bytes of the pattern.
    pub fn download(from: &NamespaceHandle, target: SocketAddr, path: &str, length: u64) -> Transfer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
        Transfer::spawn(from, length, move |gate| download(target, &request, length, gate))
    }

    /// Begins to send `length` bytes of the pattern to a [`lb_lab::Server::tcp_sink`].
    pub fn upload(from: &NamespaceHandle, target: SocketAddr, length: u64) -> Transfer {
        Transfer::spawn(from, length, move |gate| upload(target, length, gate))
    }

    fn spawn(from: &NamespaceHandle, length: u64, work: impl FnOnce(&Gate) -> Result<()> + Send + 'static) -> Transfer {
        let gate = Arc::new(Gate::default());
        let (from, inner) = (from.clone(), gate.clone());
        let thread = std::thread::spawn(move || {
            let result = from.enter().and_then(|()| work(&inner));
            inner.update(|state| state.ended = true);
            result
        });
        Transfer { gate, thread: Some(thread), length }
    }

    /// Allows so many bytes more, without waiting for them.
    pub fn allow(&self, more: u64) {
        self.gate.update(|state| state.allowed += more);
    }

    /// Allows so many bytes more and waits until all that is allowed has been moved.
    ///
    /// # Errors
    /// The transfer has ended early, or stands still.
    pub fn move_on(&mut self, more: u64) -> Result<()> {
        self.allow(more);
        let deadline = Instant::now() + STALL_LIMIT;
        let mut state = self.gate.lock();
        while state.moved < state.allowed.min(self.length) {
            if state.ended {
                drop(state);
                self.join()?;
                bail!("the transfer ended early");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the transfer stands still at {} of {} bytes", state.moved, self.length);
            }
            state = self.gate.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Bytes moved so far.
    pub fn moved(&self) -> u64 {
        self.gate.lock().moved
    }

    /// Allows the rest and waits for the end.
    ///
    /// # Errors
    /// The connection broke, or the content is not the pattern.
    pub fn finish(mut self) -> Result<()> {
        self.allow(self.length);
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the thread of the transfer has panicked"))?
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.gate.update(|state| state.allowed = u64::MAX);
        let _ = self.join();
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until bytes beyond `moved` are allowed, and says how many of them to move in one go.
    fn wait(&self, moved: u64) -> usize {
        let mut state = self.lock();
        while state.allowed <= moved {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (state.allowed - moved).min(PIECE as u64) as usize
    }
}

fn connect(target: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&target, STALL_LIMIT).with_context(|| format!("cannot connect to {target}"))?;
    stream.set_read_timeout(Some(STALL_LIMIT)).context("cannot set a time limit")?;
    stream.set_write_timeout(Some(STALL_LIMIT)).context("cannot set a time limit")?;
    Ok(stream)
}

fn download(target: SocketAddr, request: &str, length: u64, gate: &Gate) -> Result<()> {
    let mut stream = connect(target)?;
    stream.write_all(request.as_bytes()).context("cannot send the request")?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).context("no answer")?;
    if line.split(' ').nth(1) != Some("200") {
        bail!("answered `{}`", line.trim_end());
    }
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).context("the answer was cut off")?;
    }
    let mut moved = 0;
    let mut buffer = vec![0; PIECE];
    while moved < length {
        let most = gate.wait(moved);
        let got = stream.read(&mut buffer[..most]).with_context(|| format!("broken after {moved} bytes"))?;
        if got == 0 {
            bail!("{moved} bytes came of {length}");
        }
        compare(&buffer[..got], moved)?;
        moved += got as u64;
        gate.update(|state| state.moved = moved);
    }
    match stream.read(&mut buffer).context("broken at the end")? {
        0 => Ok(()),
        _ => bail!("more than {length} bytes came"),
    }
}

fn compare(mut bytes: &[u8], mut offset: u64) -> Result<()> {
    while !bytes.is_empty() {
        let wanted = pattern(offset, bytes.len());
        if bytes[..wanted.len()] != *wanted {
            bail!("wrong content within {} bytes after byte {offset}", wanted.len());
        }
        offset += wanted.len() as u64;
        bytes = &bytes[wanted.len()..];
    }
    Ok(())
}

fn upload(target: SocketAddr, length: u64, gate: &Gate) -> Result<()> {
    let mut stream = connect(target)?;
    let (mut moved, mut sum) = (0, 0);
    while moved < length {
        let most = gate.wait(moved).min(usize::try_from(length - moved)?);
        let piece = pattern(moved, most);
        stream.write_all(piece).with_context(|| format!("broken after {moved} bytes"))?;
        sum = checksum(sum, piece);
        moved += piece.len() as u64;
        gate.update(|state| state.moved = moved);
    }
    stream.shutdown(Shutdown::Write).context("cannot end the upload")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no word from the receiver")?;
    let wanted = format!("{length} {sum:016x}");
    match answer.trim_end().split_once(' ') {
        Some((_, received)) if received == wanted => Ok(()),
        _ => bail!("{wanted} was sent, and the receiver says `{}`", answer.trim_end()),
    }
}
