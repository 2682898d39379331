//! Which addresses are of a prefix, and of which.

use lb_common::{NAT_REPLIES, NAT_VIP_PREFIXES, NatState, SERVICE_QUIC, VIP_HAS_PORT_RANGES, VipPrefixKey};
use lb_tests::packet::SYN;
use lb_tests::world::address_of;

use super::*;
use crate::case::{pass, pass_for_vip};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(matches(family));
        cases.extend(lengths(family));
        cases.extend(rows(family));
        cases.extend(beside_vips(family));
        cases.extend(frames(family));
    }
    cases.extend(other_family());
    cases
}

fn matches(family: u8) -> Vec<Case> {
    let mut in_wide = prefix_case("addresses of the wide one", family, nothing);
    for host in IN_WIDE {
        let packet = segment(family, host);
        in_wide = in_wide.send(&packet, goes(&packet, family, WIDE_TCP, near(family)));
    }
    let mut in_narrow = prefix_case("addresses of the narrow one", family, nothing);
    for host in IN_NARROW {
        let packet = segment(family, host);
        in_narrow = in_narrow.send(&packet, goes(&packet, family, NARROW_TCP, far(family)));
        // The wide one's services are none of its.
        let other = to(family, host).udp(CLIENT_PORT, 53);
        in_narrow = in_narrow.send(&other, no_service());
    }
    let mut outside = prefix_case("addresses beside them", family, nothing);
    for host in [0x8000, 0x8001, 0xc000, 0xffff] {
        outside = outside.send(&segment(family, host), pass()).send(&to(family, host).udp(1, 53), pass());
    }
    let off = |flags: u32| move |state: &mut State| state.nat = NatState { flags };
    let [wide, narrow] = [segment(family, ONE), segment(family, 0x4001)];
    let one = |name: &str, flags: u32| prefix_case(name, family, off(flags));
    let to_wide = goes(&wide, family, WIDE_TCP, near(family));
    vec![
        in_wide,
        in_narrow,
        outside,
        one("not looked at", 0).send(&wide, pass()).send(&narrow, pass()),
        one("not looked at, and replies are", NAT_REPLIES).send(&wide, pass()).send(&narrow, pass()),
        one("not looked at, and everything else is", !NAT_VIP_PREFIXES).send(&wide, pass()).send(&narrow, pass()),
        one("looked at with everything else", u32::MAX).send(&wide, to_wide),
    ]
}

/// An address with one bit changed, counted from the first.
fn flipped(address: IpAddr, bit: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) ^ 1 << (31 - bit)).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) ^ 1 << (127 - bit)).into(),
    }
}

fn first_of(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from(u128::from(address) & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()
        }
    }
}

/// A prefix of each length, alone: which bits count.
fn lengths(family: u8) -> Vec<Case> {
    let all: u32 = if family == V4 { 32 } else { 128 };
    let lengths: Vec<u32> = if family == V4 {
        (0..=32).collect()
    } else {
        vec![0, 1, 7, 8, 9, 31, 32, 33, 47, 48, 63, 64, 65, 96, 127, 128]
    };
    let service = id(60, family);
    let address: IpAddr = if family == V4 {
        Ipv4Addr::new(198, 18, 85, 86).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0x7a, 0x5555, 0xaaaa, 0x1234, 0x8001, 0x5556).into()
    };
    let of_length = |bits: u32| {
        let prefix = (first_of(address, bits), bits);
        let world = move |state: &mut State| {
            state.vip_prefixes.clear();
            state.add_prefix_service(service, prefix, TCP, Ports::Single(DSR_PORT), MODE_DSR);
            state.fill_ring(service, clean(near(family)));
        };
        let packet = |address| Packet::ip(client(family), address).tcp(CLIENT_PORT, DSR_PORT, ACK);
        let taken =
            |packet: &Packet| sent(&dsr(packet, near(family)), service, near(family), packet.ip_length() as u64);
        let itself = packet(address);
        let mut case = prefix_case(&format!("{bits} bits"), family, world).send(&itself, taken(&itself));
        for bit in (0..all).filter(|bit| bit.abs_diff(bits) < 3 || *bit % 13 == 0 || *bit == all - 1) {
            let other = packet(flipped(address, bit));
            case = case.send(&other, if bit < bits { pass() } else { taken(&other) });
        }
        case
    };
    let mut cases: Vec<Case> = lengths.into_iter().map(of_length).collect();
    // Three of them, one in another.
    let middle = if family == V4 { 24 } else { 64 };
    let nested = |without: Option<u32>| {
        move |state: &mut State| {
            state.vip_prefixes.clear();
            for (at, (bits, real)) in
                [(8, near(family)), (middle, far(family)), (all, old(family))].into_iter().enumerate()
            {
                let service = service + at as u32;
                if without != Some(bits) {
                    let prefix = (first_of(address, bits), bits);
                    state.add_prefix_service(service, prefix, TCP, Ports::Single(DSR_PORT), MODE_DSR);
                    state.fill_ring(service, clean(real));
                }
            }
        }
    };
    let to = |address| Packet::ip(client(family), address).tcp(CLIENT_PORT, DSR_PORT, SYN);
    let [itself, in_middle, in_wide] = [to(address), to(flipped(address, all - 1)), to(flipped(address, 9))];
    let taken =
        |packet: &Packet, at: u32, real| sent(&dsr(packet, real), service + at, real, packet.ip_length() as u64).syn();
    let [by_all, by_middle, by_wide] = [old(family), far(family), near(family)];
    cases.extend([
        prefix_case("three, one in another", family, nested(None))
            .send(&itself, taken(&itself, 2, by_all))
            .send(&in_middle, taken(&in_middle, 1, by_middle))
            .send(&in_wide, taken(&in_wide, 0, by_wide)),
        prefix_case("the innermost has gone", family, nested(Some(all))).send(&itself, taken(&itself, 1, by_middle)),
        prefix_case("the middle one has gone", family, nested(Some(middle)))
            .send(&itself, taken(&itself, 2, by_all))
            .send(&in_middle, taken(&in_middle, 0, by_wide)),
        prefix_case("the outermost has gone", family, nested(Some(8))).send(&in_wide, pass()),
    ]);
    cases
}

/// What the row of a prefix says.
fn rows(family: u8) -> Vec<Case> {
    let (first, bits) = wide(family);
    let key = VipPrefixKey { family, reserved: [0; 3], address: address_of(first).0 };
    let edit = |edit: &dyn Fn(&mut lb_common::VipPrefixValue)| {
        let mut row = *prefix_world().vip_prefixes.get(&(bits, key)).expect("the wide prefix");
        edit(&mut row);
        move |state: &mut State| {
            state.vip_prefixes.insert((bits, key), row);
        }
    };
    let [packet, ranged, any] =
        [segment(family, ONE), to(family, ONE).tcp(CLIENT_PORT, 8_010, ACK), to(family, ONE).udp(CLIENT_PORT, 9)];
    let without_ranges = edit(&|row| row.value.flags = !VIP_HAS_PORT_RANGES);
    let other_vip = edit(&|row| row.vip = address_of(vip(family)).0);
    let wide_vip = edit(&|row| row.vip = address_of(wide_vip(family)).0);
    let no_vip = edit(&|row| row.vip = address_of(address(family, ONE)).0);
    let udp = to(family, ONE).udp(CLIENT_PORT, DSR_PORT);
    let dsr_of = |tcp: u32, six: u32| if family == V4 { tcp } else { six };
    let to_near =
        |packet: &Packet, service| sent(&dsr(packet, near(family)), service, near(family), packet.ip_length() as u64);
    vec![
        prefix_case("a row without ranges", family, without_ranges)
            .send(&packet, goes(&packet, family, WIDE_TCP, near(family)))
            .send(&ranged, no_service())
            .send(&any, no_service()),
        prefix_case("a row with another VIP's services", family, other_vip)
            .send(&packet, to_near(&packet, dsr_of(DSR_V4_TCP, DSR_V6_TCP)))
            .send(&udp, to_near(&udp, dsr_of(DSR_V4_UDP, DSR_V6_UDP)))
            .send(&ranged, no_service()),
        prefix_case("a row with another VIP's ranges", family, wide_vip)
            .send(&ranged, to_near(&ranged, dsr_of(RANGE_V4, RANGE_V6)))
            .send(&any, to_near(&any, dsr_of(ANY_V4, ANY_V6)))
            .send(&packet, no_service()),
        prefix_case("a row with a VIP that has no services", family, no_vip)
            .send(&packet, no_service())
            .send(&any, no_service()),
    ]
}

/// `vips` goes before prefixes.
fn beside_vips(family: u8) -> Vec<Case> {
    let service = id(60, family);
    let with_vip = |host: u32, ports| {
        move |state: &mut State| {
            state.add_service(service, address(family, host), TCP, ports, MODE_DSR);
            state.fill_ring(service, clean(old(family)));
        }
    };
    let taken = |packet: &Packet| sent(&dsr(packet, old(family)), service, old(family), packet.ip_length() as u64);
    let mut cases = Vec::new();
    for (name, host) in [("in the wide one", ONE), ("in the narrow one", 0x4abc), ("the narrow one's last", 0x4fff)] {
        let [packet, beside] = [segment(family, host), segment(family, host ^ 1)];
        let other = to(family, host).udp(CLIENT_PORT, 53);
        let (prefix, real) =
            if name == "in the wide one" { (WIDE_TCP, near(family)) } else { (NARROW_TCP, far(family)) };
        cases.push(
            prefix_case(&format!("a VIP, {name}"), family, with_vip(host, Ports::Single(DSR_PORT)))
                .send(&packet, taken(&packet))
                .send(&beside, goes(&beside, family, prefix, real))
                // The prefix's services are none of the VIP's, and what nobody claims is left to the kernel, as of all VIPs.
                .send(&other, pass_for_vip())
                .send(&to(family, host).tcp(CLIENT_PORT, 8_001, SYN), pass_for_vip()),
        );
    }
    let ranged = to(family, ONE).tcp(CLIENT_PORT, 9_100, ACK);
    cases.push(
        prefix_case("a VIP with a range, in the wide one", family, with_vip(ONE, Ports::Range(9_000, 9_200)))
            .send(&ranged, taken(&ranged))
            .send(&to(family, ONE).tcp(CLIENT_PORT, 9_201, ACK), pass_for_vip())
            .send(&to(family, TWO).tcp(CLIENT_PORT, 9_100, ACK), no_service()),
    );
    // The prefix's first address: the VIP in the keys of its services is this one's own.
    let first = to(family, 0).udp(CLIENT_PORT, 53);
    cases.push(
        prefix_case("a VIP that is the prefix's first address", family, |state| {
            state.add_service(service, address(family, 0), TCP, Ports::Single(9_000), MODE_DSR);
            state.fill_ring(service, clean(old(family)));
        })
        .send(&to(family, 0).tcp(CLIENT_PORT, 9_000, ACK), taken(&to(family, 0).tcp(CLIENT_PORT, 9_000, ACK)))
        .send(&first, pass_for_vip()),
    );
    // The other VIPs are as ever.
    let other = Packet::ip(client(family), vip(family)).tcp(CLIENT_PORT, DSR_PORT, ACK);
    let other_service = if family == V4 { DSR_V4_TCP } else { DSR_V6_TCP };
    cases.push(
        prefix_case("other VIPs", family, nothing)
            .send(&other, sent(&dsr(&other, near(family)), other_service, near(family), ip_header(family) + 20))
            .send(&Packet::ip(client(family), vip(family)).udp(CLIENT_PORT, NO_PORT), pass_for_vip()),
    );
    cases
}

/// What is around the packet.
fn frames(family: u8) -> Vec<Case> {
    let mut case = prefix_case("tags, options and padding", family, nothing);
    let ip = to(family, ONE);
    let longer =
        if family == V4 { ip.clone().edit_v4(|ip| ip.options = vec![1; 12]) } else { ip.clone().extension(0, 2) };
    for packet in [ip.clone().vlan(3), ip.clone().service_vlan(4).vlan(5), longer.clone(), longer.vlan(9)] {
        for packet in
            [packet.clone().tcp(CLIENT_PORT, DSR_PORT, ACK), packet.tcp(CLIENT_PORT, DSR_PORT, ACK).pad_to(120)]
        {
            case = case.send(&packet, goes(&packet, family, WIDE_TCP, near(family)));
        }
    }
    vec![
        case,
        prefix_case("three tags", family, nothing).send(&segment(family, ONE).vlan(1).vlan(2).vlan(3), pass()),
        prefix_case("a header that is cut off", family, nothing)
            .send(&to(family, ONE).cut_to(if family == V4 { 33 } else { 53 }), pass()),
        prefix_case("flags of others", family, |state| state.set_flags(id(WIDE_TCP, family), SERVICE_QUIC << 1))
            .send(&segment(family, ONE), goes(&segment(family, ONE), family, WIDE_TCP, near(family))),
    ]
}

/// An IPv6 address that begins as an IPv4 prefix does is none of it, and the other way round.
fn other_family() -> Vec<Case> {
    let six = Ipv6Addr::new(0xc613, 0x0123, 0, 0, 0, 0, 0, 0);
    let to_six = Packet::v6(CLIENT6, six).tcp(CLIENT_PORT, DSR_PORT, ACK);
    let four = segment(V4, ONE);
    let as_six = |bits: u32| {
        move |state: &mut State| {
            state.vip_prefixes.clear();
            let first = Ipv6Addr::new(0xc613, 0, 0, 0, 0, 0, 0, 0);
            state.add_prefix_service(60, (first.into(), bits), TCP, Ports::Single(DSR_PORT), MODE_DSR);
            state.fill_ring(60, clean(NEAR_V6));
        }
    };
    let taken = sent(&dsr(&to_six, NEAR_V6), 60, NEAR_V6, 60);
    let everywhere = |family: u8| {
        move |state: &mut State| {
            state.vip_prefixes.clear();
            let first: IpAddr = if family == V4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            state.add_prefix_service(60, (first, 0), TCP, Ports::Single(DSR_PORT), MODE_DSR);
            state.fill_ring(60, clean(near(family)));
        }
    };
    vec![
        prefix_case("an IPv6 address that begins so", V4, nothing).send(&to_six, pass()),
        prefix_case("an IPv4 address that begins so", V6, as_six(17)).send(&four, pass()).send(&to_six, taken.clone()),
        prefix_case("an IPv4 address that begins so, 32 bits more", V6, as_six(16))
            .send(&four, pass())
            .send(&to_six, taken),
        prefix_case("all IPv4 addresses are no IPv6 ones", V4, everywhere(V4))
            .send(&to_six, pass())
            .send(&four, sent(&dsr(&four, NEAR_V4), 60, NEAR_V4, 40)),
        prefix_case("all IPv6 addresses are no IPv4 ones", V6, everywhere(V6)).send(&four, pass()),
    ]
}
