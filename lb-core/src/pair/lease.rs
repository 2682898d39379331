//! The lease: until when the data plane serves if nobody tells it more.
//!
//! It is renewed by every look at the clock that comes in time. After this node was off the CPU, or when the lease has run out, it is not
//! renewed before something newer than that is known of the peer: see [`Keeper::confirm`].

use super::{Lease, Micros, Service};

/// Keeps the lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeper {
    service: Service,
    until: Micros,
    renewal: Renewal,
}

/// What becomes of the lease by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// It is renewed.
    Runs,
    /// It runs out unless the peer is heard or dead by what was asked since then.
    Reconfirming { since: Micros },
    /// It runs to its end: the daemon is about to restart.
    Ends,
}

impl Keeper {
    pub(super) fn silent() -> Self {
        Self { service: Service::Silent, until: 0, renewal: Renewal::Ends }
    }

    /// After a restart: what the daemon before has left runs on, and is not renewed yet.
    pub(super) fn resumed(until: Micros, now: Micros) -> Self {
        Self { service: Service::Serving, until, renewal: Renewal::Reconfirming { since: now } }
    }

    pub(super) fn serve(&mut self, length: Micros, now: Micros) {
        *self = Self { service: Service::Serving, until: now + length, renewal: Renewal::Runs };
    }

    /// Forwards for a moment what still comes. A node whose lease has ended was silent, and stays so.
    pub(super) fn drain(&mut self, length: Micros, now: Micros) {
        let may_drain = self.is_serving() && now < self.until && length > 0;
        *self = if may_drain {
            Self { service: Service::Draining, until: now + length, renewal: Renewal::Ends }
        } else {
            Self::silent()
        };
    }

    /// This node was off the CPU until now. True where the peer has to be heard.
    pub(super) fn stalled(&mut self, now: Micros) -> bool {
        let must_reconfirm = self.is_serving() && self.renewal != Renewal::Ends;
        if must_reconfirm {
            self.renewal = Renewal::Reconfirming { since: now };
        }
        must_reconfirm
    }

    /// Renews, where nothing is in the way. True where the lease has run out and the peer has to be heard.
    pub(super) fn renew(&mut self, length: Micros, now: Micros) -> bool {
        if !self.is_serving() || matches!(self.renewal, Renewal::Reconfirming { .. }) {
            return false;
        }
        if now >= self.until {
            self.renewal = Renewal::Reconfirming { since: now };
            return true;
        }
        if self.renewal == Renewal::Runs {
            self.until = now + length;
        }
        false
    }

    /// The peer has been heard and does not claim, or is dead, by what was asked after `reconfirming_since`.
    pub(super) fn confirm(&mut self, length: Micros, now: Micros) {
        self.serve(length, now);
    }

    /// The lease runs until then, and no longer.
    pub(super) fn end_at(&mut self, until: Micros) {
        self.until = until;
        self.renewal = Renewal::Ends;
    }

    pub(super) fn reconfirming_since(&self) -> Option<Micros> {
        match self.renewal {
            Renewal::Reconfirming { since } if self.is_serving() => Some(since),
            _ => None,
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.service == Service::Serving
    }

    pub(super) fn service(&self) -> Service {
        self.service
    }

    pub(super) fn remaining(&self, now: Micros) -> Micros {
        self.until.saturating_sub(now)
    }

    pub(super) fn lease(&self) -> Lease {
        Lease { service: self.service, until: self.until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_has_ended_is_not_renewed_by_itself() {
        let mut keeper = Keeper::silent();
        keeper.serve(10, 0);
        assert!(!keeper.renew(10, 9));
        assert_eq!(keeper.remaining(9), 10);
        assert!(keeper.renew(10, 19), "the peer has to be heard");
        assert_eq!(keeper.reconfirming_since(), Some(19));
        assert!(!keeper.renew(10, 20));
        assert_eq!(keeper.remaining(20), 0);
    }

    #[test]
    fn a_node_whose_lease_has_ended_does_not_drain() {
        let mut keeper = Keeper::silent();
        keeper.serve(10, 0);
        let mut late = keeper;
        keeper.drain(50, 9);
        assert_eq!(keeper.lease(), Lease { service: Service::Draining, until: 59 });
        late.drain(50, 10);
        assert_eq!(late.service(), Service::Silent);
    }
}
