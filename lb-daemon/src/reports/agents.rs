//! Agents that speak HAProxy's agent-check protocol: each is asked by a task of its own, over a new connection each time.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lb_core::agent_check::{self, Answer, MAX_ANSWER_SIZE};
use lb_core::monitoring::AgentCheck;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use super::ReportUpdate;
use crate::source;

/// Most agents that are asked at the same time; further ones wait for their turn.
const MAX_AT_ONCE: usize = 256;
/// The longest time that an agent may take to answer.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Intervals are shortened by up to so much, in parts of themselves.
const JITTER_SHARE: u32 = 10;

/// The tasks that ask.
pub(super) struct Agents {
    runtime: Handle,
    shared: Arc<Shared>,
    tasks: Mutex<BTreeMap<String, Agent>>,
}

/// What all tasks use.
struct Shared {
    updates: mpsc::Sender<ReportUpdate>,
    turns: Semaphore,
    answers: AtomicU64,
    failures: AtomicU64,
}

/// One agent and its task, which ends with this.
struct Agent {
    check: AgentCheck,
    task: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agents {
    /// No agents yet. Must be called inside a tokio runtime.
    pub(super) fn new(updates: mpsc::Sender<ReportUpdate>) -> Self {
        let shared = Shared {
            updates,
            turns: Semaphore::new(MAX_AT_ONCE),
            answers: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        Self { runtime: Handle::current(), shared: Arc::new(shared), tasks: Mutex::default() }
    }

    /// Replaces the set of agents. Those that stay are not disturbed.
    pub(super) fn set(&self, agents: BTreeMap<String, AgentCheck>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|real, agent| agents.get(real) == Some(&agent.check));
        for (real, check) in agents {
            tasks.entry(real).or_insert_with_key(|real| {
                let task = self.runtime.spawn(ask_for_ever(real.clone(), check.clone(), self.shared.clone()));
                Agent { check, task }
            });
        }
    }

    /// The task that asks the agent of this real.
    #[cfg(test)]
    pub(super) fn task_id(&self, real: &str) -> Option<tokio::task::Id> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).get(real).map(|agent| agent.task.id())
    }

    /// Answers and failures since the start.
    pub(super) fn counters(&self) -> (u64, u64) {
        (self.shared.answers.load(Ordering::Relaxed), self.shared.failures.load(Ordering::Relaxed))
    }
}

/// Asks one agent each interval, the first time somewhere within the first interval. A slow agent or reader makes it
/// later, never more often.
async fn ask_for_ever(real: String, check: AgentCheck, shared: Arc<Shared>) {
    let interval = Duration::from_millis(check.interval_ms.max(1));
    let random = RandomState::new();
    let mut due = Instant::now() + part(interval, random.hash_one(0_u64));
    for round in 1_u64.. {
        time::sleep_until(due).await;
        due = Instant::now() + interval - part(interval / JITTER_SHARE, random.hash_one(round));
        let result = in_turn(&check, &shared).await;
        let counter = if result.is_ok() { &shared.answers } else { &shared.failures };
        counter.fetch_add(1, Ordering::Relaxed);
        if shared.updates.send(ReportUpdate::AgentCheck { real: real.clone(), result }).await.is_err() {
            return;
        }
    }
}

/// A part of a time that is as random as the number.
fn part(time: Duration, random: u64) -> Duration {
    time.mul_f64(random as f64 / u64::MAX as f64)
}

async fn in_turn(check: &AgentCheck, shared: &Shared) -> Result<Answer, String> {
    let _turn = shared.turns.acquire().await.map_err(|_| "lbd is stopping".to_owned())?;
    let timeout = Duration::from_millis(check.interval_ms.max(1)).min(LONGEST_TIMEOUT);
    match time::timeout(timeout, ask(check.address)).await {
        Ok(result) => result,
        Err(_) => Err(format!("the agent at {} did not answer in {} ms", check.address, timeout.as_millis())),
    }
}

/// Asks an agent once.
async fn ask(address: SocketAddr) -> Result<Answer, String> {
    let failed = |what: &str, error: io::Error| format!("cannot {what} the agent at {address}: {error}");
    let mut stream = source::connect(address).await.map_err(|error| failed("connect to", error))?;
    let bytes = read_line(&mut stream).await.map_err(|error| failed("hear", error))?;
    agent_check::parse(&bytes).map_err(|error| format!("{address}: {error}"))
}

/// Reads until the line or the connection has ended, or so much that no agent sent it.
async fn read_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(MAX_ANSWER_SIZE + 1);
    while !agent_check::is_complete(&bytes) {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok(bytes)
}
