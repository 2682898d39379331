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
    /// The slots differ: flows could go to other reals.
    SlotsDiffer,
    /// All is the same.
    InSync,
}

impl Sync {
    /// Compares.
    #[must_use]
    pub fn of(mine: Option<&Facts>, peers: Option<&Facts>) -> Self {
        match (mine, peers) {
            (Some(a), Some(b)) if a.vips != b.vips => Self::VipsDiffer,
            (Some(a), Some(b)) if a.services != b.services => Self::ServicesDiffer,
            (Some(a), Some(b)) if a.slots != b.slots => Self::SlotsDiffer,
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
            Self::SlotsDiffer => "the nodes' slots differ",
            Self::InSync => "the nodes have the same VIPs, services and slots",
        }
    }
}
