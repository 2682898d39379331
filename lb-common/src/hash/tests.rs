//! The hash against values worked out apart from it, and its spread over the slots for clients as they come.

extern crate std;

use std::{
    net::{IpAddr, Ipv6Addr},
    vec,
};

use super::*;
use crate::abi::{FAMILY_V6, PROTOCOL_TCP, PROTOCOL_UDP, ServiceKey};

fn bytes(address: IpAddr) -> ([u8; 16], u8) {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            (bytes, FAMILY_V4)
        }
        IpAddr::V6(v6) => (v6.octets(), FAMILY_V6),
    }
}

fn key(client: IpAddr, client_port: u16, vip: IpAddr, port: u16, protocol: u8) -> FlowKey {
    let (vip, family) = bytes(vip);
    let service = ServiceKey { vip, port, protocol, family };
    FlowKey { client: bytes(client).0, service, client_port, reserved: 0 }
}

/// From docs/reference/forwarding.md, worked out there from the definition and not with this code.
#[test]
fn known_flows_have_known_slots() {
    for (client, client_port, vip, port, protocol, hash, slot) in [
        ("203.0.113.7", 40_000, "192.0.2.1", 80, PROTOCOL_TCP, 0x7b9b_10dd, 31_643),
        ("203.0.113.7", 40_001, "192.0.2.1", 80, PROTOCOL_TCP, 0xb374_e4d7, 45_941),
        ("203.0.113.7", 40_000, "192.0.2.1", 80, PROTOCOL_UDP, 0xa757_c11d, 42_840),
        ("198.18.255.254", 65_535, "198.51.100.255", 65_535, PROTOCOL_UDP, 0x52ca_6431, 21_194),
        ("2001:db8::7", 40_000, "2001:db8:1::1", 443, PROTOCOL_TCP, 0x02d1_46bf, 721),
        ("2001:db8::7", 40_000, "2001:db8:1::1", 443, PROTOCOL_UDP, 0x3708_e678, 14_089),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 1, "2001:db8::", 1, PROTOCOL_TCP, 0xbaf7_2fee, 47_863),
    ] {
        let key = key(client.parse().unwrap(), client_port, vip.parse().unwrap(), port, protocol);
        assert_eq!(flow_hash(&key), hash, "{client} {client_port} {vip} {port} {protocol}");
        assert_eq!(slot_of(hash), slot);
    }
}

/// As [`known_flows_have_known_slots`].
#[test]
fn known_hashes_have_known_second_slots() {
    for (hash, second, slot) in [
        (0x7b9b_10dd, 0xfb51_721a, 64_338),
        (0xa757_c11d, 0x41c8_24db, 16_840),
        (0x52ca_6431, 0x2c54_e992, 11_349),
        (0x02d1_46bf, 0xb317_3bff, 45_847),
        (0, 0xf105_709b, 61_702),
        (u32::MAX, 0xeeb6_b2a3, 61_111),
    ] {
        assert_eq!(second_hash(hash), second, "{hash:#x}");
        assert_eq!(slot_of(second_hash(hash)), slot);
    }
}

/// As [`known_flows_have_known_slots`].
#[test]
fn known_packets_that_go_by_themselves_have_known_slots() {
    for (hash, count, one, slot) in [
        (0x7b9b_10dd, 0, 0x996f_f585, 39_280),
        (0x7b9b_10dd, 1, 0xc6a6_a4f1, 50_855),
        (0x7b9b_10dd, 2, 0x79af_fd47, 31_152),
        (0xa757_c11d, 0, 0xc512_8e1d, 50_451),
        (0xa757_c11d, 41, 0xf0de_fb47, 61_663),
        (0x52ca_6431, 1 << 32, 0x95ad_fa2e, 38_318),
        (0x02d1_46bf, u64::MAX, 0x46ec_c5ce, 18_157),
        (0, 0, 0, 0),
        (u32::MAX, 7, 0x2101_0897, 8_449),
    ] {
        assert_eq!(one_packet_hash(hash, count), one, "{hash:#x}, {count}");
        assert_eq!(slot_of(one_packet_hash(hash, count)), slot);
    }
}

/// The packets of one socket, and those of a few, go to all slots.
#[test]
fn packets_that_go_by_themselves_are_spread() {
    for hash in [0, 0x7b9b_10dd, 0xa757_c11d, u32::MAX] {
        for bins in [16, 257, 4_099] {
            let deviations = unevenness((0..1 << 17).map(|count| slot_of(one_packet_hash(hash, count))), bins);
            assert!(deviations < 5.0, "{hash:#x} in {bins} bins: {deviations:.1} deviations off");
        }
    }
    // Four sockets in turn.
    let sockets = [0x7b9b_10dd, 0xb374_e4d7, 0xa757_c11d, 0x52ca_6431];
    let turns = (0..1 << 17).map(|count: u64| slot_of(one_packet_hash(sockets[count as usize % 4], count)));
    let deviations = unevenness(turns, 4_099);
    assert!(deviations < 5.0, "four sockets: {deviations:.1} deviations off");
}

#[test]
fn outer_source_ports_are_of_the_dynamic_range() {
    for (hash, port) in [
        (0x7b9b_10dd, 53_469),
        (0xa757_c11d, 49_437),
        (0x52ca_6431, 58_417),
        (0x02d1_46bf, 50_879),
        (0, 49_152),
        (0x0000_4000, 49_152),
        (0x0000_3fff, 65_535),
        (u32::MAX, 65_535),
    ] {
        assert_eq!(gue_source_port(hash), port, "{hash:#x}");
    }
}

/// A hot real's flows go to all other reals: those of one slot, and those of neighbouring slots, have second slots all over the ring.
#[test]
fn second_slots_are_spread() {
    let every_hash_of = |slot: u32| slot * 65_535 + 1..=(slot + 1) * 65_535;
    for slot in [1, 2, 31_643, RING_SLOTS - 2] {
        let hashes = every_hash_of(slot);
        assert!(hashes.clone().all(|hash| slot_of(hash) == slot));
        for bins in [16, 257, 4_099] {
            let slots = hashes.clone().map(|hash| slot_of(second_hash(hash)));
            let deviations = unevenness(slots, bins);
            assert!(
                deviations < 5.0,
                "the second slots of slot {slot} in {bins} bins are {deviations:.1} deviations off"
            );
        }
    }
    // One flow of each slot.
    let deviations = unevenness((0..RING_SLOTS - 1).map(|slot| slot_of(second_hash(slot << 16))), 4_099);
    assert!(deviations < 5.0, "the second slots of all slots are {deviations:.1} deviations off");
}

#[test]
fn slots_cover_the_ring_and_no_more() {
    assert_eq!(slot_of(0), 0);
    assert_eq!(slot_of(u32::MAX), RING_SLOTS - 1);
    // 2^32 is 65,535 times 65,537 and one more: slot 0 has 65,536 hashes, every other slot one less.
    assert_eq!(slot_of(65_535), 0);
    assert_eq!(slot_of(65_536), 1);
    assert_eq!(slot_of(65_536 + 65_534), 1);
    assert_eq!(slot_of(65_536 + 65_535), 2);
}

#[test]
fn every_field_counts() {
    let client: IpAddr = "2001:db8::7".parse().unwrap();
    let vip: IpAddr = "2001:db8:1::1".parse().unwrap();
    let base = key(client, 40_000, vip, 443, PROTOCOL_TCP);
    let hash = flow_hash(&base);
    for byte in 0..16 {
        let (mut other_client, mut other_vip) = (base, base);
        other_client.client[byte] ^= 1;
        other_vip.service.vip[byte] ^= 1;
        assert_ne!(flow_hash(&other_client), hash, "byte {byte} of the client's address");
        assert_ne!(flow_hash(&other_vip), hash, "byte {byte} of the VIP");
    }
    assert_ne!(flow_hash(&key(client, 40_001, vip, 443, PROTOCOL_TCP)), hash);
    assert_ne!(flow_hash(&key(client, 40_000, vip, 444, PROTOCOL_TCP)), hash);
    assert_ne!(flow_hash(&key(client, 40_000, vip, 443, PROTOCOL_UDP)), hash);
    let mut v4 = base;
    v4.service.family = FAMILY_V4;
    assert_ne!(flow_hash(&v4), hash);
}

/// How far the slots' counts are from an even spread, in standard deviations of chance (chi-square, normal
/// approximation). `bins` neighbouring groups of slots are looked at.
fn unevenness(slots: impl Iterator<Item = u32>, bins: u32) -> f64 {
    let mut counts = vec![0_u32; bins as usize];
    let mut total = 0_u32;
    for slot in slots {
        counts[(u64::from(slot) * u64::from(bins) / u64::from(RING_SLOTS)) as usize] += 1;
        total += 1;
    }
    // The groups differ by one slot in size, where they do: too little to matter beside chance.
    let expected = f64::from(total) / f64::from(bins);
    let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
    let freedom = f64::from(bins - 1);
    (chi_square - freedom) / (2.0 * freedom).sqrt()
}

/// At least five flows a bin on average, as the approximation wants it, in coarse groups and as fine as can be.
fn check_spread(name: &str, keys: impl Iterator<Item = FlowKey> + Clone) {
    let flows = keys.clone().count() as u32;
    for bins in [16, 257, 4_099, RING_SLOTS] {
        if flows < bins * 5 {
            continue;
        }
        let deviations = unevenness(keys.clone().map(|key| slot_of(flow_hash(&key))), bins);
        // More even than chance does no harm.
        assert!(deviations < 5.0, "{name}: {flows} flows in {bins} bins are {deviations:.1} deviations off");
    }
}

const EPHEMERAL: core::ops::Range<u16> = 32_768..61_000;

fn v4(client: u32, port: u16) -> FlowKey {
    key(IpAddr::V4(client.into()), port, "192.0.2.1".parse().unwrap(), 443, PROTOCOL_TCP)
}

fn v6(client: u128, port: u16) -> FlowKey {
    key(IpAddr::V6(Ipv6Addr::from(client)), port, "2001:db8:1::1".parse().unwrap(), 443, PROTOCOL_TCP)
}

const NET4: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const NET6: u128 = 0x2001_0db8 << 96;

#[test]
fn one_client_through_all_its_ports() {
    for client in [1, 2, 77, 0xffff] {
        check_spread("v4", EPHEMERAL.map(|port| v4(NET4 + client, port)));
        check_spread("v6", EPHEMERAL.map(|port| v6(NET6 + u128::from(client), port)));
    }
}

/// Linux gives connect(2) every other port first.
#[test]
fn one_client_through_its_even_ports() {
    check_spread("v4", EPHEMERAL.step_by(2).map(|port| v4(NET4 + 7, port)));
    check_spread("v6", EPHEMERAL.step_by(2).map(|port| v6(NET6 + 7, port)));
}

#[test]
fn neighbours_with_one_port() {
    check_spread("v4", (0..1 << 17).map(|client| v4(NET4 + client, 40_000)));
    check_spread("v6, hosts", (0..1 << 17).map(|client| v6(NET6 + client, 40_000)));
    check_spread("v6, networks", (0..1 << 17).map(|network| v6(NET6 + (network << 64), 40_000)));
}

/// One address of each /24 or /48.
#[test]
fn one_host_of_every_network() {
    check_spread("v4", (0..1 << 16).map(|network| v4((network << 8) + 1, 40_000)));
    check_spread("v6", (0..1 << 16).map(|network| v6(NET6 + (network << 80) + 1, 40_000)));
}

#[test]
fn many_clients_with_a_few_ports_each() {
    let clients = |n: u32| (0..n).flat_map(|client| (0..16).map(move |i| (client, 40_000 + 2 * i)));
    check_spread("v4", clients(25_000).map(|(client, port)| v4(NET4 + client, port)));
    check_spread("v6", clients(25_000).map(|(client, port)| v6(NET6 + (u128::from(client) << 64) + 1, port)));
}

/// Many services: the same client and port towards neighbouring VIPs and ports.
#[test]
fn one_client_to_many_services() {
    let to =
        |vip: u32, port: u16| key("203.0.113.7".parse().unwrap(), 40_000, IpAddr::V4(vip.into()), port, PROTOCOL_UDP);
    check_spread("VIPs", (0..1 << 16).map(|vip| to(NET4 + vip, 53)));
    check_spread("ports", (1..=u16::MAX).map(|port| to(NET4, port)));
    check_spread("both", (0..256).flat_map(|vip| (1..=1_500).map(move |port| to(NET4 + vip, port))));
}

/// Ports and addresses that change together, as a scan or a load generator makes them.
#[test]
fn address_and_port_in_step() {
    check_spread("v4", (0..60_000_u16).map(|i| v4(NET4 + u32::from(i), 1_024 + i)));
    check_spread("v4, against each other", (0..60_000_u16).map(|i| v4(NET4 + u32::from(i), 65_535 - i)));
    check_spread("v6", (0..60_000_u16).map(|i| v6(NET6 + u128::from(i), 1_024 + i)));
}

/// The program works the row out from words, the daemon from the key.
#[test]
fn every_part_of_a_service_counts_for_its_row() {
    let vips = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"];
    let mut rows = vec![0; SERVICE_INDEX_ROWS as usize];
    for vip in vips {
        for port in 1..=400 {
            for protocol in [PROTOCOL_TCP, PROTOCOL_UDP] {
                let service = key(vip.parse().unwrap(), 1, vip.parse().unwrap(), port, protocol).service;
                rows[service_row(&service) as usize] += 1;
            }
        }
    }
    // 4,000 services on 16,384 rows: by chance 3,552 rows are wanted, give or take 19 (one standard deviation).
    let wanted = rows.iter().filter(|services| **services > 0).count();
    assert!((3_400..=4_000).contains(&wanted), "{wanted} rows for 4,000 services");
}
