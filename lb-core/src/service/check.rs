//! The checks that make services and reals a [`Cluster`](super::Cluster), and what they find.

mod extras;
mod group;
mod nat;
mod quic;
mod vip_prefix;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    net::IpAddr,
};

use thiserror::Error;

use super::{
    MAX_ACCESS_PREFIXES, MAX_NAME_LENGTH, MAX_NAT_MEMBERS, MAX_NEW_FLOWS, MAX_PORT_PREFIXES, MAX_QUIC_ENCODINGS,
    MAX_QUIC_ROWS, MAX_QUIC_SERVER_IDS, MAX_QUIC_SERVERS, MAX_REALS, MAX_SERVICES, MAX_WEIGHT, Member, Mode, Ports,
    Prefix, PrefixError, Protocol, QuicServerId, Real, Service,
};

/// The item that an error is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// The service of this name (of several with the same name the later one).
    Service(String),
    /// The real of this name (of several with the same name the later one).
    Real(String),
    /// A real's entry in a service's list (of several for the same real the later one).
    Member {
        /// The service's name.
        service: String,
        /// The real's name.
        real: String,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => write!(f, "service {name:?}"),
            Self::Real(name) => write!(f, "real {name:?}"),
            Self::Member { service, real } => write!(f, "real {real:?} of service {service:?}"),
        }
    }
}

/// Something wrong with one item of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{subject}: {problem}")]
pub struct ClusterError {
    /// The item.
    pub subject: Subject,
    /// What is wrong with it, and what to do.
    pub problem: Problem,
}

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The name is empty, too long, or has another character than `A-Za-z0-9._-`.
    #[error("the name must be 1 to {MAX_NAME_LENGTH} letters, digits, dots, underscores or hyphens")]
    Name,
    /// Another item of the same kind has the name.
    #[error("the name is given twice; rename one of the two")]
    DuplicateName,
    /// More services than the maps hold.
    #[error("there are {count} services, and {MAX_SERVICES} is the most; remove some")]
    TooManyServices {
        /// How many there are.
        count: usize,
    },
    /// More reals than ids.
    #[error("there are {count} reals, and {MAX_REALS} is the most; remove some")]
    TooManyReals {
        /// How many there are.
        count: usize,
    },
    /// The address cannot be one of a host.
    #[error("{address} is {kind}; give the address of a host")]
    Address {
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// A real's address is the VIP of a service.
    #[error("the address {address} is the VIP of service {service:?}; give the real's own address")]
    AddressIsVip {
        /// The address.
        address: IpAddr,
        /// The service.
        service: String,
    },
    /// A real's address is in the VIP of a service.
    #[error(
        "the address {address} is in the VIP {vips} of service {service:?}; give the real an address outside of it"
    )]
    AddressInVips {
        /// The address.
        address: IpAddr,
        /// The VIP.
        vips: Prefix,
        /// The service.
        service: String,
    },
    /// A VIP is no prefix.
    #[error("the VIP {0}")]
    VipPrefix(PrefixError),
    /// So many addresses cannot be one VIP, or so few not by a prefix.
    #[error("the VIP {vips} is not a prefix of {least} to {most} bits; give one, or a single address")]
    VipPrefixLength {
        /// The VIP.
        vips: Prefix,
        /// The least bits that it may have.
        least: u8,
        /// The most.
        most: u8,
    },
    /// Two VIPs begin with the same address.
    #[error(
        "the VIP {} begins with the same address as {} of service {other:?}; give both the same VIP, or let one begin elsewhere",
        .vips.brief(), .other_vips.brief()
    )]
    VipsBeginAlike {
        /// The VIP.
        vips: Prefix,
        /// The VIP of the other service.
        other_vips: Prefix,
        /// The other service.
        other: String,
    },
    /// Replies of reals could not be given the VIP back.
    #[error(
        "mode nat cannot serve the VIP {vips}, since replies would not tell which address they are of; use mode dsr, ipip or gue"
    )]
    VipPrefixNat {
        /// The VIP.
        vips: Prefix,
    },
    /// The weight is too great.
    #[error("weight {weight} is too great; give one from 0 to {MAX_WEIGHT}")]
    Weight {
        /// The weight.
        weight: u32,
    },
    /// All reals of a service are fallbacks.
    #[error("all its reals are fallbacks; a fallback stands in for others: leave `fallback` out where there are none")]
    OnlyFallbacks,
    /// Port 0 is named.
    #[error("port 0 cannot be served; give ports from 1 to 65535, or \"any\"")]
    PortZero,
    /// A range's first port is above its last.
    #[error("the port range {first}-{last} is the wrong way round; write {last}-{first}")]
    PortOrder {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// Another service of the same VIP and protocol claims some of the ports as well.
    #[error(
        "{vip} {protocol} port {ports} is also claimed by service {other:?} (port {other_ports}); only a single port \
         may lie inside a range, and any of these beside a service of any port"
    )]
    Overlap {
        /// The VIP.
        vip: IpAddr,
        /// The protocol.
        protocol: Protocol,
        /// The ports of the service.
        ports: Ports,
        /// The other service.
        other: String,
        /// The ports of the other service.
        other_ports: Ports,
    },
    /// The port ranges of all services together need more prefixes than the trie holds.
    #[error("the port ranges need {count} prefixes, and {MAX_PORT_PREFIXES} is the most; use fewer or aligned ranges")]
    TooManyPortPrefixes {
        /// How many they need.
        count: usize,
    },
    /// The service has no real.
    #[error("it has no reals; list at least one")]
    NoReals,
    /// A listed real is not defined.
    #[error("no such real is defined; define it, or correct the name")]
    UnknownReal,
    /// A real is listed twice.
    #[error("the real is listed twice; remove one of the two")]
    DuplicateMember,
    /// The forward mode cannot carry the VIP's packets to the real.
    #[error("mode {mode} cannot carry packets for {vip} to {address}; {}", fix_for(*.mode))]
    Family {
        /// The service's mode.
        mode: Mode,
        /// Its VIP.
        vip: IpAddr,
        /// The real's address.
        address: IpAddr,
    },
    /// A real has a port of its own where ports are not rewritten.
    #[error("a port of its own needs mode nat and a service of one port; leave `port` away, or use mode nat")]
    MemberPort,
    /// Replies of the real would come from where those to another service, or of another real, come from.
    #[error(
        "its replies would come from {address} {protocol} port {ports} like those to service {other:?}; let it serve one of \
         the two at another port or address (of nat services of several ports a real can have one)"
    )]
    SameReplies {
        /// The real's address.
        address: IpAddr,
        /// The protocol.
        protocol: Protocol,
        /// Where its replies would come from.
        ports: Ports,
        /// The other service; it may be the same one, which has the address twice.
        other: String,
    },
    /// The mode cannot carry the protocol.
    #[error("mode nat cannot carry sctp, whose checksum covers the whole packet; use mode dsr, ipip or gue")]
    SctpNat,
    /// A prefix has not the VIP's family.
    #[error("{prefix} is not of the family of the VIP {vip}; no packet for it can come from there, so remove it")]
    AccessFamily {
        /// The prefix.
        prefix: Prefix,
        /// The VIP.
        vip: IpAddr,
    },
    /// A prefix is there twice.
    #[error("{prefix} is listed twice; remove one of the two")]
    AccessTwice {
        /// The prefix.
        prefix: Prefix,
    },
    /// A prefix is allowed and denied.
    #[error("{prefix} is in `allow` and in `deny`; remove one of the two")]
    AccessBoth {
        /// The prefix.
        prefix: Prefix,
    },
    /// More prefixes than the map holds.
    #[error("all services together allow and deny {count} prefixes, and {MAX_ACCESS_PREFIXES} is the most; join some")]
    TooManyAccessPrefixes {
        /// How many there are.
        count: usize,
    },
    /// Only TCP has a SYN.
    #[error("{what} is for tcp, whose SYN says that a flow begins, and this service is {protocol}; remove `{what}`")]
    TcpOnly {
        /// The table.
        what: &'static str,
        /// The service's protocol.
        protocol: Protocol,
    },
    /// A rate or burst that cannot be.
    #[error("rate and burst of new_flow_limit must be 1 to {MAX_NEW_FLOWS}; give others")]
    NewFlows,
    /// A prefix length that an address does not have.
    #[error("the prefix of {what} is {prefix}, and an address of the VIP's family has {bits} bits; write 1 to {bits}")]
    PrefixLength {
        /// The table.
        what: &'static str,
        /// The length.
        prefix: u8,
        /// The most that it can be.
        bits: u8,
    },
    /// One-packet scheduling and affinity contradict each other.
    #[error("one_packet sends each packet by itself, and affinity all of a client to one real; remove one of the two")]
    OnePacketAffinity,
    /// The name of an affinity group cannot be one.
    #[error(
        "the name of an affinity group must be 1 to {MAX_NAME_LENGTH} letters, digits, dots, underscores or hyphens; rename it"
    )]
    GroupName,
    /// A QUIC service is in an affinity group.
    #[error(
        "quic sends connections where their ids say, and an affinity group all of a client to one real; remove `group` or `quic`"
    )]
    GroupQuic,
    /// Two services of an affinity group cannot share a ring.
    #[error(
        "service {other:?} is of affinity group {group:?} too, and {difference}; make the two alike in this, or give one of \
         them another group"
    )]
    GroupDiffers {
        /// The group.
        group: String,
        /// The first service of the group.
        other: String,
        /// What differs.
        difference: String,
    },
    /// Only datagrams can go by themselves.
    #[error("one_packet is for udp, and this service is {protocol}; remove `one_packet`")]
    OnePacketProtocol {
        /// The service's protocol.
        protocol: Protocol,
    },
    /// Only UDP carries QUIC.
    #[error("quic is for udp, and this service is {protocol}; remove `quic`")]
    QuicProtocol {
        /// The service's protocol.
        protocol: Protocol,
    },
    /// More encodings than configs.
    #[error("it has {count} tables `quic`, and {MAX_QUIC_ENCODINGS} is the most; remove some")]
    QuicEncodings {
        /// How many there are.
        count: usize,
    },
    /// Two encodings have the same config.
    #[error("config {config} is there twice; give each table `quic` another one, from 0 to 6")]
    QuicConfigTwice {
        /// The place of the later one.
        at: usize,
        /// The config.
        config: u8,
    },
    /// The encoding without configs is not the only one.
    #[error("encoding \"plain\" has no config, and goes with no other table `quic`; remove the others, or this one")]
    QuicPlainAlone {
        /// Its place.
        at: usize,
    },
    /// Server id and nonce have not lengths that QUIC-LB has.
    #[error(
        "a QUIC-LB connection id has a server id of 1 to 15 bytes and a nonce of 4 to 18, both together 19 at most; \
         give other lengths"
    )]
    QuicLength {
        /// The place of the encoding.
        at: usize,
    },
    /// The server id is not inside the connection id.
    #[error("a server id of 1 to 15 bytes has to end within the 20 bytes of a connection id; give other numbers")]
    QuicPlainLength {
        /// The place of the encoding.
        at: usize,
    },
    /// A real has server ids in a service whose connection ids are not looked at.
    #[error("the service has no `quic`, which says where connection ids have a server id; add it, or remove these")]
    QuicServerIdAlone,
    /// A real has too many server ids.
    #[error("it has {count} server ids, and {MAX_QUIC_SERVER_IDS} is the most; remove some")]
    QuicServerIds {
        /// How many it has.
        count: usize,
    },
    /// No encoding of the service has server ids of this length.
    #[error("no `quic` of the service has a server_id_length like that of {id}; give it as many bytes as they say")]
    QuicServerIdLength {
        /// The server id.
        id: QuicServerId,
    },
    /// A server id stands for two reals, or twice for one.
    #[error("server id {id} is also that of real {other:?}; a server id stands for one real, so give another")]
    QuicServerIdTwice {
        /// The server id.
        id: QuicServerId,
        /// Whose it is already.
        other: String,
    },
    /// More encodings than the map holds.
    #[error("all services together have {count} tables `quic`, and {MAX_QUIC_ROWS} is the most; remove some")]
    TooManyQuicEncodings {
        /// How many there are.
        count: usize,
    },
    /// More server ids than the map holds.
    #[error("the reals of all services have {count} QUIC server ids, and {MAX_QUIC_SERVERS} is the most; remove some")]
    TooManyQuicServers {
        /// How many there are.
        count: usize,
    },
    /// More reals of services in `nat` mode than the map of replies holds.
    #[error("the nat services have {count} reals together, and {MAX_NAT_MEMBERS} is the most; remove some")]
    TooManyNatMembers {
        /// How many they have.
        count: usize,
    },
}

const fn fix_for(mode: Mode) -> &'static str {
    match mode {
        Mode::Dsr => "use a real of the VIP's family, or mode ipip or gue",
        Mode::Nat => "use a real of the VIP's family",
        Mode::Ipip | Mode::Gue => "an IPv6 VIP needs IPv6 reals",
    }
}

/// Everything that is wrong, in the order: reals, services, what services have in common.
pub(super) fn check(services: &[Service], reals: &[Real]) -> Vec<ClusterError> {
    let mut found = Findings::default();
    check_counts(services, reals, &mut found);
    let by_name = check_reals(services, reals, &mut found);
    check_services(services, &by_name, &mut found);
    nat::check(services, &by_name, &mut found);
    extras::check(services, &mut found);
    group::check(services, &by_name, &mut found);
    quic::check(services, &mut found);
    vip_prefix::check(services, reals, &mut found);
    check_overlaps(services, &mut found);
    check_prefix_count(services, &mut found);
    found.errors
}

#[derive(Default)]
struct Findings {
    errors: Vec<ClusterError>,
}

impl Findings {
    fn service(&mut self, service: &Service, problem: Problem) {
        self.errors.push(ClusterError { subject: Subject::Service(service.name.clone()), problem });
    }

    fn real(&mut self, real: &Real, problem: Problem) {
        self.errors.push(ClusterError { subject: Subject::Real(real.name.clone()), problem });
    }

    fn member(&mut self, service: &Service, real: &str, problem: Problem) {
        let subject = Subject::Member { service: service.name.clone(), real: real.to_owned() };
        self.errors.push(ClusterError { subject, problem });
    }
}

fn check_counts(services: &[Service], reals: &[Real], found: &mut Findings) {
    if let Some(first_too_many) = services.get(MAX_SERVICES) {
        found.service(first_too_many, Problem::TooManyServices { count: services.len() });
    }
    if let Some(first_too_many) = reals.get(MAX_REALS) {
        found.real(first_too_many, Problem::TooManyReals { count: reals.len() });
    }
}

fn check_reals<'a>(services: &[Service], reals: &'a [Real], found: &mut Findings) -> HashMap<&'a str, &'a Real> {
    let vips: HashMap<IpAddr, &str> = services.iter().rev().map(|s| (s.vip, s.name.as_str())).collect();
    let mut by_name = HashMap::new();
    for real in reals {
        if !is_name(&real.name) {
            found.real(real, Problem::Name);
        }
        if by_name.insert(real.name.as_str(), real).is_some() {
            found.real(real, Problem::DuplicateName);
        }
        if let Some(problem) = address_problem(real.address) {
            found.real(real, problem);
        }
        if let Some(&service) = vips.get(&real.address) {
            found.real(real, Problem::AddressIsVip { address: real.address, service: service.to_owned() });
        }
        if real.weight > MAX_WEIGHT {
            found.real(real, Problem::Weight { weight: real.weight });
        }
    }
    by_name
}

fn check_services(services: &[Service], reals: &HashMap<&str, &Real>, found: &mut Findings) {
    let mut names = BTreeSet::new();
    for service in services {
        if !is_name(&service.name) {
            found.service(service, Problem::Name);
        }
        if !names.insert(service.name.as_str()) {
            found.service(service, Problem::DuplicateName);
        }
        if let Some(problem) = address_problem(service.vip) {
            found.service(service, problem);
        }
        if let Some(problem) = ports_problem(service.ports) {
            found.service(service, problem);
        }
        if service.reals.is_empty() {
            found.service(service, Problem::NoReals);
        } else if service.reals.iter().all(|member| member.fallback) {
            found.service(service, Problem::OnlyFallbacks);
        }
        if service.protocol == Protocol::Sctp && service.mode == Mode::Nat {
            found.service(service, Problem::SctpNat);
        }
        check_members(service, reals, found);
    }
}

fn check_members(service: &Service, reals: &HashMap<&str, &Real>, found: &mut Findings) {
    let mut listed = BTreeSet::new();
    for member in &service.reals {
        if !listed.insert(member.real.as_str()) {
            found.member(service, &member.real, Problem::DuplicateMember);
            continue;
        }
        if let Some(weight) = member.weight.filter(|&weight| weight > MAX_WEIGHT) {
            found.member(service, &member.real, Problem::Weight { weight });
        }
        if let Some(problem) = port_problem(service, member) {
            found.member(service, &member.real, problem);
        }
        match reals.get(member.real.as_str()) {
            None => found.member(service, &member.real, Problem::UnknownReal),
            Some(real) if !service.mode.carries(service.vip, real.address) => {
                let problem = Problem::Family { mode: service.mode, vip: service.vip, address: real.address };
                found.member(service, &member.real, problem);
            }
            Some(_) => {}
        }
    }
}

fn port_problem(service: &Service, member: &Member) -> Option<Problem> {
    let is_rewritten = service.mode == Mode::Nat && matches!(service.ports, Ports::Single(_));
    match member.port? {
        _ if !is_rewritten => Some(Problem::MemberPort),
        0 => Some(Problem::PortZero),
        _ => None,
    }
}

/// Services of the same VIP and protocol must not claim the same port, but a single port inside a range, and anything
/// beside a service of any port: there the more exact one wins.
fn check_overlaps(services: &[Service], found: &mut Findings) {
    let mut groups: BTreeMap<(IpAddr, Protocol), Vec<&Service>> = BTreeMap::new();
    for service in services {
        groups.entry((service.vip, service.protocol)).or_default().push(service);
    }
    for group in groups.values() {
        check_group(group, found);
    }
}

fn check_group(group: &[&Service], found: &mut Findings) {
    let mut singles: HashMap<u16, &Service> = HashMap::new();
    let mut any: Option<&Service> = None;
    let mut ranges: Vec<(u16, u16, usize)> = Vec::new();
    for (order, &service) in group.iter().enumerate() {
        let earlier = match service.ports {
            Ports::Single(port) => singles.insert(port, service),
            Ports::Any => any.replace(service),
            Ports::Range(first, last) => {
                ranges.push((first, last, order));
                None
            }
        };
        if let Some(other) = earlier {
            found.service(service, overlap(service, other));
        }
    }
    ranges.sort_unstable();
    let mut widest: Option<(u16, usize)> = None;
    for (first, last, order) in ranges {
        if let Some((reach, other)) = widest.filter(|&(reach, _)| first <= reach) {
            let (later, earlier) = (group[order.max(other)], group[order.min(other)]);
            found.service(later, overlap(later, earlier));
            widest = Some(if last > reach { (last, order) } else { (reach, other) });
        } else {
            widest = Some((last, order));
        }
    }
}

fn overlap(service: &Service, other: &Service) -> Problem {
    Problem::Overlap {
        vip: service.vip,
        protocol: service.protocol,
        ports: service.ports,
        other: other.name.clone(),
        other_ports: other.ports,
    }
}

fn check_prefix_count(services: &[Service], found: &mut Findings) {
    let mut count = 0;
    let mut first_too_many = None;
    for service in services {
        count += service.ports.prefixes().len();
        if count > MAX_PORT_PREFIXES {
            first_too_many.get_or_insert(service);
        }
    }
    if let Some(service) = first_too_many {
        found.service(service, Problem::TooManyPortPrefixes { count });
    }
}

/// Whether this can be the name of a service or real: 1 to [`MAX_NAME_LENGTH`] of the characters `A-Za-z0-9._-`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn ports_problem(ports: Ports) -> Option<Problem> {
    match ports {
        Ports::Single(0) | Ports::Range(0, _) => Some(Problem::PortZero),
        Ports::Range(first, last) if first > last => Some(Problem::PortOrder { first, last }),
        _ => None,
    }
}

fn address_problem(address: IpAddr) -> Option<Problem> {
    let kind = match address {
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_multicast() => "a multicast address",
        _ if address.is_loopback() => "a loopback address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address written as IPv6",
        _ => return None,
    };
    Some(Problem::Address { address, kind })
}
