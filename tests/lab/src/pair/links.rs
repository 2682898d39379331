//! What connects the nodes of a pair, and how it is cut: swallowed by the switch with carrier up, in one direction or
//! both, or unplugged.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::PairNetwork;
use crate::command::output;
use crate::namespace::Namespace;

/// The switch's rules. Cuts are elements of its sets: added and removed in one transaction.
const RULES: &str = "table bridge cuts {
  set sent { type ifname; }
  set received { type ifname; }
  set to_peer { type ifname . ifname; }
  chain loss { }
  chain forward {
    type filter hook forward priority 0;
    iifname @sent drop
    oifname @received drop
    iifname . oifname @to_peer drop
    iifname . oifname { lb-1 . lb-2, lb-2 . lb-1, lb-1-hb . lb-2-hb, lb-2-hb . lb-1-hb } jump loss
  }
  chain input { type filter hook input priority 0; iifname @sent drop; }
  chain output { type filter hook output priority 0; oifname @received drop; }
}";

/// What connects a node, and carries heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// `eth0`: clients, real servers and the peer.
    Service,
    /// `eth1`: the peer alone.
    Heartbeat,
    /// The serial line.
    Serial,
}

impl Link {
    /// All.
    pub const ALL: [Link; 3] = [Link::Service, Link::Heartbeat, Link::Serial];

    /// The switch's port that a node, counted from 0, is on by this link.
    pub(super) fn port(self, node: usize) -> String {
        let name = PairNetwork::node_name(node);
        if self == Link::Service { name } else { format!("{name}-hb") }
    }
}

/// One thing that is lost without a sign. Nodes are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// All that a node sends on a link.
    Sent(Link, usize),
    /// All that a node would receive on a link.
    Received(Link, usize),
    /// What a node sends to its peer on a link. Clients and real servers are reached.
    ToPeer(Link, usize),
}

impl Cut {
    /// A node on a link, both ways.
    pub fn link(link: Link, node: usize) -> [Cut; 2] {
        [Cut::Sent(link, node), Cut::Received(link, node)]
    }

    /// A path between the nodes, both ways. Clients and real servers are reached.
    pub fn path(link: Link) -> [Cut; 2] {
        [Cut::ToPeer(link, 0), Cut::ToPeer(link, 1)]
    }

    /// A node on all its links, both ways.
    pub fn node(node: usize) -> Vec<Cut> {
        Link::ALL.iter().flat_map(|link| Cut::link(*link, node)).collect()
    }

    /// The set of the switch that it is in, and its element there; nothing for the serial line.
    fn element(self) -> Option<(&'static str, String)> {
        match self {
            Cut::Sent(Link::Serial, _) | Cut::Received(Link::Serial, _) | Cut::ToPeer(Link::Serial, _) => None,
            Cut::Sent(link, node) => Some(("sent", link.port(node))),
            Cut::Received(link, node) => Some(("received", link.port(node))),
            Cut::ToPeer(link, node) => Some(("to_peer", format!("{} . {}", link.port(node), link.port(1 - node)))),
        }
    }

    /// Whose bytes on the serial line are lost.
    fn serial_sender(self) -> Option<usize> {
        match self {
            Cut::Sent(Link::Serial, node) | Cut::ToPeer(Link::Serial, node) => Some(node),
            Cut::Received(Link::Serial, node) => Some(1 - node),
            _ => None,
        }
    }
}

/// Lays down the rules that cuts become elements of.
pub(super) fn prepare(switch: &Namespace) -> Result<()> {
    nft(switch, RULES)
}

impl PairNetwork {
    /// Cuts all of these at one instant: the switch's in one transaction, and the serial line right after it.
    pub fn cut(&self, cuts: &[Cut]) -> Result<()> {
        self.change("add", true, cuts)
    }

    /// Mends what was cut.
    pub fn mend(&self, cuts: &[Cut]) -> Result<()> {
        self.change("delete", false, cuts)
    }

    /// Mends all cuts and all loss. What is unplugged stays so.
    pub fn mend_all(&self) -> Result<()> {
        self.serial.cut(false);
        let sets = ["sent", "received", "to_peer"].map(|set| format!("flush set bridge cuts {set}\n"));
        nft(&self.switch, &(sets.concat() + "flush chain bridge cuts loss\n"))
    }

    /// From now on, of a thousand packets between the nodes on either NIC so many are lost, at random.
    pub fn lose(&self, per_mille: u32) -> Result<()> {
        let rule = match per_mille {
            0 => String::new(),
            1..=999 => format!("add rule bridge cuts loss numgen random mod 1000 < {per_mille} drop\n"),
            _ => "add rule bridge cuts loss drop\n".to_string(),
        };
        nft(&self.switch, &format!("flush chain bridge cuts loss\n{rule}"))
    }

    /// Unplugs a node's link: its carrier is gone. The peer keeps its own carrier: there is a switch between them.
    pub fn unplug(&self, link: Link, node: usize) -> Result<()> {
        match link {
            Link::Serial => self.serial.unplug(node),
            _ => self.switch.ip(&format!("link set dev {} down", link.port(node))).map(drop),
        }
    }

    /// Plugs a node's link in again.
    pub fn plug_in(&self, link: Link, node: usize) -> Result<()> {
        match link {
            Link::Serial => self.serial.plug_in(node),
            _ => self.switch.up(&link.port(node)),
        }
    }

    fn change(&self, verb: &str, cut: bool, cuts: &[Cut]) -> Result<()> {
        // A cut may be named twice, as a node's and as a path's.
        let cuts: BTreeSet<Cut> = cuts.iter().copied().collect();
        let elements = cuts.iter().filter_map(|cut| cut.element());
        let script: String =
            elements.map(|(set, element)| format!("{verb} element bridge cuts {set} {{ {element} }}\n")).collect();
        if !script.is_empty() {
            nft(&self.switch, &script)?;
        }
        for sender in cuts.iter().filter_map(|cut| cut.serial_sender()) {
            self.serial.sent_by(sender).cut(cut);
        }
        Ok(())
    }
}

fn nft(switch: &Namespace, script: &str) -> Result<()> {
    if let Err(error) = output(switch.command("nft").arg(script)) {
        bail!("{error:#}; the script was: {script}");
    }
    Ok(())
}
