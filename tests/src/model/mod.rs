//! The reference model: what `docs/reference/forwarding.md` says, in plain Rust, and nothing from the XDP program.
//!
//! It is written to be compared with the page section by section, not to be fast. Golden and random packets hold the
//! program to it.

mod branch;
mod decide;
mod effects;
mod guard;
mod hash;
mod icmp;
mod nat;
mod node;
mod parse;
mod quic;
mod quote;
mod reply;
mod reset;
mod send;
mod state;
mod tell;
mod trace;
mod translate;
mod tunnel;
mod ways;

pub use branch::Branch;
pub use effects::Effects;
pub use guard::COARSE_NOW;
pub use hash::{flow_hash, one_packet_hash, second_hash, slot_of};
pub use node::JIFFIES;
pub use quic::QuicRow;
pub use state::{AccessEntry, HEADROOM, Limits, State, VipPrefixEntry};
pub use trace::{Traced, TracedReal};
pub use ways::{Leads, Only, Route, WAY_IFINDEX, WAY_MAC, Ways};

use lb_common::{DropReason, Event, VipKey};

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Gone, and counted.
    Drop,
    /// Left to the kernel.
    Pass,
    /// Back out of the interface that it came in by.
    Tx,
    /// Out of another interface.
    Redirect,
}

impl Verdict {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Pass, Self::Tx, Self::Redirect];

    /// The number that an XDP program returns.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Drop => 1,
            Self::Pass => 2,
            Self::Tx => 3,
            Self::Redirect => 4,
        }
    }

    /// The verdict that an XDP program returns as `code`.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }
}

/// A frame handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Its bytes afterwards. Those of a dropped frame do not matter.
    pub frame: Vec<u8>,
    /// Where it is redirected to.
    pub redirect: Option<u32>,
}

/// Why a frame is not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Pass,
    /// The packet is for no VIP: perhaps it is a reply.
    NoVip,
    PassForVip,
    Drop(DropReason),
}

impl State {
    /// Handles one frame that came in by the interface `ingress_ifindex` at `now` (nanoseconds).
    pub fn forward(&mut self, frame: &[u8], ingress_ifindex: u32, now: u64) -> Outcome {
        match self.handle(frame, ingress_ifindex, now) {
            Ok(outcome) => outcome,
            Err(end) => self.end(end, frame),
        }
    }

    fn handle(&mut self, frame: &[u8], ingress: u32, now: u64) -> Result<Outcome, End> {
        let link = parse::link(self, frame)?;
        self.lease(frame, &link, ingress)?;
        let packet = match parse::parse(self, frame, &link) {
            Err(End::NoVip) => return self.elsewhere(frame, &link, ingress),
            parsed => parsed?,
        };
        match packet.content {
            parse::Content::Fragment(key) => self.later_fragment(&packet, key, ingress),
            parse::Content::Flow { flags, first_fragment } => self.flow(&packet, flags, first_fragment, ingress, now),
            parse::Content::Icmp => self.icmp(&packet, ingress),
        }
    }

    /// Section 15: whether a packet for a VIP is for an address of a prefix.
    fn is_of_prefix(&mut self, frame: &[u8]) -> bool {
        let destination = parse::link(self, frame).ok().and_then(|link| parse::destination(frame, &link));
        destination
            .is_some_and(|(address, family)| !self.vips.contains_key(&VipKey { address, family, reserved: [0; 3] }))
    }

    fn end(&mut self, end: End, frame: &[u8]) -> Outcome {
        let verdict = match end {
            End::Pass | End::NoVip => Verdict::Pass,
            End::PassForVip if self.is_of_prefix(frame) => {
                self.saw(Branch::PrefixNoService);
                self.effects.drops[DropReason::NoService as usize] += 1;
                Verdict::Drop
            }
            End::PassForVip => {
                self.event(Event::VipPassed);
                Verdict::Pass
            }
            End::Drop(reason) => {
                self.effects.drops[reason as usize] += 1;
                Verdict::Drop
            }
        };
        Outcome { verdict, frame: frame.to_vec(), redirect: None }
    }
}
