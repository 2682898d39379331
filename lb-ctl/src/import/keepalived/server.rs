//! `virtual_server`, `virtual_server_group` and `real_server`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_core::service::DEFAULT_GUE_PORT as GUE_PORT;
use lb_core::service::{Mode, Protocol};

use super::check::{self, Defaults};
use super::no_counterpart;
use super::parse::Statement;
use crate::import::clients::{self, Clients};
use crate::import::draft::{Check, Draft, Member, Service, address_and_port, ports};
use crate::import::remarks::Remarks;
use crate::import::schedulers;

/// How long `persistence_timeout` remembers clients where it does not say, in seconds (keepalived.conf(5)).
const DEFAULT_PERSISTENCE: u64 = 360;
/// Most addresses of one range of a group: as many as one byte can tell apart.
const MAX_RANGE: u32 = 256;
/// Most checks of a service.
const MAX_CHECKS: usize = 16;

/// Virtual services by their group's name, each with its line.
pub(super) type Groups = HashMap<String, Vec<(usize, SocketAddr)>>;

/// All groups of a file.
pub(super) fn groups(statements: &[Statement], remarks: &mut Remarks) -> Groups {
    let mut groups = Groups::new();
    for group in statements.iter().filter(|statement| statement.word() == "virtual_server_group") {
        let entry = groups.entry(group.value().unwrap_or_default().to_owned()).or_default();
        for inner in group.block() {
            match range(&inner.words) {
                _ if inner.word() == "fwmark" => remarks.add(inner.line, FWMARK),
                Some(addresses) => entry.extend(addresses.into_iter().map(|address| (inner.line, address))),
                None => remarks.add(inner.line, "not an address or a range of them, and a port: left out"),
            }
        }
    }
    groups
}

const FWMARK: &str = "a service of a firewall mark has no counterpart: left out. Write a service for each VIP and port";

/// `192.0.2.1-9 80`: addresses up to another last part, all with one port.
fn range(words: &[String]) -> Option<Vec<SocketAddr>> {
    let Some((first, last)) = words.first()?.split_once('-') else { return Some(vec![address_and_port(words)?]) };
    let port = words.get(1).map_or(Some(0), |port| port.parse().ok())?;
    let addresses: Vec<IpAddr> = match first.parse().ok()? {
        IpAddr::V4(first) => {
            let [a, b, c, d] = first.octets();
            let last: u8 = last.parse().ok()?;
            (d..=last).map(|d| Ipv4Addr::new(a, b, c, d).into()).collect()
        }
        IpAddr::V6(first) => {
            let last = u128::from(u16::from_str_radix(last, 16).ok()?);
            let (base, first) = (first.to_bits() & !0xffff, first.to_bits() & 0xffff);
            (first..=last).take(MAX_RANGE as usize).map(|part| Ipv6Addr::from_bits(base | part).into()).collect()
        }
    };
    Some(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// What the lines of a virtual server come to, but for its address.
struct Common<'a> {
    clients: Clients<'a>,
    protocol: Protocol,
    mode: Mode,
    follows_load: bool,
    checks: Vec<Check>,
    reals: Vec<Member>,
}

/// Reads a `virtual_server`: one service, or one for each address of its group.
pub(super) fn read(server: &Statement, groups: &Groups, draft: &mut Draft, remarks: &mut Remarks) {
    let addresses = match (server.value(), server.words.get(2)) {
        (Some("group"), Some(name)) => match groups.get(name) {
            Some(addresses) => addresses.clone(),
            None => return remarks.add(server.line, "there is no virtual_server_group of this name: left out"),
        },
        (Some("fwmark"), _) => return remarks.add(server.line, FWMARK),
        _ => match address_and_port(&server.words[1..]) {
            Some(address) => vec![(server.line, address)],
            None => return remarks.add(server.line, "not an address and a port: left out"),
        },
    };
    let port = addresses.first().map_or(0, |(_, address)| address.port());
    let Some(common) = common(server, port, &mut draft.gue_port, remarks) else { return };
    for (line, address) in addresses {
        let (affinity, one_packet) = common.clients.settle(address.ip(), common.protocol, remarks);
        draft.services.push(Service {
            line,
            vip: address.ip(),
            protocol: common.protocol,
            ports: ports(address.port()),
            mode: common.mode,
            follows_load: common.follows_load,
            affinity,
            one_packet,
            checks: common.checks.clone(),
            reals: common.reals.clone(),
        });
    }
}

fn common<'a>(
    server: &'a Statement,
    port: u16,
    gue_port: &mut Option<u16>,
    remarks: &mut Remarks,
) -> Option<Common<'a>> {
    let protocol = match server.inner("protocol").map(str::to_ascii_uppercase).as_deref() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(_) => {
            remarks.add(server.line, "protocols other than TCP, UDP and SCTP have no counterpart: left out");
            return None;
        }
    };
    let scheduler = server.find("lb_algo").or_else(|| server.find("lvs_sched"));
    let (line, name) = scheduler.map_or((server.line, "wlc"), |own| (own.line, own.value().unwrap_or_default()));
    let scheduler = schedulers::look_up(name, line, remarks);
    let mode = mode(server, gue_port, remarks);
    remark_on_lines(server, remarks);
    let (reals, mut checks) = reals(server, (port, mode), scheduler.ignores_weights, remarks);
    if protocol == Protocol::Sctp {
        // Checks speak TCP or UDP, as keepalived's do; here that port has to be named.
        let unnamed = checks.iter_mut().filter(|check| check.port.is_none() && check.kind.has_port());
        unnamed.for_each(|check| check.port = Some(port).filter(|port| *port != 0));
    }
    Some(Common { clients: clients(server), protocol, mode, follows_load: scheduler.follows_load, checks, reals })
}

/// How clients are treated.
fn clients(server: &Statement) -> Clients<'_> {
    let timeout = |own: &Statement| {
        let seconds = own.value().and_then(|seconds| seconds.parse().ok());
        (own.line, seconds.unwrap_or(DEFAULT_PERSISTENCE))
    };
    Clients {
        timeout: server.find("persistence_timeout").map(timeout),
        mask: server.find("persistence_granularity").map(|own| (own.line, own.value().unwrap_or_default())),
        one_packet: server.find("ops").map(|own| own.line),
    }
}

fn mode(server: &Statement, gue_port: &mut Option<u16>, remarks: &mut Remarks) -> Mode {
    let own = server.find("lb_kind").or_else(|| server.find("lvs_method"));
    match own.and_then(Statement::value) {
        Some("DR") => Mode::Dsr,
        Some("TUN") => own.map_or(Mode::Ipip, |own| tunnel(own, gue_port, remarks)),
        // What keepalived does without the line, too.
        _ => Mode::Nat,
    }
}

/// `TUN`, and perhaps `type gue port N` after it.
fn tunnel(own: &Statement, gue_port: &mut Option<u16>, remarks: &mut Remarks) -> Mode {
    let after = |word: &str| {
        let place = own.words.iter().position(|known| known == word)?;
        own.words.get(place + 1).map(String::as_str)
    };
    match after("type") {
        None | Some("ipip") => Mode::Ipip,
        Some("gue") => {
            let port = after("port").and_then(|port| port.parse().ok()).filter(|port| *port != 0);
            if port.is_none() {
                remarks.add(own.line, format!("no port: {GUE_PORT} is taken"));
            }
            clients::note_gue_port(gue_port, port.unwrap_or(GUE_PORT), own.line, remarks);
            if own.words.iter().any(|word| word == "csum" || word == "remcsum") {
                remarks.add(own.line, "csum and remcsum have no counterpart: the outer UDP header has no checksum");
            }
            Mode::Gue
        }
        Some(_) => {
            remarks.add(own.line, "tunnels are ipip or gue here: ipip is taken");
            Mode::Ipip
        }
    }
}

fn remark_on_lines(server: &Statement, remarks: &mut Remarks) {
    for inner in server.block() {
        let text = match inner.word() {
            "real_server"
            | "sorry_server"
            | "protocol"
            | "lb_algo"
            | "lvs_sched"
            | "lb_kind"
            | "lvs_method"
            | "virtualhost"
            | "persistence_timeout"
            | "persistence_granularity"
            | "ops" => continue,
            word if Defaults::KEYS.contains(&word) => continue,
            "alpha" => "alpha has no counterpart: a real that is new is taken for up",
            "quorum" | "quorum_up" | "quorum_down" | "hysteresis" => {
                "quorum has no counterpart; `pair.track.min_healthy_reals` can move the VIPs to the peer"
            }
            _ => {
                no_counterpart(inner, remarks);
                continue;
            }
        };
        remarks.add(inner.line, text);
    }
}

/// The reals, and the checks that can be made of each of them.
fn reals(
    server: &Statement,
    (port, mode): (u16, Mode),
    ignores_weights: bool,
    remarks: &mut Remarks,
) -> (Vec<Member>, Vec<Check>) {
    let defaults = Defaults::of(server);
    let mut members = Vec::new();
    let mut checks: Vec<Vec<(usize, Check)>> = Vec::new();
    for real in server.block().iter().filter(|inner| inner.word() == "real_server") {
        let Some(address) = address_and_port(&real.words[1..]) else {
            remarks.add(real.line, "not an address and a port: left out");
            continue;
        };
        let weight = match real.inner("weight").map_or(Ok(1), str::parse::<u16>) {
            Ok(weight) if ignores_weights => weight.min(1),
            Ok(weight) => weight,
            Err(_) => {
                remarks.add(real.line, "its weight is not 0 to 65535: left out");
                continue;
            }
        };
        // Where a check goes that names no port.
        let checked = if mode == Mode::Nat && address.port() != 0 && port != 0 { address.port() } else { port };
        let (line, weight) = (real.line, weight.into());
        members.push(Member { line, address: address.ip(), weight, port: address.port(), fallback: false });
        checks.push(check::of_real(real, &defaults.within(real), checked, remarks));
    }
    let common = in_common(server, checks, remarks);
    members.extend(sorry_server(server, &members, !common.is_empty(), remarks));
    (members, common)
}

/// The server that stands in for the others.
fn sorry_server(server: &Statement, others: &[Member], is_checked: bool, remarks: &mut Remarks) -> Option<Member> {
    let stated = server.block().iter().find(|inner| inner.word() == "sorry_server")?;
    let Some(address) = address_and_port(&stated.words[1..]) else {
        remarks.add(stated.line, "not an address and a port: left out");
        return None;
    };
    if others.is_empty() || others.iter().any(|other| other.address == address.ip()) {
        remarks.add(stated.line, "the sorry_server is one of the reals, or the only one: left out");
        return None;
    }
    if is_checked {
        remarks.add(
            stated.line,
            "the checks of the service are made of the sorry_server, too, and it stands in only while they pass",
        );
    }
    Some(Member { line: stated.line, address: address.ip(), weight: 1, port: address.port(), fallback: true })
}

/// A service has its checks for all its reals alike.
fn in_common(server: &Statement, of_reals: Vec<Vec<(usize, Check)>>, remarks: &mut Remarks) -> Vec<Check> {
    let checked: Vec<_> = of_reals.iter().filter(|checks| !checks.is_empty()).collect();
    let mut common: Vec<Check> = Vec::new();
    for (line, check) in checked.iter().flat_map(|checks| checks.iter()) {
        if common.contains(check) {
            continue;
        }
        if checked.iter().all(|checks| checks.iter().any(|(_, other)| other == check)) {
            common.push(check.clone());
        } else {
            remarks.add(*line, "a service has one check for all its reals, and this one is not made of each of them: left out. An exec check is told the address of the real in UNDERSTUDY_ADDRESS");
        }
    }
    if !common.is_empty() && checked.len() < of_reals.len() {
        remarks.add(server.line, "some of its reals have no check there, and have that of the others here");
    }
    if common.is_empty() && !of_reals.is_empty() {
        remarks.add(server.line, "the service has no check: a real that dies still gets flows. Add a [[check]]");
    }
    if common.len() > MAX_CHECKS {
        remarks.add(server.line, format!("a service has {MAX_CHECKS} checks at most: the others are left out"));
        common.truncate(MAX_CHECKS);
    }
    common
}
