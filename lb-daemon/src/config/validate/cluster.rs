//! Services and reals: whether they fit together, and where the error is if not.

use std::ops::Range;

use lb_config::{Diagnostic, Problems, Spanned, suggestion};
use lb_core::service::{
    Affinity, Cluster, ClusterError, Guards, Member, NewFlowLimit, Prefix, Problem, QuicEncoding, QuicServerId, Real,
    Service, Subject, SynFlood,
};

use super::super::DEFAULT_SOURCE_PREFIX_V6;
use super::super::raw::{RawConfig, RawExtras, RawMember, RawReal, RawService};
use super::quic::ReadKey;

pub(super) fn cluster(raw: &RawConfig, read_key: ReadKey<'_>, problems: &mut Problems) -> Option<Cluster> {
    let reals = raw.reals.iter().map(|real| Real {
        name: real.name.get_ref().clone(),
        address: *real.address.get_ref(),
        weight: real.weight.as_ref().map_or(lb_core::service::DEFAULT_WEIGHT, |weight| *weight.get_ref()),
    });
    let services = raw.services.iter().map(|raw| service(raw, quic(raw, read_key, problems)));
    match Cluster::new(services.collect(), reals.collect()) {
        Ok(cluster) => Some(cluster),
        Err(errors) => {
            for error in errors {
                problems.add(cluster_error(raw, &error));
            }
            None
        }
    }
}

/// Those whose key cannot be had are left out: that is an error already.
fn quic(raw: &RawService, read_key: ReadKey<'_>, problems: &mut Problems) -> Vec<QuicEncoding> {
    raw.extras.quic.iter().filter_map(|raw| super::quic::encoding(raw, read_key, problems)).collect()
}

fn service(raw: &RawService, quic: Vec<QuicEncoding>) -> Service {
    Service {
        name: raw.name.get_ref().clone(),
        vip: raw.vip.get_ref().address(),
        vip_prefix: (raw.vip.get_ref().free_bits() > 0).then(|| raw.vip.get_ref().length()),
        protocol: raw.protocol,
        ports: *raw.ports.get_ref(),
        mode: raw.mode,
        reals: raw
            .reals
            .iter()
            .map(|member| Member {
                real: member.real.get_ref().clone(),
                weight: member.weight.as_ref().map(|weight| *weight.get_ref()),
                port: member.port.as_ref().map(|port| *port.get_ref()),
                fallback: member.fallback,
                quic_server_ids: member.quic_server_ids.iter().map(|id| id.get_ref().clone()).collect(),
            })
            .collect(),
        one_packet: raw.extras.one_packet.unwrap_or(false),
        affinity: affinity(raw),
        guards: guards(raw),
        quic,
    }
}

/// The bits of an address of the service's clients.
fn address_bits(raw: &RawService) -> u8 {
    if raw.vip.get_ref().address().is_ipv4() { 32 } else { 128 }
}

fn affinity(raw: &RawService) -> Option<Affinity> {
    let affinity = raw.extras.affinity.as_ref()?.get_ref();
    Some(Affinity {
        prefix: affinity.prefix.unwrap_or_else(|| address_bits(raw)),
        timeout_ms: affinity.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        group: affinity.group.as_ref().map(|group| group.get_ref().clone()),
    })
}

fn guards(raw: &RawService) -> Guards {
    let RawExtras { allow, deny, new_flow_limit, syn_flood, .. } = &raw.extras;
    let default_prefix = address_bits(raw).min(DEFAULT_SOURCE_PREFIX_V6);
    let prefixes = |list: &[Spanned<Prefix>]| list.iter().map(|prefix| *prefix.get_ref()).collect();
    Guards {
        allow: prefixes(allow),
        deny: prefixes(deny),
        new_flow_limit: new_flow_limit.as_ref().map(Spanned::get_ref).map(|limit| NewFlowLimit {
            rate: limit.rate,
            burst: limit.burst.unwrap_or(limit.rate),
            prefix: limit.prefix.unwrap_or(default_prefix),
        }),
        syn_flood: syn_flood.as_ref().map(|threshold| SynFlood { threshold: *threshold.get_ref() }),
    }
}

/// Points at the value that an error of the cluster is about. The error's text is "what is wrong; what to do".
fn cluster_error(raw: &RawConfig, error: &ClusterError) -> Diagnostic {
    let text = error.problem.to_string();
    let (problem, help) = text.split_once("; ").unwrap_or((&text, ""));
    let (span, first) = place(raw, error);
    let diagnostic = Diagnostic::new(span, format!("{}: {problem}", error.subject), "here", help);
    match (&error.problem, first) {
        (Problem::DuplicateName | Problem::DuplicateMember, Some(first)) => {
            diagnostic.with_context(first, "first here")
        }
        (Problem::UnknownReal, _) => with_suggestion(raw, error, diagnostic),
        _ => diagnostic,
    }
}

/// Where the subject is, and where the first item of the same name is when that is another one.
fn place(raw: &RawConfig, error: &ClusterError) -> (Range<usize>, Option<Range<usize>>) {
    let found = match &error.subject {
        Subject::Real(name) => {
            let same = |real: &&RawReal| real.name.get_ref() == name;
            let first = raw.reals.iter().find(same).map(|real| real.name.span());
            raw.reals.iter().rfind(same).map(|real| (place_in_real(real, &error.problem), first))
        }
        Subject::Service(name) => {
            let same = |service: &&RawService| service.name.get_ref() == name;
            let first = raw.services.iter().find(same).map(|service| service.name.span());
            raw.services.iter().rfind(same).map(|service| (place_in_service(service, &error.problem), first))
        }
        Subject::Member { service, real } => {
            let members = raw.services.iter().filter(|raw| raw.name.get_ref() == service).flat_map(|raw| &raw.reals);
            let mut same = members.filter(|member| member.real.get_ref() == real);
            same.next().map(|first| {
                let last = same.next_back().unwrap_or(first);
                (place_in_member(last, &error.problem), Some(first.real.span()))
            })
        }
    };
    found.unwrap_or((0..0, None))
}

fn place_in_real(real: &RawReal, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Address { .. } | Problem::AddressIsVip { .. } | Problem::AddressInVips { .. } => real.address.span(),
        Problem::Weight { .. } => real.weight.as_ref().map_or(real.name.span(), Spanned::span),
        _ => real.name.span(),
    }
}

fn place_in_service(service: &RawService, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Address { .. }
        | Problem::VipPrefix(_)
        | Problem::VipPrefixLength { .. }
        | Problem::VipPrefixNat { .. }
        | Problem::VipsBeginAlike { .. } => service.vip.span(),
        Problem::PortZero
        | Problem::PortOrder { .. }
        | Problem::Overlap { .. }
        | Problem::TooManyPortPrefixes { .. } => service.ports.span(),
        Problem::AccessFamily { prefix, .. } | Problem::AccessTwice { prefix } | Problem::AccessBoth { prefix } => {
            place_of_prefix(service, prefix)
        }
        Problem::TcpOnly { what, .. } | Problem::PrefixLength { what, .. } => place_of_table(service, what),
        Problem::GroupName | Problem::GroupQuic | Problem::GroupDiffers { .. } => {
            place_of_group(service).unwrap_or_else(|| service.name.span())
        }
        Problem::NewFlows => place_of_table(service, "new_flow_limit"),
        Problem::OnePacketAffinity | Problem::OnePacketProtocol { .. } => {
            service.extras.one_packet_span.clone().unwrap_or_else(|| service.name.span())
        }
        Problem::QuicConfigTwice { at, .. }
        | Problem::QuicPlainAlone { at }
        | Problem::QuicLength { at }
        | Problem::QuicPlainLength { at } => place_of_quic(service, *at),
        Problem::QuicProtocol { .. } | Problem::QuicEncodings { .. } | Problem::TooManyQuicEncodings { .. } => {
            place_of_quic(service, 0)
        }
        Problem::NoReals | Problem::TooManyNatMembers { .. } => service.reals_span.clone(),
        _ => service.name.span(),
    }
}

/// Where the prefix is, the last time.
fn place_of_prefix(service: &RawService, wanted: &Prefix) -> Range<usize> {
    let mut all = service.extras.allow.iter().chain(&service.extras.deny);
    all.rfind(|prefix| prefix.get_ref() == wanted).map_or_else(|| service.name.span(), Spanned::span)
}

fn place_of_quic(service: &RawService, at: usize) -> Range<usize> {
    service.extras.quic.get(at).map_or_else(|| service.name.span(), |quic| quic.span.clone())
}

/// Where a service says of which affinity group it is.
pub(super) fn place_of_group(service: &RawService) -> Option<Range<usize>> {
    Some(service.extras.affinity.as_ref()?.get_ref().group.as_ref()?.span())
}

fn place_of_table(service: &RawService, name: &str) -> Range<usize> {
    let RawExtras { affinity, new_flow_limit, syn_flood, .. } = &service.extras;
    let span = match name {
        "affinity" => affinity.as_ref().map(Spanned::span),
        "new_flow_limit" => new_flow_limit.as_ref().map(Spanned::span),
        _ => syn_flood.as_ref().map(Spanned::span),
    };
    span.unwrap_or_else(|| service.name.span())
}

fn place_in_member(member: &RawMember, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Weight { .. } => member.weight.as_ref().map_or(member.real.span(), Spanned::span),
        Problem::MemberPort | Problem::PortZero | Problem::SameReplies { .. } => {
            member.port.as_ref().map_or(member.real.span(), Spanned::span)
        }
        Problem::QuicServerIdLength { id } | Problem::QuicServerIdTwice { id, .. } => place_of_server_id(member, id),
        Problem::QuicServerIdAlone | Problem::QuicServerIds { .. } => {
            member.quic_server_ids.first().map_or(member.real.span(), Spanned::span)
        }
        _ => member.real.span(),
    }
}

/// Where the server id is, the last time.
fn place_of_server_id(member: &RawMember, wanted: &QuicServerId) -> Range<usize> {
    let id = member.quic_server_ids.iter().rfind(|id| id.get_ref() == wanted);
    id.map_or(member.real.span(), Spanned::span)
}

fn with_suggestion(raw: &RawConfig, error: &ClusterError, mut diagnostic: Diagnostic) -> Diagnostic {
    let names: Vec<&str> = raw.reals.iter().map(|real| real.name.get_ref().as_str()).collect();
    if let Subject::Member { real, .. } = &error.subject
        && let Some(suggestion) = suggestion(real, &names)
    {
        diagnostic.help = suggestion;
    }
    diagnostic
}
