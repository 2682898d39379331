//! Does what the node decides. Everything here is called by the heartbeat thread, and waits for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lb_core::pair::{Epoch, Event, Happening, Lease, Service};

use crate::dataplane::{Jiffies, LeaseMap};
use crate::journal::Journal;
use crate::peer::{Hands, clock};
use crate::takeover::{Job, Jobs};

pub(super) struct Deputies {
    lease: LeaseMap,
    jiffies: Jiffies,
    /// What the data plane was told last.
    told: Option<(Service, u64)>,
    jobs: Jobs,
    journal: Journal,
    /// The node has last asked for the VIPs, not for their release.
    owns: Arc<AtomicBool>,
    /// No other host has a VIP, as far as is known.
    is_clear: Arc<AtomicBool>,
}

impl Deputies {
    /// Until `is_clear` the data plane is silent.
    pub(super) fn new(
        lease: LeaseMap,
        jiffies: Jiffies,
        jobs: Jobs,
        journal: Journal,
        is_clear: Arc<AtomicBool>,
    ) -> Self {
        Self { lease, jiffies, told: None, jobs, journal, owns: Arc::default(), is_clear }
    }

    /// Whether the node is the owner by what it asked for last, done or not.
    pub(super) fn owns(&self) -> Arc<AtomicBool> {
        self.owns.clone()
    }

    fn leave(&self, job: Job) {
        if let Err(busy) = self.jobs.send(job.clone()) {
            let reason = format!("not done: {job:?}: {busy}");
            self.journal.note(Event { at: clock::now(), what: Happening::Notice, reason });
        }
    }
}

impl Hands for Deputies {
    fn lease(&mut self, lease: Lease) {
        let service = if self.is_clear.load(Ordering::Acquire) { lease.service } else { Service::Silent };
        // A time of its own, not one from now: however late it is stored, it means the same.
        let until = match service {
            Service::Serving | Service::Draining => self.jiffies.at(lease.until),
            Service::Silent => 0,
        };
        if self.told != Some((service, until)) {
            self.lease.store(service, until);
            self.told = Some((service, until));
        }
    }

    fn reserve(&mut self, epoch: Epoch) {
        self.leave(Job::Reserve(epoch));
    }

    fn acquire(&mut self, epoch: Epoch, fence: bool) {
        self.owns.store(true, Ordering::Release);
        self.leave(Job::Acquire { epoch, fence });
    }

    fn release(&mut self) {
        // Before the peer hears that it may have the VIPs: the job may have to wait.
        self.owns.store(false, Ordering::Release);
        self.leave(Job::Release);
    }

    fn tell(&mut self, event: Event) {
        self.leave(Job::Tell(event.clone()));
        self.journal.note(event);
    }
}
