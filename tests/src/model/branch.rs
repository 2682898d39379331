//! The branches of the page, counted so that a test can say which of them it has seen.

macro_rules! branches {
    ($($(#[$doc:meta])* $variant:ident,)+) => {
        /// One way through a decision of the page.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Branch { $($(#[$doc])* $variant,)+ }

        impl Branch {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
        }
    };
}

branches! {
    // Section 1.
    /// Fewer than 14 bytes.
    EthernetShort,
    /// A tag cut off.
    TagCut,
    /// A third tag.
    TagThird,
    /// One tag.
    OneTag,
    /// Two tags.
    TwoTags,
    /// Neither IPv4 nor IPv6.
    EtherTypeOther,
    // Section 2.
    /// Fewer than 20 bytes for IPv4.
    V4Short,
    /// Not version 4.
    V4Version,
    /// To no VIP.
    V4NoVip,
    /// IHL below 5.
    V4Ihl,
    /// Total length below the header's.
    V4TotalLength,
    /// The frame ends early.
    V4Truncated,
    /// Bytes after the packet.
    V4Padded,
    /// Options.
    V4Options,
    /// Another protocol.
    V4ProtocolOther,
    /// A later fragment of ICMP.
    V4LaterIcmp,
    /// A first fragment of ICMP.
    V4FirstIcmp,
    /// No room for the transport header.
    V4TransportShort,
    // Section 3.
    /// Fewer than 40 bytes for IPv6.
    V6Short,
    /// Not version 6.
    V6Version,
    /// To no VIP.
    V6NoVip,
    /// The frame ends early.
    V6Truncated,
    /// Bytes after the packet.
    V6Padded,
    /// An extension header walked.
    V6Extension,
    /// Too many of them.
    V6ExtensionsTooMany,
    /// One that is cut off.
    V6ExtensionCut,
    /// A second fragment header.
    V6FragmentTwice,
    /// A later fragment of something else.
    V6LaterOther,
    /// An atomic fragment.
    V6Atomic,
    /// Another next header.
    V6ProtocolOther,
    /// A first fragment of ICMPv6.
    V6FirstIcmp,
    /// No room for the transport header.
    V6TransportShort,
    // Section 4.
    /// A service of one port.
    ServiceSinglePort,
    /// A service of a port range or any port.
    ServicePortRange,
    /// No service; the VIP has ranges.
    ServiceMissRanges,
    /// No service; the VIP has no ranges.
    ServiceMiss,
    /// The service has no ring.
    RingMissing,
    /// Decision 1.
    SlotClean,
    /// The slot remembers.
    SlotRemembers,
    /// The slot is marked.
    SlotMarked,
    /// Decision 2: a SYN uses a flow's 5-tuple anew.
    FlowReused,
    /// Decision 2: the entry is of another service.
    FlowOfAnother,
    /// Decision 2: the flow's real is not alive.
    FlowRealDead,
    /// Decision 2: the flow's real.
    FlowHit,
    /// Decision 2: no entry.
    FlowMiss,
    /// Decision 3: the entry is of another service.
    HalfOpenOfAnother,
    /// Decision 3: the half-open flow's real is not alive.
    HalfOpenRealDead,
    /// Decision 3: the SYN came again.
    HalfOpenSyn,
    /// Decision 3: the half-open flow is reset.
    HalfOpenRst,
    /// Decision 3: the handshake goes on.
    HalfOpenGoesOn,
    /// Decision 4: a marked slot's SYN to the second slot's real.
    DivertedMarked,
    /// Decision 4: the SYN of a slot that remembers to the second slot's real.
    DivertedRemembers,
    /// Decision 4: the second slot's real is not alive.
    SecondDead,
    /// Decision 4: the second slot's real has no next hop.
    SecondUnresolved,
    /// Decision 4: the second slot's real is hot too.
    SecondHot,
    /// Decision 5.
    MarkedMiss,
    /// Decision 6: written to `half_open`.
    SynHalfOpen,
    /// Decision 6: the slot's real is not alive.
    SynRealDead,
    /// Decision 7: to the previous real.
    PreviousAlive,
    /// Decision 7: the previous real is not alive.
    PreviousDead,
    /// Decision 7: neither is alive, so nothing is remembered.
    PreviousBothDead,
    /// Decision 7: a RST is not remembered.
    RstNotRemembered,
    /// Decision 7: a UDP or SCTP flow.
    UdpRemembered,
    /// Decision 7: a client.
    ClientRemembered,
    /// A flow remembered.
    Remembered,
    /// No room in the flow table.
    NotRemembered,
    /// Told: a flow remembered.
    ToldRemembered,
    /// Told: an entry of the flow table deleted.
    ToldForgotten,
    /// Told: a half-open flow.
    ToldHalfOpen,
    /// Told: a half-open flow given up.
    ToldGivenUp,
    /// Told: no room.
    ToldNoRoom,
    /// Told: a half-open flow, and no room to spare.
    ToldNoneToSpare,
    /// Told: nobody wants to know.
    ToldNobody,
    /// Next state: RST.
    StateRst,
    /// Next state: FIN.
    StateFin,
    /// Next state: a reset flow goes on.
    StateReopened,
    /// Next state: as it was.
    StateKept,
    // Section 5.
    /// No real, and the service drops.
    RealNone,
    /// A real id outside `reals`.
    RealOutside,
    /// A real that is not alive.
    RealDead,
    /// `dsr` to another family.
    FamilyDsr,
    /// `ipip` that cannot be.
    FamilyIpip,
    /// `gue` that cannot be.
    FamilyGue,
    /// `nat` to another family.
    FamilyNat,
    /// No next hop.
    Unresolved,
    /// Forwarded in `dsr` mode, IPv4.
    DsrV4,
    /// Forwarded in `dsr` mode, IPv6.
    DsrV6,
    /// Forwarded as IPv4 in IPv4.
    IpipV4InV4,
    /// Forwarded as IPv4 in IPv6.
    IpipV4InV6,
    /// Forwarded as IPv6 in IPv6.
    IpipV6InV6,
    /// Forwarded by GUE as IPv4 in IPv4.
    GueV4InV4,
    /// Forwarded by GUE as IPv4 in IPv6.
    GueV4InV6,
    /// Forwarded by GUE as IPv6 in IPv6.
    GueV6InV6,
    /// The outer source is the tunnel's.
    SourceFixed,
    /// Some bits of the outer source are the flow's.
    SourceBits,
    /// A whole word of the outer source is the flow's.
    SourceBitsAll,
    /// More bits than a hash has.
    SourceBitsAbove,
    /// Forwarded in `nat` mode, IPv4.
    NatV4,
    /// Forwarded in `nat` mode, IPv6.
    NatV6,
    /// A later fragment forwarded in `nat` mode.
    NatLaterFragment,
    /// An ICMP error forwarded in `nat` mode.
    NatErrorV4,
    /// An ICMPv6 error forwarded in `nat` mode.
    NatErrorV6,
    /// No room for the outer header.
    OuterNoHeadroom,
    /// Out of the same interface.
    SameInterface,
    /// Out of another interface.
    OtherInterface,
    // Section 6.
    /// A first fragment noted.
    FragmentFirst,
    /// A later fragment of a known packet.
    FragmentKnown,
    /// A later fragment of an unknown packet.
    FragmentUnknown,
    /// A later fragment too big for the tunnel.
    FragmentTooBig,
    // Section 7.
    /// Echo answered, ICMP.
    EchoV4,
    /// Echo answered, ICMPv6.
    EchoV6,
    /// Echo with options or extension headers.
    EchoNotPlain,
    /// Another ICMP message.
    IcmpOther,
    /// An ICMP error that quotes too little or something else.
    ErrorQuoteBad,
    /// An ICMP error that quotes a packet of another source.
    ErrorQuoteSource,
    /// An ICMP error about no service.
    ErrorNoService,
    /// An ICMP error about a service without a ring.
    ErrorNoRing,
    /// An ICMP error, clean slot.
    ErrorClean,
    /// An ICMP error, flow known.
    ErrorFlow,
    /// An ICMP error, flow known and its real not alive.
    ErrorFlowDead,
    /// An ICMP error, half-open flow known.
    ErrorHalfOpen,
    /// An ICMP error, half-open flow known and its real not alive.
    ErrorHalfOpenDead,
    /// An ICMP error, marked slot.
    ErrorMarked,
    /// An ICMP error, to the previous real.
    ErrorPrevious,
    /// An ICMP error, the previous real not alive.
    ErrorPreviousDead,
    /// An ICMP error about a packet that went by itself.
    ErrorOnePacket,
    /// An ICMP error, by its client.
    ErrorOfClient,
    /// An ICMP error forwarded.
    ErrorForwarded,
    /// An ICMP error too big for the tunnel.
    ErrorTooBig,
    // Section 8.
    /// Too big for a tunnel.
    TooBigIpip,
    /// Too big for a tunnel by GUE.
    TooBigGue,
    /// Too big for the way to a real in `nat` mode.
    TooBigNat,
    /// Fragmentation needed.
    TooBigV4,
    /// Packet too big.
    TooBigV6,
    /// Packet too big, with the least MTU of IPv6.
    TooBigV6LeastMtu,
    /// A packet shorter than its quote.
    TooBigShort,
    /// No room for the answer's headers.
    TooBigNoHeadroom,
    // Section 9.
    /// Not TCP.
    ResetNotTcp,
    /// A later fragment.
    ResetFragment,
    /// An ICMP error.
    ResetIcmpError,
    /// A RST.
    ResetOfRst,
    /// A data offset below 5.
    ResetOffsetShort,
    /// A data offset past the packet's end.
    ResetOffsetLong,
    /// Answered, IPv4.
    ResetV4,
    /// Answered, IPv6.
    ResetV6,
    /// Answered, and the packet has ACK.
    ResetOfAck,
    /// Answered, and the packet has no ACK.
    ResetWithoutAck,
    /// A first fragment answered.
    ResetFirstFragment,
    // Section 10.
    /// No peer.
    NodeSolo,
    /// Serving in time.
    NodeServing,
    /// Serving, and the lease has ended.
    NodeServingExpired,
    /// Draining in time.
    NodeDraining,
    /// Draining, and the lease has ended.
    NodeDrainingExpired,
    /// Silent.
    NodeSilent,
    /// A value that means nothing.
    NodeUnknown,
    /// Silent, and an IPv4 packet for a VIP.
    SilentV4,
    /// Silent, and an IPv6 packet for a VIP.
    SilentV6,
    /// Silent, and asked for a VIP.
    SilentAsked,
    /// Silent, and a reply whose way is found.
    SilentReply,
    /// Silent, and anything else.
    SilentOther,
    /// Draining, and asked for a VIP.
    DrainingAsked,
    /// Fewer than 28 bytes for ARP.
    ArpShort,
    /// ARP, and no request for an IPv4 address.
    ArpNoRequest,
    /// ARP for no VIP.
    ArpNoVip,
    /// ARP for a VIP.
    ArpVip,
    /// An extension header that is cut off.
    SolicitationExtensionCut,
    /// IPv6 without a neighbour solicitation.
    SolicitationNone,
    /// A neighbour solicitation for no VIP.
    SolicitationNoVip,
    /// A neighbour solicitation for a VIP.
    SolicitationVip,
    /// The same behind extension headers.
    SolicitationVipBehindExtensions,
    // Section 12.
    /// Step 1: the real's port is that of `nat_ports`.
    PortOfReal,
    /// Step 1: the service has reals with ports of their own, and this is none of them.
    PortOfRealMiss,
    /// Step 1: the real's port is that of the service.
    PortOfService,
    /// Step 1: the port stays as it is.
    PortKept,
    /// Step 2: replies are not looked at.
    RepliesOff,
    /// Step 2: sections 2 and 3 end the packet's way.
    ReplyBroken,
    /// Step 2: a row for the port.
    ReplyOfPort,
    /// Step 2: a row with port 0.
    ReplyOfRange,
    /// Step 2: no row.
    ReplyMiss,
    /// Step 2: no row for the port, and there are none with port 0.
    ReplyMissNoRanges,
    /// Step 2: a row, and the port is not within it.
    ReplyPortOutside,
    /// Step 2: a later fragment of an unknown packet.
    ReplyFragmentUnknown,
    /// Step 2: a later fragment of a packet of another mode.
    ReplyFragmentOfOther,
    /// Step 2: another ICMP message.
    ReplyIcmpOther,
    /// Step 2: an ICMP error that quotes too little or something else.
    ReplyQuoteBad,
    /// Step 2: an ICMP error that quotes a packet of another source.
    ReplyQuoteSource,
    /// Step 3: found.
    WayFound,
    /// Step 3: the host's own address, or no route.
    WayNotForwarded,
    /// Step 3: the kernel does not forward.
    WayForwardingDisabled,
    /// Step 3: the next hop's MAC address is not known.
    WayNoNeighbour,
    /// Step 3: nor is there room to say so.
    WayNoNeighbourNoRoom,
    /// Step 3: the packet is too long.
    WayTooLong,
    /// Step 3: a route that leads nowhere.
    WayRefused,
    /// Step 4: a packet of IPv4.
    ReplyV4,
    /// Step 4: a packet of IPv6.
    ReplyV6,
    /// Step 4: a first fragment noted.
    ReplyFirstFragment,
    /// Step 4: a later fragment.
    ReplyLaterFragment,
    /// Step 4: an ICMP error.
    ReplyErrorV4,
    /// Step 4: an ICMPv6 error.
    ReplyErrorV6,
    /// Step 4: the VIP's port.
    ReplyPortReplaced,
    /// Step 4: the port stays as it is.
    ReplyPortKept,
    /// Step 4: out of the same interface.
    ReplySameInterface,
    /// Step 4: out of another interface.
    ReplyOtherInterface,
    /// Checksums: UDP without one.
    UdpWithoutChecksum,
    /// Checksums: 0 of UDP is written as 0xffff.
    UdpChecksumZero,
    /// Checksums: the quote has the transport's.
    QuoteWithChecksum,
    /// Checksums: the quote is too short for the transport's.
    QuoteWithoutChecksum,
    // Section 13.
    /// Step 1: the source is denied.
    AccessDenied,
    /// Step 1: the source is allowed.
    AccessAllowed,
    /// Step 1: the source is not listed, and others are denied.
    AccessNotListed,
    /// Step 1: the source is not listed, and that does not matter.
    AccessOpen,
    /// Step 1: no new flow.
    RateNoSyn,
    /// Step 1: a source that is new.
    RateNew,
    /// Step 1: a source that was due before now.
    RatePast,
    /// Step 1: a source that is ahead, and may be.
    RateWithin,
    /// Step 1: a source that is too far ahead.
    RateAbove,
    /// Step 2: a clean slot.
    OnePacketClean,
    /// Step 2: another slot.
    OnePacketNotClean,
    /// Step 3: the service has its own ring.
    AffinityOwn,
    /// Step 3: the service has another one's ring.
    AffinityShared,
    /// Step 4: with affinity.
    FloodClient,
    /// Step 4: a clean slot.
    FloodClean,
    /// Step 4: no SYN.
    FloodNoSyn,
    /// Step 4: a SYN that leaves nothing behind.
    FloodUnnoted,
    // Section 14.
    /// Step 1: a long header.
    QuicLongHeader,
    /// Step 1: a short header.
    QuicShortHeader,
    /// Step 1: a long header and too few bytes.
    QuicLongHeaderCut,
    /// Step 1: a short header, or none, and too few bytes.
    QuicShortHeaderCut,
    /// Step 2: the service's connection ids are plain.
    QuicPlain,
    /// Step 2: a config of the service.
    QuicConfigKnown,
    /// Step 2: no config of the service.
    QuicConfigUnknown,
    /// Step 2: no row.
    QuicRowMissing,
    /// Step 3: a row that is never written.
    QuicRowBroken,
    /// Step 3: the connection id is too short.
    QuicLengthShort,
    /// Step 4: in the clear.
    QuicClear,
    /// Step 4: one pass.
    QuicOnePass,
    /// Step 4: one pass, and not a block.
    QuicOnePassLength,
    /// Step 4: four passes over halves of whole bytes.
    QuicFourPassesEven,
    /// Step 4: four passes over halves that share a byte.
    QuicFourPassesOdd,
    /// Step 4: four passes over too many bytes or too few.
    QuicFourPassesLength,
    /// Step 4: another encoding.
    QuicEncodingUnknown,
    /// Step 5: nobody has the server id.
    QuicServerUnknown,
    /// Step 5: the real is not alive.
    QuicServerDead,
    /// Step 5: to the real that is named.
    QuicRouted,
    // Section 15.
    /// An address of a prefix.
    PrefixMatch,
    /// An address of none.
    PrefixMiss,
    /// A packet for an address of a prefix that no service claims.
    PrefixNoService,
    /// Prefixes are not looked at.
    PrefixesOff,
}
