//! From following to leading: what the owner said is held for a grace, then this node's own checks, reports and plan rule.

use std::time::Duration;

use tracing::{debug, info};

use super::follow::{FLOWS, Following, STRANGERS};
use super::succeed::Predecessor;
use super::{CheckpointParts, Keeping, OWNER_PATIENCE, Standing};
use crate::engine::{Engine, NS_PER_MS};

impl Engine {
    /// This node serves: from now on it says what the table is. Packets do not wait for it.
    pub fn lead(&mut self) {
        let Some(keeping) = &mut self.keeping else { return };
        let before = std::mem::replace(&mut keeping.standing, Standing::Own);
        if let Standing::Following(following) = before {
            let Following { origin, dictionary, generation, .. } = *following;
            keeping.predecessor = Some(Predecessor { origin, dictionary });
            self.succeed(generation);
            self.troubles.clear(STRANGERS);
            self.troubles.clear(FLOWS);
        }
        self.know();
    }

    /// Nobody is known to serve. What the table says stays as it is for a while, unless an owner has said something already.
    pub fn wait_for_owner(&mut self) {
        let until_ns = self.forwarder.now_ns() + OWNER_PATIENCE.as_nanos() as u64;
        if let Some(keeping) = self.keeping.as_mut().filter(|keeping| matches!(keeping.standing, Standing::Own)) {
            keeping.standing = Standing::Waiting { until_ns };
        }
    }

    /// Ends the wait for an owner once it has been long enough.
    pub(in crate::engine) fn wait_no_longer_when_due(&mut self) {
        let now_ns = self.forwarder.now_ns();
        if let Some(keeping) = &mut self.keeping
            && matches!(keeping.standing, Standing::Waiting { until_ns } if until_ns <= now_ns)
        {
            keeping.standing = Standing::Own;
        }
    }

    /// What was said of the reals' health stays for the grace, and weights go on from where they were. Flows are as old as the takeover:
    /// when they were seen last only the predecessor knew.
    pub(super) fn succeed(&mut self, generation: u64) {
        let now_ns = self.forwarder.now_ns();
        let grace = self.settings.checkpoint.as_ref().map_or(Duration::ZERO, |checkpoint| checkpoint.grace);
        self.plan_held_until_ns = now_ns + grace.as_nanos() as u64;
        self.seen_floor_ns = now_ns;
        if let Some(keeping) = &self.keeping {
            let learned = keeping.known.iter().map(|(real, known)| (real.clone(), known.learned.clone()));
            self.balance.succeed(&learned.collect(), now_ns / NS_PER_MS);
        }
        let led = self.change(|table, now_ms| {
            table.raise_generation(generation);
            table.lead(now_ms);
            Ok(())
        });
        if let Err(error) = led {
            // The next change tries again.
            debug!("the table could not be brought in line: {error}");
        }
        info!("checkpoints: goes on with what the active node knew; own checks and reports rule in {grace:?}");
    }

    /// The plan is what the owner has left, or leaves, and not this node's own.
    pub(in crate::engine) fn is_plan_held(&self) -> bool {
        self.is_ruled_by_owner() || self.forwarder.now_ns() < self.plan_held_until_ns
    }
}

impl CheckpointParts {
    /// As the engine keeps them, apart from what is to be restored.
    pub(in crate::engine) fn keeping(self) -> (Keeping, Option<super::Restored>) {
        (Keeping::new(self.checkpoints, self.flows), self.restored)
    }
}
