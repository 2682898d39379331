//! A configuration file as it is written: each value of the right type and in its range, with its place in the file.
//! What values mean together is the business of `validate`.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, array, document, integer, string, type_name, word};
use lb_core::service::{Mode, Ports, Protocol};

use super::{AttachMode, FLOW_IDLE_TIMEOUT_RANGE, FLOWS_RANGE, LogLevel, MAX_WEIGHT, REALS_RANGE, keys};

/// A file whose values can each be used.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    /// Where to point when an interface is missing.
    pub(super) interfaces_span: Range<usize>,
    pub(super) interfaces: Vec<Spanned<String>>,
    pub(super) attach_mode: Option<AttachMode>,
    pub(super) state_dir: Option<Spanned<String>>,
    pub(super) run_dir: Option<Spanned<String>>,
    pub(super) bpf_dir: Option<Spanned<String>>,
    pub(super) flow_idle_timeout: Option<Duration>,
    pub(super) log: Option<LogLevel>,
    pub(super) bpf_log: Option<bool>,
    pub(super) max_reals: Option<u32>,
    pub(super) max_flows: Option<u32>,
    pub(super) api_group: Option<Spanned<String>>,
    pub(super) reals: Vec<RawReal>,
    pub(super) services: Vec<RawService>,
}

/// A `[[real]]`.
#[derive(Debug)]
pub(super) struct RawReal {
    pub(super) name: Spanned<String>,
    pub(super) address: Spanned<IpAddr>,
    pub(super) weight: Option<Spanned<u32>>,
}

/// A `[[service]]`.
#[derive(Debug)]
pub(super) struct RawService {
    pub(super) name: Spanned<String>,
    pub(super) vip: Spanned<IpAddr>,
    pub(super) protocol: Protocol,
    pub(super) ports: Spanned<Ports>,
    pub(super) mode: Mode,
    /// The whole list.
    pub(super) reals_span: Range<usize>,
    pub(super) reals: Vec<RawMember>,
}

/// An entry of a service's `reals`.
#[derive(Debug)]
pub(super) struct RawMember {
    pub(super) real: Spanned<String>,
    pub(super) weight: Option<Spanned<u32>>,
}

/// Reads what can be read, and notes everything that is wrong.
pub(super) fn read(source: &str, problems: &mut Problems) -> RawConfig {
    let Some(document) = document(source, problems) else { return RawConfig::default() };
    let top = Table::top(&keys::TOP, &document, problems);
    let (max_reals, max_flows) = limits(&top, problems);
    let (interfaces_span, interfaces) = interfaces(&top, problems);
    RawConfig {
        interfaces_span,
        interfaces,
        attach_mode: word(
            "attach_mode",
            top.string("attach_mode", "\"auto\"", problems),
            &[("auto", AttachMode::Auto), ("driver", AttachMode::Driver), ("generic", AttachMode::Generic)],
            problems,
        ),
        state_dir: top.string("state_dir", "\"/var/lib/understudy\"", problems),
        run_dir: top.string("run_dir", "\"/run/understudy\"", problems),
        bpf_dir: top.string("bpf_dir", "\"/sys/fs/bpf/understudy\"", problems),
        flow_idle_timeout: top
            .duration("flow_idle_timeout", FLOW_IDLE_TIMEOUT_RANGE, "\"15m\"", problems)
            .map(Spanned::into_inner),
        log: word("log", top.string("log", "\"info\"", problems), &LogLevel::WORDS, problems),
        bpf_log: top.boolean("bpf_log", problems),
        max_reals,
        max_flows,
        api_group: top.table("api", &keys::API, problems).and_then(|api| api.string("group", "\"adm\"", problems)),
        reals: top.tables("real", problems).iter().filter_map(|value| real(value, problems)).collect(),
        services: top.tables("service", problems).iter().filter_map(|value| service(value, problems)).collect(),
    }
}

fn interfaces(top: &Table<'_, '_>, problems: &mut Problems) -> (Range<usize>, Vec<Spanned<String>>) {
    let example = "[\"eth0\"]";
    let Some(value) = top.required("interfaces", example, problems) else { return (0..0, Vec::new()) };
    let elements = array("interfaces", value, &format!("interfaces = {example}"), problems);
    let names = elements.iter().filter_map(|value| string("interfaces", value, example, problems)).collect();
    (value.span(), names)
}

fn limits(top: &Table<'_, '_>, problems: &mut Problems) -> (Option<u32>, Option<u32>) {
    let Some(limits) = top.table("limits", &keys::LIMITS, problems) else { return (None, None) };
    let mut number = |key, range| limits.integer(key, range, problems).map(Spanned::into_inner);
    (number("reals", REALS_RANGE), number("flows", FLOWS_RANGE))
}

fn real(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawReal> {
    let table = Table::from_value(&keys::REAL, value, problems)?;
    let name = table.required_string("name", "\"web1\"", problems);
    let address = table.required_ip_address("address", "\"192.0.2.11\"", problems);
    let weight = table.integer("weight", 0..=MAX_WEIGHT, problems);
    Some(RawReal { name: name?, address: address?, weight })
}

fn service(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawService> {
    let table = Table::from_value(&keys::SERVICE, value, problems)?;
    let name = table.required_string("name", "\"web\"", problems);
    let vip = table.required_ip_address("vip", "\"192.0.2.1\"", problems);
    let protocol = word(
        "protocol",
        table.required_string("protocol", "\"tcp\"", problems),
        &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)],
        problems,
    );
    let ports = table.required("port", "80", problems).and_then(|value| ports(value, problems));
    let mode = word(
        "mode",
        table.required_string("mode", "\"dsr\"", problems),
        &[("dsr", Mode::Dsr), ("ipip", Mode::Ipip)],
        problems,
    );
    let reals = table.required("reals", "[\"web1\", \"web2\"]", problems)?;
    let (reals_span, reals) = (reals.span(), members(reals, problems));
    Some(RawService { name: name?, vip: vip?, protocol: protocol?, ports: ports?, mode: mode?, reals_span, reals })
}

fn members(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Vec<RawMember> {
    let elements = array("reals", value, "reals = [\"web1\", { name = \"web2\", weight = 50 }]", problems);
    elements.iter().filter_map(|value| member(value, problems)).collect()
}

/// A name alone, or a table of a name and a weight.
fn member(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawMember> {
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        let real = string("reals", value, "[\"web1\", { name = \"web2\", weight = 50 }]", problems)?;
        return Some(RawMember { real, weight: None });
    }
    let table = Table::from_value(&keys::MEMBER, value, problems)?;
    let real = table.required_string("name", "\"web2\"", problems);
    let weight = table.integer("weight", 0..=MAX_WEIGHT, problems);
    Some(RawMember { real: real?, weight })
}

fn ports(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Spanned<Ports>> {
    let ports = match value.get_ref() {
        DeValue::Integer(_) => integer("port", value, 1..=u32::from(u16::MAX), problems)
            .and_then(|port| u16::try_from(port.into_inner()).ok())
            .map(Ports::Single),
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
