//! Section 5, step 6, of the tunnel modes: the outer headers.

use lb_common::{FAMILY_V4, FlowKey, MAX_SOURCE_BITS, MODE_DSR, MODE_GUE, MODE_NAT, RealValue, ServiceKey};

use super::parse::{Packet, be16};
use super::send::{Kind, ipv4_header, ipv6_header, link_header};
use super::{Branch, State, flow_hash};

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;

/// Bytes that go before the packet.
pub(super) fn outer_header_length(mode: u8, real: &RealValue) -> usize {
    let ip = if real.family == FAMILY_V4 { 20 } else { 40 };
    match mode {
        MODE_DSR | MODE_NAT => 0,
        MODE_GUE => ip + UDP_HEADER,
        _ => ip,
    }
}

impl State {
    /// The frame with its outer headers.
    pub(super) fn tunnelled(&mut self, packet: &Packet, mode: u8, kind: Kind, real: &RealValue) -> Vec<u8> {
        let hash = outer_hash(packet, kind);
        let source = self.outer_source(real, hash);
        let mut frame = link_header(packet, &real.next_hop_mac, &real.source_mac);
        let last = frame.len() - 2;
        let ethertype: u16 = if real.family == FAMILY_V4 { 0x0800 } else { 0x86dd };
        frame[last..].copy_from_slice(&ethertype.to_be_bytes());
        let (protocol, udp) = match (mode, packet.family) {
            (MODE_GUE, _) => (UDP, udp_header(packet, real, hash)),
            (_, FAMILY_V4) => (4, Vec::new()),
            _ => (41, Vec::new()),
        };
        let length = packet.length() + udp.len();
        frame.extend(if real.family == FAMILY_V4 {
            const DONT_FRAGMENT: [u8; 2] = [0x40, 0];
            let (total, class) = ((20 + length) as u16, packet.traffic_class);
            ipv4_header(class, total, DONT_FRAGMENT, protocol, &source[..4], &real.address[..4])
        } else {
            ipv6_header(packet.traffic_class, length as u16, protocol, &source, &real.address)
        });
        frame.extend(udp);
        frame.extend(&packet.frame[packet.ip..]);
        frame
    }

    /// The tunnel's source, of which the lowest bits may be the hash's.
    fn outer_source(&mut self, real: &RealValue, hash: u32) -> [u8; 16] {
        self.saw(match real.source_bits {
            0 => Branch::SourceFixed,
            1..MAX_SOURCE_BITS => Branch::SourceBits,
            MAX_SOURCE_BITS => Branch::SourceBitsAll,
            _ => Branch::SourceBitsAbove,
        });
        let mask = ((1_u64 << real.source_bits.min(32)) - 1) as u32;
        let mut source = real.tunnel_source;
        let last = if real.family == FAMILY_V4 { 0 } else { 12 };
        let word = u32::from_be_bytes([source[last], source[last + 1], source[last + 2], source[last + 3]]);
        source[last..last + 4].copy_from_slice(&((word & !mask) | (hash & mask)).to_be_bytes());
        source
    }
}

fn udp_header(packet: &Packet, real: &RealValue, hash: u32) -> Vec<u8> {
    let source = 0xc000 + (hash & 0x3fff) as u16;
    let length = (UDP_HEADER + packet.length()) as u16;
    [source, real.gue_port, length, 0].map(u16::to_be_bytes).concat()
}

/// What the outer headers of a flow's packets have in common.
fn outer_hash(packet: &Packet, kind: Kind) -> u32 {
    let (source_port, port, protocol) = match kind {
        Kind::Flow { .. } => {
            let ports = packet.transport_bytes();
            (be16(ports, 0), be16(ports, 2), packet.protocol)
        }
        Kind::LaterFragment | Kind::IcmpError => (0, 0, 0),
    };
    let service = ServiceKey { vip: packet.destination, port, protocol, family: packet.family };
    flow_hash(&FlowKey { client: packet.source, service, client_port: source_port, reserved: 0 })
}
