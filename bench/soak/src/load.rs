//! What loads the host: threads that take all the CPU time they get, and a client that sends small datagrams as fast as it is told.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lb_lab::Namespace;

/// Flows of the flood.
const FLOWS: usize = 16;
/// The flood's datagrams go out in bursts, this far apart.
const BURST: Duration = Duration::from_millis(1);
/// Bursts that a flood makes up for when it was kept from the CPU.
const MAX_BEHIND: u32 = 20;
const SMALL: [u8; 8] = [0; 8];
/// Steps of a hog between two looks whether it shall stop.
const STEPS: u64 = 1 << 20;

/// Threads that load the host. Dropped, they stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts so many hogs, and from a namespace a flood of so many datagrams a second.
    pub fn start(hogs: usize, from: &Namespace, target: SocketAddr, a_second: u32) -> Result<Load> {
        let sockets = from.run(|| (0..FLOWS).map(|_| open(target)).collect::<Result<Vec<UdpSocket>>>())?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads: Vec<_> = (0..hogs).map(|_| hog(stop.clone())).collect();
        let (seen, count) = (stop.clone(), sent.clone());
        threads.push(std::thread::spawn(move || flood(&sockets, a_second, &seen, &count)));
        Ok(Load { stop, sent, threads })
    }

    /// Datagrams that were sent by now.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
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

fn open(target: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot open a socket")?;
    socket.connect(target).with_context(|| format!("cannot reach {target}"))?;
    socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
    Ok(socket)
}

fn hog(stop: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut sum = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            sum = (0..STEPS).fold(sum, |sum, step| std::hint::black_box(sum.wrapping_mul(31) ^ step));
        }
    })
}

fn flood(sockets: &[UdpSocket], a_second: u32, stop: &AtomicBool, sent: &AtomicU64) {
    let burst = (f64::from(a_second) * BURST.as_secs_f64()).round() as usize;
    let mut flows = sockets.iter().cycle();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if due > now {
            std::thread::sleep(due - now);
            continue;
        }
        due = (due + BURST).max(now.checked_sub(BURST * MAX_BEHIND).unwrap_or(now));
        let whole = flows.by_ref().take(burst).filter(|flow| flow.send(&SMALL).is_ok()).count();
        sent.fetch_add(whole as u64, Ordering::Relaxed);
    }
}
