//! Where the connection id begins and ends: long and short headers, packets that are too short, and what is around them.

use lb_common::{DropReason, Event, MODE_DSR};
use lb_tests::packet::{Layer, Packet, Udp};

use super::*;
use crate::case::{drop, redirect_bytes};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(first_bytes(family));
        cases.extend(lengths(family));
        cases.extend(ends(family));
        cases.extend(around(family));
        cases.extend(fragments(family));
    }
    cases.extend(by_hand());
    cases
}

fn first_bytes(family: u8) -> Vec<Case> {
    let (long, short) = (long(&usual_id()), short(&usual_id()));
    let mut cases = vec![one("a long header", family, &long, true), one("a short header", family, &short, true)];
    let with = |datagram: &[u8], at: usize, bytes: &[u8]| {
        let mut datagram = datagram.to_vec();
        datagram[at..at + bytes.len()].copy_from_slice(bytes);
        datagram
    };
    for first in [0x80, 0x8f, 0xbf, 0xc0, 0xff] {
        cases.push(one(&format!("a long header, first byte 0x{first:x}"), family, &with(&long, 0, &[first]), true));
    }
    for first in [0, 0x01, 0x3f, 0x40, 0x7f] {
        cases.push(one(&format!("a short header, first byte 0x{first:x}"), family, &with(&short, 0, &[first]), true));
    }
    for version in [[0; 4], [0xff; 4], [0x6b, 0x33, 0x43, 0xcf], [0x80, 7, 0x80, 1]] {
        let name = format!("a long header, version {version:x?}");
        cases.push(one(&name, family, &with(&long, 1, &version), true));
    }
    // What is a short header's is no long one's, and the other way round.
    cases.push(one("a long header's bytes in a short one", family, &with(&long, 0, &[0x43]), false));
    cases.push(one("a short header's bytes in a long one", family, &with(&filled(short, 60), 0, &[0xc1]), false));
    cases
}

/// The length of a long header's connection id. That of the row is 8 bytes.
fn lengths(family: u8) -> Vec<Case> {
    let with = |length: u8| {
        let mut datagram = long(&usual_id());
        datagram[5] = length;
        datagram
    };
    let mut cases = Vec::new();
    for length in [0, 1, 4, 6, 7] {
        cases.push(one(&format!("a connection id of {length} bytes"), family, &with(length), false));
    }
    for length in [8, 9, 19, 20, 21, 127, 128, 255] {
        cases.push(one(&format!("a connection id of {length} bytes"), family, &with(length), true));
    }
    cases
}

/// Where the packet ends.
fn ends(family: u8) -> Vec<Case> {
    let (long, short) = (filled(long(&usual_id()), 60), filled(short(&usual_id()), 60));
    let mut cases = Vec::new();
    for (name, datagram, begin) in [("long", &long, LONG), ("short", &short, SHORT)] {
        let least = begin + CID;
        for length in [0, 1, 2, 5, 6, 8, 14, least - 8, least - 2, least - 1] {
            let name = format!("a {name} header, {length} bytes");
            if cases.iter().any(|case: &Case| case.name.ends_with(&name)) {
                continue;
            }
            let cut = &datagram[..length];
            let padded = packet(family, cut).pad_to(120);
            cases.push(one(&name, family, cut, false));
            let expect = unrouted(family, &padded);
            cases.push(quic_case(&format!("{name}, and padding"), family, usual(family)).send(&padded, expect));
        }
        for length in [least, least + 1, least + 8] {
            let name = format!("a {name} header, {length} bytes");
            let padded = packet(family, &datagram[..length]).pad_to(120);
            cases.push(one(&name, family, &datagram[..length], true));
            let expect = routed(family, &padded);
            cases.push(quic_case(&format!("{name}, and padding"), family, usual(family)).send(&padded, expect));
        }
        let big = packet(family, &filled(datagram.clone(), 1_400));
        let expect = routed(family, &big);
        cases.push(quic_case(&format!("a {name} header, 1,400 bytes"), family, usual(family)).send(&big, expect));
    }
    // Neither the UDP length counts, nor what is in it.
    for length in [0, 7, 8, 9, 28, u16::MAX] {
        let udp = Udp { source: CLIENT_PORT, destination: DSR_PORT, length: Some(length), checksum: None };
        let of =
            |datagram: &[u8]| Packet::ip(client(family), vip(family)).layer(Layer::Udp(udp.clone())).data(datagram);
        let (enough, short) = (of(&short[..SHORT + CID]), of(&short[..SHORT + CID - 1]));
        cases.push(
            quic_case(&format!("a UDP length of {length}"), family, usual(family))
                .send(&enough, routed(family, &enough))
                .send(&short, unrouted(family, &short)),
        );
    }
    cases
}

/// What is around the datagram.
fn around(family: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut both = |name: &str, edit: &dyn Fn(Packet) -> Packet| {
        for (header, datagram) in [("long", long(&usual_id())), ("short", short(&usual_id()))] {
            let packet = edit(Packet::ip(client(family), vip(family))).udp(CLIENT_PORT, DSR_PORT).data(&datagram);
            let expect = routed(family, &packet);
            cases.push(quic_case(&format!("{name}, {header}"), family, usual(family)).send(&packet, expect));
        }
    };
    both("one tag", &|packet| packet.vlan(7));
    both("two tags", &|packet| packet.service_vlan(7).vlan(8));
    if family == V4 {
        for words in [1, 2, 5, 10] {
            both(&format!("{words} words of options"), &|packet| packet.edit_v4(|ip| ip.options = vec![1; 4 * words]));
        }
        both("options and two tags", &|packet| packet.service_vlan(7).vlan(8).edit_v4(|ip| ip.options = vec![1; 40]));
    } else {
        for (kind, units) in [(0, 1), (43, 2), (60, 5), (60, 32)] {
            both(&format!("an extension header {kind} of {units}"), &|packet| packet.extension(kind, units));
        }
        both("six extension headers and two tags", &|packet| {
            (0..6).fold(packet, |packet, _| packet.extension(60, 1)).service_vlan(7).vlan(8)
        });
        both("an atomic fragment", &|packet| packet.fragment6(7, 0, false));
    }
    // Bytes before the packet's end count, and no others: with options the end is later, not the datagram longer.
    let tight = Packet::ip(client(family), vip(family));
    let tight = if family == V4 { tight.edit_v4(|ip| ip.options = vec![1; 40]) } else { tight.extension(0, 5) };
    let tight = tight.udp(CLIENT_PORT, DSR_PORT).data(&short(&usual_id())[..SHORT + CID - 1]).vlan(1).pad_to(200);
    let expect = unrouted(family, &tight);
    cases.push(quic_case("too short behind headers", family, usual(family)).send(&tight, expect));
    cases
}

fn fragments(family: u8) -> Vec<Case> {
    let id = 0x77;
    let (first, later, key) = if family == V4 {
        let first = to_vip().edit_v4(|ip| (ip.id, ip.more_fragments) = (id, true));
        let later = to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (id, 4, Some(UDP)));
        (first, later, fragment_v4(id, UDP))
    } else {
        let header = |offset, more| to_vip6().fragment6(id.into(), offset, more);
        (header(0, true), header(4, false).udp(1, 2), fragment_v6(id.into()))
    };
    let later = later.payload(20);
    let first_of = |datagram: &[u8]| first.clone().udp(CLIENT_PORT, DSR_PORT).data(datagram);
    let (service, near, far) = (service(family), near(family), far(family));
    let follows = |real| goes(&later, service, real).event(Event::FragmentForwarded);
    let mut cases = vec![
        quic_case("a later fragment alone", family, usual(family)).send(&later, drop(DropReason::FragmentUnknown)),
    ];
    for (name, datagram) in [("long", long(&usual_id())), ("short", short(&usual_id()))] {
        let whole = first_of(&datagram);
        let cut = first_of(&datagram[..datagram.len() - 2]);
        cases.push(
            quic_case(&format!("fragments, {name}"), family, usual(family))
                .send(&whole, routed(family, &whole).fragment(key, service, far, MODE_DSR))
                .send(&later, follows(far)),
        );
        cases.push(
            quic_case(&format!("fragments, {name}, the first one too short"), family, usual(family))
                .send(&cut, unrouted(family, &cut).fragment(key, service, near, MODE_DSR))
                .send(&later, follows(near)),
        );
    }
    cases
}

/// A frame with each byte said by hand: the draft's first test vector, behind a long header and behind a short one.
fn by_hand() -> Vec<Case> {
    let c4605e = [0xc4, 0x60, 0x5e];
    let world = quic(DSR_V4_UDP, 0, clear(), &[(&c4605e, FAR_V4)]);
    let hex = lb_tests::quic_lb::hex;
    let ends = |frame: &str| hex(&frame.replace(' ', ""));
    let macs = "020000000102 020000000202";
    let mut cases = Vec::new();
    for (name, ip, datagram) in [
        (
            "long",
            "45000036 12344000 39110000 cb007107 c000020a 9c400050 00220000",
            "c000000001 08 07c4605e4504cc4f 0000000000000000 00000000",
        ),
        (
            "short",
            "45000031 12344000 39110000 cb007107 c000020a 9c400050 001d0000",
            "40 07c4605e4504cc4f 0000000000000000 00000000",
        ),
    ] {
        let rest = format!("0800 {ip} {datagram}");
        let expect = redirect_bytes(ends(&format!("{macs} {rest}")), OTHER);
        let bytes = if name == "long" { 54 } else { 49 };
        cases.push(quic_case(&format!("by hand, {name}"), V4, &world).send_bytes(
            ends(&format!("020000000002 020000000001 {rest}")),
            expect.counts(DSR_V4_UDP, FAR_V4, bytes).event(Event::QuicRouted),
        ));
    }
    cases
}
