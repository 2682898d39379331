//! The loop: news from the kernel and from the daemon in, looks at reals that are due, updates out.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::Update;
use super::decide::Watch;
use super::kernel::{Kernel, KernelError};
use super::monitor::{Event, Monitor};
use super::tracker::Tracker;

/// Reals that are looked at before news is heard again.
const BATCH: usize = 32;
/// Reals that are chosen at once: to choose takes a look at all of them.
const ROUND: usize = 4_096;
/// Pause before a netlink socket that failed is opened anew.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// A wait without end, as a number.
const FOREVER: Duration = Duration::from_secs(3600);

/// Everything that the loop works on.
pub(super) struct Task {
    pub(super) monitor: Monitor,
    pub(super) kernel: Kernel,
    pub(super) tracker: Tracker,
    pub(super) changes: watch::Receiver<Vec<Watch>>,
    pub(super) updates: mpsc::Sender<Update>,
    /// Reals that are to be looked at now, and their addresses.
    pub(super) round: VecDeque<(String, IpAddr)>,
}

/// What there is to do.
enum Wake {
    Done,
    Reported,
    Watches,
    Heard(std::io::Result<Event>),
    Due,
}

impl Task {
    /// Runs until the daemon's end of a channel is gone.
    pub(super) async fn run(mut self) {
        loop {
            match self.wake().await {
                Wake::Done => return,
                Wake::Reported => {}
                Wake::Watches => {
                    let watches = self.changes.borrow_and_update().clone();
                    self.tracker.watch(watches, Instant::now());
                    // Who is in the round may have another address by now, and is still due.
                    self.round.clear();
                }
                Wake::Heard(Ok(event)) => self.tracker.heard(&event, Instant::now()),
                Wake::Heard(Err(error)) => self.listen_anew(&error).await,
                Wake::Due => self.look().await,
            }
        }
    }

    /// Waits until there is something to do, and reports while there is something to report.
    async fn wake(&mut self) -> Wake {
        self.report();
        let due = if self.round.is_empty() { self.tracker.next_due() } else { Some(Instant::now()) };
        let due = due.unwrap_or_else(|| Instant::now() + FOREVER);
        tokio::select! {
            permit = self.updates.reserve(), if self.tracker.has_update() => {
                let Ok(permit) = permit else { return Wake::Done };
                if let Some(update) = self.tracker.next_update() {
                    permit.send(update);
                }
                Wake::Reported
            }
            changed = self.changes.changed() => if changed.is_ok() { Wake::Watches } else { Wake::Done },
            event = self.monitor.next() => Wake::Heard(event),
            () = tokio::time::sleep_until(due.into()) => Wake::Due,
        }
    }

    /// Reports what the reader has room for.
    fn report(&mut self) {
        while self.tracker.has_update()
            && let Ok(permit) = self.updates.try_reserve()
        {
            if let Some(update) = self.tracker.next_update() {
                permit.send(update);
            }
        }
    }

    /// Looks at a batch of the reals that are due.
    async fn look(&mut self) {
        if self.round.is_empty() {
            self.round = self.tracker.due(Instant::now(), ROUND).into();
        }
        for _ in 0..BATCH {
            let Some((real, address)) = self.round.pop_front() else { return };
            let outcome = match self.kernel.snapshot(address).await {
                Ok(snapshot) => match self.tracker.observed(&real, &snapshot, Instant::now()) {
                    Some(neighbour) => self.kernel.ask(neighbour).await,
                    None => Ok(()),
                },
                Err(error) => {
                    self.tracker.failed(&real, &error.to_string(), Instant::now());
                    Err(error)
                }
            };
            match outcome {
                Ok(()) => {}
                Err(error @ KernelError::Refused { .. }) => tracing::debug!(real, %error, "next hop"),
                Err(error @ KernelError::Lost { .. }) => {
                    tracing::warn!(real, %error, "netlink for next hops is opened anew");
                    return self.connect_anew().await;
                }
            }
        }
    }

    async fn connect_anew(&mut self) {
        tokio::time::sleep(REOPEN_PAUSE).await;
        match Kernel::connect() {
            Ok(kernel) => self.kernel = kernel,
            Err(error) => tracing::warn!(%error, "cannot open a netlink socket for next hops; trying again"),
        }
    }

    async fn listen_anew(&mut self, error: &std::io::Error) {
        tracing::warn!(%error, "netlink news for next hops is opened anew");
        tokio::time::sleep(REOPEN_PAUSE).await;
        match Monitor::open() {
            Ok(monitor) => {
                self.monitor = monitor;
                self.tracker.heard(&Event::Everything, Instant::now());
            }
            Err(error) => tracing::warn!(%error, "cannot listen to netlink for next hops; trying again"),
        }
    }
}
