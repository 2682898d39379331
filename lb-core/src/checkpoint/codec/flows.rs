//! Flows. What many of them share, their *front*, is written once: service, VIP, protocol.

use std::collections::HashMap;

use lb_common::{FAMILY_V4, FAMILY_V6, FlowKey, ServiceKey};

use super::{
    Flaw, MAX_FLOWS,
    bytes::{Reader, put_number, put_u16},
    table::protocol,
};
use crate::checkpoint::FlowEntry;

/// Bytes of an IPv4 flow of a single front: client, its port and the VIP's.
const MIN_KEY_SIZE: usize = 4 + 2 + 2;
/// Bytes of the shortest front without a service: family, IPv4 address, protocol.
const MIN_FRONT_SIZE: usize = 1 + 4 + 1;
const REAL_SIZE: usize = 2;
const SERVICE_SIZE: usize = 2;
/// Bytes of an address, filled up with zeros.
const ADDRESS_SIZE: usize = 16;

/// What many flows share.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Front {
    /// 0 where only keys are told.
    service: u16,
    vip: [u8; ADDRESS_SIZE],
    family: u8,
    protocol: u8,
}

/// The fronts of some flows, in the order in which they come.
#[derive(Default)]
struct Fronts {
    fronts: Vec<Front>,
    places: HashMap<Front, u16>,
}

/// How many bytes name one of so many fronts.
#[derive(Clone, Copy)]
enum Width {
    None,
    One,
    Two,
}

pub(super) fn put_flows(flows: &[FlowEntry], out: &mut Vec<u8>) {
    let mut fronts = Fronts::default();
    let places: Vec<u16> = flows.iter().map(|flow| fronts.place(Front::of(flow.service, &flow.key))).collect();
    let width = fronts.put(put_u16, out);
    put_number(flows.len() as u64, out);
    for (flow, place) in flows.iter().zip(places) {
        width.put(place, out);
        put_key(&flow.key, out);
        put_u16(flow.real, out);
    }
}

pub(super) fn put_keys(keys: &[FlowKey], out: &mut Vec<u8>) {
    let mut fronts = Fronts::default();
    let places: Vec<u16> = keys.iter().map(|key| fronts.place(Front::of(0, key))).collect();
    let width = fronts.put(|_, _| {}, out);
    put_number(keys.len() as u64, out);
    for (key, place) in keys.iter().zip(places) {
        width.put(place, out);
        put_key(key, out);
    }
}

pub(super) fn flows(reader: &mut Reader<'_>) -> Result<Vec<FlowEntry>, Flaw> {
    let fronts = fronts(SERVICE_SIZE, Reader::u16, reader)?;
    let width = Width::of(fronts.len());
    let count = reader.count("flows", width.bytes() + MIN_KEY_SIZE + REAL_SIZE, MAX_FLOWS)?;
    let mut flows = Vec::with_capacity(count);
    for _ in 0..count {
        let front = width.front(&fronts, reader)?;
        flows.push(FlowEntry { key: key(front, reader)?, service: front.service, real: reader.u16()? });
    }
    Ok(flows)
}

pub(super) fn keys(reader: &mut Reader<'_>) -> Result<Vec<FlowKey>, Flaw> {
    let fronts = fronts(0, |_| Ok(0), reader)?;
    let width = Width::of(fronts.len());
    let count = reader.count("flows", width.bytes() + MIN_KEY_SIZE, MAX_FLOWS)?;
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let front = width.front(&fronts, reader)?;
        keys.push(key(front, reader)?);
    }
    Ok(keys)
}

fn put_key(key: &FlowKey, out: &mut Vec<u8>) {
    put_in_family(&key.client, key.service.family, out);
    put_u16(key.client_port, out);
    put_u16(key.service.port, out);
}

#[inline]
fn key(front: &Front, reader: &mut Reader<'_>) -> Result<FlowKey, Flaw> {
    let &Front { vip, family, protocol, .. } = front;
    let client = in_family(family, reader)?;
    let client_port = reader.u16()?;
    let port = reader.u16()?;
    Ok(FlowKey { client, service: ServiceKey { vip, port, protocol, family }, client_port, reserved: 0 })
}

/// `service` reads a front's service, of `service_size` bytes.
fn fronts<'a>(
    service_size: usize,
    service: impl Fn(&mut Reader<'a>) -> Result<u16, Flaw>,
    reader: &mut Reader<'a>,
) -> Result<Vec<Front>, Flaw> {
    let count = reader.count("fronts", service_size + MIN_FRONT_SIZE, MAX_FLOWS)?;
    let mut fronts = Vec::with_capacity(count);
    for _ in 0..count {
        let service = service(reader)?;
        let family = reader.u8()?;
        let vip = in_family(family, reader)?;
        fronts.push(Front { service, vip, family, protocol: protocol(reader)?.number() });
    }
    Ok(fronts)
}

impl Front {
    fn of(service: u16, key: &FlowKey) -> Self {
        let ServiceKey { vip, port: _, protocol, family } = key.service;
        Self { service, vip, family, protocol }
    }
}

impl Fronts {
    /// The place of this front, which is one more than there were where it is new.
    fn place(&mut self, front: Front) -> u16 {
        // One entry has no more than MAX_FLOWS flows, so every place fits.
        let next = self.fronts.len() as u16;
        let place = *self.places.entry(front).or_insert(next);
        if place == next {
            self.fronts.push(front);
        }
        place
    }

    fn put(&self, put_service: impl Fn(u16, &mut Vec<u8>), out: &mut Vec<u8>) -> Width {
        put_number(self.fronts.len() as u64, out);
        for front in &self.fronts {
            put_service(front.service, out);
            out.push(front.family);
            put_in_family(&front.vip, front.family, out);
            out.push(front.protocol);
        }
        Width::of(self.fronts.len())
    }
}

impl Width {
    fn of(fronts: usize) -> Self {
        match fronts {
            0..=1 => Self::None,
            2..=256 => Self::One,
            _ => Self::Two,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }

    #[inline]
    fn put(self, place: u16, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::One => out.push(place as u8),
            Self::Two => put_u16(place, out),
        }
    }

    #[inline]
    fn front<'a>(self, fronts: &'a [Front], reader: &mut Reader<'_>) -> Result<&'a Front, Flaw> {
        let place = match self {
            Self::None => 0,
            Self::One => reader.u8()?.into(),
            Self::Two => reader.u16()?,
        };
        fronts.get(usize::from(place)).ok_or(Flaw::Unknown("front"))
    }
}

/// Four bytes of an IPv4 address, all of any other.
#[inline]
fn put_in_family(address: &[u8; ADDRESS_SIZE], family: u8, out: &mut Vec<u8>) {
    match (family, address.first_chunk::<4>()) {
        (FAMILY_V4, Some(v4)) => out.extend_from_slice(v4),
        _ => out.extend_from_slice(address),
    }
}

/// The inverse of [`put_in_family`].
#[inline]
fn in_family(family: u8, reader: &mut Reader<'_>) -> Result<[u8; ADDRESS_SIZE], Flaw> {
    match family {
        FAMILY_V4 => {
            let [a, b, c, d] = reader.array()?;
            Ok([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        FAMILY_V6 => reader.array(),
        _ => Err(Flaw::Unknown("family")),
    }
}
