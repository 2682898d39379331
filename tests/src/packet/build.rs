//! The builder. Lengths, checksums and protocol numbers are right unless a test says otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    BALANCER_MAC, ETHERTYPE_ARP, ETHERTYPE_QINQ, ETHERTYPE_VLAN, Extension, FragmentHeader, Icmp, Ipv4, Ipv6, Layer,
    ROUTER_MAC, Sctp, Tag, Tcp, Udp, checksum, checksum_of_parts, pseudo_v4, pseudo_v6,
};

/// A frame: an Ethernet header, tags, and layers from the outermost in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Destination MAC.
    pub to_mac: [u8; 6],
    /// Source MAC.
    pub from_mac: [u8; 6],
    /// VLAN tags.
    pub tags: Vec<Tag>,
    /// The EtherType after the tags, where it is not that of the first layer.
    pub ethertype: Option<u16>,
    /// Headers and data.
    pub layers: Vec<Layer>,
    /// Ethernet padding after the last layer.
    pub padding: Vec<u8>,
    /// Where the frame is cut off.
    pub cut: Option<usize>,
}

/// Starting a packet.
impl Packet {
    /// A frame that holds nothing but an Ethernet header.
    #[must_use]
    pub fn ethernet(ethertype: u16) -> Self {
        Self {
            to_mac: BALANCER_MAC,
            from_mac: ROUTER_MAC,
            tags: Vec::new(),
            ethertype: Some(ethertype),
            layers: Vec::new(),
            padding: Vec::new(),
            cut: None,
        }
    }

    /// An IPv4 packet, to be gone on with.
    #[must_use]
    pub fn v4(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self { ethertype: None, layers: vec![Layer::V4(Ipv4::new(source, destination))], ..Self::ethernet(0) }
    }

    /// An IPv6 packet, to be gone on with.
    #[must_use]
    pub fn v6(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self { ethertype: None, layers: vec![Layer::V6(Ipv6::new(source, destination))], ..Self::ethernet(0) }
    }

    /// An ARP packet (RFC 826): operation 1 asks for the target's MAC address, 2 is an answer.
    #[must_use]
    pub fn arp(operation: u16, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        let mut arp = vec![0, 1, 8, 0, 6, 4];
        arp.extend(operation.to_be_bytes());
        arp.extend(ROUTER_MAC);
        arp.extend(sender.octets());
        arp.extend([0; 6]);
        arp.extend(target.octets());
        Self::ethernet(ETHERTYPE_ARP).data(&arp)
    }

    /// An IPv4 or IPv6 packet, to be gone on with. Panics on two families.
    #[must_use]
    pub fn ip(source: IpAddr, destination: IpAddr) -> Self {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Self::v4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Self::v6(source, destination),
            _ => panic!("{source} and {destination} are of two families"),
        }
    }
}

/// Adding layers.
impl Packet {
    /// Adds any layer.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Adds a TCP header.
    #[must_use]
    pub fn tcp(self, source: u16, destination: u16, flags: u8) -> Self {
        self.layer(Layer::Tcp(Tcp {
            source,
            destination,
            sequence: 0x0102_0304,
            acknowledgement: 0x0506_0708,
            data_offset: None,
            flags,
            window: 64_240,
            checksum: None,
            options: Vec::new(),
        }))
    }

    /// Adds a UDP header.
    #[must_use]
    pub fn udp(self, source: u16, destination: u16) -> Self {
        self.layer(Layer::Udp(Udp { source, destination, length: None, checksum: None }))
    }

    /// Adds an SCTP common header.
    #[must_use]
    pub fn sctp(self, source: u16, destination: u16) -> Self {
        self.layer(Layer::Sctp(Sctp { source, destination, tag: 0x0a0b_0c0d, checksum: 0x1234_5678 }))
    }

    /// Adds an ICMP header.
    #[must_use]
    pub fn icmp(self, kind: u8, code: u8, rest: [u8; 4]) -> Self {
        self.layer(Layer::Icmp(Icmp { kind, code, checksum: None, rest }))
    }

    /// Adds an ICMPv6 header.
    #[must_use]
    pub fn icmp6(self, kind: u8, code: u8, rest: [u8; 4]) -> Self {
        self.layer(Layer::Icmp6(Icmp { kind, code, checksum: None, rest }))
    }

    /// Adds a neighbour solicitation (RFC 4861 section 4.3) for an address, with the sender's MAC address.
    #[must_use]
    pub fn solicitation(self, target: Ipv6Addr) -> Self {
        let message = [&target.octets()[..], &[1, 1], &ROUTER_MAC].concat();
        self.icmp6(135, 0, [0; 4]).data(&message)
    }

    /// Adds an IPv6 extension header of `units` x 8 bytes.
    #[must_use]
    pub fn extension(self, kind: u8, units: usize) -> Self {
        self.layer(Layer::Extension(Extension::new(kind, units)))
    }

    /// Adds an IPv6 fragment header; `offset` in units of 8 bytes.
    #[must_use]
    pub fn fragment6(self, id: u32, offset: u16, more_fragments: bool) -> Self {
        self.layer(Layer::Fragment(FragmentHeader { next_header: None, reserved: 0, offset, more_fragments, id }))
    }

    /// Adds bytes.
    #[must_use]
    pub fn data(self, bytes: &[u8]) -> Self {
        self.layer(Layer::Data(bytes.to_vec()))
    }

    /// Adds `length` bytes that count up.
    #[must_use]
    pub fn payload(self, length: usize) -> Self {
        self.layer(Layer::Data((0..length).map(|at| at as u8).collect()))
    }

    /// Adds the first `length` bytes of the packet in another frame, as ICMP errors quote it.
    #[must_use]
    pub fn quote(self, quoted: &Self, length: usize) -> Self {
        let ip = quoted.ip_bytes();
        self.data(&ip[..length.min(ip.len())])
    }
}

/// Changing what is there.
impl Packet {
    /// Adds an 802.1Q tag after those that are there.
    #[must_use]
    pub fn vlan(mut self, tci: u16) -> Self {
        self.tags.push(Tag { ethertype: ETHERTYPE_VLAN, tci });
        self
    }

    /// Adds an 802.1ad service tag after those that are there.
    #[must_use]
    pub fn service_vlan(mut self, tci: u16) -> Self {
        self.tags.push(Tag { ethertype: ETHERTYPE_QINQ, tci });
        self
    }

    /// Sets both MACs.
    #[must_use]
    pub fn macs(mut self, to_mac: [u8; 6], from_mac: [u8; 6]) -> Self {
        self.to_mac = to_mac;
        self.from_mac = from_mac;
        self
    }

    /// Puts a header before all others, as a tunnel does.
    #[must_use]
    pub fn wrap(mut self, outer: Layer) -> Self {
        self.layers.insert(0, outer);
        self
    }

    /// Changes the outermost IPv4 header. Panics when there is none.
    #[must_use]
    pub fn edit_v4(mut self, edit: impl FnOnce(&mut Ipv4)) -> Self {
        let header =
            self.layers.iter_mut().find_map(|layer| if let Layer::V4(header) = layer { Some(header) } else { None });
        edit(header.expect("a packet with an IPv4 header"));
        self
    }

    /// Changes the outermost IPv6 header. Panics when there is none.
    #[must_use]
    pub fn edit_v6(mut self, edit: impl FnOnce(&mut Ipv6)) -> Self {
        let header =
            self.layers.iter_mut().find_map(|layer| if let Layer::V6(header) = layer { Some(header) } else { None });
        edit(header.expect("a packet with an IPv6 header"));
        self
    }

    /// Changes the last layer. Panics when there is none.
    #[must_use]
    pub fn edit_last(mut self, edit: impl FnOnce(&mut Layer)) -> Self {
        edit(self.layers.last_mut().expect("a packet with layers"));
        self
    }

    /// Pads the frame up to `length` bytes with a pattern that nobody takes for data.
    #[must_use]
    pub fn pad_to(mut self, length: usize) -> Self {
        let missing = length.saturating_sub(self.bytes().len());
        self.padding.extend(std::iter::repeat_n(0xee, missing));
        self
    }

    /// Cuts the frame off after `length` bytes.
    #[must_use]
    pub fn cut_to(mut self, length: usize) -> Self {
        self.cut = Some(length);
        self
    }
}

/// Making bytes of it.
impl Packet {
    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = self.link_header();
        frame.extend(self.ip_bytes());
        frame.extend(&self.padding);
        frame.truncate(self.cut.unwrap_or(usize::MAX));
        frame
    }

    /// The packet without Ethernet header and padding, not cut off.
    #[must_use]
    pub fn ip_bytes(&self) -> Vec<u8> {
        write_layers(&self.layers, None)
    }

    /// Length of the packet without Ethernet header and padding.
    #[must_use]
    pub fn ip_length(&self) -> usize {
        self.ip_bytes().len()
    }

    fn link_header(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(22);
        header.extend(self.to_mac);
        header.extend(self.from_mac);
        for tag in &self.tags {
            header.extend(tag.ethertype.to_be_bytes());
            header.extend(tag.tci.to_be_bytes());
        }
        let ethertype = self.ethertype.or(self.layers.first().map(Layer::ethertype)).unwrap_or(0);
        header.extend(ethertype.to_be_bytes());
        header
    }
}

/// The addresses around a transport header, for its checksum.
type Ends = Option<(IpAddr, IpAddr)>;

fn write_layers(layers: &[Layer], ends: Ends) -> Vec<u8> {
    let Some((first, rest)) = layers.split_first() else { return Vec::new() };
    let next = rest.first().map_or(59, Layer::protocol);
    match first {
        Layer::V4(header) => write_v4(header, next, rest),
        Layer::V6(header) => write_v6(header, next, rest),
        Layer::Extension(header) => write_extension(header, next, write_layers(rest, ends)),
        Layer::Fragment(header) => write_fragment(header, next, write_layers(rest, ends)),
        Layer::Tcp(header) => write_tcp(header, ends, &write_layers(rest, None)),
        Layer::Udp(header) => write_udp(header, ends, &write_layers(rest, None)),
        Layer::Sctp(header) => write_sctp(header, &write_layers(rest, None)),
        Layer::Icmp(header) => write_icmp(header, None, &write_layers(rest, None)),
        Layer::Icmp6(header) => write_icmp(header, ends, &write_layers(rest, None)),
        Layer::Data(bytes) => [bytes.clone(), write_layers(rest, ends)].concat(),
    }
}

fn write_v4(header: &Ipv4, next: u8, rest: &[Layer]) -> Vec<u8> {
    let payload = write_layers(rest, Some((header.source.into(), header.destination.into())));
    let header_length = 20 + header.options.len();
    let flags = (u16::from(header.reserved) << 15)
        | (u16::from(header.dont_fragment) << 14)
        | (u16::from(header.more_fragments) << 13);
    let mut out = vec![(header.version << 4) | header.ihl.unwrap_or((header_length / 4) as u8), header.tos];
    out.extend(header.total_length.unwrap_or((header_length + payload.len()) as u16).to_be_bytes());
    out.extend(header.id.to_be_bytes());
    out.extend((flags | (header.offset & 0x1fff)).to_be_bytes());
    out.extend([header.ttl, header.protocol.unwrap_or(next), 0, 0]);
    out.extend(header.source.octets());
    out.extend(header.destination.octets());
    out.extend(&header.options);
    let sum = header.checksum.unwrap_or(checksum(&out));
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(payload);
    out
}

fn write_v6(header: &Ipv6, next: u8, rest: &[Layer]) -> Vec<u8> {
    let payload = write_layers(rest, Some((header.source.into(), header.destination.into())));
    let first =
        (u32::from(header.version) << 28) | (u32::from(header.traffic_class) << 20) | (header.flow_label & 0xf_ffff);
    let mut out = first.to_be_bytes().to_vec();
    out.extend(header.payload_length.unwrap_or(payload.len() as u16).to_be_bytes());
    out.extend([header.next_header.unwrap_or(next), header.hop_limit]);
    out.extend(header.source.octets());
    out.extend(header.destination.octets());
    out.extend(payload);
    out
}

fn write_extension(header: &Extension, next: u8, payload: Vec<u8>) -> Vec<u8> {
    let units = (2 + header.body.len()).div_ceil(8);
    let mut out = vec![header.next_header.unwrap_or(next), header.length.unwrap_or((units - 1) as u8)];
    out.extend(&header.body);
    out.extend(payload);
    out
}

fn write_fragment(header: &FragmentHeader, next: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut out = vec![header.next_header.unwrap_or(next), header.reserved];
    out.extend(((header.offset << 3) | u16::from(header.more_fragments)).to_be_bytes());
    out.extend(header.id.to_be_bytes());
    out.extend(payload);
    out
}

fn write_tcp(header: &Tcp, ends: Ends, payload: &[u8]) -> Vec<u8> {
    let words = header.data_offset.unwrap_or(((20 + header.options.len()) / 4) as u8);
    let mut out = Vec::with_capacity(20 + header.options.len() + payload.len());
    out.extend(header.source.to_be_bytes());
    out.extend(header.destination.to_be_bytes());
    out.extend(header.sequence.to_be_bytes());
    out.extend(header.acknowledgement.to_be_bytes());
    out.extend([words << 4, header.flags]);
    out.extend(header.window.to_be_bytes());
    out.extend([0, 0, 0, 0]);
    out.extend(&header.options);
    out.extend(payload);
    fill_checksum(&mut out, 16, header.checksum, ends, 6);
    out
}

fn write_udp(header: &Udp, ends: Ends, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + payload.len());
    out.extend(header.source.to_be_bytes());
    out.extend(header.destination.to_be_bytes());
    out.extend(header.length.unwrap_or((8 + payload.len()) as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    fill_checksum(&mut out, 6, header.checksum, ends, 17);
    out
}

fn write_sctp(header: &Sctp, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 + payload.len());
    out.extend(header.source.to_be_bytes());
    out.extend(header.destination.to_be_bytes());
    out.extend(header.tag.to_be_bytes());
    out.extend(header.checksum.to_be_bytes());
    out.extend(payload);
    out
}

/// ICMP has no pseudo-header (`ends` is `None`), ICMPv6 has one.
fn write_icmp(header: &Icmp, ends: Ends, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![header.kind, header.code, 0, 0];
    out.extend(header.rest);
    out.extend(payload);
    fill_checksum(&mut out, 2, header.checksum, ends, 58);
    out
}

fn fill_checksum(message: &mut [u8], at: usize, given: Option<u16>, ends: Ends, protocol: u8) {
    let pseudo = match ends {
        Some((IpAddr::V4(source), IpAddr::V4(destination))) => pseudo_v4(source, destination, protocol, message.len()),
        Some((IpAddr::V6(source), IpAddr::V6(destination))) => pseudo_v6(source, destination, protocol, message.len()),
        _ => Vec::new(),
    };
    let computed = match checksum_of_parts(&[&pseudo, message]) {
        0 if protocol == 17 => 0xffff,
        sum => sum,
    };
    message[at..at + 2].copy_from_slice(&given.unwrap_or(computed).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::SYN;

    const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    #[test]
    fn an_ipv4_tcp_frame_byte_by_byte() {
        let frame = Packet::v4(CLIENT, VIP).tcp(40_000, 80, SYN).vlan(7).pad_to(64).bytes();
        let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7, 8, 0];
        let ip = [0x45, 0, 0, 40, 0x12, 0x34, 0x40, 0, 57, 6];
        assert_eq!(frame[..18], ethernet);
        assert_eq!(frame[18..28], ip);
        assert_eq!(frame[30..38], [198, 51, 100, 1, 192, 0, 2, 1]);
        assert_eq!(frame[38..42], [0x9c, 0x40, 0, 80]);
        assert_eq!(frame[50..52], [0x50, 0x02]);
        assert_eq!(frame[58..], [0xee; 6]);
        assert_eq!(checksum(&frame[18..38]), 0, "a header with its checksum sums up to nothing");
        let pseudo = pseudo_v4(CLIENT, VIP, 6, 20);
        assert_eq!(checksum_of_parts(&[&pseudo, &frame[38..58]]), 0);
    }

    #[test]
    fn ipv6_headers_name_the_next_and_the_length() {
        let frame = Packet::v6(CLIENT6, VIP6).extension(0, 2).fragment6(9, 3, true).udp(1, 2).payload(4).bytes();
        let ip = &frame[14..];
        assert_eq!(ip[..8], [0x60, 5, 0x43, 0x21, 0, 16 + 8 + 12, 0, 57]);
        assert_eq!(ip[40..42], [44, 1], "hop-by-hop, 16 bytes, then a fragment header");
        assert_eq!(ip[56..64], [17, 0, 0, 25, 0, 0, 0, 9]);
        assert_eq!(ip[64..70], [0, 1, 0, 2, 0, 12]);
        assert_eq!(checksum_of_parts(&[&pseudo_v6(CLIENT6, VIP6, 17, 12), &ip[64..]]), 0);
    }

    #[test]
    fn an_sctp_header_is_twelve_bytes() {
        let ip = Packet::v4(CLIENT, VIP).sctp(40_000, 80).payload(2).ip_bytes();
        assert_eq!(ip[9], 132);
        assert_eq!(ip[20..], [0x9c, 0x40, 0, 80, 0x0a, 0x0b, 0x0c, 0x0d, 0x12, 0x34, 0x56, 0x78, 0, 1]);
    }

    #[test]
    fn icmpv6_is_summed_with_the_pseudo_header_and_icmp_without() {
        let six = Packet::v6(CLIENT6, VIP6).icmp6(128, 0, [0, 1, 0, 1]).payload(5).ip_bytes();
        assert_eq!(checksum_of_parts(&[&pseudo_v6(CLIENT6, VIP6, 58, 13), &six[40..]]), 0);
        let four = Packet::v4(CLIENT, VIP).icmp(8, 0, [0, 1, 0, 1]).payload(5).ip_bytes();
        assert_eq!(checksum(&four[20..]), 0);
    }

    #[test]
    fn wrapping_quoting_and_cutting() {
        let inner = Packet::v4(CLIENT, VIP).udp(1, 2).payload(3);
        let wrapped = inner.clone().wrap(Layer::V6(Ipv6::new(CLIENT6, VIP6)));
        assert_eq!(wrapped.bytes()[12..14], [0x86, 0xdd]);
        assert_eq!(wrapped.ip_bytes()[6], 4);
        assert_eq!(wrapped.ip_bytes()[40..], inner.ip_bytes());
        let quoting = Packet::v4(VIP, CLIENT).icmp(3, 4, [0; 4]).quote(&inner, 28);
        assert_eq!(quoting.ip_bytes()[28..], inner.ip_bytes()[..28]);
        assert_eq!(inner.clone().cut_to(17).bytes(), inner.bytes()[..17]);
        assert_eq!(Packet::ethernet(ETHERTYPE_ARP).bytes()[12..], [8, 6]);
    }
}
