//! Section 10: a node that does not serve.

use lb_common::{
    DropReason, FAMILY_V4, FAMILY_V6, MAX_EXTENSION_HEADERS, NODE_DRAINING, NODE_SERVING, NODE_SILENT, NODE_SOLO,
    NodeState,
};

use super::parse::{Link, address, be16};
use super::{Branch, End, State};

/// The jiffies of every frame. The kernel's own can be neither set nor foretold, so the leases of tests end long before these or long after.
pub const JIFFIES: u64 = 1 << 40;

/// What the node is to the VIPs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Serves,
    Drains,
    Silent(DropReason),
}

impl State {
    /// Says what a frame comes to where the node does not serve.
    pub(super) fn lease(&mut self, frame: &[u8], link: &Link, ingress: u32) -> Result<(), End> {
        let (ethertype, left) = (link.ethertype, &frame[link.end..]);
        let node = self.node();
        if node == Node::Serves {
            return Ok(());
        }
        if let Node::Silent(reason) = node
            && let Some(branch) = self.for_vip(ethertype, left)
        {
            self.saw(branch);
            return Err(End::Drop(reason));
        }
        if self.asks_for_vip(ethertype, left) {
            let (reason, branch) = match node {
                Node::Silent(reason) => (reason, Branch::SilentAsked),
                _ => (DropReason::Standby, Branch::DrainingAsked),
            };
            self.saw(branch);
            return Err(End::Drop(reason));
        }
        let Node::Silent(reason) = node else { return Ok(()) };
        let Some(reply) = self.reply(frame, link) else {
            self.saw(Branch::SilentOther);
            return Err(End::Pass);
        };
        self.way(&reply, ingress)?;
        self.saw(Branch::SilentReply);
        Err(End::Drop(reason))
    }

    /// The table.
    fn node(&mut self) -> Node {
        let NodeState { lease_until, service, .. } = self.node;
        let in_time = JIFFIES < lease_until;
        let (node, branch) = match service {
            NODE_SOLO => (Node::Serves, Branch::NodeSolo),
            NODE_SERVING if in_time => (Node::Serves, Branch::NodeServing),
            NODE_SERVING => (Node::Silent(DropReason::LeaseExpired), Branch::NodeServingExpired),
            NODE_DRAINING if in_time => (Node::Drains, Branch::NodeDraining),
            NODE_DRAINING => (Node::Silent(DropReason::LeaseExpired), Branch::NodeDrainingExpired),
            NODE_SILENT => (Node::Silent(DropReason::Standby), Branch::NodeSilent),
            _ => (Node::Silent(DropReason::Standby), Branch::NodeUnknown),
        };
        self.saw(branch);
        node
    }

    fn for_vip(&mut self, ethertype: u16, left: &[u8]) -> Option<Branch> {
        match ethertype {
            0x0800 if left.len() >= 20 && left[0] >> 4 == 4 => {
                self.is_vip(address(&left[16..20]), FAMILY_V4).then_some(Branch::SilentV4)
            }
            0x86dd if is_v6(left) => self.is_vip(address(&left[24..40]), FAMILY_V6).then_some(Branch::SilentV6),
            _ => None,
        }
    }

    fn asks_for_vip(&mut self, ethertype: u16, left: &[u8]) -> bool {
        match ethertype {
            0x0806 => self.arp_asks_for_vip(left),
            0x86dd if is_v6(left) => self.solicits_vip(left),
            _ => false,
        }
    }

    fn arp_asks_for_vip(&mut self, arp: &[u8]) -> bool {
        if arp.len() < 28 {
            self.saw(Branch::ArpShort);
            return false;
        }
        if be16(arp, 2) != 0x0800 || arp[4] != 6 || arp[5] != 4 || be16(arp, 6) != 1 {
            self.saw(Branch::ArpNoRequest);
            return false;
        }
        let found = self.is_vip(address(&arp[24..28]), FAMILY_V4);
        self.saw(if found { Branch::ArpVip } else { Branch::ArpNoVip });
        found
    }

    fn solicits_vip(&mut self, packet: &[u8]) -> bool {
        let (mut next, mut rest) = (packet[6], &packet[40..]);
        let mut walked = 0;
        while matches!(next, 0 | 43 | 60) && walked < MAX_EXTENSION_HEADERS {
            if rest.len() < 8 {
                self.saw(Branch::SolicitationExtensionCut);
                return false;
            }
            let length = (usize::from(rest[1]) + 1) * 8;
            next = rest[0];
            rest = rest.get(length..).unwrap_or(&[]);
            walked += 1;
        }
        if next != 58 || rest.len() < 24 || rest[0] != 135 {
            self.saw(Branch::SolicitationNone);
            return false;
        }
        let found = self.is_vip(address(&rest[8..24]), FAMILY_V6);
        self.saw(match (found, walked) {
            (false, _) => Branch::SolicitationNoVip,
            (true, 0) => Branch::SolicitationVip,
            (true, _) => Branch::SolicitationVipBehindExtensions,
        });
        found
    }
}

fn is_v6(left: &[u8]) -> bool {
    left.len() >= 40 && left[0] >> 4 == 6
}
