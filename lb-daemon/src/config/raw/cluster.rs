//! `[[real]]` and `[[service]]`.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, array, integer, ip_address, string, type_name, word};
use lb_core::monitoring::{AllDown, Scheduling};
use lb_core::service::{Mode, Ports, Prefix, Protocol, QuicServerId};

use super::super::{MAX_WEIGHT, MONITOR_INTERVAL_RANGE, keys};
use super::extras::{RawExtras, extras};
use super::quic::server_ids;
use super::text::prefix;

/// A `[[real]]`.
#[derive(Debug)]
pub(in crate::config) struct RawReal {
    pub(in crate::config) name: Spanned<String>,
    pub(in crate::config) address: Spanned<IpAddr>,
    pub(in crate::config) weight: Option<Spanned<u32>>,
    pub(in crate::config) agent_check: Option<RawAgentCheck>,
}

/// A real's `agent_check`.
#[derive(Debug)]
pub(in crate::config) struct RawAgentCheck {
    pub(in crate::config) address: SocketAddr,
    pub(in crate::config) interval: Option<Duration>,
}

const VIP_EXAMPLE: &str = "\"192.0.2.1\"";

/// A `[[service]]`.
#[derive(Debug)]
pub(in crate::config) struct RawService {
    pub(in crate::config) name: Spanned<String>,
    /// Of a single address the prefix of just that one.
    pub(in crate::config) vip: Spanned<Prefix>,
    pub(in crate::config) protocol: Protocol,
    pub(in crate::config) ports: Spanned<Ports>,
    pub(in crate::config) mode: Mode,
    /// The whole list.
    pub(in crate::config) reals_span: Range<usize>,
    pub(in crate::config) reals: Vec<RawMember>,
    pub(in crate::config) checks: Vec<Spanned<String>>,
    pub(in crate::config) all_down: AllDown,
    pub(in crate::config) scheduling: Scheduling,
    pub(in crate::config) extras: RawExtras,
}

/// An address, or a prefix.
fn vip(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Spanned<Prefix>> {
    let text = table.required_string("vip", VIP_EXAMPLE, problems)?;
    if text.get_ref().contains('/') {
        return prefix("vip", &text, problems);
    }
    let address = ip_address("vip", &text, VIP_EXAMPLE, problems)?;
    Some(Spanned::new(address.span(), Prefix::around(*address.get_ref(), u8::MAX)))
}

/// An entry of a service's `reals`.
#[derive(Debug)]
pub(in crate::config) struct RawMember {
    pub(in crate::config) real: Spanned<String>,
    pub(in crate::config) weight: Option<Spanned<u32>>,
    pub(in crate::config) port: Option<Spanned<u16>>,
    pub(in crate::config) fallback: bool,
    pub(in crate::config) quic_server_ids: Vec<Spanned<QuicServerId>>,
}

pub(super) fn real(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawReal> {
    let table = Table::from_value(&keys::REAL, value, problems)?;
    let name = table.required_string("name", "\"web1\"", problems);
    let address = table.required_ip_address("address", "\"192.0.2.11\"", problems);
    let weight = table.integer("weight", 0..=MAX_WEIGHT, problems);
    let agent_check = table.get("agent_check").and_then(|value| agent_check(value, problems));
    Some(RawReal { name: name?, address: address?, weight, agent_check })
}

const AGENT_CHECK_EXAMPLE: &str = "\"tcp://192.0.2.11:9777\"";

/// A URL alone, or a table of a URL and an interval.
fn agent_check(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawAgentCheck> {
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        let url = string("agent_check", value, AGENT_CHECK_EXAMPLE, problems)?;
        return Some(RawAgentCheck { address: agent("agent_check", &url, problems)?, interval: None });
    }
    let table = Table::from_value(&keys::AGENT_CHECK, value, problems)?;
    let url = table.required_string("url", AGENT_CHECK_EXAMPLE, problems);
    let address = url.and_then(|url| agent("url", &url, problems));
    let interval = table.duration("interval", MONITOR_INTERVAL_RANGE, "\"2s\"", problems).map(Spanned::into_inner);
    Some(RawAgentCheck { address: address?, interval })
}

fn agent(key: &str, url: &Spanned<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let address = url.get_ref().strip_prefix("tcp://").and_then(|address| address.parse().ok());
    let address = address.filter(|address: &SocketAddr| address.port() != 0);
    if address.is_none() {
        problems.add(Diagnostic::new(
            url.span(),
            format!("`{key}` is not where an agent listens: {:?}", url.get_ref()),
            "not tcp:// with an address and a port",
            format!(
                "write it as in {key} = {AGENT_CHECK_EXAMPLE}, an IPv6 address in brackets; names are not looked up"
            ),
        ));
    }
    address
}

const ALL_DOWN: [(&str, AllDown); 3] =
    [("drop", AllDown::Drop), ("reset", AllDown::Reset), ("last-known", AllDown::LastKnown)];

const SCHEDULING: [(&str, Scheduling); 2] = [("load", Scheduling::Load), ("static", Scheduling::Static)];

pub(super) fn service(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawService> {
    let table = Table::from_value(&keys::SERVICE, value, problems)?;
    let name = table.required_string("name", "\"web\"", problems);
    let vip = vip(&table, problems);
    let protocol = word(
        "protocol",
        table.required_string("protocol", "\"tcp\"", problems),
        &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)],
        problems,
    );
    let ports = table.required("port", "80", problems).and_then(|value| ports(value, problems));
    let mode = word(
        "mode",
        table.required_string("mode", "\"dsr\"", problems),
        &[("dsr", Mode::Dsr), ("ipip", Mode::Ipip), ("gue", Mode::Gue), ("nat", Mode::Nat)],
        problems,
    );
    let checks = table.strings("checks", "[\"alive\"]", problems);
    let all_down = word("all_down", table.string("all_down", "\"reset\"", problems), &ALL_DOWN, problems);
    let scheduling = word("scheduling", table.string("scheduling", "\"static\"", problems), &SCHEDULING, problems);
    let extras = extras(&table, problems);
    let reals = table.required("reals", "[\"web1\", \"web2\"]", problems)?;
    let (reals_span, reals) = (reals.span(), members(reals, problems));
    Some(RawService {
        name: name?,
        vip: vip?,
        protocol: protocol?,
        ports: ports?,
        mode: mode?,
        reals_span,
        reals,
        checks,
        all_down: all_down.unwrap_or_default(),
        scheduling: scheduling.unwrap_or_default(),
        extras,
    })
}

fn members(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Vec<RawMember> {
    let elements = array("reals", value, "reals = [\"web1\", { name = \"web2\", weight = 50 }]", problems);
    elements.iter().filter_map(|value| member(value, problems)).collect()
}

/// A name alone, or a table of a name and what is said of it.
fn member(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawMember> {
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        let real = string("reals", value, "[\"web1\", { name = \"web2\", weight = 50 }]", problems)?;
        return Some(RawMember { real, weight: None, port: None, fallback: false, quic_server_ids: Vec::new() });
    }
    let table = Table::from_value(&keys::MEMBER, value, problems)?;
    let real = table.required_string("name", "\"web2\"", problems);
    let weight = table.integer("weight", 0..=MAX_WEIGHT, problems);
    let port = table.get("port").and_then(|value| port(value, problems));
    let fallback = table.boolean("fallback", problems).unwrap_or(false);
    let quic_server_ids = server_ids(&table, problems);
    Some(RawMember { real: real?, weight, port, fallback, quic_server_ids })
}

fn port(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Spanned<u16>> {
    let port = integer("port", value, 1..=u32::from(u16::MAX), problems)?;
    u16::try_from(port.into_inner()).ok().map(|port| Spanned::new(value.span(), port))
}

fn ports(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Spanned<Ports>> {
    let ports = match value.get_ref() {
        DeValue::Integer(_) => port(value, problems).map(|port| Ports::Single(port.into_inner())),
        DeValue::String(text) => ports_in_words(value.span(), text, problems),
        other => {
            problems.add(wrong_ports(value.span(), type_name(other)));
            None
        }
    };
    ports.map(|ports| Spanned::new(value.span(), ports))
}

fn ports_in_words(span: Range<usize>, text: &str, problems: &mut Problems) -> Option<Ports> {
    let ports = text.parse().ok();
    if ports.is_none() {
        problems.add(wrong_ports(span, &format!("{text:?}")));
    }
    ports
}

fn wrong_ports(span: Range<usize>, what: &str) -> Diagnostic {
    Diagnostic::new(
        span,
        format!("`port` cannot be {what}"),
        "not a port, a range of ports or \"any\"",
        "write port = 80, or port = \"8000-8099\", or port = \"any\"; ports go from 1 to 65535",
    )
}
