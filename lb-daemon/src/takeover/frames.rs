//! The frames by which hosts of one link find each other: ARP, and neighbour solicitations and advertisements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{MutableNeighborAdvertPacket, NdpOption, NdpOptionTypes};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

/// A MAC address.
pub(crate) type Mac = [u8; 6];

const ETHERNET: usize = 14;
const ARP: usize = 28;
const IPV6: usize = 40;
/// Neighbour solicitation or advertisement with one link-layer address.
const NDP: usize = 32;
/// Units of eight bytes of an option with a link-layer address.
const OPTION_LENGTH: u8 = 1;
/// What has been forwarded has less, and is not taken.
const HOP_LIMIT: u8 = 255;
/// The advertisement replaces what the receiver knew.
const OVERRIDE: u8 = 0x20;

const BROADCAST: Mac = [0xff; 6];
const NOBODY: Mac = [0; 6];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

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

fn link_layer_address(option_type: pnet_packet::icmpv6::ndp::NdpOptionType, mac: Mac) -> NdpOption {
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
        && let Some(mut packet) = pnet_packet::icmpv6::MutableIcmpv6Packet::new(icmp)
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
