//! Random frames: mostly well-formed and about the pool's flows, some of them mutated or cut off afterwards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use lb_common::{FAMILY_V4, FAMILY_V6, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP};
use lb_tests::packet::{
    ACK, ETHERTYPE_ARP, Extension, FIN, FragmentHeader, Icmp, Ipv4, Ipv6, Layer, PSH, Packet, RST, SYN, Sctp, Tag, Tcp,
    Udp,
};

use crate::world::{CLIENT_PORTS, CLIENTS, FIRST_CLIENT_PORT, FRAGMENT_IDS, FRONTS, client, family_of, vip};
use crate::{prefixes, quic, replies};

/// The longest frame that BPF_PROG_TEST_RUN takes, less the headroom's metadata.
const LONGEST: usize = 3_200;

/// One frame in so many, in the mean, is the first of a burst.
const BURST_EVERY: u32 = 12_000;
/// Frames of a burst: more neighbours than there is room to ask for.
const BURST: u32 = 600;

/// Random frames, one after the other.
#[derive(Default)]
pub struct Frames {
    /// Of a burst, the frame that comes so often again.
    again: (Vec<u8>, u32),
}

impl Frames {
    /// The next one.
    pub fn next(&mut self, rng: &mut Rng) -> Vec<u8> {
        if self.again.1 == 0 && rng.u32(..BURST_EVERY) == 0 {
            self.again = (replies::of_unknown_client(rng).bytes(), BURST);
        }
        if self.again.1 == 0 {
            return random_frame(rng);
        }
        self.again.1 -= 1;
        self.again.0.clone()
    }
}

/// A random frame.
pub fn random_frame(rng: &mut Rng) -> Vec<u8> {
    let packet = match rng.u8(..100) {
        0..=36 => flow_packet(rng),
        37..=45 => replies::whole(rng),
        46..=48 => replies::fragment(rng),
        49..=51 => replies::icmp_error(rng),
        52..=61 => fragment(rng),
        62..=75 => icmp_error(rng),
        76..=79 => echo(rng),
        80..=82 => other_icmp(rng),
        83..=85 => other_protocol(rng),
        86..=89 => elsewhere(rng),
        90..=91 => {
            Packet::ethernet([ETHERTYPE_ARP, 0x88cc, 0x9100, rng.u16(..)][rng.usize(..4)]).payload(rng.usize(..60))
        }
        92..=94 => extension_headers(rng),
        95 => arp(rng),
        96 => solicitation(rng),
        97 => replies::other(rng),
        _ => flow_packet(rng).layer(Layer::Data(vec![0xa5; rng.usize(..1_500)])),
    };
    let mut frame = on_the_wire(rng, packet).bytes();
    if rng.u8(..100) < 22 {
        for _ in 0..rng.usize(1..4) {
            mutate(rng, &mut frame);
        }
    }
    frame.truncate(LONGEST);
    frame
}

/// Tags and padding.
fn on_the_wire(rng: &mut Rng, mut packet: Packet) -> Packet {
    rng.fill(&mut packet.to_mac);
    rng.fill(&mut packet.from_mac);
    let tags = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3][rng.usize(..12)];
    for _ in 0..tags {
        let ethertype = if rng.bool() { 0x8100 } else { 0x88a8 };
        packet.tags.push(Tag { ethertype, tci: rng.u16(..) });
    }
    if rng.u8(..8) == 0 {
        packet.padding = vec![0xee; rng.usize(1..48)];
    }
    packet
}

/// An IP header between the two, with a random field or two.
pub fn ip(rng: &mut Rng, source: IpAddr, destination: IpAddr) -> Packet {
    let mut packet = Packet::ip(source, destination);
    match &mut packet.layers[0] {
        Layer::V4(header) => random_v4(rng, header),
        Layer::V6(header) => random_v6(rng, header),
        _ => {}
    }
    packet
}

fn random_v4(rng: &mut Rng, header: &mut Ipv4) {
    header.id = rng.u32(..FRAGMENT_IDS) as u16;
    header.tos = if rng.bool() { 0 } else { rng.u8(..) };
    header.ttl = rng.u8(..);
    (header.dont_fragment, header.reserved) = (rng.bool(), rng.u8(..30) == 0);
    if rng.u8(..10) == 0 {
        header.options = vec![1; 4 * rng.usize(1..=10)];
    }
    if rng.u8(..10) == 0 {
        header.checksum = Some(rng.u16(..));
    }
}

fn random_v6(rng: &mut Rng, header: &mut Ipv6) {
    header.traffic_class = if rng.bool() { 0 } else { rng.u8(..) };
    header.flow_label = rng.u32(..0x10_0000);
    header.hop_limit = rng.u8(..);
}

pub fn client_port(rng: &mut Rng) -> u16 {
    FIRST_CLIENT_PORT + rng.u16(..CLIENT_PORTS)
}

fn flags(rng: &mut Rng) -> u8 {
    const USUAL: [u8; 12] = [SYN, SYN, SYN, ACK, ACK, ACK, PSH | ACK, FIN | ACK, FIN | ACK, RST, RST | ACK, SYN | ACK];
    if rng.u8(..12) == 0 { rng.u8(..) } else { USUAL[rng.usize(..USUAL.len())] }
}

pub fn length(rng: &mut Rng) -> usize {
    match rng.u8(..20) {
        0..=9 => rng.usize(..40),
        10..=14 => rng.usize(..300),
        15..=17 => rng.usize(1_200..1_560),
        18 => rng.usize(..2_900),
        _ => 0,
    }
}

/// A TCP, UDP or SCTP header. Whether its checksum is right is nobody's business, so it is not computed.
pub fn transport(rng: &mut Rng, protocol: u8, source: u16, destination: u16) -> Layer {
    let checksum = Some([rng.u16(..), rng.u16(..), rng.u16(..), 0, 0xffff][rng.usize(..5)]);
    match protocol {
        PROTOCOL_TCP => Layer::Tcp(Tcp {
            source,
            destination,
            sequence: rng.u32(..),
            acknowledgement: rng.u32(..),
            data_offset: if rng.u8(..8) == 0 { Some(rng.u8(..16)) } else { None },
            flags: flags(rng),
            window: rng.u16(..),
            checksum,
            options: if rng.u8(..4) == 0 { vec![1; 4 * rng.usize(..=10)] } else { Vec::new() },
        }),
        PROTOCOL_SCTP => Layer::Sctp(Sctp { source, destination, tag: rng.u32(..), checksum: rng.u32(..) }),
        _ => Layer::Udp(Udp { source, destination, length: None, checksum }),
    }
}

/// From a client of the pool to a service.
fn flow_packet(rng: &mut Rng) -> Packet {
    let front = &FRONTS[rng.usize(..FRONTS.len())];
    let source = client(family_of(front.vip), rng.u16(..CLIENTS));
    let destination_port = match rng.u8(..30) {
        0 => rng.u16(..),
        1 => rng.u16(7_998..8_013),
        _ => front.port,
    };
    let source_port = if rng.u8(..40) == 0 { rng.u16(..) } else { client_port(rng) };
    let header = transport(rng, front.protocol, source_port, destination_port);
    let destination = front.destination(rng);
    let packet = ip(rng, source, destination).layer(header);
    payload(rng, packet, front.protocol)
}

/// Bytes behind a transport header.
fn payload(rng: &mut Rng, packet: Packet, protocol: u8) -> Packet {
    if protocol == PROTOCOL_UDP && rng.u8(..5) != 0 {
        return packet.layer(Layer::Data(quic::datagram(rng)));
    }
    let length = length(rng);
    packet.payload(length)
}

fn fragment(rng: &mut Rng) -> Packet {
    let front = &FRONTS[rng.usize(..FRONTS.len())];
    let source = client(family_of(front.vip), rng.u16(..CLIENTS));
    let source_port = client_port(rng);
    let header = transport(rng, front.protocol, source_port, front.port);
    let destination = front.destination(rng);
    fragment_of(rng, source, destination, header)
}

/// A fragment of a packet with this transport header, which a first fragment has.
pub fn fragment_of(rng: &mut Rng, source: IpAddr, destination: IpAddr, transport: Layer) -> Packet {
    let is_first = rng.u8(..5) < 2;
    let offset = if is_first { 0 } else { rng.u16(1..0x2000) };
    let more_fragments = if is_first { rng.u8(..8) != 0 } else { rng.bool() };
    let id = if rng.u8(..12) == 0 { rng.u32(..) } else { rng.u32(..FRAGMENT_IDS) };
    let own = transport.protocol();
    let protocol = [own, own, own, own, own, own, own, 1, 58, 59, 50, PROTOCOL_SCTP][rng.usize(..12)];
    let mut packet = ip(rng, source, destination);
    match &mut packet.layers[0] {
        Layer::V4(header) => {
            (header.id, header.offset, header.more_fragments) = (id as u16, offset, more_fragments);
            header.protocol = Some(protocol);
        }
        _ => {
            if rng.u8(..4) == 0 {
                packet = extension(rng, packet);
            }
            let next_header = Some(if is_first { protocol } else { [protocol, 0, 43, 44, 60][rng.usize(..5)] });
            let reserved = rng.u8(..);
            let header = FragmentHeader { next_header, reserved, offset, more_fragments, id };
            packet = packet.layer(Layer::Fragment(header));
        }
    }
    if is_first {
        let packet = packet.layer(transport);
        return payload(rng, packet, own);
    }
    let length = length(rng);
    packet.payload(length)
}

/// About a packet that a real has sent to a client of the pool.
fn icmp_error(rng: &mut Rng) -> Packet {
    let front = &FRONTS[rng.usize(..FRONTS.len())];
    let family = family_of(front.vip);
    let to = front.destination(rng);
    let source = if rng.u8(..20) == 0 { any_vip(rng, family) } else { to };
    let port = if rng.u8(..20) == 0 { rng.u16(..) } else { front.port };
    let (from, destination) = (router(rng, family), client(family, rng.u16(..CLIENTS)));
    let destination_port = client_port(rng);
    let quoted = quoted(rng, (source, port), (destination, destination_port), front.protocol);
    error_about(rng, from, to, &quoted)
}

/// A VIP, an address of a prefix, or none.
fn any_vip(rng: &mut Rng, family: u8) -> IpAddr {
    if rng.u8(..3) == 0 { prefixes::any_address(rng, family) } else { vip(family, rng.u8(..3)) }
}

/// Some router.
pub fn router(rng: &mut Rng, family: u8) -> IpAddr {
    match family {
        FAMILY_V4 => Ipv4Addr::new(198, 18, 0, rng.u8(..)).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, rng.u16(..)).into(),
    }
}

/// A packet that is quoted, some of them wrong.
pub fn quoted(rng: &mut Rng, source: (IpAddr, u16), destination: (IpAddr, u16), protocol: u8) -> Packet {
    let mut quoted = ip(rng, source.0, destination.0);
    if source.0.is_ipv6() && rng.u8(..20) == 0 {
        quoted = extension(rng, quoted);
    }
    if let Layer::V4(header) = &mut quoted.layers[0] {
        header.offset = if rng.u8(..20) == 0 { rng.u16(..0x2000) } else { 0 };
        header.more_fragments = rng.u8(..10) == 0;
        header.version = if rng.u8(..30) == 0 { rng.u8(..16) } else { 4 };
        header.ihl = if rng.u8(..30) == 0 { Some(rng.u8(..16)) } else { None };
    } else if let Layer::V6(header) = &mut quoted.layers[0] {
        header.version = if rng.u8(..30) == 0 { rng.u8(..16) } else { 6 };
    }
    let protocol = if rng.u8(..20) == 0 { rng.u8(..) } else { protocol };
    let header = match protocol {
        PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP => transport(rng, protocol, source.1, destination.1),
        _ => Layer::Data(vec![9; 20]),
    };
    quoted.layer(header).payload(rng.usize(..64))
}

/// An ICMP error about a packet.
pub fn error_about(rng: &mut Rng, from: IpAddr, to: IpAddr, quoted: &Packet) -> Packet {
    let quote = if rng.u8(..3) == 0 { rng.usize(..120) } else { 120 };
    let (code, checksum) = (rng.u8(..16), Some(rng.u16(..)));
    let rest = rng.u32(..).to_be_bytes();
    let mut packet = ip(rng, from, to);
    if to.is_ipv6() && rng.u8(..10) == 0 {
        packet = extension(rng, packet);
    }
    let header = if to.is_ipv4() {
        Layer::Icmp(Icmp { kind: [3, 3, 11, 12][rng.usize(..4)], code, checksum, rest })
    } else {
        Layer::Icmp6(Icmp { kind: rng.u8(1..=4), code, checksum, rest })
    };
    let packet = packet.layer(header).quote(quoted, quote);
    if rng.u8(..10) == 0 { packet.payload(rng.usize(..1_500)) } else { packet }
}

fn echo(rng: &mut Rng) -> Packet {
    let family = if rng.bool() { FAMILY_V4 } else { FAMILY_V6 };
    let code = u8::from(rng.u8(..12) == 0);
    let (checksum, rest) = (Some(rng.u16(..)), rng.u32(..).to_be_bytes());
    let destination = any_vip(rng, family);
    let mut packet = ip(rng, client(family, 0), destination);
    if family == FAMILY_V6 && rng.u8(..10) == 0 {
        packet = extension(rng, packet);
    }
    let header = if family == FAMILY_V4 {
        Layer::Icmp(Icmp { kind: 8, code, checksum, rest })
    } else {
        Layer::Icmp6(Icmp { kind: 128, code, checksum, rest })
    };
    let length = length(rng);
    packet.layer(header).payload(length)
}

fn other_icmp(rng: &mut Rng) -> Packet {
    let family = if rng.bool() { FAMILY_V4 } else { FAMILY_V6 };
    let icmp = Icmp { kind: rng.u8(..), code: rng.u8(..2), checksum: Some(0), rest: [0; 4] };
    let layer = if family == FAMILY_V4 { Layer::Icmp(icmp) } else { Layer::Icmp6(icmp) };
    let destination = any_vip(rng, family);
    ip(rng, client(family, 0), destination).layer(layer).payload(rng.usize(..80))
}

fn other_protocol(rng: &mut Rng) -> Packet {
    let family = if rng.bool() { FAMILY_V4 } else { FAMILY_V6 };
    let protocol = [rng.u8(..), 1, 58, 59, 4, 41, 47, 50, 51, 132][rng.usize(..10)];
    let destination = any_vip(rng, family);
    let packet = ip(rng, client(family, 0), destination);
    let packet = match family {
        FAMILY_V4 => packet.edit_v4(|header| header.protocol = Some(protocol)),
        _ => packet.edit_v6(|header| header.next_header = Some(protocol)),
    };
    packet.payload(rng.usize(..80))
}

/// To no VIP.
fn elsewhere(rng: &mut Rng) -> Packet {
    let family = if rng.bool() { FAMILY_V4 } else { FAMILY_V6 };
    let header = transport(rng, PROTOCOL_TCP, 1, 80);
    let destination = vip(family, 2 + rng.u8(..9));
    ip(rng, client(family, 0), destination).layer(header)
}

/// One extension header more.
pub fn extension(rng: &mut Rng, packet: Packet) -> Packet {
    let kind = [0, 43, 60][rng.usize(..3)];
    let units = if rng.u8(..30) == 0 { rng.usize(1..257) } else { rng.usize(1..4) };
    packet.layer(Layer::Extension(Extension::new(kind, units)))
}

/// For a VIP or not, and mostly a request.
fn arp(rng: &mut Rng) -> Packet {
    let (IpAddr::V4(sender), IpAddr::V4(target)) = (client(FAMILY_V4, 0), any_vip(rng, FAMILY_V4)) else {
        return Packet::ethernet(ETHERTYPE_ARP);
    };
    let operation = if rng.u8(..4) == 0 { rng.u16(..4) } else { 1 };
    Packet::arp(operation, sender, target)
}

/// A neighbour solicitation for a VIP or not, to a VIP or to others.
fn solicitation(rng: &mut Rng) -> Packet {
    let IpAddr::V6(target) = any_vip(rng, FAMILY_V6) else { return Packet::ethernet(ETHERTYPE_ARP) };
    let to: IpAddr = match rng.u8(..3) {
        0 => any_vip(rng, FAMILY_V6),
        _ => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, target.segments()[7]).into(),
    };
    let mut packet = ip(rng, client(FAMILY_V6, 0), to);
    for _ in 0..[0, 0, 0, 1, 2, 6, 7][rng.usize(..7)] {
        packet = extension(rng, packet);
    }
    packet.solicitation(target)
}

/// A chain of extension and fragment headers, some of them wrong.
fn extension_headers(rng: &mut Rng) -> Packet {
    let fronts: Vec<_> = FRONTS.iter().filter(|front| family_of(front.vip) == FAMILY_V6).collect();
    let front = fronts[rng.usize(..fronts.len())];
    let source = client(FAMILY_V6, rng.u16(..CLIENTS));
    let destination = front.destination(rng);
    let mut packet = ip(rng, source, destination);
    for _ in 0..rng.usize(..9) {
        packet = extension(rng, packet);
        if rng.u8(..6) == 0 {
            let (id, more) = (rng.u32(..FRAGMENT_IDS), rng.bool());
            packet = packet.fragment6(id, 0, more);
        }
        if rng.u8(..25) == 0
            && let Some(Layer::Extension(header)) = packet.layers.last_mut()
        {
            header.length = Some(rng.u8(..));
        }
    }
    let source_port = client_port(rng);
    let header = transport(rng, front.protocol, source_port, front.port);
    packet.layer(header).payload(rng.usize(..40))
}

/// Changes a frame's bytes: any of the first ones, those of a length field, or where it ends.
fn mutate(rng: &mut Rng, frame: &mut Vec<u8>) {
    if frame.is_empty() {
        return;
    }
    match rng.u8(..10) {
        0..=2 => {
            let at = rng.usize(..frame.len().min(90));
            frame[at] ^= 1 << rng.u8(..8);
        }
        3 => {
            let at = rng.usize(..frame.len());
            frame[at] = rng.u8(..);
        }
        4..=6 => frame.truncate(rng.usize(..frame.len())),
        7 => frame.extend(std::iter::repeat_n(0xdd, rng.usize(..30))),
        _ => nudge_length(rng, frame),
    }
}

/// Makes the IP length a little less or more than it was, or anything at all.
fn nudge_length(rng: &mut Rng, frame: &mut [u8]) {
    let mut at = 12;
    while matches!(frame.get(at..at + 2), Some([0x81, 0] | [0x88, 0xa8])) {
        at += 4;
    }
    let field = match frame.get(at..at + 2) {
        Some([0x08, 0x00]) => at + 2 + 2,
        Some([0x86, 0xdd]) => at + 2 + 4,
        _ => return,
    };
    let Some(bytes) = frame.get_mut(field..field + 2) else { return };
    let length = u16::from_be_bytes([bytes[0], bytes[1]]);
    let changed = match rng.u8(..6) {
        0 => rng.u16(..),
        1 => length.wrapping_add(rng.u16(1..20)),
        2 => rng.u16(..60),
        _ => length.wrapping_sub(rng.u16(1..40)),
    };
    bytes.copy_from_slice(&changed.to_be_bytes());
}
