//! Sections 5, 6 and 8: the real, the frame that goes to it, and the answer to one that is too big.

use lb_common::{
    DEFAULT_TTL, DropReason, Event, FAMILY_V4, FAMILY_V6, FragmentKey, FragmentValue, ICMP_QUOTE_V4, ICMP_QUOTE_V6,
    IPV6_MIN_MTU, MODE_DSR, MODE_GUE, MODE_IPIP, MODE_NAT, NO_REAL, PROTOCOL_TCP, REAL_RESOLVED, RealValue,
    TrafficCounters,
};

use super::decide::{TCP_FIN, TCP_RST, is_syn};
use super::parse::Packet;
use super::tunnel::outer_header_length;
use super::{Branch, End, Outcome, State, Verdict};
use crate::packet::{checksum, checksum_of_parts};

/// Where a packet is to go.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub service: u32,
    pub mode: u8,
    pub real: u16,
}

/// What kind of packet goes there.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// TCP with these flags, or UDP or SCTP.
    Flow { flags: u8, first_fragment: Option<FragmentKey> },
    /// A fragment other than the first.
    LaterFragment,
    /// An ICMP error about a flow.
    IcmpError,
}

impl State {
    /// Section 5.
    pub(super) fn send(&mut self, packet: &Packet, target: Target, kind: Kind, ingress: u32) -> Result<Outcome, End> {
        if target.real == NO_REAL {
            return self.no_real(packet, target.service, kind);
        }
        let real = self.usable_real(packet, target)?;
        let outer = outer_header_length(target.mode, &real);
        if target.mode != MODE_DSR && packet.length() + outer > real.mtu as usize {
            self.saw(match target.mode {
                MODE_NAT => Branch::TooBigNat,
                MODE_GUE => Branch::TooBigGue,
                _ => Branch::TooBigIpip,
            });
            return self.too_big(packet, kind, &real, outer);
        }
        if let Kind::Flow { first_fragment: Some(key), .. } = kind {
            self.saw(Branch::FragmentFirst);
            let entry = FragmentValue { service: target.service, real: target.real, mode: target.mode, reserved: 0 };
            self.effects.fragments.insert(key, entry);
        }
        if outer > self.headroom {
            self.saw(Branch::OuterNoHeadroom);
            return Err(End::Drop(DropReason::NoHeadroom));
        }
        let frame = match target.mode {
            MODE_IPIP | MODE_GUE => self.tunnelled(packet, target.mode, kind, &real),
            mode => {
                let translated = match mode {
                    MODE_NAT => self.translated_for_real(packet, target, kind, &real),
                    _ => packet.frame.to_vec(),
                };
                let mut frame = link_header(packet, &real.next_hop_mac, &real.source_mac);
                frame.extend(&translated[packet.ip..]);
                frame
            }
        };
        self.count(packet, target, kind);
        self.saw_mode(packet, target.mode, kind, &real);
        let redirect = (real.ifindex != ingress).then_some(real.ifindex);
        self.saw(if redirect.is_some() { Branch::OtherInterface } else { Branch::SameInterface });
        let verdict = if redirect.is_some() { Verdict::Redirect } else { Verdict::Tx };
        Ok(Outcome { verdict, frame, redirect })
    }

    /// Section 6, a later fragment.
    pub(super) fn later_fragment(&mut self, packet: &Packet, key: FragmentKey, ingress: u32) -> Result<Outcome, End> {
        let Some(first) = self.effects.fragments.get(&key).copied() else {
            self.saw(Branch::FragmentUnknown);
            return Err(End::Drop(DropReason::FragmentUnknown));
        };
        let target = Target { service: first.service, mode: first.mode, real: first.real };
        let outcome = self.send(packet, target, Kind::LaterFragment, ingress)?;
        self.saw(Branch::FragmentKnown);
        self.event(Event::FragmentForwarded);
        Ok(outcome)
    }

    /// Section 5, steps 1 to 3, of a real id that is not 0.
    fn usable_real(&mut self, packet: &Packet, target: Target) -> Result<RealValue, End> {
        let Some(real) = self.real(target.real) else {
            self.saw(Branch::RealOutside);
            return Err(End::Drop(DropReason::NoReal));
        };
        if !self.alive(target.real) {
            self.saw(Branch::RealDead);
            return Err(End::Drop(DropReason::RealDown));
        }
        if target.mode == MODE_DSR && real.family != packet.family {
            self.saw(Branch::FamilyDsr);
            return Err(End::Drop(DropReason::FamilyMismatch));
        }
        if target.mode == MODE_NAT && real.family != packet.family {
            self.saw(Branch::FamilyNat);
            return Err(End::Drop(DropReason::FamilyMismatch));
        }
        let is_tunnel = matches!(target.mode, MODE_IPIP | MODE_GUE);
        if is_tunnel && packet.family == FAMILY_V6 && real.family != FAMILY_V6 {
            self.saw(if target.mode == MODE_IPIP { Branch::FamilyIpip } else { Branch::FamilyGue });
            return Err(End::Drop(DropReason::FamilyMismatch));
        }
        if real.flags & REAL_RESOLVED == 0 {
            self.saw(Branch::Unresolved);
            return Err(End::Drop(DropReason::NoNextHop));
        }
        Ok(real)
    }

    /// Section 5, step 7.
    fn count(&mut self, packet: &Packet, target: Target, kind: Kind) {
        let flags = match kind {
            Kind::Flow { flags, .. } if packet.protocol == PROTOCOL_TCP => flags,
            _ => 0,
        };
        let add = |counters: &mut TrafficCounters| {
            counters.packets += 1;
            counters.bytes += packet.length() as u64;
            counters.syn += u64::from(is_syn(flags));
            counters.fin += u64::from(flags & TCP_FIN != 0);
            counters.rst += u64::from(flags & TCP_RST != 0);
        };
        add(self.effects.service_counters.entry(target.service).or_default());
        add(self.effects.real_counters.entry(target.real).or_default());
    }

    fn saw_mode(&mut self, packet: &Packet, mode: u8, kind: Kind, real: &RealValue) {
        self.saw(match (mode, packet.family, real.family) {
            (MODE_DSR, FAMILY_V4, _) => Branch::DsrV4,
            (MODE_DSR, _, _) => Branch::DsrV6,
            (MODE_NAT, family, _) => match (kind, family) {
                (Kind::Flow { .. }, FAMILY_V4) => Branch::NatV4,
                (Kind::Flow { .. }, _) => Branch::NatV6,
                (Kind::LaterFragment, _) => Branch::NatLaterFragment,
                (Kind::IcmpError, FAMILY_V4) => Branch::NatErrorV4,
                (Kind::IcmpError, _) => Branch::NatErrorV6,
            },
            (MODE_GUE, FAMILY_V4, FAMILY_V4) => Branch::GueV4InV4,
            (MODE_GUE, FAMILY_V4, _) => Branch::GueV4InV6,
            (MODE_GUE, ..) => Branch::GueV6InV6,
            (_, FAMILY_V4, FAMILY_V4) => Branch::IpipV4InV4,
            (_, FAMILY_V4, _) => Branch::IpipV4InV6,
            _ => Branch::IpipV6InV6,
        });
    }

    /// Section 8, and the other packets that are too big.
    fn too_big(&mut self, packet: &Packet, kind: Kind, real: &RealValue, outer: usize) -> Result<Outcome, End> {
        match kind {
            Kind::LaterFragment => self.saw(Branch::FragmentTooBig),
            Kind::IcmpError => self.saw(Branch::ErrorTooBig),
            Kind::Flow { .. } => return self.answer_too_big(packet, real, outer),
        }
        Err(End::Drop(DropReason::TooBig))
    }

    fn answer_too_big(&mut self, packet: &Packet, real: &RealValue, outer: usize) -> Result<Outcome, End> {
        let (quote, headers) =
            if packet.family == FAMILY_V4 { (ICMP_QUOTE_V4 as usize, 28) } else { (ICMP_QUOTE_V6 as usize, 48) };
        if packet.length() < quote {
            self.saw(Branch::TooBigShort);
            return Err(End::Drop(DropReason::TooBig));
        }
        if headers > self.headroom {
            self.saw(Branch::TooBigNoHeadroom);
            return Err(End::Drop(DropReason::NoHeadroom));
        }
        let mtu = real.mtu.saturating_sub(outer as u32);
        let quoted = &packet.bytes()[..quote];
        let mut frame = link_header(packet, &packet.frame[6..12], &packet.frame[0..6]);
        if packet.family == FAMILY_V4 {
            self.saw(Branch::TooBigV4);
            frame.extend(fragmentation_needed(packet, mtu as u16, quoted));
        } else {
            self.saw(if mtu < IPV6_MIN_MTU { Branch::TooBigV6LeastMtu } else { Branch::TooBigV6 });
            frame.extend(packet_too_big(packet, mtu.max(IPV6_MIN_MTU), quoted));
        }
        self.event(Event::TooBigAnswered);
        Ok(Outcome { verdict: Verdict::Tx, frame, redirect: None })
    }
}

/// The Ethernet header and tags of the packet, with other MACs.
pub(super) fn link_header(packet: &Packet, to: &[u8], from: &[u8]) -> Vec<u8> {
    [to, from, &packet.frame[12..packet.ip]].concat()
}

pub(super) fn ipv4_header(
    tos: u8,
    total: u16,
    flags: [u8; 2],
    protocol: u8,
    source: &[u8],
    destination: &[u8],
) -> Vec<u8> {
    let mut header = vec![0x45, tos];
    header.extend(total.to_be_bytes());
    header.extend([0, 0]);
    header.extend(flags);
    header.extend([DEFAULT_TTL, protocol, 0, 0]);
    header.extend(source);
    header.extend(destination);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

pub(super) fn ipv6_header(class: u8, length: u16, next_header: u8, source: &[u8], destination: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60 | (class >> 4), class << 4, 0, 0];
    header.extend(length.to_be_bytes());
    header.extend([next_header, DEFAULT_TTL]);
    header.extend(source);
    header.extend(destination);
    header
}

/// Section 8, IPv4.
fn fragmentation_needed(packet: &Packet, mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(quoted);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let total = (20 + message.len()) as u16;
    let mut out = ipv4_header(0, total, [0x40, 0], 1, &packet.destination[..4], &packet.source[..4]);
    out.extend(message);
    out
}

/// Section 8, IPv6.
fn packet_too_big(packet: &Packet, mtu: u32, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![2, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(quoted);
    let mut pseudo = [packet.destination, packet.source].concat();
    pseudo.extend((message.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    let sum = checksum_of_parts(&[&pseudo, &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut out = ipv6_header(0, message.len() as u16, 58, &packet.destination, &packet.source);
    out.extend(message);
    out
}
