//! The rows of guards and affinity.

use lb_common::{
    ACCESS_ALLOW, ACCESS_DENY, ACCESS_FIXED_BITS, AccessKey, GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE,
    Guard, ServiceOptions,
};

use sha2::{Digest, Sha256};

use super::{SchedulingTable, ServiceEntry};
use crate::{
    rows::{Rows, address_bytes},
    service::{Prefix, Service},
};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// The service's options with those of affinity; `leader` is the id of the service whose ring it goes by.
pub(super) fn with_affinity(options: ServiceOptions, service: &Service, leader: u32) -> ServiceOptions {
    let Some(affinity) = &service.affinity else { return options };
    let ClientsKey { vip, port, client_port, protocol } = service.group().map_or_else(|| own_key(service), group_key);
    ServiceOptions {
        vip,
        affinity_service: leader,
        affinity_port: port,
        affinity_client_port: client_port,
        affinity_protocol: protocol,
        affinity_bits: affinity.prefix,
        ..options
    }
}

/// What the keys of all clients of a service, or of an affinity group, have in common.
struct ClientsKey {
    vip: [u8; 16],
    port: u16,
    client_port: u16,
    protocol: u8,
}

fn own_key(service: &Service) -> ClientsKey {
    let (port, client_port) = service.ports.bounds();
    ClientsKey { vip: address_bytes(service.vip).0, port, client_port, protocol: service.protocol.number() }
}

/// That of an affinity group is made of its name alone: whichever services come, go or lead, its clients have the slots that they had, and the
/// nodes of a pair agree whatever the order of their files. The address begins with a zero byte, so it is no VIP's.
fn group_key(group: &str) -> ClientsKey {
    let hash = Sha256::digest(group.as_bytes());
    let mut vip = [0; 16];
    vip[1..4].copy_from_slice(&hash[..3]);
    let word = |at: usize| u16::from_be_bytes([hash[at], hash[at + 1]]);
    ClientsKey { vip, port: word(3), client_port: word(5), protocol: lb_common::PROTOCOL_TCP }
}

/// The service's row in the map `guards`.
fn guard(service: &Service, entry: &ServiceEntry) -> Guard {
    let guards = &service.guards;
    let is_flooded = guards.syn_flood.is_some() && entry.flooded;
    let flags = [
        (GUARD_ACCESS, guards.prefixes() > 0),
        (GUARD_LISTED_ONLY, !guards.allow.is_empty()),
        (GUARD_RATE, guards.new_flow_limit.is_some()),
        (GUARD_FLOOD, is_flooded),
    ];
    let flags = flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum();
    let Some(limit) = guards.new_flow_limit else { return Guard { flags, ..Guard::default() } };
    // A cluster's rates and bursts are at least 1.
    let interval_ns = NS_PER_SECOND / u64::from(limit.rate.max(1));
    let burst_ns = u64::from(limit.burst.saturating_sub(1)) * interval_ns;
    Guard { interval_ns, burst_ns, flags, source_bits: limit.prefix, ..Guard::default() }
}

impl SchedulingTable {
    /// Adds the rows of the maps `guards` and `access`. A guard that has nothing to do for now, as one that looks for floods alone while there
    /// is none, is all zero, as is a row that nobody wrote.
    pub(super) fn add_guards(&self, rows: &mut Rows) {
        for (service, entry) in self.configured_services().filter(|(service, _)| service.guards.is_any()) {
            let guard = guard(service, entry);
            if guard != Guard::default() {
                rows.guards.insert(entry.id, guard);
            }
            let row = |prefix: &Prefix, verdict| (access_key(entry.id, prefix), verdict);
            rows.access.extend(service.guards.allow.iter().map(|prefix| row(prefix, ACCESS_ALLOW)));
            rows.access.extend(service.guards.deny.iter().map(|prefix| row(prefix, ACCESS_DENY)));
        }
    }

    /// Whether a service has been said to be under a SYN flood.
    #[must_use]
    pub fn is_flooded(&self, service: &str) -> bool {
        self.services.get(service).is_some_and(|entry| entry.flooded)
    }

    /// Says whether a service is under a SYN flood. A service that is not there, or does not look for floods, has none.
    pub fn set_flooded(&mut self, service: &str, flooded: bool) {
        let looks = self.cluster.service(service).is_some_and(|service| service.guards.syn_flood.is_some());
        let Some(entry) = self.services.get_mut(service) else { return };
        let flooded = flooded && looks;
        if entry.flooded != flooded {
            entry.flooded = flooded;
            self.generation += 1;
        }
    }
}

/// How many bits of the key count, and the key.
fn access_key(service: u32, prefix: &Prefix) -> (u32, AccessKey) {
    let (address, _) = address_bytes(prefix.address());
    (ACCESS_FIXED_BITS + u32::from(prefix.length()), AccessKey { service: service.to_be_bytes(), address })
}
