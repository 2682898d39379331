//! QUIC: encodings that can be, and server ids that name one real each.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Problem};
use crate::service::{
    MAX_QUIC_CONFIG, MAX_QUIC_ENCODINGS, MAX_QUIC_ROWS, MAX_QUIC_SERVER_ID, MAX_QUIC_SERVER_IDS, MAX_QUIC_SERVERS,
    Member, Protocol, QUIC_CID, QUIC_NONCES, QuicEncoding, QuicLayout, QuicServerId, Service,
};

pub(super) fn check(services: &[Service], found: &mut Findings) {
    let (mut encodings, mut ids) = (0, 0);
    let (mut first_with_encodings, mut first_with_ids) = (None, None);
    for service in services {
        check_encodings(service, found);
        check_ids(service, found);
        encodings += service.quic.len();
        ids += service.reals.iter().map(|member| member.quic_server_ids.len()).sum::<usize>();
        if encodings > MAX_QUIC_ROWS {
            first_with_encodings.get_or_insert(service);
        }
        if ids > MAX_QUIC_SERVERS {
            first_with_ids.get_or_insert(service);
        }
    }
    if let Some(service) = first_with_encodings {
        found.service(service, Problem::TooManyQuicEncodings { count: encodings });
    }
    if let Some(service) = first_with_ids {
        found.service(service, Problem::TooManyQuicServers { count: ids });
    }
}

fn check_encodings(service: &Service, found: &mut Findings) {
    if service.quic.is_empty() {
        return;
    }
    if service.protocol != Protocol::Udp {
        found.service(service, Problem::QuicProtocol { protocol: service.protocol });
    }
    let is_plain = |encoding: &QuicEncoding| matches!(encoding.layout, QuicLayout::Plain { .. });
    let mut configs = BTreeSet::new();
    for (at, encoding) in service.quic.iter().enumerate() {
        if let Some(problem) = length_problem(encoding, at) {
            found.service(service, problem);
        }
        let config = encoding.layout.config();
        if !configs.insert(config) && !is_plain(encoding) {
            found.service(service, Problem::QuicConfigTwice { at, config });
        }
    }
    if let Some(at) = service.quic.iter().position(is_plain).filter(|_| service.quic.len() > 1) {
        found.service(service, Problem::QuicPlainAlone { at });
    } else if service.quic.len() > MAX_QUIC_ENCODINGS {
        found.service(service, Problem::QuicEncodings { count: service.quic.len() });
    }
}

/// What is wrong with its numbers alone.
fn length_problem(encoding: &QuicEncoding, at: usize) -> Option<Problem> {
    let length = encoding.server_id_length;
    let is_length = (1..=MAX_QUIC_SERVER_ID).contains(&length);
    match &encoding.layout {
        QuicLayout::Plain { offset } => {
            let fits = is_length && offset.saturating_add(length) <= QUIC_CID;
            (!fits).then_some(Problem::QuicPlainLength { at })
        }
        QuicLayout::QuicLb { config, nonce_length, .. } => {
            let fits = is_length
                && *config <= MAX_QUIC_CONFIG
                && QUIC_NONCES.contains(nonce_length)
                && nonce_length.saturating_add(length) < QUIC_CID;
            (!fits).then_some(Problem::QuicLength { at })
        }
    }
}

fn check_ids(service: &Service, found: &mut Findings) {
    let mut named: BTreeMap<&QuicServerId, &Member> = BTreeMap::new();
    for member in &service.reals {
        let ids = &member.quic_server_ids;
        if !ids.is_empty() && service.quic.is_empty() {
            found.member(service, &member.real, Problem::QuicServerIdAlone);
            continue;
        }
        if ids.len() > MAX_QUIC_SERVER_IDS {
            found.member(service, &member.real, Problem::QuicServerIds { count: ids.len() });
        }
        for id in ids {
            if !service.quic.iter().any(|encoding| usize::from(encoding.server_id_length) == id.bytes().len()) {
                found.member(service, &member.real, Problem::QuicServerIdLength { id: id.clone() });
            }
            if let Some(other) = named.insert(id, member) {
                let problem = Problem::QuicServerIdTwice { id: id.clone(), other: other.real.clone() };
                found.member(service, &member.real, problem);
            }
        }
    }
}
