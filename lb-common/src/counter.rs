//! The counters' indices and names: why a packet for a VIP was dropped, and what else happened to one.

macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $index:literal, $label:literal;)+ }) => {
        $(#[$meta])*
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant = $index,)+ }

        impl $name {
            /// Every one of them, in the order of their indices.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are: the counters' map has as many entries.
            pub const COUNT: u32 = Self::ALL.len() as u32;

            /// The name that the CLI and the metrics use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }
    };
}

counters! {
    /// Why a packet for a VIP, or a reply of a real in `nat` mode, was dropped.
    DropReason {
        /// A header contradicts itself, or the IP payload is too short for the transport header.
        Malformed = 0, "malformed";
        /// The frame ends before the IP length that its header gives.
        Truncated = 1, "truncated";
        /// More IPv6 extension headers than the program walks.
        ExtensionHeaders = 2, "extension_headers";
        /// A fragment whose first fragment was not seen.
        FragmentUnknown = 3, "fragment_unknown";
        /// The service has no ring.
        NoRing = 4, "no_ring";
        /// The slot has no real: every real of the service is down, drained, disabled or has weight 0.
        NoReal = 5, "no_real";
        /// The real is disabled.
        RealDown = 6, "real_down";
        /// The next hop to the real is not known.
        NoNextHop = 7, "no_next_hop";
        /// The forward mode cannot carry the packet's family to the real's.
        FamilyMismatch = 8, "family_mismatch";
        /// Too big for the tunnel, and not a packet that may be answered with an ICMP error.
        TooBig = 9, "too_big";
        /// The frame has no room for the outer header.
        NoHeadroom = 10, "no_headroom";
        /// The node is not the one that answers for the VIPs.
        Standby = 11, "standby";
        /// The node's lease has run out: its daemon has not renewed it.
        LeaseExpired = 12, "lease_expired";
        /// A reply of a real in `nat` mode, to a destination that the host's routes refuse.
        NoRoute = 13, "no_route";
        /// A reply of a real in `nat` mode, and the host does not forward packets that come in by its interface.
        NotForwarding = 14, "not_forwarding";
        /// A reply of a real in `nat` mode, and the MAC address of its next hop is not known yet.
        NoNeighbour = 15, "no_neighbour";
        /// The service takes no packets from the source (`allow`, `deny`).
        AccessDenied = 16, "access_denied";
        /// A SYN of a source that has begun too many flows of the service (`new_flow_limit`).
        RateLimited = 17, "rate_limited";
        /// No service claims it, and its VIP is a whole prefix, whose addresses are none of the host's.
        NoService = 18, "no_service";
    }
}

counters! {
    /// What else happened to packets for a VIP.
    Event {
        /// Left to the kernel, since no service claims it.
        VipPassed = 0, "vip_passed";
        /// Echo requests answered.
        EchoAnswered = 1, "echo_answered";
        /// Packets too big for the tunnel, answered with fragmentation-needed or packet-too-big.
        TooBigAnswered = 2, "too_big_answered";
        /// ICMP errors sent after the flow that they quote.
        IcmpErrorForwarded = 3, "icmp_error_forwarded";
        /// Fragments, other than first ones, sent after their first fragment.
        FragmentForwarded = 4, "fragment_forwarded";
        /// Flows newly written to the flow table.
        FlowRemembered = 5, "flow_remembered";
        /// Flows that the full flow table had no room for.
        FlowTableFull = 6, "flow_table_full";
        /// TCP packets whose slot has no real, answered with a RST.
        ResetAnswered = 7, "reset_answered";
        /// SYNs sent to their second slot's real, since their own slot's is hot.
        HotDiverted = 8, "hot_diverted";
        /// Flows remembered or forgotten of which the full ring buffer could not tell.
        FlowEventLost = 9, "flow_event_lost";
        /// Replies of reals in `nat` mode sent to their clients.
        ReplyForwarded = 10, "reply_forwarded";
        /// SYNs sent to a real and not noted, since their service is under a SYN flood.
        SynUnnoted = 11, "syn_unnoted";
        /// Packets sent to the real that their QUIC connection id names.
        QuicRouted = 12, "quic_routed";
        /// Packets of QUIC services whose connection id names no real that is alive: they went by their flow.
        QuicUnrouted = 13, "quic_unrouted";
    }
}
