//! Whether both nodes have the same: VIPs, services, slots.

use super::Facts;

/// What a comparison of both nodes' facts says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sync {
    /// One of the nodes has not told its facts.
    Unknown,
    /// The VIPs differ: the nodes are configured for different things.
    VipsDiffer,
    /// Services or reals differ.
    ServicesDiffer,
    /// The slots differ: flows could go to other reals, and no checkpoints carry them over.
    SlotsDiffer,
    /// The same slots on both nodes remember, and no checkpoints carry flows over: where they send some is in the active node's flow table alone.
    FlowsApart,
    /// All is the same.
    InSync,
}

impl Sync {
    /// Compares. `remembers` says that some of this node's slots go by the flow table; of the peer's too, then, where the slots are the same.
    /// `carried` says that the standby is told of every move and every flow at once: then digests of a moment ago say less than that.
    #[must_use]
    pub fn of(mine: Option<&Facts>, peers: Option<&Facts>, remembers: bool, carried: bool) -> Self {
        match (mine, peers) {
            (Some(a), Some(b)) if a.vips != b.vips => Self::VipsDiffer,
            (Some(a), Some(b)) if a.services != b.services => Self::ServicesDiffer,
            (Some(_), Some(_)) if carried => Self::InSync,
            (Some(a), Some(b)) if a.slots != b.slots => Self::SlotsDiffer,
            (Some(_), Some(_)) if remembers => Self::FlowsApart,
            (Some(_), Some(_)) => Self::InSync,
            _ => Self::Unknown,
        }
    }

    /// The verdict in words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "the nodes have not compared what they have yet",
            Self::VipsDiffer => "the nodes have different VIPs: make their configurations alike",
            Self::ServicesDiffer => {
                "the nodes have different services or real servers: make their configurations alike"
            }
            Self::SlotsDiffer => {
                "the nodes' slots differ, and no checkpoints carry them over now: see `lbctl checkpoint show`"
            }
            Self::FlowsApart => {
                "slots were moved not long ago, and some of their flows are known to the active node alone, since no checkpoints carry them \
                 over now: see `lbctl checkpoint show`. `flow_idle_timeout` after the last move none is left"
            }
            Self::InSync => "the nodes have the same VIPs, services and slots",
        }
    }
}
