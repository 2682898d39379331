//! Section 7: ICMP and ICMPv6 for a VIP.

use lb_common::{
    DEFAULT_TTL, DropReason, Event, FAMILY_V4, FlowKey, PROTOCOL_TCP, PROTOCOL_UDP, SLOT_CLEAN, SLOT_MARKED, ServiceKey,
};

use super::decide::Place;
use super::parse::{Packet, address, be16};
use super::send::{Kind, Target, link_header};
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
            (3 | 11 | 12, _) if v4 => self.icmp_error(packet, ingress),
            (1..=4, _) if !v4 => self.icmp_error(packet, ingress),
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
        let quoted = &packet.transport_bytes()[8..];
        let quote = if packet.family == FAMILY_V4 { quote_v4(quoted) } else { quote_v6(quoted) };
        let Some(quote) = quote else {
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
        let Some(place) = self.place(key, service) else {
            self.saw(Branch::ErrorNoRing);
            return Err(End::Drop(DropReason::NoRing));
        };
        let real = self.decide_reading(&place);
        let target = Target { service: service.id, mode: service.mode, real };
        let outcome = self.send(packet, target, Kind::IcmpError, ingress)?;
        self.saw(Branch::ErrorForwarded);
        self.event(Event::IcmpErrorForwarded);
        Ok(outcome)
    }

    /// The decision of section 4 that only reads.
    fn decide_reading(&mut self, place: &Place) -> u16 {
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
        if place.key.service.protocol == PROTOCOL_TCP
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
    let sum = updated_checksum(be16(&frame, packet.transport + 2), before, after);
    frame[packet.transport + 2..packet.transport + 4].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
fn updated_checksum(sum: u16, before: u16, after: u16) -> u16 {
    let mut total = u32::from(!sum) + u32::from(!before) + u32::from(after);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

/// The packet that an ICMP error is about.
struct Quote {
    source: [u8; 16],
    destination: [u8; 16],
    protocol: u8,
    source_port: u16,
    destination_port: u16,
}

fn quote_v4(quoted: &[u8]) -> Option<Quote> {
    if quoted.len() < 20 {
        return None;
    }
    let header = usize::from(quoted[0] & 15) * 4;
    let protocol = quoted[9];
    let fits = quoted[0] >> 4 == 4
        && header >= 20
        && be16(quoted, 6) & 0x1fff == 0
        && matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP)
        && quoted.len() >= header + 8;
    fits.then(|| Quote {
        source: address(&quoted[12..16]),
        destination: address(&quoted[16..20]),
        protocol,
        source_port: be16(quoted, header),
        destination_port: be16(quoted, header + 2),
    })
}

fn quote_v6(quoted: &[u8]) -> Option<Quote> {
    if quoted.len() < 48 {
        return None;
    }
    let protocol = quoted[6];
    let fits = quoted[0] >> 4 == 6 && matches!(protocol, PROTOCOL_TCP | PROTOCOL_UDP);
    fits.then(|| Quote {
        source: address(&quoted[8..24]),
        destination: address(&quoted[24..40]),
        protocol,
        source_port: be16(quoted, 40),
        destination_port: be16(quoted, 42),
    })
}
