//! A serial line between two nodes: two pseudo terminals, and a thread that carries bytes from one to the other as fast as
//! the line's speed allows and no faster. It can be cut, stalled, filled with garbage, made to lose, double and mangle
//! bytes, and each end can be unplugged and plugged in again.

mod lane;
mod pty;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

pub use lane::Faults;
use lane::Lane;
use pty::Pty;

use crate::realtime;

/// Bytes that are through are handed over at the latest after this time, and a burst's last one at its own time.
const BATCH_NS: u64 = 500_000;
/// How long an idle relay sleeps before it looks for new faults. A command wakes it.
const IDLE: Duration = Duration::from_millis(20);
const CHUNK: usize = 1024;
/// How many of the bytes that have come through are remembered, for each direction.
const MAX_HEARD: usize = 4096;

/// A serial line with a relay thread. Dropped, both ends hang up.
#[derive(Debug)]
pub struct SerialLine {
    devices: [PathBuf; 2],
    faults: [Arc<Faults>; 2],
    heard: [Heard; 2],
    commands: Sender<Command>,
    waker: UnixStream,
    relay: Option<JoinHandle<()>>,
}

/// The newest bytes of a direction, the oldest of them first.
type Heard = Arc<Mutex<VecDeque<u8>>>;

enum Command {
    /// Send these bytes as if they came from an end.
    Inject(usize, Vec<u8>),
    /// Put this in place of an end: `None` unplugs it.
    Replace(usize, Option<Pty>),
    Stop,
}

impl SerialLine {
    /// Lays a line of so many bits a second. The nodes find its ends as `serial-1` and `serial-2` in `dir`.
    pub fn lay(dir: &Path, baud: u32) -> Result<SerialLine> {
        let devices = [1, 2].map(|number| dir.join(format!("serial-{number}")));
        let ends = [Some(Pty::open(&devices[0])?), Some(Pty::open(&devices[1])?)];
        let faults = [Arc::default(), Arc::default()];
        let heard = [Heard::default(), Heard::default()];
        let (waker, woken) = UnixStream::pair().context("cannot make a socket pair")?;
        woken.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        let (commands, received) = channel();
        let mut relay = Relay {
            ends,
            lanes: [Lane::new(baud, 1), Lane::new(baud, 2)],
            faults: faults.clone(),
            heard: heard.clone(),
            woken,
            commands: received,
            began: Instant::now(),
        };
        let relay = std::thread::spawn(move || relay.run());
        Ok(SerialLine { devices, faults, heard, commands, waker, relay: Some(relay) })
    }

    /// The device of a node, counted from 0.
    pub fn device(&self, node: usize) -> &Path {
        &self.devices[node]
    }

    /// What is wrong with what a node, counted from 0, sends.
    pub fn sent_by(&self, node: usize) -> &Faults {
        &self.faults[node]
    }

    /// Nothing that either node sends arrives, or everything does again.
    pub fn cut(&self, cut: bool) {
        self.faults.iter().for_each(|faults| faults.cut(cut));
    }

    /// Unplugs a node's end: its device hangs up, and its name is gone.
    pub fn unplug(&self, node: usize) -> Result<()> {
        std::fs::remove_file(&self.devices[node])
            .with_context(|| format!("cannot remove {}", self.devices[node].display()))?;
        self.command(Command::Replace(node, None))
    }

    /// Plugs a node's end in again: a new device of the old name.
    pub fn plug_in(&self, node: usize) -> Result<()> {
        self.command(Command::Replace(node, Some(Pty::open(&self.devices[node])?)))
    }

    /// The newest bytes that have come through from a node, counted from 0: four kilobytes at most.
    pub fn heard_from(&self, node: usize) -> Vec<u8> {
        let heard = self.heard[node].lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().copied().collect()
    }

    /// Puts bytes on the line as if a node had sent them. What the line has no room for is lost.
    pub fn inject(&self, node: usize, bytes: &[u8]) -> Result<()> {
        self.command(Command::Inject(node, bytes.to_vec()))
    }

    fn command(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| anyhow!("the relay of the serial line has ended"))?;
        (&self.waker).write_all(&[0]).context("cannot wake the relay of the serial line")
    }
}

impl Drop for SerialLine {
    fn drop(&mut self) {
        let _ = self.command(Command::Stop);
        if let Some(relay) = self.relay.take() {
            let _ = relay.join();
        }
    }
}

/// What the thread owns. Lane 0 carries what end 0 sends.
struct Relay {
    ends: [Option<Pty>; 2],
    lanes: [Lane; 2],
    faults: [Arc<Faults>; 2],
    heard: [Heard; 2],
    woken: UnixStream,
    commands: Receiver<Command>,
    began: Instant,
}

impl Relay {
    fn run(&mut self) {
        // A line's speed does not depend on the load of a host.
        realtime::prefer(realtime::Rank::Line);
        while self.obey() {
            self.carry();
            self.sleep();
        }
    }

    /// Does what it was told; false at the end.
    fn obey(&mut self) -> bool {
        let _ = self.woken.read(&mut [0; CHUNK]);
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Replace(end, pty) => self.ends[end] = pty,
                Command::Inject(end, bytes) => self.inject(end, &bytes),
                Command::Stop => return false,
            }
        }
        true
    }

    fn inject(&mut self, end: usize, bytes: &[u8]) {
        let now = self.now();
        let lane = &mut self.lanes[end];
        lane.accept(&bytes[..bytes.len().min(lane.room())], now);
    }

    fn carry(&mut self) {
        let now = self.now();
        for (end, lane) in self.lanes.iter_mut().enumerate() {
            let faults = &self.faults[end];
            if let Some(from) = self.ends[end].as_ref().filter(|_| !faults.is_stalled()) {
                let mut buffer = [0; CHUNK];
                let room = lane.room().min(CHUNK);
                let length = from.read(&mut buffer[..room]);
                lane.accept(&buffer[..length], now);
            }
            let arrived = lane.arrived(now, faults);
            remember(&self.heard[end], &arrived);
            if let Some(to) = self.ends[1 - end].as_ref().filter(|_| !arrived.is_empty()) {
                to.write(&arrived);
            }
        }
    }

    fn sleep(&self) {
        let now = self.now();
        let wakes = self.lanes.iter().zip(&self.faults).filter_map(|(lane, faults)| lane.next_wake(BATCH_NS, faults));
        let pause = wakes.min().map_or(IDLE, |wake| Duration::from_nanos(wake.saturating_sub(now)));
        let mut descriptors = vec![self.woken.as_raw_fd()];
        for (end, pty) in self.ends.iter().enumerate() {
            let readable = !self.faults[end].is_stalled() && self.lanes[end].room() > 0;
            descriptors.extend(pty.as_ref().filter(|_| readable).map(Pty::descriptor));
        }
        realtime::wait_readable(&descriptors, pause);
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

fn remember(heard: &Heard, bytes: &[u8]) {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    heard.extend(bytes);
    let surplus = heard.len().saturating_sub(MAX_HEARD);
    heard.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("us-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn open(path: &Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    #[test]
    fn bytes_go_both_ways_and_an_end_can_be_unplugged() {
        let dir = directory("serial");
        let line = SerialLine::lay(&dir, 921_600).unwrap();
        let (mut one, mut other) = (open(line.device(0)), open(line.device(1)));
        let mut buffer = [0; 4];
        for _ in 0..3 {
            one.write_all(b"ping").unwrap();
            other.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"ping");
            other.write_all(b"pong").unwrap();
            one.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"pong");
        }
        line.unplug(1).unwrap();
        // A hung-up terminal reads as at its end, or as an error.
        assert!(matches!(other.read(&mut buffer), Ok(0) | Err(_)));
        line.plug_in(1).unwrap();
        let mut other = open(line.device(1));
        one.write_all(b"back").unwrap();
        other.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"back");
        line.inject(0, b"mine").unwrap();
        other.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"mine");
        assert!(line.heard_from(0).ends_with(b"backmine"));
        assert!(line.heard_from(1).ends_with(b"pong"));
        drop(line);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
