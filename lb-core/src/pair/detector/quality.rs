//! How good a detector has been: T_D, mistakes and P_A, as Chen, Toueg and Aguilera have them.
//!
//! Whether the peer was dead is known only later: one that is heard again without a new start, and without a takeover of need in between, had
//! lived all the time, and the verdict was a mistake.

use crate::pair::{Micros, view::QualityView};

/// The verdicts of one detector, counted.
#[derive(Debug)]
pub(crate) struct Quality {
    since: Micros,
    /// When the verdict fell that still stands, and when the last sign of life had come, if any had.
    verdict: Option<(Micros, Option<Micros>)>,
    was_takeover: bool,
    detections: u32,
    detection_total: Micros,
    detection_max: Micros,
    mistakes: u32,
    mistaken: Micros,
    /// The time in which there was nothing to be mistaken about.
    rightly_dead: Micros,
}

impl Quality {
    pub(crate) fn new(since: Micros) -> Self {
        Self {
            since,
            verdict: None,
            was_takeover: false,
            detections: 0,
            detection_total: 0,
            detection_max: 0,
            mistakes: 0,
            mistaken: 0,
            rightly_dead: 0,
        }
    }

    /// The peer is called dead; it was heard last at `heard_at`, if ever.
    pub(crate) fn suspect(&mut self, heard_at: Option<Micros>, now: Micros) {
        self.verdict = Some((now, heard_at));
        self.was_takeover = false;
    }

    /// Its VIPs are taken over for that.
    pub(crate) fn take_over(&mut self) {
        let Some((at, heard_at)) = self.verdict else { return };
        self.was_takeover = true;
        // A peer that has never been heard has not died while this node was watching: there is nothing to measure.
        let Some(heard_at) = heard_at else { return };
        let took = at.saturating_sub(heard_at);
        self.detections += 1;
        self.detection_total += took;
        self.detection_max = self.detection_max.max(took);
    }

    /// It is heard again: after a `new_start`, or as if nothing had been.
    pub(crate) fn trust(&mut self, new_start: bool, now: Micros) {
        let Some((at, _)) = self.verdict.take() else { return };
        let between = now.saturating_sub(at);
        if new_start || self.was_takeover {
            self.rightly_dead += between;
        } else {
            self.mistakes += 1;
            self.mistaken += between;
        }
    }

    pub(crate) fn view(&self, now: Micros) -> QualityView {
        let open = self.verdict.map_or(0, |(at, _)| now.saturating_sub(at));
        let watched = now.saturating_sub(self.since).saturating_sub(self.rightly_dead + open);
        let trusted = watched.saturating_sub(self.mistaken);
        QualityView {
            detections: self.detections,
            detection_mean_us: self.detection_total / Micros::from(self.detections.max(1)),
            detection_max_us: self.detection_max,
            mistakes: self.mistakes,
            accuracy_permille: (trusted * 1000).checked_div(watched).map_or(1000, |share| share as u16),
        }
    }
}
