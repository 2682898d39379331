//! The schedulers of IPVS, and what comes nearest to each.

use super::remarks::Remarks;

/// What comes nearest to a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scheduler {
    /// Weights follow the load that the reals report.
    pub(super) follows_load: bool,
    /// All reals count the same; those of weight 0 get nothing.
    pub(super) ignores_weights: bool,
}

/// Looks a scheduler up, and says what is particular about it.
pub(super) fn look_up(name: &str, line: usize, remarks: &mut Remarks) -> Scheduler {
    let (follows_load, ignores_weights) = match name {
        "rr" | "dh" => (false, true),
        "wrr" | "sh" | "mh" | "twos" => (false, false),
        "lc" => (true, true),
        "wlc" | "sed" | "nq" | "fo" | "ovf" | "lblc" | "lblcr" => (true, false),
        _ => {
            remarks.add(line, format!("scheduler {name:?} is not known: flows are spread by weight"));
            return Scheduler { follows_load: false, ignores_weights: false };
        }
    };
    match name {
        "lc" | "wlc" | "sed" | "nq" => remarks.add(
            line,
            format!("scheduler {name}: connections are not counted; weights follow the load that lb-agent reports, and stay as they are without it"),
        ),
        "fo" | "ovf" | "lblc" | "lblcr" => {
            remarks.add(line, format!("scheduler {name} has no counterpart: flows are spread by weight"));
        }
        "sh" => remarks.add(line, "scheduler sh: a flow is hashed by both addresses and ports, so a client's flows may go to different reals"),
        _ => {}
    }
    Scheduler { follows_load, ignores_weights }
}
