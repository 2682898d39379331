//! New flows at a steady rate: when each one began, and who answered it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lb_lab::{NamespaceHandle, wait_for};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::flows::exchange;
use crate::stage::LIMIT;

/// From one new flow to the next.
const PERIOD: Duration = Duration::from_millis(5);
/// A connection that is not open by then has failed. Shorter than the second after which the kernel sends a SYN again: the second
/// SYN may go to another real server, and would hide that the first one was lost.
const CONNECT_LIMIT: Duration = Duration::from_millis(900);
/// How long the answer over an open connection may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// New flows that come one after the other until they are stopped.
#[derive(Debug)]
pub struct Arrivals {
    stop: Arc<AtomicBool>,
    begun: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Result<Vec<Arrival>>>>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it began.
    pub began: Instant,
    /// The name of the real server that answered, or why none did.
    pub answer: Result<String, String>,
}

impl Arrivals {
    /// Begins to open connections from a namespace, one each 5 ms, and to ask once over each.
    pub fn start(from: &NamespaceHandle, target: SocketAddr) -> Arrivals {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(AtomicUsize::new(0));
        let (from, own) = (from.clone(), (stop.clone(), begun.clone()));
        let thread = std::thread::spawn(move || {
            from.enter()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(arrive(target, &own.0, &own.1))
        });
        Arrivals { stop, begun, thread: Some(thread) }
    }

    /// Waits until so many more have begun.
    pub fn wait_for_more(&self, count: usize) -> Result<()> {
        let wanted = self.begun.load(Ordering::Relaxed) + count;
        wait_for("new flows", LIMIT, || Ok((self.begun.load(Ordering::Relaxed) >= wanted).then_some(())))
    }

    /// Begins no more, waits for the answers that are due, and returns all of them in the order in which they began.
    pub fn stop(mut self) -> Result<Vec<Arrival>> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("the arrivals have been stopped")?;
        thread.join().map_err(|_| anyhow!("the thread of the arrivals has panicked"))?
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn arrive(target: SocketAddr, stop: &AtomicBool, begun: &AtomicUsize) -> Result<Vec<Arrival>> {
    let mut under_way = JoinSet::new();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        period.tick().await;
        under_way.spawn(arrival(target));
        begun.fetch_add(1, Ordering::Relaxed);
    }
    let mut arrivals = under_way.join_all().await;
    arrivals.sort_by_key(|arrival| arrival.began);
    Ok(arrivals)
}

async fn arrival(target: SocketAddr) -> Arrival {
    let began = Instant::now();
    Arrival { began, answer: ask(target).await.map_err(|error| format!("{error:#}")) }
}

async fn ask(target: SocketAddr) -> Result<String> {
    let mut stream = timeout(CONNECT_LIMIT, TcpStream::connect(target)).await.context("no connection in time")??;
    timeout(ANSWER_LIMIT, exchange(&mut stream)).await.context("no answer in time")?
}
