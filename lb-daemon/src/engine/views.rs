//! What the engine shows by the API.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_common::{DropReason, Event, FLOW_FIN, FLOW_RST, FlowKey, FlowValue, TrafficCounters};
use lb_core::api;
use lb_core::rows::{address_bytes, address_of};
use lb_core::service::{
    Guards, Member, Mode, NewFlowLimit, Ports, Prefix, Protocol, QuicEncoding, QuicLayout, Service,
};
use lb_core::table::{AdminState, MemberView, NextHop, RealView, ServiceView};

use super::{Engine, explain};
use crate::dataplane::Adoption;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// What `GET /v1/flows` asks for.
#[derive(Clone, Copy, Debug)]
pub struct FlowQuery {
    /// Flows of this VIP only.
    pub vip: Option<IpAddr>,
    /// Most flows.
    pub limit: u32,
}

impl Engine {
    /// How the daemon is.
    #[must_use]
    pub fn status(&self) -> api::Status {
        let now_ns = self.forwarder.now_ns();
        let cluster = self.table.cluster();
        api::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: (now_ns - self.started_ns) / NS_PER_SECOND,
            generation: self.table.generation(),
            config_path: self.config_path.display().to_string(),
            config_age_seconds: (now_ns - self.loaded_ns) / NS_PER_SECOND,
            degraded: self.troubles.is_degraded(),
            warnings: self.troubles.warnings(),
            interfaces: self.interface_views(),
            adoption: match self.adoption {
                Adoption::Fresh => api::Adoption::Fresh,
                Adoption::Adopted => api::Adoption::Adopted,
                Adoption::Replaced { .. } => api::Adoption::Replaced,
            },
            adoption_reason: match &self.adoption {
                Adoption::Replaced { reason } => Some(reason.clone()),
                Adoption::Fresh | Adoption::Adopted => None,
            },
            bpf_dir: self.settings.bpf_dir.display().to_string(),
            state: api::StateFile {
                path: self.state.path().display().to_string(),
                saved: !self.state.is_behind(&self.table.saved()),
                error: self.state.error().map(str::to_owned),
            },
            services: cluster.services().len() as u32,
            reals: cluster.reals().len() as u32,
            flows: self.flows,
            flow_limit: u64::from(self.settings.limits.flows),
            pair: None,
            checkpoint: None,
        }
    }

    fn interface_views(&self) -> Vec<api::Interface> {
        let view = |interface: &super::Interface| api::Interface {
            name: interface.name.clone(),
            mode: interface.mode(),
            error: self.troubles.message(&interface.subject()).map(str::to_owned),
        };
        self.interfaces.iter().map(view).collect()
    }

    /// Every service.
    ///
    /// # Errors
    /// Counters cannot be read.
    pub fn services(&self) -> anyhow::Result<api::ServiceList> {
        let resolved = self.table.reals().filter(|real| real.next_hop.is_some()).map(|real| real.id).collect();
        let services = self.table.services().map(|service| self.service_view(&service, &resolved));
        Ok(api::ServiceList { generation: self.table.generation(), services: services.collect::<Result<_, _>>()? })
    }

    fn service_view(&self, view: &ServiceView<'_>, resolved: &HashSet<u16>) -> anyhow::Result<api::Service> {
        let service = view.service;
        let members = view.members.iter().zip(&service.reals);
        let health =
            |view: &MemberView<'_>| self.real_health(&view.real.name, std::iter::once(service.name.as_str())).0;
        Ok(api::Service {
            name: service.name.clone(),
            id: view.id,
            vip: service.vip,
            vip_prefix: service.vip_prefix,
            protocol: protocol(service.protocol),
            ports: ports(service.ports),
            mode: mode(service.mode),
            slots: api::SlotStates {
                clean: view.tally.clean,
                remembering: view.tally.remembers,
                marked: view.tally.marked,
            },
            counters: counters(&self.forwarder.service_counters(view.id)?),
            reals: members.map(|(view, member)| member_view(service, view, member, health(view), resolved)).collect(),
            one_packet: service.one_packet,
            affinity: service.affinity.as_ref().map(|affinity| {
                let timeout = affinity.timeout_ms.map_or(self.settings.flow_idle_timeout, Duration::from_millis);
                let group = affinity.group.clone();
                api::Affinity { prefix: affinity.prefix, timeout_seconds: timeout.as_secs_f64(), group }
            }),
            guards: service.guards.is_any().then(|| self.guards_view(service)),
            quic: service.quic.iter().map(quic_view).collect(),
        })
    }

    fn guards_view(&self, service: &Service) -> api::Guards {
        let Guards { allow, deny, new_flow_limit, syn_flood } = &service.guards;
        let words = |prefixes: &[Prefix]| prefixes.iter().map(ToString::to_string).collect();
        api::Guards {
            allow: words(allow),
            deny: words(deny),
            new_flow_limit: new_flow_limit.map(|NewFlowLimit { rate, burst, prefix }| api::NewFlowLimit {
                rate,
                burst,
                prefix,
            }),
            syn_flood: syn_flood.map(|flood| api::SynFlood {
                threshold: flood.threshold,
                flooded: self.is_flooded(&service.name).unwrap_or(false),
            }),
        }
    }

    /// Every real.
    ///
    /// # Errors
    /// Counters cannot be read.
    pub fn reals(&self) -> anyhow::Result<api::RealList> {
        let mut services: HashMap<&str, Vec<String>> = HashMap::new();
        for service in self.table.cluster().services() {
            for member in &service.reals {
                services.entry(&member.real).or_default().push(service.name.clone());
            }
        }
        let slots = self.table.slots_held();
        let mut reals = Vec::new();
        for view in self.table.reals() {
            let services = services.remove(view.real.name.as_str()).unwrap_or_default();
            let counters = counters(&self.forwarder.real_counters(view.id)?);
            let slots = slots.get(&view.id).copied().unwrap_or(0);
            reals.push(self.real_view(&view, services, slots, counters));
        }
        Ok(api::RealList { generation: self.table.generation(), reals })
    }

    /// One real; none of this name, none.
    ///
    /// # Errors
    /// Its counters cannot be read.
    pub fn real(&self, name: &str) -> anyhow::Result<Option<api::Real>> {
        let Some(view) = self.table.reals().find(|view| view.real.name == name) else { return Ok(None) };
        let is_member = |service: &&Service| service.reals.iter().any(|member| member.real == name);
        let services = self.table.cluster().services().iter().filter(is_member);
        let services = services.map(|service| service.name.clone()).collect();
        let counters = counters(&self.forwarder.real_counters(view.id)?);
        let slots = self.table.slots_held().get(&view.id).copied().unwrap_or(0);
        Ok(Some(self.real_view(&view, services, slots, counters)))
    }

    fn real_view(&self, view: &RealView<'_>, services: Vec<String>, slots: u64, counters: api::Counters) -> api::Real {
        let (health, health_reason) = self.real_health(&view.real.name, services.iter().map(String::as_str));
        api::Real {
            name: view.real.name.clone(),
            id: view.id.into(),
            address: view.real.address,
            weight: view.real.weight,
            weight_override: view.weight_override,
            admin: api_admin_state(view.admin),
            health,
            health_reason,
            services,
            slots: slots as u32,
            next_hop: view.next_hop.map(|hop| self.next_hop_view(hop)),
            next_hop_note: self
                .notes
                .get(&view.real.name)
                .map(|note| note.text.clone())
                .filter(|text| !text.is_empty()),
            counters,
        }
    }

    pub(super) fn next_hop_view(&self, hop: &NextHop) -> api::NextHop {
        let [a, b, c, d, e, f] = hop.next_hop_mac;
        api::NextHop {
            interface: self.host.interface_name(hop.ifindex),
            ifindex: hop.ifindex,
            mac: format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
            mtu: hop.mtu,
        }
    }

    /// Flows of the flow table.
    ///
    /// # Errors
    /// The flow table cannot be read.
    pub fn flows(&self, query: &FlowQuery) -> anyhow::Result<api::FlowList> {
        let vip = query.vip.map(address_bytes);
        let grouped = self.table.services().filter(|view| view.service.group().is_some());
        let names = Names {
            services: self.table.services().map(|view| (view.id, view.service.name.as_str())).collect(),
            reals: self.table.reals().map(|view| (view.id, view.real.name.as_str())).collect(),
            fronts: grouped.map(|view| (view.id, view.service)).collect(),
            now_ns: self.forwarder.now_ns(),
        };
        let mut wanted = |key: &FlowKey, value: &FlowValue| vip.is_none_or(|vip| vip == names.vip(key, value));
        let limit = query.limit as usize;
        let mut found = self.forwarder.flows(limit.saturating_add(1), &mut wanted)?;
        let truncated = found.len() > limit;
        found.truncate(limit);
        Ok(api::FlowList { flows: found.iter().filter_map(|(key, value)| names.flow(key, value)).collect(), truncated })
    }

    /// All counters at one instant.
    ///
    /// # Errors
    /// Counters cannot be read.
    pub fn stats(&self) -> anyhow::Result<api::Stats> {
        let at_ns = self.forwarder.now_ns();
        let mut services = Vec::new();
        for view in self.table.services() {
            let counters = counters(&self.forwarder.service_counters(view.id)?);
            services.push(api::NamedCounters { name: view.service.name.clone(), counters });
        }
        let mut reals = Vec::new();
        for view in self.table.reals() {
            let counters = counters(&self.forwarder.real_counters(view.id)?);
            reals.push(api::NamedCounters { name: view.real.name.clone(), counters });
        }
        let total = services.iter().fold(api::Counters::default(), |sum, service| add(&sum, &service.counters));
        Ok(api::Stats { at_ns, total, services, reals, dropped: self.forwarder.drops()?.iter().sum() })
    }

    /// Why packets were dropped, and what else happened to them.
    ///
    /// # Errors
    /// Counters cannot be read.
    pub fn drops(&self) -> anyhow::Result<api::Drops> {
        let (drops, events) = (self.forwarder.drops()?, self.forwarder.events()?);
        let drop =
            |(reason, count): (&DropReason, &u64)| count_view(reason.name(), *count, explain::drop_reason(*reason));
        let event = |(event, count): (&Event, &u64)| count_view(event.name(), *count, explain::event(*event));
        Ok(api::Drops {
            at_ns: self.forwarder.now_ns(),
            drops: DropReason::ALL.iter().zip(&drops).map(drop).collect(),
            events: Event::ALL.iter().zip(&events).map(event).collect(),
        })
    }
}

/// What a flow's numbers stand for.
struct Names<'a> {
    services: HashMap<u32, &'a str>,
    reals: HashMap<u16, &'a str>,
    /// Services of affinity groups: the keys of their clients name the group and no VIP.
    fronts: HashMap<u32, &'a Service>,
    now_ns: u64,
}

impl Names<'_> {
    /// The VIP as in keys, and its family: of a client of an affinity group that of the service that leads.
    fn vip(&self, key: &FlowKey, value: &FlowValue) -> ([u8; 16], u8) {
        let front = self.fronts.get(&value.service.into());
        front.map_or((key.service.vip, key.service.family), |service| address_bytes(service.vip))
    }

    /// None for a key that no program of ours wrote.
    fn flow(&self, key: &FlowKey, value: &FlowValue) -> Option<api::Flow> {
        let idle_ns = self.now_ns.saturating_sub(value.last_seen_ns);
        let (vip, family) = self.vip(key, value);
        let own = (Protocol::of(key.service.protocol)?, key.service.port, key.client_port);
        let front = self.fronts.get(&value.service.into());
        let (word, vip_port, client_port) = front.map_or(own, |service| {
            let (first, last) = service.ports.bounds();
            (service.protocol, first, last)
        });
        Some(api::Flow {
            client: address_of(&key.client, key.service.family)?,
            client_port,
            vip: address_of(&vip, family)?,
            vip_port,
            protocol: protocol(word),
            service: self.services.get(&value.service.into()).map(|name| (*name).to_owned()),
            real: self.reals.get(&value.real).map(|name| (*name).to_owned()),
            slot: value.slot,
            state: match value.state {
                FLOW_FIN => api::FlowState::Fin,
                FLOW_RST => api::FlowState::Rst,
                _ => api::FlowState::Open,
            },
            idle_seconds: idle_ns as f64 / NS_PER_SECOND as f64,
        })
    }
}

fn member_view(
    service: &Service,
    view: &MemberView<'_>,
    member: &Member,
    health: api::Health,
    resolved: &HashSet<u16>,
) -> api::ServiceReal {
    api::ServiceReal {
        name: view.real.name.clone(),
        address: view.real.address,
        port: view.port.filter(|_| service.mode == Mode::Nat),
        weight: member.weight.unwrap_or(view.real.weight),
        effective_weight: view.weight,
        slots: view.slots,
        admin: api_admin_state(view.admin),
        health,
        next_hop_resolved: resolved.contains(&view.id),
        quic_server_ids: member.quic_server_ids.iter().map(ToString::to_string).collect(),
    }
}

/// Without the key.
fn quic_view(encoding: &QuicEncoding) -> api::QuicEncoding {
    let server_id_length = encoding.server_id_length;
    match &encoding.layout {
        QuicLayout::QuicLb { config, nonce_length, key } => api::QuicEncoding {
            config: Some(*config),
            offset: 1,
            server_id_length,
            nonce_length: *nonce_length,
            encrypted: key.is_some(),
        },
        QuicLayout::Plain { offset } => {
            api::QuicEncoding { config: None, offset: *offset, server_id_length, nonce_length: 0, encrypted: false }
        }
    }
}

fn count_view(name: &str, count: u64, explanation: &str) -> api::Count {
    api::Count { name: name.to_owned(), count, explanation: explanation.to_owned() }
}

fn counters(counters: &TrafficCounters) -> api::Counters {
    let TrafficCounters { packets, bytes, syn, fin, rst } = *counters;
    api::Counters { packets, bytes, syn, fin, rst }
}

fn add(one: &api::Counters, other: &api::Counters) -> api::Counters {
    api::Counters {
        packets: one.packets + other.packets,
        bytes: one.bytes + other.bytes,
        syn: one.syn + other.syn,
        fin: one.fin + other.fin,
        rst: one.rst + other.rst,
    }
}

pub(super) fn mode(mode: Mode) -> api::Mode {
    match mode {
        Mode::Dsr => api::Mode::Dsr,
        Mode::Ipip => api::Mode::Ipip,
        Mode::Gue => api::Mode::Gue,
        Mode::Nat => api::Mode::Nat,
    }
}

pub(super) fn protocol(protocol: Protocol) -> api::Protocol {
    match protocol {
        Protocol::Tcp => api::Protocol::Tcp,
        Protocol::Udp => api::Protocol::Udp,
        Protocol::Sctp => api::Protocol::Sctp,
    }
}

fn ports(ports: Ports) -> api::Ports {
    match ports {
        Ports::Single(port) => api::Ports { first: port, last: port },
        Ports::Range(first, last) => api::Ports { first, last },
        Ports::Any => api::Ports::ANY,
    }
}

/// The table's word for the API's.
pub(super) fn admin_state(state: api::AdminState) -> AdminState {
    match state {
        api::AdminState::Enabled => AdminState::Enabled,
        api::AdminState::Drained => AdminState::Drained,
        api::AdminState::Disabled => AdminState::Disabled,
    }
}

pub(super) fn api_admin_state(state: AdminState) -> api::AdminState {
    match state {
        AdminState::Enabled => api::AdminState::Enabled,
        AdminState::Drained => api::AdminState::Drained,
        AdminState::Disabled => api::AdminState::Disabled,
    }
}
