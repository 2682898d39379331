//! Services and reals: whether they fit together, and where the error is if not.

use std::ops::Range;

use lb_config::{Diagnostic, Problems, Spanned, suggestion};
use lb_core::service::{Cluster, ClusterError, Member, Problem, Real, Service, Subject};

use super::super::raw::{RawConfig, RawMember, RawReal, RawService};

pub(super) fn cluster(raw: &RawConfig, problems: &mut Problems) -> Option<Cluster> {
    let reals = raw.reals.iter().map(|real| Real {
        name: real.name.get_ref().clone(),
        address: *real.address.get_ref(),
        weight: real.weight.as_ref().map_or(lb_core::service::DEFAULT_WEIGHT, |weight| *weight.get_ref()),
    });
    match Cluster::new(raw.services.iter().map(service).collect(), reals.collect()) {
        Ok(cluster) => Some(cluster),
        Err(errors) => {
            for error in errors {
                problems.add(cluster_error(raw, &error));
            }
            None
        }
    }
}

fn service(raw: &RawService) -> Service {
    Service {
        name: raw.name.get_ref().clone(),
        vip: *raw.vip.get_ref(),
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
            })
            .collect(),
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
        Problem::Address { .. } | Problem::AddressIsVip { .. } => real.address.span(),
        Problem::Weight { .. } => real.weight.as_ref().map_or(real.name.span(), Spanned::span),
        _ => real.name.span(),
    }
}

fn place_in_service(service: &RawService, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Address { .. } => service.vip.span(),
        Problem::PortZero
        | Problem::PortOrder { .. }
        | Problem::Overlap { .. }
        | Problem::TooManyPortPrefixes { .. } => service.ports.span(),
        Problem::NoReals | Problem::TooManyNatMembers { .. } => service.reals_span.clone(),
        _ => service.name.span(),
    }
}

fn place_in_member(member: &RawMember, problem: &Problem) -> Range<usize> {
    match problem {
        Problem::Weight { .. } => member.weight.as_ref().map_or(member.real.span(), Spanned::span),
        Problem::MemberPort | Problem::PortZero | Problem::SameReplies { .. } => {
            member.port.as_ref().map_or(member.real.span(), Spanned::span)
        }
        _ => member.real.span(),
    }
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
