//! What a node shows of itself.

use super::{Node, detection_time};
use crate::pair::{
    Micros, PathOptions,
    view::{LeaseView, PairView},
};

impl Node {
    /// How everything is, for people.
    #[must_use]
    pub fn view(&self, now: Micros) -> PairView {
        let paths: Vec<PathOptions> = self.paths.iter().map(|path| path.options).collect();
        PairView {
            role: self.options.role,
            boot: self.options.boot,
            state: self.state,
            for_us: now.saturating_sub(self.since),
            epoch: self.epoch,
            fitness: self.fitness,
            lacks: self.lacks.clone(),
            held: self.held,
            forbidden: self.forbids(),
            stopping: self.is_stopping(),
            moving: self.moving(),
            peer: self.peer.view(now),
            sync: self.sync,
            paths: self.paths.iter().map(|path| path.view(now)).collect(),
            lease: LeaseView {
                service: self.keeper.service(),
                remaining_us: self.keeper.remaining(now),
                reconfirming: self.keeper.reconfirming_since().is_some(),
            },
            quality: self.peer.quality.view(now),
            detection_us: detection_time(&paths),
            stalls: self.stalls,
        }
    }

    fn moving(&self) -> Option<String> {
        if self.restart.is_some() {
            return Some("a restart is announced to the peer".to_owned());
        }
        let errand = self.errand.map(|errand| errand.why.words().to_owned());
        errand.or_else(|| self.want.map(|_| "this node wants the VIPs".to_owned()))
    }
}
