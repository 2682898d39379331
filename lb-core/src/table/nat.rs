//! Services in `nat` mode: where replies come from, and which ports the reals have.
//!
//! Replies are told by these rows alone, whatever state a real is in. A real that a service lists no more, but that stays
//! configured, keeps its older flows of that service, and so it keeps its rows, as a *former member*: until it goes itself, or its port is
//! given to another service. The maps remember former members over a restart.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use lb_common::{
    MAX_NAT_REPLIES, NAT_REPLIES, NAT_REPLY_RANGES, NatPortKey, NatReplyValue, OPTION_REAL_PORTS, ServiceKey,
    ServiceOptions,
};

use super::{SchedulingTable, ServiceEntry};
use crate::{
    rows::{Rows, address_bytes, address_of},
    service::{Mode, Ports, Service},
};

/// The port in the rows of a real that serves several: it gets packets at the port that the client used.
const OWN_PORT: u16 = 0;

/// The port at which a real serves a service, in the rows.
fn in_rows(port: Option<u16>) -> u16 {
    port.unwrap_or(OWN_PORT)
}

/// The port of the first real; the others' are looked up where they differ.
fn usual_port(service: &Service) -> u16 {
    in_rows(service.reals.first().and_then(|member| service.real_port(member)))
}

/// The reals that serve, or have served, a service in `nat` mode: names, and ports in the rows.
fn members<'a>(service: &'a Service, entry: &'a ServiceEntry) -> impl Iterator<Item = (&'a str, u16)> {
    let members = service.reals.iter().map(|member| (member.real.as_str(), in_rows(service.real_port(member))));
    members.chain(entry.former.iter().map(|(real, port)| (real.as_str(), *port)))
}

/// The service's row in the map `service_options`.
pub(super) fn options(service: &Service, entry: &ServiceEntry) -> ServiceOptions {
    let options = entry.plan.options();
    if service.mode != Mode::Nat {
        return options;
    }
    let real_port = usual_port(service);
    let differ = members(service, entry).any(|(_, port)| port != real_port);
    let vip_port = if let Ports::Single(port) = service.ports { port } else { OWN_PORT };
    ServiceOptions {
        vip: address_bytes(service.vip).0,
        vip_port,
        real_port,
        flags: options.flags | if differ { OPTION_REAL_PORTS } else { 0 },
        ..options
    }
}

fn reply_key(service: &Service, address: IpAddr, port: u16) -> ServiceKey {
    let (vip, family) = address_bytes(address);
    ServiceKey { vip, port, protocol: service.protocol.number(), family }
}

fn reply(service: &Service, id: u32, port: u16) -> NatReplyValue {
    let (first_port, last_port) = if port == OWN_PORT { service.ports.bounds() } else { (port, port) };
    NatReplyValue { service: id, first_port, last_port }
}

impl SchedulingTable {
    /// Adds the rows of the maps `nat`, `nat_ports` and `nat_replies`.
    pub(super) fn add_nat(&self, rows: &mut Rows) {
        for (service, entry) in self.nat_services() {
            let usual = usual_port(service);
            for (name, port) in members(service, entry) {
                let Some(real) = self.reals.get(name) else { continue };
                rows.nat_replies.insert(reply_key(service, real.address, port), reply(service, entry.id, port));
                rows.nat.flags |= NAT_REPLIES | if port == OWN_PORT { NAT_REPLY_RANGES } else { 0 };
                if port != usual {
                    rows.nat_ports.insert(NatPortKey { service: entry.id, real: real.id.into() }, port.into());
                }
            }
        }
    }

    fn nat_services(&self) -> impl Iterator<Item = (&Service, &ServiceEntry)> {
        self.configured_services().filter(|(service, _)| service.mode == Mode::Nat)
    }

    /// Finds the former members of all services after a change of the configuration: who had replies to tell in `before`, is still
    /// there, and has nobody else's port.
    pub(super) fn find_former(&mut self, before: &Rows) {
        let mut former = self.former_of(before);
        for (name, entry) in &mut self.services {
            entry.former = former.remove(name).unwrap_or_default();
        }
    }

    /// By service and real.
    fn former_of(&self, before: &Rows) -> BTreeMap<String, Arc<BTreeMap<String, u16>>> {
        let mut found: BTreeMap<String, Arc<BTreeMap<String, u16>>> = BTreeMap::new();
        if before.nat_replies.is_empty() {
            return found;
        }
        let services: HashMap<u32, &Service> =
            self.nat_services().map(|(service, entry)| (entry.id, service)).collect();
        let mut reals: HashMap<IpAddr, Vec<(&str, u16)>> = HashMap::new();
        for (real, entry) in self.configured_reals() {
            reals.entry(entry.address).or_default().push((&real.name, entry.id));
        }
        let mut claimed = Claimed::by(self);
        for (key, row) in &before.nat_replies {
            let Some(service) = services.get(&row.service).filter(|service| is_of(service, key)) else { continue };
            let here = address_of(&key.vip, key.family).and_then(|address| reals.get(&address));
            let is_former = |&&(real, id): &&(&str, u16)| {
                port_in(before, row.service, id, key) && self.cluster.member(&service.name, real).is_none()
            };
            let Some((real, _)) = here.into_iter().flatten().find(is_former) else { continue };
            if claimed.take(key, row) {
                let former = found.entry(service.name.clone()).or_default();
                Arc::make_mut(former).insert((*real).to_owned(), key.port);
            }
        }
        found
    }
}

/// Whether a row can be one of the service: of its protocol and family, and for one port where it has one.
fn is_of(service: &Service, key: &ServiceKey) -> bool {
    let (_, family) = address_bytes(service.vip);
    let is_single = matches!(service.ports, Ports::Single(_));
    (key.protocol, key.family) == (service.protocol.number(), family) && is_single == (key.port != OWN_PORT)
}

/// Whether the real of this id had the key's address and port in the service.
fn port_in(rows: &Rows, service: u32, real: u16, key: &ServiceKey) -> bool {
    let had_address = rows.reals.get(&real).is_some_and(|row| (row.address, row.family) == (key.vip, key.family));
    let own = rows.nat_ports.get(&NatPortKey { service, real: real.into() }).copied();
    let usual = || rows.service_options.get(&service).map(|options| u32::from(options.real_port));
    had_address && own.or_else(usual) == Some(key.port.into())
}

/// Where replies come from that are somebody's: first and last port by the key of the row.
struct Claimed(HashMap<ServiceKey, (u16, u16)>);

impl Claimed {
    /// By the members of all services.
    fn by(table: &SchedulingTable) -> Self {
        let mut keys = HashMap::new();
        for (service, entry) in table.nat_services() {
            for member in &service.reals {
                let Some(real) = table.reals.get(&member.real) else { continue };
                let port = in_rows(service.real_port(member));
                let row = reply(service, entry.id, port);
                keys.insert(reply_key(service, real.address, port), (row.first_port, row.last_port));
            }
        }
        Self(keys)
    }

    /// Claims a key for a former member, where nobody has it or ports around it, and the map has room.
    fn take(&mut self, key: &ServiceKey, row: &NatReplyValue) -> bool {
        let Self(keys) = self;
        let around = keys.get(&ServiceKey { port: OWN_PORT, ..*key });
        let is_inside = around.is_some_and(|(first, last)| (*first..=*last).contains(&key.port));
        let is_free = !is_inside && !keys.contains_key(key) && keys.len() < MAX_NAT_REPLIES as usize;
        if is_free {
            keys.insert(*key, (row.first_port, row.last_port));
        }
        is_free
    }
}
