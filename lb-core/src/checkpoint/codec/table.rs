//! Services and reals.

use std::collections::BTreeSet;

use super::{
    Flaw,
    bytes::{Reader, put_address, put_name, put_number, put_option, put_u16},
};
use crate::{
    agent_check::{Admin, Health},
    checkpoint::{Load, RealEntry, ServiceEntry},
    monitor::SavedAgent,
    monitoring::Scheduling,
    report::{Availability, Mark},
    service::{MAX_REALS, MAX_SERVICES, Ports, Protocol},
    table::{AdminState, Fallback, Learned, RealPlan, ServicePlan},
};

const PORTS_ANY: u8 = 0;
const PORTS_SINGLE: u8 = 1;
const PORTS_RANGE: u8 = 2;

/// What stands for each of these is its place here.
const FALLBACKS: [Fallback; 2] = [Fallback::Drop, Fallback::Reset];
const SCHEDULINGS: [Scheduling; 2] = [Scheduling::Load, Scheduling::Static];
const ADMINS: [AdminState; 3] = [AdminState::Enabled, AdminState::Drained, AdminState::Disabled];
const AVAILABILITIES: [Availability; 3] = [Availability::Alive, Availability::Drain, Availability::Stop];
const AGENT_ADMINS: [Option<Admin>; 4] = [None, Some(Admin::Ready), Some(Admin::Drain), Some(Admin::Maint)];
const AGENT_HEALTHS: [Option<Health>; 5] =
    [None, Some(Health::Up), Some(Health::Down), Some(Health::Failed), Some(Health::Stopped)];

const ALIVE: u8 = 1;
const HOT: u8 = 1 << 1;
const NO_NEW_FLOWS: u8 = 1 << 2;
const HAS_AGENT: u8 = 1 << 3;
const HAS_REPORT: u8 = 1 << 4;
const HAS_LOAD: u8 = 1 << 5;
const HAS_HITS: u8 = 1 << 6;
const FLAGS_WITHOUT_LOAD: u8 = ALIVE | HOT | NO_NEW_FLOWS | HAS_AGENT | HAS_REPORT;
const ALL_FLAGS: u8 = FLAGS_WITHOUT_LOAD | HAS_LOAD | HAS_HITS;

/// Bytes of the shortest name with its length.
const MIN_NAME_SIZE: usize = 2;

pub(super) fn put_service(service: &ServiceEntry, out: &mut Vec<u8>) {
    let ServiceEntry { id, name, vip, protocol, ports, plan } = service;
    put_u16(*id, out);
    put_name(name, out);
    put_address(*vip, out);
    out.push(protocol.number());
    put_ports(*ports, out);
    put_place(&FALLBACKS, plan.fallback, out);
    put_place(&SCHEDULINGS, plan.scheduling, out);
    put_names(&plan.without, out);
}

pub(super) fn service(reader: &mut Reader<'_>) -> Result<ServiceEntry, Flaw> {
    Ok(ServiceEntry {
        id: reader.u16()?,
        name: reader.name()?.to_owned(),
        vip: reader.address()?,
        protocol: protocol(reader)?,
        ports: ports(reader)?,
        plan: ServicePlan {
            fallback: at_place(&FALLBACKS, "fallback", reader)?,
            scheduling: at_place(&SCHEDULINGS, "scheduling", reader)?,
            without: names(MAX_REALS, reader)?,
        },
    })
}

pub(super) fn put_real(real: &RealEntry, with_load: bool, out: &mut Vec<u8>) {
    let RealEntry { id, name, address, admin, weight, plan, learned, load } = real;
    let load = load.and_then(Load::in_numbers).filter(|_| with_load);
    put_u16(*id, out);
    put_name(name, out);
    put_address(*address, out);
    put_place(&ADMINS, *admin, out);
    put_option(*weight, out);
    out.push(flags(*plan, learned, load));
    put_number(plan.factor.into(), out);
    put_number(plan.eased.into(), out);
    put_number(learned.factor.into(), out);
    put_place(&AVAILABILITIES, learned.availability, out);
    put_names(&learned.down, out);
    if let Some(SavedAgent { admin, health, percent }) = learned.agent {
        put_place(&AGENT_ADMINS, admin, out);
        put_place(&AGENT_HEALTHS, health, out);
        put_option(percent, out);
    }
    if let Some(Mark { generation, sequence }) = learned.report {
        put_number(generation, out);
        put_number(sequence, out);
    }
    if let Some(Load { utilisation, hits }) = load {
        out.extend(utilisation.to_be_bytes());
        hits.iter().for_each(|hits| out.extend(hits.to_be_bytes()));
    }
}

pub(super) fn real(reader: &mut Reader<'_>, with_load: bool) -> Result<RealEntry, Flaw> {
    let (id, name, address) = (reader.u16()?, reader.name()?.to_owned(), reader.address()?);
    let (admin, weight) = (at_place(&ADMINS, "administrative state", reader)?, reader.option()?);
    let known = if with_load { ALL_FLAGS } else { FLAGS_WITHOUT_LOAD };
    let flags = reader.u8()?;
    let has = |flag| flags & flag != 0;
    if flags & !known != 0 || (has(HAS_HITS) && !has(HAS_LOAD)) {
        return Err(Flaw::Unknown("flags"));
    }
    let plan = RealPlan {
        factor: reader.number_u32()?,
        eased: reader.number_u32()?,
        alive: has(ALIVE),
        hot: has(HOT),
        no_new_flows: has(NO_NEW_FLOWS),
    };
    let learned = Learned {
        factor: reader.number_u32()?,
        availability: at_place(&AVAILABILITIES, "availability", reader)?,
        down: names(MAX_SERVICES, reader)?,
        agent: if has(HAS_AGENT) { Some(agent(reader)?) } else { None },
        report: if has(HAS_REPORT) { Some(mark(reader)?) } else { None },
    };
    let load = if has(HAS_LOAD) { Some(load(has(HAS_HITS), reader)?) } else { None };
    Ok(RealEntry { id, name, address, admin, weight, plan, learned, load })
}

impl Load {
    /// The load, where it can be written: figures that are no numbers are not known.
    pub(in crate::checkpoint) fn in_numbers(self) -> Option<Self> {
        let is_number = |figure: &f32| figure.is_finite() && *figure >= 0.0;
        is_number(&self.utilisation).then(|| Self { hits: self.hits.filter(is_number), ..self })
    }
}

fn flags(plan: RealPlan, learned: &Learned, load: Option<Load>) -> u8 {
    let flags = [
        (plan.alive, ALIVE),
        (plan.hot, HOT),
        (plan.no_new_flows, NO_NEW_FLOWS),
        (learned.agent.is_some(), HAS_AGENT),
        (learned.report.is_some(), HAS_REPORT),
        (load.is_some(), HAS_LOAD),
        (load.is_some_and(|load| load.hits.is_some()), HAS_HITS),
    ];
    flags.into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | flag)
}

fn agent(reader: &mut Reader<'_>) -> Result<SavedAgent, Flaw> {
    Ok(SavedAgent {
        admin: at_place(&AGENT_ADMINS, "agent's wish", reader)?,
        health: at_place(&AGENT_HEALTHS, "agent's health", reader)?,
        percent: reader.option()?,
    })
}

fn mark(reader: &mut Reader<'_>) -> Result<Mark, Flaw> {
    Ok(Mark { generation: reader.number()?, sequence: reader.number()? })
}

fn load(has_hits: bool, reader: &mut Reader<'_>) -> Result<Load, Flaw> {
    let utilisation = f32::from_be_bytes(reader.array()?);
    let hits = if has_hits { Some(f32::from_be_bytes(reader.array()?)) } else { None };
    let load = Load { utilisation, hits };
    load.in_numbers().filter(|known| *known == load).ok_or(Flaw::Load)
}

/// A protocol that a service can have.
pub(super) fn protocol(reader: &mut Reader<'_>) -> Result<Protocol, Flaw> {
    Protocol::of(reader.u8()?).ok_or(Flaw::Unknown("protocol"))
}

fn put_ports(ports: Ports, out: &mut Vec<u8>) {
    match ports {
        Ports::Any => out.push(PORTS_ANY),
        Ports::Single(port) => {
            out.push(PORTS_SINGLE);
            put_u16(port, out);
        }
        Ports::Range(first, last) => {
            out.push(PORTS_RANGE);
            put_u16(first, out);
            put_u16(last, out);
        }
    }
}

fn ports(reader: &mut Reader<'_>) -> Result<Ports, Flaw> {
    match reader.u8()? {
        PORTS_ANY => Ok(Ports::Any),
        PORTS_SINGLE => Ok(Ports::Single(reader.u16()?)),
        PORTS_RANGE => Ok(Ports::Range(reader.u16()?, reader.u16()?)),
        _ => Err(Flaw::Unknown("ports")),
    }
}

fn put_names(names: &BTreeSet<String>, out: &mut Vec<u8>) {
    put_number(names.len() as u64, out);
    names.iter().for_each(|name| put_name(name, out));
}

/// Names in rising order, so that a set of them has one form.
fn names(max: usize, reader: &mut Reader<'_>) -> Result<BTreeSet<String>, Flaw> {
    let count = reader.count("names", MIN_NAME_SIZE, max)?;
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let name = reader.name()?;
        if names.last().is_some_and(|last: &String| last.as_str() >= name) {
            return Err(Flaw::Name);
        }
        names.insert(name.to_owned());
    }
    Ok(names)
}

/// The place of `value` in `all`, which lists every value. One that it did not list would be refused by who reads it.
fn put_place<T: PartialEq>(all: &[T], value: T, out: &mut Vec<u8>) {
    let place = all.iter().position(|one| *one == value);
    out.push(place.map_or(u8::MAX, |place| place as u8));
}

fn at_place<T: Copy>(all: &[T], what: &'static str, reader: &mut Reader<'_>) -> Result<T, Flaw> {
    all.get(usize::from(reader.u8()?)).copied().ok_or(Flaw::Unknown(what))
}
