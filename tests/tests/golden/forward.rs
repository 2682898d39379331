//! Each forward mode, address family, protocol and way out; tags, padding, options, type of service.

use std::net::IpAddr;

use lb_common::DropReason;
use lb_tests::packet::{ACK, FIN, Layer, PSH, Packet, RST, SYN, Tcp, Udp};
use lb_tests::world::clean;

use crate::case::{Case, Expect, case, case_with, drop, pass_for_vip, redirect, tx};
use crate::world::*;

pub fn cases() -> Vec<Case> {
    let mut cases = every_way();
    cases.extend(tcp_flags());
    cases.extend(tags());
    cases.extend(what_is_carried_along());
    cases.extend(nothing_is_verified());
    cases.extend(real_states());
    cases
}

/// One way through the load balancer.
struct Way {
    name: &'static str,
    /// Services for TCP and UDP.
    services: [u32; 2],
    port: u16,
    from_v6: bool,
    near: u16,
    far: u16,
    tunnel: bool,
}

const WAYS: [Way; 5] = [
    Way {
        name: "dsr v4",
        services: [DSR_V4_TCP, DSR_V4_UDP],
        port: DSR_PORT,
        from_v6: false,
        near: NEAR_V4,
        far: FAR_V4,
        tunnel: false,
    },
    Way {
        name: "dsr v6",
        services: [DSR_V6_TCP, DSR_V6_UDP],
        port: DSR_PORT,
        from_v6: true,
        near: NEAR_V6,
        far: FAR_V6,
        tunnel: false,
    },
    Way {
        name: "ipip v4 in v4",
        services: [IPIP_V4_TCP, IPIP_V4_UDP],
        port: IPIP_PORT,
        from_v6: false,
        near: NEAR_V4,
        far: FAR_V4,
        tunnel: true,
    },
    Way {
        name: "ipip v4 in v6",
        services: [IPIP_V4_TCP, IPIP_V4_UDP],
        port: IPIP_PORT,
        from_v6: false,
        near: NEAR_V6,
        far: FAR_V6,
        tunnel: true,
    },
    Way {
        name: "ipip v6 in v6",
        services: [IPIP_V6_TCP, IPIP_V6_UDP],
        port: IPIP_PORT,
        from_v6: true,
        near: NEAR_V6,
        far: FAR_V6,
        tunnel: true,
    },
];

impl Way {
    fn ip(&self) -> Packet {
        if self.from_v6 { to_vip6() } else { to_vip() }
    }

    fn header(&self) -> u64 {
        if self.from_v6 { 40 } else { 20 }
    }

    fn out(&self, packet: &Packet, real: u16, class: u8) -> Packet {
        if self.tunnel { ipip(packet, real, class) } else { dsr(packet, real) }
    }

    /// A case in which the service's slots point at `real`.
    fn case(&self, what: &str, service: u32, real: u16) -> Case {
        case_with(format!("{}, {what}", self.name), |world| world.fill_ring(service, clean(real)))
    }
}

/// 5 ways x TCP and UDP x same interface and another.
fn every_way() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        let [tcp_service, udp_service] = way.services;
        let tcp = way.ip().tcp(CLIENT_PORT, way.port, PSH | ACK).payload(10);
        let udp = way.ip().udp(CLIENT_PORT, way.port).payload(10);
        let (tcp_bytes, udp_bytes) = (way.header() + 20 + 10, way.header() + 8 + 10);
        cases.push(
            way.case("tcp, same interface", tcp_service, way.near)
                .send(&tcp, tx(&way.out(&tcp, way.near, 0)).counts(tcp_service, way.near, tcp_bytes)),
        );
        cases.push(
            way.case("udp, same interface", udp_service, way.near)
                .send(&udp, tx(&way.out(&udp, way.near, 0)).counts(udp_service, way.near, udp_bytes)),
        );
        cases.push(
            way.case("tcp, another interface", tcp_service, way.far)
                .send(&tcp, redirect(&way.out(&tcp, way.far, 0), OTHER).counts(tcp_service, way.far, tcp_bytes)),
        );
        cases.push(
            way.case("udp, another interface", udp_service, way.far)
                .send(&udp, redirect(&way.out(&udp, way.far, 0), OTHER).counts(udp_service, way.far, udp_bytes)),
        );
    }
    cases
}

/// Which flags the counters see.
fn tcp_flags() -> Vec<Case> {
    let packet = |flags| to_vip().tcp(CLIENT_PORT, DSR_PORT, flags);
    let sent = |flags| tx(&dsr(&packet(flags), NEAR_V4)).counts(DSR_V4_TCP, NEAR_V4, 40);
    let one =
        |name: &str, flags: u8, expect: Expect| case(format!("counters: {name}"), world()).send(&packet(flags), expect);
    vec![
        one("SYN", SYN, sent(SYN).syn()),
        one("SYN ACK is no SYN", SYN | ACK, sent(SYN | ACK)),
        one("FIN", FIN | ACK, sent(FIN | ACK).fin()),
        one("RST", RST, sent(RST).rst()),
        one("RST ACK", RST | ACK, sent(RST | ACK).rst()),
        one("SYN FIN RST together", SYN | FIN | RST, sent(SYN | FIN | RST).syn().fin().rst()),
        one("no flags", 0, sent(0)),
        one("every flag", 0xff, sent(0xff).fin().rst()),
        case("counters: UDP bytes that look like flags", world()).send(
            &to_vip().udp(CLIENT_PORT, DSR_PORT).data(&[0x07; 12]),
            tx(&dsr(&to_vip().udp(CLIENT_PORT, DSR_PORT).data(&[0x07; 12]), NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 40),
        ),
        case("counters add up over packets", world())
            .send(&packet(SYN), sent(SYN).syn())
            .send(&packet(ACK), sent(ACK))
            .send(&packet(FIN | ACK), sent(FIN | ACK).fin()),
    ]
}

/// One and two tags on every way; they stay as they are.
fn tags() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        let service = way.services[0];
        let plain = way.ip().tcp(CLIENT_PORT, way.port, ACK);
        let bytes = way.header() + 20;
        let tagged = [
            ("one tag", plain.clone().vlan(0x2007)),
            ("one service tag", plain.clone().service_vlan(0x0fff)),
            ("two tags", plain.clone().service_vlan(0x6064).vlan(0x0005)),
            ("two 802.1Q tags", plain.clone().vlan(1).vlan(2)),
        ];
        for (what, packet) in tagged {
            cases.push(
                way.case(what, service, way.near)
                    .send(&packet, tx(&way.out(&packet, way.near, 0)).counts(service, way.near, bytes)),
            );
        }
    }
    cases
}

/// Padding stays behind the packet and is not counted; TOS and traffic class go to the outer header.
fn what_is_carried_along() -> Vec<Case> {
    let mut cases = Vec::new();
    for way in &WAYS {
        let service = way.services[1];
        let short = way.ip().udp(CLIENT_PORT, way.port);
        let padded = short.clone().pad_to(90);
        let bytes = way.header() + 8;
        cases.push(
            way.case("ethernet padding", service, way.near)
                .send(&padded, tx(&way.out(&padded, way.near, 0)).counts(service, way.near, bytes)),
        );
        let classy =
            if way.from_v6 { short.edit_v6(|ip| ip.traffic_class = 0xb9) } else { short.edit_v4(|ip| ip.tos = 0xb9) };
        cases.push(
            way.case("type of service 0xb9", service, way.near)
                .send(&classy, tx(&way.out(&classy, way.near, 0xb9)).counts(service, way.near, bytes)),
        );
    }
    let options = to_vip().edit_v4(|ip| ip.options = vec![1; 40]).udp(CLIENT_PORT, DSR_PORT);
    cases.push(
        case("dsr v4, the longest options", world())
            .send(&options, tx(&dsr(&options, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 68)),
    );
    let options = to_vip().edit_v4(|ip| ip.options = vec![0x94, 4, 0, 0]).tcp(CLIENT_PORT, IPIP_PORT, ACK);
    cases.push(
        case("ipip v4 in v4, options stay inside", world())
            .send(&options, tx(&ipip(&options, NEAR_V4, 0)).counts(IPIP_V4_TCP, NEAR_V4, 44)),
    );
    let extended = to_vip6().extension(0, 1).extension(43, 3).extension(60, 2).tcp(CLIENT_PORT, DSR_PORT, ACK);
    cases.push(
        case("dsr v6, extension headers", world())
            .send(&extended, tx(&dsr(&extended, NEAR_V6)).counts(DSR_V6_TCP, NEAR_V6, 40 + 48 + 20)),
    );
    let extended = to_vip6().extension(60, 1).udp(CLIENT_PORT, IPIP_PORT);
    cases.push(
        case("ipip v6 in v6, extension headers stay inside", world())
            .send(&extended, tx(&ipip(&extended, NEAR_V6, 0)).counts(IPIP_V6_UDP, NEAR_V6, 40 + 8 + 8)),
    );
    let six = (0..6).fold(to_vip6(), |packet, _| packet.extension(60, 1)).udp(CLIENT_PORT, DSR_PORT);
    cases.push(
        case("dsr v6, six extension headers are not too many", world())
            .send(&six, tx(&dsr(&six, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 40 + 48 + 8)),
    );
    let longest = to_vip6().extension(60, 256).udp(CLIENT_PORT, DSR_PORT);
    cases.push(
        case("dsr v6, an extension header of 2,048 bytes", world())
            .send(&longest, tx(&dsr(&longest, NEAR_V6)).counts(DSR_V6_UDP, NEAR_V6, 40 + 2_048 + 8)),
    );
    cases
}

/// Only what the definition names is looked at.
fn nothing_is_verified() -> Vec<Case> {
    let tcp = || to_vip().tcp(CLIENT_PORT, DSR_PORT, ACK);
    let tcp6 = || to_vip6().tcp(CLIENT_PORT, DSR_PORT, ACK);
    let four = |name: &str, packet: Packet| {
        case(format!("forwarded as it is: {name}"), world())
            .send(&packet, tx(&dsr(&packet, NEAR_V4)).counts(DSR_V4_TCP, NEAR_V4, 40))
    };
    let udp = to_vip().layer(Layer::Udp(Udp {
        source: CLIENT_PORT,
        destination: DSR_PORT,
        length: Some(3),
        checksum: Some(0),
    }));
    let bad_offset = to_vip().layer(Layer::Tcp(Tcp {
        source: CLIENT_PORT,
        destination: DSR_PORT,
        sequence: 1,
        acknowledgement: 2,
        data_offset: Some(15),
        flags: ACK,
        window: 0,
        checksum: Some(0xdead),
        options: Vec::new(),
    }));
    let expired6 = tcp6().edit_v6(|ip| ip.hop_limit = 0);
    vec![
        four("a wrong IPv4 header checksum", tcp().edit_v4(|ip| ip.checksum = Some(0xbad0))),
        four("TTL 0", tcp().edit_v4(|ip| ip.ttl = 0)),
        four("TTL 1", tcp().edit_v4(|ip| ip.ttl = 1)),
        four("the reserved flag", tcp().edit_v4(|ip| ip.reserved = true)),
        four("no DF", tcp().edit_v4(|ip| ip.dont_fragment = false)),
        four("to another station's MAC", tcp().macs([0xff; 6], [0x0a; 6])),
        four("TCP data offset and checksum", bad_offset),
        case("forwarded as it is: UDP length and checksum", world())
            .send(&udp, tx(&dsr(&udp, NEAR_V4)).counts(DSR_V4_UDP, NEAR_V4, 28)),
        case("forwarded as it is: hop limit 0", world())
            .send(&expired6, tx(&dsr(&expired6, NEAR_V6)).counts(DSR_V6_TCP, NEAR_V6, 60)),
    ]
}

/// Everything that a real can be other than ready.
fn real_states() -> Vec<Case> {
    let tcp4 = to_vip().tcp(CLIENT_PORT, DSR_PORT, ACK);
    let tcp6 = to_vip6().tcp(CLIENT_PORT, DSR_PORT, ACK);
    let tunnel4 = to_vip().tcp(CLIENT_PORT, IPIP_PORT, ACK);
    let tunnel6 = to_vip6().tcp(CLIENT_PORT, IPIP_PORT, ACK);
    let table: [(&str, u32, &Packet, u16, DropReason); 14] = [
        ("dsr v4: no real", DSR_V4_TCP, &tcp4, 0, DropReason::NoReal),
        ("ipip v6: no real", IPIP_V6_TCP, &tunnel6, 0, DropReason::NoReal),
        ("dsr v4: a real id past the end", DSR_V4_TCP, &tcp4, OUTSIDE, DropReason::NoReal),
        ("dsr v4: the highest real id", DSR_V4_TCP, &tcp4, u16::MAX, DropReason::NoReal),
        ("dsr v4: a real id that is not in use", DSR_V4_TCP, &tcp4, UNUSED, DropReason::RealDown),
        ("dsr v4: real disabled", DSR_V4_TCP, &tcp4, DISABLED_V4, DropReason::RealDown),
        ("ipip v6 in v6: real disabled", IPIP_V6_TCP, &tunnel6, DISABLED_V6, DropReason::RealDown),
        ("dsr v4: next hop not known", DSR_V4_TCP, &tcp4, UNRESOLVED_V4, DropReason::NoNextHop),
        ("dsr v6: next hop not known", DSR_V6_TCP, &tcp6, UNRESOLVED_V6, DropReason::NoNextHop),
        ("ipip v4 in v6: next hop not known", IPIP_V4_TCP, &tunnel4, UNRESOLVED_V6, DropReason::NoNextHop),
        ("dsr v4 to a v6 real", DSR_V4_TCP, &tcp4, NEAR_V6, DropReason::FamilyMismatch),
        ("dsr v6 to a v4 real", DSR_V6_TCP, &tcp6, NEAR_V4, DropReason::FamilyMismatch),
        ("ipip v6 to a v4 real", IPIP_V6_TCP, &tunnel6, NEAR_V4, DropReason::FamilyMismatch),
        (
            "a wrong family counts before an unknown next hop",
            DSR_V4_TCP,
            &tcp4,
            UNRESOLVED_V6,
            DropReason::FamilyMismatch,
        ),
    ];
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(name, service, packet, real, reason)| {
            case_with(name, |world| world.fill_ring(service, clean(real))).send(packet, drop(reason))
        })
        .collect();
    let [bare4, bare6] = [to_vip().tcp(CLIENT_PORT, BARE_PORT, SYN), to_vip6().tcp(CLIENT_PORT, BARE_PORT, ACK)];
    cases.push(case("v4: a service without a ring", world()).send(&bare4, drop(DropReason::NoRing)));
    cases.push(case("v6: a service without a ring", world()).send(&bare6, drop(DropReason::NoRing)));
    cases
}

/// Ports and protocols: which service a packet is for.
pub fn service_cases() -> Vec<Case> {
    let wide = |protocol: u8, port: u16| match protocol {
        TCP => Packet::v4(CLIENT, WIDE_VIP).tcp(CLIENT_PORT, port, ACK),
        _ => Packet::v4(CLIENT, WIDE_VIP).udp(CLIENT_PORT, port),
    };
    let wide6 = |protocol: u8, port: u16| match protocol {
        TCP => Packet::v6(CLIENT6, WIDE_VIP6).tcp(CLIENT_PORT, port, ACK),
        _ => Packet::v6(CLIENT6, WIDE_VIP6).udp(CLIENT_PORT, port),
    };
    let mut cases = Vec::new();
    for port in [8_000, 8_004, 8_007, 8_008, 8_009, 8_010] {
        let packet = wide(TCP, port);
        cases.push(
            case(format!("port {port} of the range 8000-8010, v4"), world())
                .send(&packet, tx(&dsr(&packet, NEAR_V4)).counts(RANGE_V4, NEAR_V4, 40)),
        );
    }
    for port in [8_000, 8_010] {
        let packet = wide6(TCP, port);
        cases.push(
            case(format!("port {port} of the range 8000-8010, v6"), world())
                .send(&packet, tx(&dsr(&packet, NEAR_V6)).counts(RANGE_V6, NEAR_V6, 60)),
        );
    }
    for port in [0, 1, 7_999, 8_011, 65_535] {
        cases.push(
            case(format!("port {port} is outside the range 8000-8010"), world()).send(&wide(TCP, port), pass_for_vip()),
        );
    }
    for port in [0, 53, 8_005, 65_535] {
        let (four, six) = (wide(UDP, port), wide6(UDP, port));
        cases.push(
            case(format!("any port: {port}"), world())
                .send(&four, tx(&dsr(&four, NEAR_V4)).counts(ANY_V4, NEAR_V4, 28))
                .send(&six, tx(&dsr(&six, NEAR_V6)).counts(ANY_V6, NEAR_V6, 48)),
        );
    }
    let within = wide(TCP, 8_005);
    cases.push(
        case("a single port goes before the range around it", world())
            .send(&within, redirect(&dsr(&within, FAR_V4), OTHER).counts(WITHIN_RANGE, FAR_V4, 40)),
    );
    let no_service: [(&str, IpAddr, Packet); 6] = [
        ("v4 tcp, no such port", VIP.into(), to_vip().tcp(CLIENT_PORT, NO_PORT, SYN)),
        ("v4 udp, no such port", VIP.into(), to_vip().udp(CLIENT_PORT, NO_PORT)),
        ("v6 tcp, no such port", VIP6.into(), to_vip6().tcp(CLIENT_PORT, NO_PORT, SYN)),
        ("v6 udp, no such port", VIP6.into(), to_vip6().udp(CLIENT_PORT, NO_PORT)),
        ("udp to a port that only tcp has", VIP.into(), to_vip().udp(CLIENT_PORT, BARE_PORT)),
        ("the client's port is not the service's", VIP.into(), to_vip().tcp(DSR_PORT, CLIENT_PORT, SYN)),
    ];
    for (name, vip, packet) in no_service {
        cases.push(case(format!("{vip}: {name}"), world()).send(&packet, pass_for_vip()));
    }
    cases.push(
        case_with("an emptied range table", |world| {
            world.port_ranges.clear();
        })
        .send(&wide(UDP, 53), pass_for_vip()),
    );
    cases
}
