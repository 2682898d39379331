//! Section 7: ICMP and ICMPv6 for a VIP.

use lb_common::{DEFAULT_TTL, DropReason, Event, FAMILY_V4, FlowKey, SLOT_CLEAN, SLOT_MARKED, ServiceKey};

use super::decide::Place;
use super::guard::is_one_packet;
use super::parse::{Packet, be16};
use super::quote::{is_error, quote};
use super::send::{Kind, Target, link_header};
use super::translate::updated;
use super::{Branch, End, Outcome, State, Verdict};
use crate::packet::checksum;

impl State {
    /// Section 7.
    pub(super) fn icmp(&mut self, packet: &Packet, ingress: u32) -> Result<Outcome, End> {
        let message = packet.transport_bytes();
        let v4 = packet.family == FAMILY_V4;
        match (message[0], message[1]) {
            (8, 0) if v4 => self.echo(packet, 0),
            (128, 0) if !v4 => self.echo(packet, 129),
            _ if is_error(packet) => self.icmp_error(packet, ingress),
            _ => {
                self.saw(Branch::IcmpOther);
                Err(End::PassForVip)
            }
        }
    }

    fn echo(&mut self, packet: &Packet, reply: u8) -> Result<Outcome, End> {
        if packet.has_options {
            self.saw(Branch::EchoNotPlain);
            return Err(End::PassForVip);
        }
        self.saw(if packet.family == FAMILY_V4 { Branch::EchoV4 } else { Branch::EchoV6 });
        self.event(Event::EchoAnswered);
        Ok(Outcome { verdict: Verdict::Tx, frame: echo_reply(packet, reply), redirect: None })
    }

    fn icmp_error(&mut self, packet: &Packet, ingress: u32) -> Result<Outcome, End> {
        let Some(quote) = quote(packet) else {
            self.saw(Branch::ErrorQuoteBad);
            return Err(End::PassForVip);
        };
        if quote.source != packet.destination {
            self.saw(Branch::ErrorQuoteSource);
            return Err(End::PassForVip);
        }
        let service =
            ServiceKey { vip: quote.source, port: quote.source_port, protocol: quote.protocol, family: packet.family };
        let key = FlowKey { client: quote.destination, service, client_port: quote.destination_port, reserved: 0 };
        let Some(service) = self.service(&key.service) else {
            self.saw(Branch::ErrorNoService);
            return Err(End::PassForVip);
        };
        let Some(place) = self.place_of(key, service) else {
            self.saw(Branch::ErrorNoRing);
            return Err(End::Drop(DropReason::NoRing));
        };
        let real = if is_one_packet(service) {
            self.saw(Branch::ErrorOnePacket);
            place.slot.real
        } else {
            if place.is_client {
                self.saw(Branch::ErrorOfClient);
            }
            self.decide_reading(&place)
        };
        let target = Target { service: service.id, mode: service.mode, real };
        let outcome = self.send(packet, target, Kind::IcmpError, ingress)?;
        self.saw(Branch::ErrorForwarded);
        self.event(Event::IcmpErrorForwarded);
        Ok(outcome)
    }

    /// The decision of section 4 that only reads.
    pub(super) fn decide_reading(&mut self, place: &Place) -> u16 {
        if place.slot.state == SLOT_CLEAN {
            self.saw(Branch::ErrorClean);
            return place.slot.real;
        }
        if let Some(flow) = self.effects.flows.get(&place.key).copied() {
            if u32::from(flow.service) == place.service.id && self.alive(flow.real) {
                self.saw(Branch::ErrorFlow);
                return flow.real;
            }
            self.saw(Branch::ErrorFlowDead);
        }
        if place.is_tcp()
            && let Some(half_open) = self.effects.half_open.get(&place.key).copied()
        {
            if u32::from(half_open.service) == place.service.id && self.alive(half_open.real) {
                self.saw(Branch::ErrorHalfOpen);
                return half_open.real;
            }
            self.saw(Branch::ErrorHalfOpenDead);
        }
        if place.slot.state == SLOT_MARKED {
            self.saw(Branch::ErrorMarked);
            return place.slot.real;
        }
        if self.alive(place.slot.previous) {
            self.saw(Branch::ErrorPrevious);
            return place.slot.previous;
        }
        self.saw(Branch::ErrorPreviousDead);
        place.slot.real
    }
}

fn echo_reply(packet: &Packet, kind: u8) -> Vec<u8> {
    let mut frame = link_header(packet, &packet.frame[6..12], &packet.frame[0..6]);
    let ip = frame.len();
    frame.extend(&packet.frame[packet.ip..]);
    let (ttl, first, length) = if packet.family == FAMILY_V4 { (8, 12, 4) } else { (7, 8, 16) };
    frame[ip + ttl] = DEFAULT_TTL;
    for at in ip + first..ip + first + length {
        frame.swap(at, at + length);
    }
    if packet.family == FAMILY_V4 {
        frame[ip + 10..ip + 12].fill(0);
        let sum = checksum(&frame[ip..ip + 20]);
        frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
    }
    let before = be16(&frame, packet.transport);
    frame[packet.transport] = kind;
    let after = be16(&frame, packet.transport);
    let sum = updated(be16(&frame, packet.transport + 2), &[(before, after)]);
    frame[packet.transport + 2..packet.transport + 4].copy_from_slice(&sum.to_be_bytes());
    frame
}
