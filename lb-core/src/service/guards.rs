//! Which packets a service refuses.

use super::Prefix;

/// What a service's packets have to pass. The default lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Sources that are let in; where there are any, others are not.
    pub allow: Vec<Prefix>,
    /// Sources that are kept out. Of several prefixes that an address is in, the longest counts.
    pub deny: Vec<Prefix>,
    /// How many flows a source may begin; TCP only.
    pub new_flow_limit: Option<NewFlowLimit>,
    /// What counts as a SYN flood; TCP only.
    pub syn_flood: Option<SynFlood>,
}

/// How many flows a source may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlowLimit {
    /// In a second, in the long run: 1 to [`MAX_NEW_FLOWS`].
    pub rate: u32,
    /// At once, after a silence: 1 to [`MAX_NEW_FLOWS`].
    pub burst: u32,
    /// The leading bits of an address that make a source, 1 to 32 or 128.
    pub prefix: u8,
}

/// What counts as a SYN flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynFlood {
    /// More SYNs than this in a second.
    pub threshold: u32,
}

/// The greatest rate and burst of new flows.
pub const MAX_NEW_FLOWS: u32 = 1_000_000;

impl Guards {
    /// Whether anything may be refused or treated otherwise.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// How many prefixes it has.
    #[must_use]
    pub fn prefixes(&self) -> usize {
        self.allow.len() + self.deny.len()
    }
}
