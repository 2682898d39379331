//! Does what the node decides. Everything here is called by the heartbeat thread, and waits for nothing.

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
}

impl Deputies {
    pub(super) fn new(lease: LeaseMap, jiffies: Jiffies, jobs: Jobs, journal: Journal) -> Self {
        Self { lease, jiffies, told: None, jobs, journal }
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
        // A time of its own, not one from now: however late it is stored, it means the same.
        let until = match lease.service {
            Service::Serving | Service::Draining => self.jiffies.at(lease.until),
            Service::Silent => 0,
        };
        if self.told != Some((lease.service, until)) {
            self.lease.store(lease.service, until);
            self.told = Some((lease.service, until));
        }
    }

    fn reserve(&mut self, epoch: Epoch) {
        self.leave(Job::Reserve(epoch));
    }

    fn acquire(&mut self, epoch: Epoch, fence: bool) {
        self.leave(Job::Acquire { epoch, fence });
    }

    fn release(&mut self) {
        self.leave(Job::Release);
    }

    fn tell(&mut self, event: Event) {
        self.leave(Job::Tell(event.clone()));
        self.journal.note(event);
    }
}
