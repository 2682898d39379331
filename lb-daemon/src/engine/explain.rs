//! What the counters mean, in a sentence, for people who look at them.

use lb_common::{DropReason, Event};

/// Why packets were dropped, and what to do about it.
pub(super) fn drop_reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Malformed => "A header contradicts itself or the payload is too short for it.",
        DropReason::Truncated => "The frame is shorter than the length in its IP header.",
        DropReason::ExtensionHeaders => "More IPv6 extension headers than the program walks.",
        DropReason::FragmentUnknown => {
            "A fragment came before its first fragment, or that was lost: clients should avoid fragments."
        }
        DropReason::NoRing => "The service has no ring: look for errors in lbd's log.",
        DropReason::NoReal => {
            "Every real of the service is down, drained, disabled or has weight 0: `lbctl table` says which, and why."
        }
        DropReason::RealDown => {
            "The flow's real is disabled or no longer configured: `lbctl enable REAL` brings it back."
        }
        DropReason::NoNextHop => "The way to the real is not known: `lbctl status` says which real, and why.",
        DropReason::FamilyMismatch => "The forward mode cannot carry the packet's address family to the real's.",
        DropReason::TooBig => {
            "Too big for the tunnel, and not a packet that may be answered: raise the MTU towards the reals."
        }
        DropReason::NoHeadroom => "The frame has no room for the outer header: the driver leaves too little.",
        DropReason::NoRoute => "A real's reply to where the host's routes do not lead: `ip route get CLIENT` says why.",
        DropReason::NotForwarding => {
            "A real's reply came in by an interface that does not forward: `sysctl net.ipv4.conf.all.forwarding=1` (ipv6: the same)."
        }
        DropReason::NoNeighbour => {
            "A real's reply whose next hop's MAC address the host did not know yet; it has been asked for."
        }
        DropReason::AccessDenied => "From an address that the service does not take packets from (allow, deny).",
        DropReason::RateLimited => {
            "New connections of a source that begins more than the service's new_flow_limit lets it."
        }
        DropReason::NoService => {
            "No service claims the packet, and its VIP is a whole prefix: the host has no such address. Clients that use other ports or protocols, and scanners, make for some."
        }
        DropReason::Standby => "The peer answers for the VIPs, or nobody does: `lbctl pair` says which, and why.",
        DropReason::LeaseExpired => {
            "This node served, and lbd did not renew its lease: it was stopped or stalled, or it could not tell whether its peer serves."
        }
    }
}

/// What else happened to packets.
pub(super) fn event(event: Event) -> &'static str {
    match event {
        Event::VipPassed => "For a VIP but for no service: left to the kernel.",
        Event::EchoAnswered => "Echo requests (ping) to a VIP that were answered.",
        Event::TooBigAnswered => "Too big for the tunnel: the sender was told to send smaller packets.",
        Event::IcmpErrorForwarded => "ICMP errors that were sent to the real of the flow that they are about.",
        Event::FragmentForwarded => "Later fragments that were sent after their first fragment.",
        Event::FlowRemembered => "Flows that were written to the flow table, since their slot had moved.",
        Event::FlowTableFull => {
            "Flows that the full flow table had no room for, and that may change their real: raise limits.flows."
        }
        Event::ResetAnswered => {
            "TCP packets that no real is there for, answered with a RST as all_down = \"reset\" wants."
        }
        Event::ReplyForwarded => "Replies of reals in `nat` mode that were sent to their clients.",
        Event::HotDiverted => "New flows of a hot real that were sent to another.",
        Event::SynUnnoted => "SYNs that were sent to a real and not noted, since their service is under a SYN flood.",
        Event::QuicRouted => "Packets that went to the real that their QUIC connection id names.",
        Event::QuicUnrouted => {
            "Packets of QUIC services whose connection id names no real that is alive: they went by their flow. Each connection begins with some."
        }
        Event::FlowEventLost => {
            "Flows that were remembered or forgotten faster than lbd reads of it: all flows are then sent to the peer again. \
             Where it goes on, raise checkpoint.flow_events_size."
        }
    }
}
