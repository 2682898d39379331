//! Digests of what must be the same on both nodes, for [`super::Facts`]. docs/reference/wire.md says what is hashed.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use lb_common::SLOT_CLEAN;
use sha2::{Digest, Sha256};

use crate::{
    service::{Cluster, Guards, QuicEncoding, QuicLayout, QuicSecret, Service},
    table::SchedulingTable,
};

/// The digest of the VIPs, and of gateways beside them, in whatever order they are configured.
#[must_use]
pub fn vips(cluster: &Cluster) -> u64 {
    let vips = cluster.services().iter().map(|service| service.vips().brief());
    of_lines(&vips.chain(cluster.gateways().iter().map(ToString::to_string)).collect())
}

/// The digest of services and reals as they are configured, in whatever order.
#[must_use]
pub fn services(cluster: &Cluster) -> u64 {
    of_lines(&lines(cluster))
}

fn lines(cluster: &Cluster) -> BTreeSet<String> {
    let reals = cluster.reals().iter().map(|real| format!("real {} {} {}", real.name, real.address, real.weight));
    reals.chain(cluster.services().iter().flat_map(of_service)).collect()
}

fn of_service(service: &Service) -> impl Iterator<Item = String> {
    let Service {
        name,
        vip: _,
        vip_prefix: _,
        protocol,
        ports,
        mode,
        reals,
        one_packet: _,
        affinity: _,
        guards: _,
        quic: _,
    } = service;
    // Of a single address that alone, as it was before there were prefixes.
    let vip = service.vips().brief();
    let members = reals.iter().map(move |member| {
        let weight = member.weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string());
        let port = member.port.map_or_else(String::new, |port| format!(" {port}"));
        let fallback = if member.fallback { " fallback" } else { "" };
        format!("member {name} {} {weight}{port}{fallback}", member.real)
    });
    std::iter::once(format!("service {name} {vip} {protocol} {ports} {mode}")).chain(members).chain(of_extras(service))
}

/// What most services do not have: without it their digest is what it was before there was any of it.
fn of_extras(service: &Service) -> impl Iterator<Item = String> {
    let Service { name, one_packet, affinity, guards: Guards { allow, deny, new_flow_limit, syn_flood }, .. } = service;
    let one_packet = one_packet.then(|| format!("one_packet {name}"));
    let group = service.group().map(|group| format!("affinity_group {name} {group}"));
    let affinity = affinity.as_ref().map(|affinity| {
        let timeout = affinity.timeout_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        format!("affinity {name} {} {timeout}", affinity.prefix)
    });
    let limit =
        new_flow_limit.map(|limit| format!("new_flow_limit {name} {} {} {}", limit.rate, limit.burst, limit.prefix));
    let flood = syn_flood.map(|flood| format!("syn_flood {name} {}", flood.threshold));
    let access = allow.iter().map(move |prefix| format!("allow {name} {prefix}"));
    let access = access.chain(deny.iter().map(move |prefix| format!("deny {name} {prefix}")));
    one_packet.into_iter().chain(affinity).chain(group).chain(limit).chain(flood).chain(access).chain(of_quic(service))
}

fn of_quic(service: &Service) -> impl Iterator<Item = String> {
    let Service { name, reals, quic, .. } = service;
    let encodings = quic.iter().map(move |QuicEncoding { server_id_length, layout }| match layout {
        QuicLayout::QuicLb { config, nonce_length, key } => {
            let key = key.as_ref().map_or_else(|| "-".to_owned(), fingerprint);
            format!("quic {name} {config} {server_id_length} {nonce_length} {key}")
        }
        QuicLayout::Plain { offset } => format!("quic {name} plain {offset} {server_id_length}"),
    });
    let ids = reals.iter().flat_map(move |member| {
        member.quic_server_ids.iter().map(move |id| format!("quic_server_id {name} {} {id}", member.real))
    });
    encodings.chain(ids)
}

/// The first eight bytes of the key's own SHA-256: two keys are told apart, and neither is told.
fn fingerprint(key: &QuicSecret) -> String {
    let mut hash = Sha256::new();
    hash.update(key.bytes);
    format!("{:016x}", first_eight(hash))
}

/// Whether some slot goes by the flow table.
#[must_use]
pub fn remembers(table: &SchedulingTable) -> bool {
    table.rows().rings.values().any(|ring| ring.iter().any(|slot| slot.state != SLOT_CLEAN))
}

/// The digest of where the slots of all services send flows, whatever ids the reals have. It reads every slot.
#[must_use]
pub fn slots(table: &SchedulingTable) -> u64 {
    let reals: BTreeMap<&str, u16> = table.reals().map(|view| (view.real.name.as_str(), view.id)).collect();
    let services: BTreeMap<&str, u32> = table.services().map(|view| (view.service.name.as_str(), view.id)).collect();
    let (places, rings) = (places(reals.values().copied()), table.rows().rings);
    let mut hash = Sha256::new();
    reals.keys().for_each(|name| add_line(&mut hash, name));
    for (name, id) in services {
        add_line(&mut hash, "");
        add_line(&mut hash, name);
        let ring = rings.get(&id).map(|ring| &ring[..]).unwrap_or_default();
        let place = |real: u16| places.get(usize::from(real)).copied().unwrap_or_default();
        hash.update(ring.iter().flat_map(|slot| place(slot.real).to_be_bytes()).collect::<Vec<u8>>());
        let moved = (0_u32..).zip(ring.iter()).filter(|(_, slot)| slot.state != SLOT_CLEAN);
        for (number, slot) in moved {
            hash.update(number.to_be_bytes());
            hash.update(place(slot.previous).to_be_bytes());
            hash.update(slot.state.to_be_bytes());
        }
    }
    first_eight(hash)
}

/// The place of each real among all of them, from 1, by its id; 0 for ids that none of them has.
fn places(ids: impl Iterator<Item = u16>) -> Vec<u16> {
    let mut places = vec![0; usize::from(u16::MAX) + 1];
    for (id, place) in ids.zip(1..) {
        places[usize::from(id)] = place;
    }
    places
}

fn of_lines(lines: &BTreeSet<String>) -> u64 {
    let mut hash = Sha256::new();
    lines.iter().for_each(|line| add_line(&mut hash, line));
    first_eight(hash)
}

fn add_line(hash: &mut Sha256, line: &str) {
    hash.update(line.as_bytes());
    hash.update(b"\n");
}

fn first_eight(hash: Sha256) -> u64 {
    hash.finalize().iter().take(8).fold(0, |digest, byte| digest << 8 | u64::from(*byte))
}
