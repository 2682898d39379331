//! The frames by which hosts of one link find each other: ARP, and neighbour solicitations and advertisements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_base::MacAddr;
use pnet_packet::Packet as _;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, EthernetPacket, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{
    MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NdpOption, NdpOptionType, NdpOptionTypes,
    NeighborAdvertPacket,
};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types, MutableIcmpv6Packet, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::{Ipv6Packet, MutableIpv6Packet};

/// A MAC address.
pub(crate) type Mac = [u8; 6];

const ETHERNET: usize = 14;
const ARP: usize = 28;
const IPV6: usize = 40;
/// Neighbour solicitation or advertisement with one link-layer address.
const NDP: usize = 32;
/// The same without one.
const NDP_BARE: usize = 24;
/// Units of eight bytes of an option with a link-layer address.
const OPTION_LENGTH: u8 = 1;
/// What has been forwarded has less: such a frame is of another link.
const HOP_LIMIT: u8 = 255;
/// The advertisement replaces what the receiver knew.
const OVERRIDE: u8 = 0x20;

const BROADCAST: Mac = [0xff; 6];
const NOBODY: Mac = [0; 6];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What a frame says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The address that somebody has.
    pub(crate) address: IpAddr,
    /// Who says so.
    pub(crate) mac: Mac,
}

/// The announcements of an address: everybody on the link learns that it is at this MAC.
pub(crate) fn announcements(address: IpAddr, mac: Mac) -> Vec<Vec<u8>> {
    match address {
        // Some hosts learn from the one, some from the other.
        IpAddr::V4(v4) => vec![
            arp(ArpOperations::Request, (mac, v4), (NOBODY, v4)),
            arp(ArpOperations::Reply, (mac, v4), (BROADCAST, v4)),
        ],
        IpAddr::V6(v6) => vec![advertisement(v6, mac)],
    }
}

/// Asks who has an address, without saying that the sender has any (RFC 5227 and RFC 4862).
pub(crate) fn probe(address: IpAddr, mac: Mac) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => arp(ArpOperations::Request, (mac, Ipv4Addr::UNSPECIFIED), (NOBODY, v4)),
        IpAddr::V6(v6) => solicitation(v6, Ipv6Addr::UNSPECIFIED, mac),
    }
}

/// Asks who has an address, from an address that the answer comes back to. None where the two are of different families.
pub(crate) fn question(address: IpAddr, from: IpAddr, mac: Mac) -> Option<Vec<u8>> {
    match (address, from) {
        (IpAddr::V4(to), IpAddr::V4(from)) => Some(arp(ArpOperations::Request, (mac, from), (NOBODY, to))),
        (IpAddr::V6(to), IpAddr::V6(from)) => Some(solicitation(to, from, mac)),
        _ => None,
    }
}

/// Which address the frame's sender says it has. None in frames of other kinds.
pub(crate) fn claim(frame: &[u8]) -> Option<Claim> {
    let ethernet = EthernetPacket::new(frame)?;
    match ethernet.get_ethertype() {
        EtherTypes::Arp => claim_of_arp(ethernet.payload()),
        EtherTypes::Ipv6 => claim_of_advertisement(&ethernet),
        _ => None,
    }
}

fn claim_of_arp(payload: &[u8]) -> Option<Claim> {
    let arp = ArpPacket::new(payload)?;
    let is_ours = arp.get_hardware_type() == ArpHardwareTypes::Ethernet && arp.get_protocol_type() == EtherTypes::Ipv4;
    let sender = arp.get_sender_proto_addr();
    let of_ethernet = is_ours && arp.get_hw_addr_len() == 6 && arp.get_proto_addr_len() == 4;
    (of_ethernet && !sender.is_unspecified())
        .then(|| Claim { address: sender.into(), mac: arp.get_sender_hw_addr().octets() })
}

fn claim_of_advertisement(ethernet: &EthernetPacket<'_>) -> Option<Claim> {
    let ip = Ipv6Packet::new(ethernet.payload())?;
    if ip.get_next_header() != IpNextHeaderProtocols::Icmpv6 || ip.get_hop_limit() != HOP_LIMIT {
        return None;
    }
    // What the link adds to a short frame is no part of it.
    let icmp = ip.payload().get(..usize::from(ip.get_payload_length()))?;
    let advertisement = NeighborAdvertPacket::new(icmp)?;
    if advertisement.get_icmpv6_type() != Icmpv6Types::NeighborAdvert
        || checksum(&Icmpv6Packet::new(icmp)?, &ip.get_source(), &ip.get_destination()) != advertisement.get_checksum()
    {
        return None;
    }
    let told =
        advertisement.get_options().into_iter().find(|option| option.option_type == NdpOptionTypes::TargetLLAddr);
    let mac = told.and_then(|option| option.data.try_into().ok()).unwrap_or(ethernet.get_source().octets());
    Some(Claim { address: advertisement.get_target_addr().into(), mac })
}

fn arp(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut frame = ethernet(ETHERNET + ARP, BROADCAST, sender.0, EtherTypes::Arp);
    if let Some(mut arp) = MutableArpPacket::new(&mut frame[ETHERNET..]) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(operation);
        arp.set_sender_hw_addr(sender.0.into());
        arp.set_sender_proto_addr(sender.1);
        arp.set_target_hw_addr(target.0.into());
        arp.set_target_proto_addr(target.1);
    }
    frame
}

/// Unsolicited, to all nodes.
fn advertisement(address: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let mut frame = ndp(NDP, (address, mac), ALL_NODES);
    let icmp = &mut frame[ETHERNET + IPV6..];
    if let Some(mut advertisement) = MutableNeighborAdvertPacket::new(icmp) {
        advertisement.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
        advertisement.set_flags(OVERRIDE);
        advertisement.set_target_addr(address);
        advertisement.set_options(&[link_layer_address(NdpOptionTypes::TargetLLAddr, mac)]);
    }
    seal(frame, address, ALL_NODES)
}

/// To the group of the hosts that may have the address.
fn solicitation(address: Ipv6Addr, from: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let group = solicited_node(address);
    // One who has no address yet does not say where it is.
    let length = if from.is_unspecified() { NDP_BARE } else { NDP };
    let mut frame = ndp(length, (from, mac), group);
    if let Some(mut solicitation) = MutableNeighborSolicitPacket::new(&mut frame[ETHERNET + IPV6..]) {
        solicitation.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
        solicitation.set_target_addr(address);
        if !from.is_unspecified() {
            solicitation.set_options(&[link_layer_address(NdpOptionTypes::SourceLLAddr, mac)]);
        }
    }
    seal(frame, from, group)
}

fn link_layer_address(option_type: NdpOptionType, mac: Mac) -> NdpOption {
    NdpOption { option_type, length: OPTION_LENGTH, data: mac.to_vec() }
}

/// A frame with everything but its ICMPv6 message.
fn ndp(length: usize, from: (Ipv6Addr, Mac), to: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c, d] = to.octets();
    let mut frame = ethernet(ETHERNET + IPV6 + length, [0x33, 0x33, a, b, c, d], from.1, EtherTypes::Ipv6);
    if let Some(mut ip) = MutableIpv6Packet::new(&mut frame[ETHERNET..]) {
        ip.set_version(6);
        ip.set_payload_length(length as u16);
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_source(from.0);
        ip.set_destination(to);
    }
    frame
}

/// Writes the checksum.
fn seal(mut frame: Vec<u8>, from: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let icmp = &mut frame[ETHERNET + IPV6..];
    if let Some(sum) = Icmpv6Packet::new(icmp).map(|packet| checksum(&packet, &from, &to))
        && let Some(mut packet) = MutableIcmpv6Packet::new(icmp)
    {
        packet.set_checksum(sum);
    }
    frame
}

fn ethernet(length: usize, to: Mac, from: Mac, kind: EtherType) -> Vec<u8> {
    let mut frame = vec![0; length];
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        ethernet.set_destination(to.into());
        ethernet.set_source(from.into());
        ethernet.set_ethertype(kind);
    }
    frame
}

fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// A MAC address as people write it.
pub(crate) fn text(mac: Mac) -> MacAddr {
    mac.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = [2, 0, 0, 0, 0, 1];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_arp_announcement_names_the_address_twice_and_goes_to_everybody() {
        let frames = announcements(ip("192.0.2.101"), OWN);
        let [request, reply] = frames.as_slice() else { panic!("{frames:?}") };
        let head = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0];
        assert_eq!(request[..21], head);
        assert_eq!(request[21..], [1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 101, 0, 0, 0, 0, 0, 0, 192, 0, 2, 101]);
        assert_eq!(reply[..21], head);
        let broadcast = [0xff; 6];
        assert_eq!(reply[21..32], [2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 101]);
        assert_eq!(reply[32..38], broadcast);
        assert_eq!(reply[38..], [192, 0, 2, 101]);
    }

    #[test]
    fn a_neighbour_advertisement_is_unsolicited_and_overrides() {
        let frames = announcements(ip("2001:db8::101"), OWN);
        let [frame] = frames.as_slice() else { panic!("{frames:?}") };
        assert_eq!(frame[..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        let icmp = &frame[54..];
        assert_eq!((icmp[0], icmp[1], icmp[4]), (136, 0, 0x20));
        assert_eq!(icmp[24..], [2, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(claim(frame), Some(Claim { address: ip("2001:db8::101"), mac: OWN }), "the checksum holds");
    }

    #[test]
    fn a_claim_is_known_in_every_way_to_say_it() {
        for address in ["192.0.2.101", "2001:db8::101"] {
            for frame in announcements(ip(address), OWN) {
                assert_eq!(claim(&frame), Some(Claim { address: ip(address), mac: OWN }));
            }
            assert_eq!(claim(&probe(ip(address), OWN)), None, "a probe claims nothing");
        }
        let question = question(ip("192.0.2.1"), ip("192.0.2.101"), OWN).unwrap();
        assert_eq!(claim(&question), Some(Claim { address: ip("192.0.2.101"), mac: OWN }), "its sender says who it is");
    }

    #[test]
    fn a_damaged_or_forwarded_advertisement_claims_nothing() {
        let good = announcements(ip("2001:db8::101"), OWN).remove(0);
        let with = |at: usize, value: u8| {
            let mut frame = good.clone();
            frame[at] = value;
            claim(&frame)
        };
        assert_eq!(with(21, 254), None, "hop limit");
        assert_eq!(with(56, good[56] ^ 1), None, "checksum");
        assert!((0..good.len()).all(|length| claim(&good[..length]).is_none()), "cut off");
        let mut padded = good.clone();
        padded.extend([0; 8]);
        assert!(claim(&padded).is_some());
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_its_target() {
        let frame = probe(ip("2001:db8::1:ab12:3456"), OWN);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(frame[38..54], [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(frame.len(), 14 + 40 + 24, "without a link-layer address");
    }

    /// What anybody on the link can send.
    #[test]
    fn changed_and_cut_frames_are_looked_at_without_a_panic() {
        let mut random = fastrand::Rng::with_seed(0xa49);
        let whole = [ip("192.0.2.1"), ip("2001:db8::1")].map(|address| announcements(address, OWN));
        for frame in whole.iter().flatten() {
            for _ in 0..2_000 {
                let mut changed = frame[..random.usize(..=frame.len())].to_vec();
                for _ in 0..random.usize(..4).min(changed.len()) {
                    let at = random.usize(..changed.len());
                    changed[at] = random.u8(..);
                }
                let _ = claim(&changed);
            }
        }
    }
}
