//! Whether a stall of the node that was active explains why the other one took over.

use crate::diary::{Stall, Takeover};

/// What a pair's times say about a silence that a stall makes, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Silence {
    /// Tb.
    pub interval_ms: f64,
    /// n.
    pub missed_limit: u32,
    /// The longest time from the last sign of life to the takeover, without loss.
    pub detection_max_ms: f64,
}

/// The journal's clock has whole milliseconds.
const CLOCK_MS: f64 = 1.0;

impl Silence {
    /// The stall that explains a takeover: of the node that was active, and of n - 1 periods at least in the time that the detector has looked
    /// at. A node says by how much it was woken too late; it may have slept for half a period before that.
    pub fn explained_by<'a>(&self, takeover: &Takeover, stalls: &'a [Stall]) -> Option<&'a Stall> {
        let least = (f64::from(self.missed_limit) - 1.5) * self.interval_ms - CLOCK_MS;
        let to = takeover.at_ms as f64 + CLOCK_MS;
        let from = takeover.at_ms as f64 - self.detection_max_ms - CLOCK_MS;
        stalls.iter().filter(|stall| stall.node != takeover.by).find(|stall| {
            let until = stall.until_ms as f64;
            until.min(to) - (until - stall.for_ms).max(from) >= least
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Silence = Silence { interval_ms: 5.0, missed_limit: 3, detection_max_ms: 17.2 };

    fn stall(node: usize, until_ms: u64, for_ms: f64) -> Stall {
        Stall { node, until_ms, for_ms }
    }

    #[test]
    fn only_a_long_stall_of_the_active_node_just_before_explains() {
        let takeover = Takeover { at_ms: 1_000, by: 1, epoch: 2, why: String::new() };
        let explains = |stall: Stall| SILENCE.explained_by(&takeover, &[stall]).is_some();
        assert!(explains(stall(0, 1_002, 14.0)));
        assert!(explains(stall(0, 1_500, 515.0)), "it went on after the takeover");
        assert!(!explains(stall(1, 1_002, 14.0)), "its own");
        assert!(!explains(stall(0, 1_002, 5.0)), "too short");
        assert!(!explains(stall(0, 980, 14.0)), "over before the first ask that was missed");
        assert!(!explains(stall(0, 1_500, 490.0)), "begun after it");
    }
}
