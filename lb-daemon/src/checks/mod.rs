//! Active checks of reals: the paper's Mon. [`Checks`] runs one task for each check of each real in each service, at the
//! rhythm of [`Pace`](lb_core::check::Pace), and reports what came of each. What to make of the results is not
//! decided here.
//!
//! A probe reaches its real by its own address, or *carried*: addressed to the VIP and sent as the service's packets are
//! (`carried`). What a probe says is the same either way (`probe` and its kinds). docs/checks.md has it in words.

mod carried;
mod descriptors;
mod exec;
mod http;
mod icmp;
mod probe;
mod socket;
mod task;
mod tcp;
mod tls;
mod udp;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lb_core::check::{Check, CheckResult, Kind, Target, Via};
use lb_core::table::NextHop;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use probe::Failure;
use task::Task;
use tls::Configs;

/// Most checks that are under way at once. Others wait until one has ended, and begin late.
pub const MAX_CHECKS_AT_ONCE: usize = 512;
/// Most checks by [`Via::Service`] that are under way at once: the kernel shows each packet for this host to the socket of each.
pub const MAX_CARRIED_AT_ONCE: usize = 256;
/// Most programs that run at once.
pub const MAX_PROGRAMS_AT_ONCE: usize = 32;
/// Results that wait for their reader. While it is full, checks wait too.
const RESULT_QUEUE: usize = 1024;

/// The checks that are made. They end when this is dropped.
#[derive(Debug)]
pub struct Checks {
    shared: Arc<Shared>,
    runtime: Handle,
    running: Mutex<HashMap<Identity, Running>>,
}

/// What the tasks have in common.
#[derive(Debug)]
struct Shared {
    results: mpsc::Sender<CheckResult>,
    configs: Configs,
    all: Semaphore,
    carried: Semaphore,
    programs: Semaphore,
}

/// Whether the files that a check needs can be used, as far as that can be told without making it.
///
/// # Errors
/// What is wrong, and with which file, in one line.
pub fn look_at_files(check: &Check) -> Result<(), String> {
    let looked = match &check.kind {
        Kind::Https(_, tls) => tls::look(tls),
        Kind::Exec { command } => exec::look(command),
        Kind::Tcp | Kind::Http(_) | Kind::Udp { .. } | Kind::Icmp => Ok(()),
    };
    looked.map_err(Failure::into_reason)
}

/// What keeps a program from being run, in words; the first of `command` is its path.
///
/// # Errors
/// It is missing, or may not be run.
pub fn look_at_command(command: &[String]) -> Result<(), String> {
    exec::look(command).map_err(Failure::into_reason)
}

/// Makes a check of a target once, now, beside all others.
///
/// # Errors
/// Why it failed, in one short line.
pub async fn once(target: &Target) -> Result<(), String> {
    probe::probe(target, &Configs::default()).await.map_err(Failure::into_reason)
}

/// What tells one target from another: service, real and check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    service: String,
    real: String,
    check: String,
}

#[derive(Debug)]
struct Running {
    target: Target,
    next_hop: watch::Sender<Option<NextHop>>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Checks {
    /// Prepares to make checks, none yet. The receiver gets what comes of each.
    ///
    /// Must be called inside a tokio runtime with I/O and time. The checks are made from the network namespace of its threads.
    #[must_use]
    pub fn start() -> (Self, mpsc::Receiver<CheckResult>) {
        descriptors::make_room(MAX_CHECKS_AT_ONCE + MAX_CARRIED_AT_ONCE + MAX_PROGRAMS_AT_ONCE);
        let (results, receiver) = mpsc::channel(RESULT_QUEUE);
        let shared = Shared {
            results,
            configs: Configs::default(),
            all: Semaphore::new(MAX_CHECKS_AT_ONCE),
            carried: Semaphore::new(MAX_CARRIED_AT_ONCE),
            programs: Semaphore::new(MAX_PROGRAMS_AT_ONCE),
        };
        (Self { shared: Arc::new(shared), runtime: Handle::current(), running: Mutex::default() }, receiver)
    }

    /// Replaces the set of checks. Those that stay as they are keep their rhythm; a new next hop holds from their next
    /// probe on. One whose service, real and check bear the same names, and that is otherwise another, begins anew. Of two
    /// with the same names the last one counts. Any thread may call this.
    pub fn watch(&self, targets: Vec<Target>) {
        let mut running_now = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *running_now);
        for target in targets {
            let identity = Identity::of(&target);
            let running = match before.remove(&identity) {
                Some(running) if running.is_for(&target) => {
                    running.next_hop.send_replace(target.next_hop);
                    running
                }
                _ => self.begin(target),
            };
            running_now.insert(identity, running);
        }
    }

    fn begin(&self, target: Target) -> Running {
        let (next_hop, changes) = watch::channel(target.next_hop);
        let task = Task::new(target.clone(), changes, self.shared.clone());
        Running { target, next_hop, task: self.runtime.spawn(task.run()).abort_handle() }
    }
}

impl Identity {
    fn of(target: &Target) -> Self {
        Self { service: target.service.clone(), real: target.real.clone(), check: target.check.name.clone() }
    }
}

impl Running {
    fn is_for(&self, target: &Target) -> bool {
        let ours = Target { next_hop: target.next_hop, ..self.target.clone() };
        ours == *target
    }
}

impl Shared {
    /// Where checks like this one queue, beside [`Shared::all`].
    fn narrow_door(&self, target: &Target) -> Option<&Semaphore> {
        match (&target.check.kind, target.check.via) {
            (Kind::Exec { .. }, _) => Some(&self.programs),
            (_, Via::Service) => Some(&self.carried),
            (_, Via::Address) => None,
        }
    }
}
