//! A client that asks a UDP echo each millisecond, and so sees a failover as a user would: as a gap.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::namespace::NamespaceHandle;
use crate::realtime::{self, Rank};

/// From one probe to the next.
pub const PROBE_PERIOD: Duration = Duration::from_millis(1);
/// How long answers are awaited after the last probe.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// A probe is sent no more after so many: half an hour.
const MAX_PROBES: usize = 1_800_000;
const MAX_ANSWER: usize = 128;
/// No answer yet.
const NONE: u64 = u64::MAX;

/// One probe: when it was sent, and whether an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Since the first probe.
    pub sent: Duration,
    /// Whether it was answered, however late.
    pub answered: bool,
}

/// Probes in a row without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// From the first probe that was lost to the first one after it that was answered.
    pub length: Duration,
    /// When the first one was sent, since the first probe of all.
    pub began: Duration,
    /// How many were lost.
    pub lost: usize,
}

/// The probing thread. Dropped, it stops.
#[derive(Debug)]
pub struct Probe {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Vec<Sample>>>>,
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    stop: AtomicBool,
    /// When the newest probe that has an answer was sent, in nanoseconds after `began`.
    newest: AtomicU64,
}

impl Probe {
    /// Starts to probe `target` from a namespace.
    pub fn start(from: &NamespaceHandle, target: SocketAddr) -> Result<Probe> {
        let socket = from.run(|| {
            let local: IpAddr = if target.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
            let socket = UdpSocket::bind((local, 0)).context("cannot open a socket")?;
            socket.connect(target).with_context(|| format!("cannot reach {target}"))?;
            socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
            Ok(socket)
        })?;
        let shared =
            Arc::new(Shared { began: Instant::now(), stop: AtomicBool::new(false), newest: AtomicU64::new(NONE) });
        let seen = shared.clone();
        Ok(Probe { shared, thread: Some(std::thread::spawn(move || Prober::new(socket).run(&seen))) })
    }

    /// Whether a probe that was sent after `instant` has been answered.
    pub fn answered_since(&self, instant: Instant) -> bool {
        let newest = self.shared.newest.load(Ordering::Relaxed);
        newest != NONE && self.shared.began + Duration::from_nanos(newest) > instant
    }

    /// Since the first probe: for comparison with [`Sample::sent`].
    pub fn elapsed(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// Ends it, and returns all probes in the order in which they were sent. Those at the end that nobody has answered may
    /// have been on their way, and are left out.
    pub fn stop(mut self) -> Result<Vec<Sample>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the probe has been stopped before")?;
        let mut samples = thread.join().map_err(|_| anyhow!("the probing thread has panicked"))??;
        while samples.pop_if(|last| !last.answered).is_some() {}
        Ok(samples)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The longest run of probes without an answer. What was lost before the first answer does not count.
pub fn longest_gap(samples: &[Sample]) -> Gap {
    let (mut longest, mut open) = (Gap::default(), None);
    for sample in samples.iter().skip_while(|sample| !sample.answered) {
        match (&mut open, sample.answered) {
            (None, true) => {}
            (None, false) => open = Some(Gap { length: Duration::ZERO, began: sample.sent, lost: 1 }),
            (Some(gap), false) => gap.lost += 1,
            (Some(gap), true) => {
                gap.length = sample.sent.saturating_sub(gap.began);
                if gap.length > longest.length {
                    longest = *gap;
                }
                open = None;
            }
        }
    }
    longest
}

/// How many probes had no answer.
pub fn lost(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| !sample.answered).count()
}

/// What the thread owns.
struct Prober {
    socket: UdpSocket,
    samples: Vec<Sample>,
}

impl Prober {
    fn new(socket: UdpSocket) -> Prober {
        Prober { socket, samples: Vec::new() }
    }

    fn run(mut self, shared: &Shared) -> Result<Vec<Sample>> {
        realtime::prefer(Rank::Probe);
        let mut next = Duration::ZERO;
        while !shared.stop.load(Ordering::Relaxed) {
            let now = shared.began.elapsed();
            if now >= next {
                self.send(now)?;
                // A probe that comes late is one probe, not a burst of those that were missed.
                next = (next + PROBE_PERIOD).max(now);
            }
            self.listen(next.saturating_sub(now), shared);
        }
        let end = Instant::now() + LAST_ANSWERS;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.listen(left, shared);
        }
        Ok(self.samples)
    }

    fn send(&mut self, now: Duration) -> Result<()> {
        if self.samples.len() >= MAX_PROBES {
            bail!("the probe was not stopped: {MAX_PROBES} were sent");
        }
        let number = self.samples.len() as u64;
        self.samples.push(Sample { sent: now, answered: false });
        // An error is what an earlier probe has met, or a full queue: a lost probe in either case.
        let _ = self.socket.send(&number.to_be_bytes());
        Ok(())
    }

    /// Notes what answers come within this time.
    fn listen(&mut self, limit: Duration, shared: &Shared) {
        if !realtime::wait_readable(&[self.socket.as_raw_fd()], limit) {
            return;
        }
        let mut answer = [0; MAX_ANSWER];
        while let Ok(length) = self.socket.recv(&mut answer) {
            let Some(number) = answer[..length].last_chunk().map(|bytes| u64::from_be_bytes(*bytes)) else { continue };
            if let Some(sample) = self.samples.get_mut(number as usize) {
                sample.answered = true;
                shared.newest.store(sample.sent.as_nanos() as u64, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(text: &str) -> Vec<Sample> {
        let sample = |(index, c)| Sample { sent: Duration::from_millis(index), answered: c == '+' };
        (0..).zip(text.chars()).map(sample).collect()
    }

    #[test]
    fn a_gap_is_from_the_first_lost_probe_to_the_next_answered_one() {
        let gap = longest_gap(&samples("----++-+---++--+"));
        assert_eq!(gap, Gap { length: Duration::from_millis(3), began: Duration::from_millis(8), lost: 3 });
        assert_eq!(longest_gap(&samples("++++")), Gap::default());
        assert_eq!(longest_gap(&samples("----")), Gap::default());
        assert_eq!(lost(&samples("+-+--")), 3);
    }
}
