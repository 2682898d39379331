//! The cases: which program runs on which packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::Event;
use lb_core::service::{Mode, Protocol};
use lb_tests::packet::{ACK, SYN};

use crate::quic::Cid;

/// Packets of one run: some milliseconds. The next run goes on with the flow after the last.
const PACKETS: u32 = 400_000;
/// Runs that make a sample of one hot flow, or of a floor.
const HOT_RUNS: u32 = 8;
/// Flows of the cases about slots that remember, each once a run.
pub const REMEMBERED_FLOWS: u32 = 100_000;

/// Names of the two floors, which the figures are held to.
pub const DROP: &str = "drop";
/// See [`DROP`].
pub const MAC_SWAP: &str = "mac-swap";

/// One line of the result.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// The program that is measured.
    pub program: &'static str,
    /// The program that does all but what is measured; none for a bare floor.
    pub own_work: Option<&'static str>,
    /// Where the packets go to.
    pub front: Front,
    /// TCP flags of every packet.
    pub flags: u8,
    /// How many flows come in turn; `None`: each packet is of a flow that was never seen.
    pub flows: Option<u32>,
    /// How many packets one run has.
    pub packets: u32,
    /// How many runs make a sample: fewer where they take long to prepare.
    pub runs: u32,
    /// What the flow table holds before a run; `None`: the slots are clean, and nobody asks it.
    pub table: Option<Table>,
    /// The node serves by a lease that runs; else it is solo.
    pub leased: bool,
    /// The node tells of its flows, as it does where checkpoints are kept.
    pub told: bool,
    /// There is a VIP that is a whole prefix; else the program is told that there is none.
    pub prefixes: bool,
}

/// Before a run the flow table holds each flow whose number is a multiple of `every`; none where `every` is 0.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// See the type.
    pub every: u32,
    /// What one packet of a flow that is not in the table counts as, where it counts at all.
    pub miss: Option<Event>,
}

/// A service of the bench, or the address that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// Name of the service.
    pub service: &'static str,
    /// Its VIP.
    pub vip: IpAddr,
    /// Its forward mode.
    pub mode: Mode,
    /// The family of its reals is IPv6.
    pub reals_v6: bool,
    /// Its ring's slots.
    pub slots: Slots,
    /// What else it is.
    pub extra: Extra,
}

/// What a service of the bench is beside its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    Plain,
    /// Outer sources differ by flow.
    Sources,
    /// A client's flows go together.
    Affinity,
    /// Each packet goes by itself; UDP.
    OnePacket,
    /// It takes packets from listed prefixes only.
    Access,
    /// The new flows of each source are limited, if above what the bench sends.
    Rate,
    /// It is an SCTP service.
    Sctp,
    /// It is a UDP service.
    Udp,
    /// It is a QUIC service, and the packets have such connection ids.
    Quic(Cid),
    /// Its VIP is the whole of [`PREFIX`], and the packets are for an address in it.
    Prefix,
    /// The packets are the replies of its first real.
    Reply,
}

impl Front {
    /// The transport protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.extra {
            Extra::OnePacket | Extra::Udp | Extra::Quic(_) => Protocol::Udp,
            Extra::Sctp => Protocol::Sctp,
            _ => Protocol::Tcp,
        }
    }

    /// The VIP that the service has: not always the address that the packets are for.
    #[must_use]
    pub fn service_vip(&self) -> IpAddr {
        if self.extra == Extra::Prefix { PREFIX.0 } else { self.vip }
    }

    const fn named(self, service: &'static str, vip: IpAddr, extra: Extra) -> Self {
        Self { service, vip, extra, ..self }
    }
}

/// State of all slots of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// Clean.
    Clean,
    /// Moved from another real, which they remember.
    Remember,
    /// Marked.
    Marked,
    /// There is no service.
    None,
}

/// The VIP that is a whole prefix, by its first address and its length: of single VIPs too, which go before it.
pub const PREFIX: (IpAddr, u32) = (v4(0), 24);

const fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

const fn v6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

const DSR_V4: Front = Front {
    service: "dsr-v4",
    vip: v4(10),
    mode: Mode::Dsr,
    reals_v6: false,
    slots: Slots::Clean,
    extra: Extra::Plain,
};
const DSR_V6: Front =
    Front { service: "dsr-v6", vip: v6(10), mode: Mode::Dsr, reals_v6: true, slots: Slots::Clean, extra: Extra::Plain };
const IPIP_V4: Front = Front {
    service: "ipip-v4",
    vip: v4(20),
    mode: Mode::Ipip,
    reals_v6: false,
    slots: Slots::Clean,
    extra: Extra::Plain,
};
const IPIP_V6: Front = Front {
    service: "ipip-v6",
    vip: v6(20),
    mode: Mode::Ipip,
    reals_v6: true,
    slots: Slots::Clean,
    extra: Extra::Plain,
};
const IPIP_V4_IN_V6: Front = Front {
    service: "ipip-v4-in-v6",
    vip: v4(30),
    mode: Mode::Ipip,
    reals_v6: true,
    slots: Slots::Clean,
    extra: Extra::Plain,
};
const REMEMBER: Front = Front {
    service: "remember",
    vip: v4(40),
    mode: Mode::Dsr,
    reals_v6: false,
    slots: Slots::Remember,
    extra: Extra::Plain,
};
const MARKED: Front = Front {
    service: "marked",
    vip: v4(41),
    mode: Mode::Dsr,
    reals_v6: false,
    slots: Slots::Marked,
    extra: Extra::Plain,
};
const MISS: Front =
    Front { service: "none", vip: v4(99), mode: Mode::Dsr, reals_v6: false, slots: Slots::None, extra: Extra::Plain };

const NAT_V4: Front = Front {
    service: "nat-v4",
    vip: v4(50),
    mode: Mode::Nat,
    reals_v6: false,
    slots: Slots::Clean,
    extra: Extra::Plain,
};
const NAT_V6: Front =
    Front { service: "nat-v6", vip: v6(50), mode: Mode::Nat, reals_v6: true, slots: Slots::Clean, extra: Extra::Plain };

const IPIP_SOURCES: Front = IPIP_V4.named("ipip-sources", v4(60), Extra::Sources);
const GUE_V4: Front = Front { mode: Mode::Gue, ..IPIP_V4.named("gue-v4", v4(61), Extra::Plain) };
const GUE_V6: Front = Front { mode: Mode::Gue, ..IPIP_V6.named("gue-v6", v6(61), Extra::Plain) };
const AFFINITY: Front = DSR_V4.named("affinity", v4(62), Extra::Affinity);
const AFFINITY_REMEMBER: Front = REMEMBER.named("affinity-remember", v4(63), Extra::Affinity);
const ONE_PACKET: Front = DSR_V4.named("one-packet", v4(64), Extra::OnePacket);
const ACCESS: Front = DSR_V4.named("access", v4(65), Extra::Access);
const RATE: Front = DSR_V4.named("rate", v4(66), Extra::Rate);
const SCTP: Front = DSR_V4.named("sctp", v4(67), Extra::Sctp);
const UDP: Front = DSR_V4.named("udp", v4(69), Extra::Udp);
const QUIC_CLEAR: Front = UDP.named("quic-clear", v4(70), Extra::Quic(Cid::Clear));
const QUIC_ONE_BLOCK: Front = UDP.named("quic-one-block", v4(71), Extra::Quic(Cid::OneBlock));
const QUIC_THREE_BLOCKS: Front = UDP.named("quic-three-blocks", v4(72), Extra::Quic(Cid::ThreeBlocks));
const QUIC_FOUR_BLOCKS: Front = UDP.named("quic-four-blocks", v4(73), Extra::Quic(Cid::FourBlocks));
const QUIC_UNKNOWN: Front = UDP.named("quic-unknown", v4(74), Extra::Quic(Cid::Unknown));
const QUIC_NO_SERVER: Front = UDP.named("quic-no-server", v4(75), Extra::Quic(Cid::NoServer));
const IN_PREFIX: Front = DSR_V4.named("prefix", v4(200), Extra::Prefix);
/// Neither a VIP, nor in the prefix.
const MISS_OUTSIDE: Front = Front { vip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 99)), ..MISS };
const REPLY_V4: Front = NAT_V4.named("reply-v4", v4(68), Extra::Reply);
const REPLY_V6: Front = NAT_V6.named("reply-v6", v6(68), Extra::Reply);

/// Every service.
pub const FRONTS: [Front; 28] = [
    DSR_V4,
    DSR_V6,
    IPIP_V4,
    IPIP_V6,
    IPIP_V4_IN_V6,
    NAT_V4,
    NAT_V6,
    REMEMBER,
    MARKED,
    IPIP_SOURCES,
    GUE_V4,
    GUE_V6,
    AFFINITY,
    AFFINITY_REMEMBER,
    ONE_PACKET,
    ACCESS,
    RATE,
    SCTP,
    UDP,
    QUIC_CLEAR,
    QUIC_ONE_BLOCK,
    QUIC_THREE_BLOCKS,
    QUIC_FOUR_BLOCKS,
    QUIC_UNKNOWN,
    QUIC_NO_SERVER,
    IN_PREFIX,
    REPLY_V4,
    REPLY_V6,
];

/// Every case, in the order in which they run and are shown.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = vec![floor(DROP, "bench_drop"), floor(MAC_SWAP, "bench_mac_swap")];
    cases.extend(clean(DSR_V4, ["dsr-v4-hot", "dsr-v4-100k", "dsr-v4-1m", "dsr-v4-new"]));
    cases.extend(lease(DSR_V4, ["dsr-v4-hot-leased", "dsr-v4-hot-unleased"], "bench_v4_unleased"));
    cases.push(told("dsr-v4-hot-told", hot("", DSR_V4)));
    cases.push(Case { program: "bench_v4_untraceable", ..hot("dsr-v4-hot-untraceable", DSR_V4) });
    cases.extend(clean(DSR_V6, ["dsr-v6-hot", "dsr-v6-100k", "dsr-v6-1m", "dsr-v6-new"]));
    cases.extend(lease(DSR_V6, ["dsr-v6-hot-leased", "dsr-v6-hot-unleased"], "bench_v6_unleased"));
    cases.extend(clean(IPIP_V4, ["ipip-v4-hot", "ipip-v4-100k", "ipip-v4-1m", "ipip-v4-new"]));
    cases.extend(clean(IPIP_V6, ["ipip-v6-hot", "ipip-v6-100k", "ipip-v6-1m", "ipip-v6-new"]));
    cases.extend(clean(
        IPIP_V4_IN_V6,
        ["ipip-v4-in-v6-hot", "ipip-v4-in-v6-100k", "ipip-v4-in-v6-1m", "ipip-v4-in-v6-new"],
    ));
    cases.extend(clean(NAT_V4, ["nat-v4-hot", "nat-v4-100k", "nat-v4-1m", "nat-v4-new"]));
    cases.extend(clean(NAT_V6, ["nat-v6-hot", "nat-v6-100k", "nat-v6-1m", "nat-v6-new"]));
    let remembered = Some(Event::FlowRemembered);
    cases.extend([
        exception("dsr-v4-remember-0", REMEMBER, Table { every: 0, miss: remembered }),
        exception("dsr-v4-remember-1pc", REMEMBER, Table { every: 100, miss: remembered }),
        exception("dsr-v4-remember-100pc", REMEMBER, Table { every: 1, miss: remembered }),
        Case { flags: SYN, ..exception("dsr-v4-remember-new", REMEMBER, Table { every: 0, miss: None }) },
        told("dsr-v4-remember-0-told", exception("", REMEMBER, Table { every: 0, miss: remembered })),
        told("dsr-v4-remember-100pc-told", exception("", REMEMBER, Table { every: 1, miss: remembered })),
        told(
            "dsr-v4-remember-new-told",
            Case { flags: SYN, ..exception("", REMEMBER, Table { every: 0, miss: None }) },
        ),
        told("dsr-v4-marked-100pc-told", exception("", MARKED, Table { every: 1, miss: None })),
        exception("dsr-v4-marked-0", MARKED, Table { every: 0, miss: None }),
        exception("dsr-v4-marked-1pc", MARKED, Table { every: 100, miss: None }),
        exception("dsr-v4-marked-100pc", MARKED, Table { every: 1, miss: None }),
        Case { name: "vip-miss", ..forward("vip-miss", MISS) },
    ]);
    cases.extend(with_extras());
    cases
}

/// What some services have and others do not pay for.
fn with_extras() -> Vec<Case> {
    let mut cases = vec![hot("ipip-v4-hot-sources", IPIP_SOURCES)];
    cases.extend(clean(GUE_V4, ["gue-v4-hot", "gue-v4-100k", "gue-v4-1m", "gue-v4-new"]));
    cases.extend(clean(GUE_V6, ["gue-v6-hot", "gue-v6-100k", "gue-v6-1m", "gue-v6-new"]));
    let new_flow = |name, front| Case { flags: SYN, ..hot(name, front) };
    let known = |every| Table { every, miss: Some(Event::FlowRemembered) };
    cases.extend([
        hot("dsr-v4-hot-affinity", AFFINITY),
        exception("dsr-v4-affinity-remember-0", AFFINITY_REMEMBER, known(0)),
        exception("dsr-v4-affinity-remember-100pc", AFFINITY_REMEMBER, known(1)),
        hot("dsr-v4-hot-one-packet", ONE_PACKET),
        hot("dsr-v4-hot-access", ACCESS),
        new_flow("dsr-v4-hot-syn", DSR_V4),
        new_flow("dsr-v4-hot-syn-rate", RATE),
        hot("dsr-v4-hot-sctp", SCTP),
        hot("nat-v4-hot-reply", REPLY_V4),
        hot("nat-v6-hot-reply", REPLY_V6),
        hot("dsr-v4-hot-udp", UDP),
        hot("dsr-v4-hot-quic-clear", QUIC_CLEAR),
        hot("dsr-v4-hot-quic-one-block", QUIC_ONE_BLOCK),
        hot("dsr-v4-hot-quic-three-blocks", QUIC_THREE_BLOCKS),
        hot("dsr-v4-hot-quic-four-blocks", QUIC_FOUR_BLOCKS),
        hot("dsr-v4-hot-quic-unknown", QUIC_UNKNOWN),
        hot("dsr-v4-hot-quic-no-server", QUIC_NO_SERVER),
        with_prefixes(hot("dsr-v4-hot-prefix", IN_PREFIX)),
        with_prefixes(hot("dsr-v4-hot-beside-prefix", DSR_V4)),
        with_prefixes(forward("vip-miss-prefix", MISS_OUTSIDE)),
    ]);
    cases
}

/// The same where there is a VIP that is a whole prefix.
fn with_prefixes(case: Case) -> Case {
    Case { prefixes: true, ..case }
}

fn floor(name: &'static str, program: &'static str) -> Case {
    Case { program, own_work: None, ..hot(name, MISS) }
}

/// One hot flow; two numbers of flows in turn; new flows.
fn clean(front: Front, names: [&'static str; 4]) -> [Case; 4] {
    let [one, hundred_thousand, million, new] = names;
    let [hundred_thousand, million, new] = [hundred_thousand, million, new].map(|name| forward(name, front));
    [
        hot(one, front),
        Case { flows: Some(100_000), ..hundred_thousand },
        Case { flows: Some(1_000_000), ..million },
        Case { flows: None, flags: SYN, ..new },
    ]
}

/// One hot flow on a node with a lease, and by a program that looks at none. In the other cases the node is solo.
fn lease(front: Front, [leased, unleased]: [&'static str; 2], program: &'static str) -> [Case; 2] {
    [Case { leased: true, ..hot(leased, front) }, Case { program, ..hot(unleased, front) }]
}

/// The same with checkpoints.
fn told(name: &'static str, case: Case) -> Case {
    Case { name, told: true, ..case }
}

fn exception(name: &'static str, front: Front, table: Table) -> Case {
    let flows = Some(REMEMBERED_FLOWS);
    Case { flows, packets: REMEMBERED_FLOWS, runs: 1, table: Some(table), ..forward(name, front) }
}

/// One hot flow. Such cases are held against one another, and differ by less than a run and the next.
fn hot(name: &'static str, front: Front) -> Case {
    Case { runs: HOT_RUNS, ..forward(name, front) }
}

fn forward(name: &'static str, front: Front) -> Case {
    let (program, own_work) = match (front.vip.is_ipv4(), front.mode, front.reals_v6) {
        // What is behind their UDP header stays as it is, and so it has to: see `bench_v4_udp_run`.
        (true, Mode::Dsr, _) if matches!(front.extra, Extra::Udp | Extra::Quic(_)) => {
            ("bench_v4_udp_run", "bench_v4_udp_floor")
        }
        (true, Mode::Dsr | Mode::Nat, _) => ("bench_v4_run", "bench_v4_floor"),
        (true, Mode::Ipip, false) => ("bench_v4_undo4_run", "bench_v4_undo_floor"),
        (true, Mode::Ipip, true) => ("bench_v4_undo6_run", "bench_v4_undo_floor"),
        (false, Mode::Dsr | Mode::Nat, _) => ("bench_v6_run", "bench_v6_floor"),
        (false, Mode::Ipip, _) => ("bench_v6_undo6_run", "bench_v6_undo_floor"),
        // To reals of the VIP's family only.
        (true, Mode::Gue, _) => ("bench_v4_undo_gue4_run", "bench_v4_undo_floor"),
        (false, Mode::Gue, _) => ("bench_v6_undo_gue6_run", "bench_v6_undo_floor"),
    };
    Case {
        name,
        program,
        own_work: Some(own_work),
        front,
        flags: ACK,
        flows: Some(1),
        packets: PACKETS,
        runs: 2,
        table: None,
        leased: false,
        told: false,
        prefixes: false,
    }
}
