//! SCTP: a protocol with ports and without flags, in every mode that it has.

use lb_common::{
    DropReason, Event, FALLBACK_RESET, FLOW_FIN, FLOW_OPEN, FLOW_RST, FlowKey, FragmentKey, MODE_DSR, MODE_IPIP,
    ServiceOptions, Slot,
};
use lb_tests::model::State;
use lb_tests::packet::{FragmentHeader, Layer, Packet, Tcp};
use lb_tests::world::{clean, flow_key, marked, remembers};

use crate::case::{Case, Expect, drop, pass_for_vip, tx};
use crate::services::*;
use crate::too_big::{needed, too_big};
use crate::world::*;

const ID: u16 = 0x4242;

pub fn cases() -> Vec<Case> {
    let mut cases = every_way();
    cases.extend(headers());
    cases.extend(services());
    cases.extend(fragments());
    cases.extend(slots());
    cases.extend(errors());
    cases.extend(ends());
    cases
}

fn packet(family: u8, port: u16) -> Packet {
    from_client(family, SCTP, port).payload(16)
}

fn flow(family: u8) -> FlowKey {
    flow_key((client(family), CLIENT_PORT), (vip(family), DSR_PORT), SCTP)
}

fn every_way() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, family, port, outer) in [
        ("dsr v4", V4, DSR_PORT, None),
        ("dsr v6", V6, DSR_PORT, None),
        ("ipip v4 in v4", V4, IPIP_PORT, Some(V4)),
        ("ipip v4 in v6", V4, IPIP_PORT, Some(V6)),
        ("ipip v6 in v6", V6, IPIP_PORT, Some(V6)),
    ] {
        let service = sctp_service(family, port);
        let plain = packet(family, port);
        let packets = [
            ("same interface", plain.clone(), near(outer.unwrap_or(family))),
            ("another interface", plain.clone(), far(outer.unwrap_or(family))),
            ("two tags", plain.clone().service_vlan(3).vlan(4), near(outer.unwrap_or(family))),
            ("padding", plain.clone().pad_to(100), near(outer.unwrap_or(family))),
        ];
        for (what, packet, real) in packets {
            let out = if outer.is_some() { ipip(&packet, real, 0) } else { dsr(&packet, real) };
            let bytes = ip_header(family) + 28;
            cases.push(
                more_case(format!("sctp, {name}, {what}"), |world| world.fill_ring(service, clean(real)))
                    .send(&packet, sent(&out, service, real, bytes)),
            );
        }
    }
    cases
}

/// Of 12 bytes, after options and extension headers.
fn headers() -> Vec<Case> {
    let one = |name: &str, family: u8, packet: &Packet| {
        let bytes = packet.ip_length() as u64;
        let expect = tx(&dsr(packet, near(family))).counts(sctp_service(family, DSR_PORT), near(family), bytes);
        more_case(format!("sctp, {name}"), |_| ()).send(packet, expect)
    };
    let short = |name: &str, packet: &Packet| {
        more_case(format!("sctp, {name}"), |_| ()).send(packet, drop(DropReason::Malformed))
    };
    let bare = |family: u8| from_client(family, SCTP, DSR_PORT);
    let bytes = |family: u8, length: usize| {
        let data: Vec<u8> = bare(family).ip_bytes()[ip_header(family) as usize..][..length].to_vec();
        let packet = Packet::ip(client(family), vip(family));
        let packet = match family {
            V4 => packet.edit_v4(|ip| ip.protocol = Some(SCTP)),
            _ => packet.edit_v6(|ip| ip.next_header = Some(SCTP)),
        };
        packet.data(&data)
    };
    let options = to_vip().edit_v4(|ip| ip.options = vec![1; 12]).sctp(CLIENT_PORT, DSR_PORT);
    let extended = to_vip6().extension(0, 1).extension(60, 3).sctp(CLIENT_PORT, DSR_PORT);
    let atomic = to_vip6().fragment6(4, 0, false).sctp(CLIENT_PORT, DSR_PORT);
    // Where TCP has its flags.
    let like_flags = bare(V4).data(&[0x07; 20]);
    vec![
        one("v4, a header and no chunk", V4, &bare(V4)),
        one("v6, a header and no chunk", V6, &bare(V6)),
        one("v4, 12 bytes", V4, &bytes(V4, 12)),
        short("v4, 11 bytes", &bytes(V4, 11)),
        short("v6, 11 bytes", &bytes(V6, 11)),
        short("v4, 8 bytes", &bytes(V4, 8)),
        short("v4, 11 bytes and padding", &bytes(V4, 11).pad_to(80)),
        one("options", V4, &options),
        one("extension headers", V6, &extended),
        one("an atomic fragment", V6, &atomic),
        one("bytes that look like flags", V4, &like_flags),
    ]
}

fn services() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let to_port = |port| transport(Packet::ip(client(family), vip(family)), SCTP, CLIENT_PORT, port);
        cases.push(more_case(format!("sctp v{family}, no such port"), |_| ()).send(&to_port(NO_PORT), pass_for_vip()));
        cases.push(
            more_case(format!("sctp v{family}, a port that only tcp has"), |_| ())
                .send(&to_port(BARE_PORT), pass_for_vip()),
        );
        for port in [0, 53, 8_005, 65_535] {
            let packet = transport(Packet::ip(client(family), wide_vip(family)), SCTP, CLIENT_PORT, port);
            let bytes = packet.ip_length() as u64;
            cases.push(
                more_case(format!("sctp v{family}, any port: {port}"), |_| ())
                    .send(&packet, sent(&dsr(&packet, near(family)), any_sctp(family), near(family), bytes)),
            );
        }
        let tcp = transport(Packet::ip(client(family), wide_vip(family)), TCP, CLIENT_PORT, 53);
        cases.push(more_case(format!("tcp v{family} to a port that only sctp has"), |_| ()).send(&tcp, pass_for_vip()));
        // Each protocol has its own slot.
        let (packet, service) = (packet(family, DSR_PORT), sctp_service(family, DSR_PORT));
        cases.push(
            more_case(format!("sctp v{family}, the slot is that of its hash"), |world| {
                world.set_slot_of(service, &flow(family), clean(far(family)));
            })
            .send(&packet, sent(&dsr(&packet, far(family)), service, far(family), ip_header(family) + 28)),
        );
    }
    cases.push(
        more_case("sctp, no ring", |world| {
            world.rings.remove(&sctp_service(V4, DSR_PORT));
        })
        .send(&packet(V4, DSR_PORT), drop(DropReason::NoRing)),
    );
    cases
}

fn first(family: u8) -> Packet {
    let packet = match family {
        V4 => to_vip().edit_v4(|ip| (ip.id, ip.more_fragments, ip.dont_fragment) = (ID, true, false)),
        _ => to_vip6().fragment6(ID.into(), 0, true),
    };
    packet.sctp(CLIENT_PORT, DSR_PORT).payload(44)
}

fn later(family: u8, protocol: u8) -> Packet {
    if family == V4 {
        return to_vip().edit_v4(|ip| (ip.id, ip.offset, ip.protocol) = (ID, 7, Some(protocol))).payload(30);
    }
    let (next_header, id) = (Some(protocol), ID.into());
    to_vip6()
        .layer(Layer::Fragment(FragmentHeader { next_header, reserved: 0, offset: 7, more_fragments: false, id }))
        .payload(30)
}

fn key(family: u8, protocol: u8) -> FragmentKey {
    if family == V4 { fragment_v4(ID, protocol) } else { fragment_v6(ID.into()) }
}

fn fragments() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let (first, later, service) = (first(family), later(family, SCTP), sctp_service(family, DSR_PORT));
        let follows =
            |real| sent(&dsr(&later, real), service, real, later.ip_length() as u64).event(Event::FragmentForwarded);
        cases.push(
            more_case(format!("sctp v{family}, fragments"), |world| {
                world.set_slot_of(service, &flow(family), clean(far(family)));
            })
            .send(
                &first,
                sent(&dsr(&first, far(family)), service, far(family), first.ip_length() as u64).fragment(
                    key(family, SCTP),
                    service,
                    far(family),
                    MODE_DSR,
                ),
            )
            .send(&later, follows(far(family))),
        );
        cases.push(
            more_case(format!("sctp v{family}, a later fragment of an unknown packet"), |_| ())
                .send(&later, drop(DropReason::FragmentUnknown)),
        );
    }
    // IPv4 has the protocol in the key.
    let noted = |protocol: u8| {
        move |world: &mut State| {
            let value = lb_common::FragmentValue { service: DSR_V4_UDP, real: NEAR_V4, mode: MODE_IPIP, reserved: 0 };
            world.effects.fragments.insert(key(V4, protocol), value);
        }
    };
    cases.push(
        more_case("sctp v4, a later fragment, and a note of udp", noted(UDP))
            .send(&later(V4, SCTP), drop(DropReason::FragmentUnknown)),
    );
    cases.push(
        more_case("udp v4, a later fragment, and a note of sctp", noted(SCTP))
            .send(&later(V4, UDP), drop(DropReason::FragmentUnknown)),
    );
    let mut short = to_vip6().fragment6(ID.into(), 0, true).data(&[1; 11]);
    if let Layer::Fragment(header) = &mut short.layers[1] {
        header.next_header = Some(SCTP);
    }
    cases.push(more_case("sctp v6, a short first fragment", |_| ()).send(&short, drop(DropReason::Malformed)));
    cases
}

/// The decision is that of a packet without flags, and of a flow that is never half-open.
fn slots() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let (service, packet) = (sctp_service(family, DSR_PORT), packet(family, DSR_PORT));
        let [near, far, old, dead] = [near(family), far(family), old(family), dead(family)];
        let flow = flow(family);
        let to = |real: u16| sent(&dsr(&packet, real), service, real, ip_header(family) + 28);
        let one = |name: &str, slot: Slot, before: &dyn Fn(&mut State), expect: Expect| {
            more_case(format!("sctp v{family}, {name}"), |world| {
                world.fill_ring(service, slot);
                before(world);
            })
            .send(&packet, expect)
        };
        let nothing = |_: &mut State| {};
        let known = |real, state| move |world: &mut State| world.put_flow(flow, service, real, state);
        let half = |real| move |world: &mut State| world.put_half_open(flow, service, real);
        let slot = remembers(near, old);
        cases.extend([
            one("an unknown flow is an old one", slot, &nothing, to(old).remembers(flow, service, old)),
            one("previous dead", remembers(near, dead), &nothing, to(near).remembers(flow, service, near)),
            one("both dead", remembers(dead, dead), &nothing, drop(DropReason::RealDown)),
            one("a known flow", slot, &known(far, FLOW_OPEN), to(far)),
            one("a flow after a FIN stays", slot, &known(far, FLOW_FIN), to(far)),
            one("a flow after a RST opens", slot, &known(far, FLOW_RST), to(far).flow(flow, service, far, FLOW_OPEN)),
            one("a known flow, real dead", slot, &known(dead, FLOW_OPEN), to(old).remembers(flow, service, old)),
            one("half-open flows are not looked at", slot, &half(far), to(old).remembers(flow, service, old)),
            one("marked", marked(near), &nothing, to(near)),
            one("marked, a known flow", marked(near), &known(far, FLOW_OPEN), to(far)),
            one("clean, a known flow", clean(near), &known(far, FLOW_OPEN), to(near)),
        ]);
    }
    cases
}

/// ICMP errors about SCTP flows.
fn errors() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let service = sctp_service(family, DSR_PORT);
        let about = Packet::ip(vip(family), client(family)).sctp(DSR_PORT, CLIENT_PORT).payload(60);
        let error = |transport: usize| {
            let error = Packet::ip(router(family), vip(family));
            let error = if family == V4 { error.icmp(3, 4, [0; 4]) } else { error.icmp6(2, 0, [0; 4]) };
            error.quote(&about, ip_header(family) as usize + transport)
        };
        let follows = |error: &Packet, real| {
            let sent = sent(&dsr(error, real), service, real, error.ip_length() as u64);
            sent.event(Event::IcmpErrorForwarded)
        };
        let [near, far, old] = [near(family), far(family), old(family)];
        for (length, name) in [(8, "8 bytes"), (12, "the header"), (40, "more")] {
            cases.push(
                more_case(format!("sctp v{family}, an error that quotes {name}"), |_| ())
                    .send(&error(length), follows(&error(length), near)),
            );
        }
        cases.push(
            more_case(format!("sctp v{family}, an error that quotes 7 bytes"), |_| ()).send(&error(7), pass_for_vip()),
        );
        cases.push(
            more_case(format!("sctp v{family}, an error about a known flow"), |world| {
                world.fill_ring(service, remembers(near, old));
                world.put_flow(flow(family), service, far, FLOW_RST);
            })
            .send(&error(12), follows(&error(12), far)),
        );
        cases.push(
            more_case(format!("sctp v{family}, an error, half-open flows are not looked at"), |world| {
                world.fill_ring(service, remembers(near, old));
                world.put_half_open(flow(family), service, far);
            })
            .send(&error(12), follows(&error(12), old)),
        );
        let other = Packet::ip(vip(family), client(family)).sctp(NO_PORT, CLIENT_PORT);
        let error = Packet::ip(router(family), vip(family));
        let error = if family == V4 { error.icmp(3, 4, [0; 4]) } else { error.icmp6(2, 0, [0; 4]) };
        cases.push(
            more_case(format!("sctp v{family}, an error about no service"), |_| ())
                .send(&error.quote(&other, 60), pass_for_vip()),
        );
    }
    cases
}

/// Resets, and packets that are too big.
fn ends() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        let service = sctp_service(family, DSR_PORT);
        cases.push(
            more_case(format!("sctp v{family}, a service that resets"), |world| {
                world.fill_ring(service, clean(0));
                let options = ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() };
                world.service_options.insert(service, options);
            })
            .send(&from_client(family, SCTP, DSR_PORT).data(&[0x02; 20]), drop(DropReason::NoReal)),
        );
        let big = from_client(family, SCTP, IPIP_PORT).payload(1_460);
        let mtu = 1_500 - ip_header(family);
        let answered = if family == V4 { needed(&big, mtu as u16) } else { too_big(&big, mtu as u32) };
        cases.push(more_case(format!("sctp v{family}, too big"), |_| ()).send(&big, answered));
    }
    let tcp = Layer::Tcp(Tcp {
        source: CLIENT_PORT,
        destination: DSR_PORT,
        sequence: 0,
        acknowledgement: 0,
        data_offset: None,
        flags: 0x02,
        window: 0,
        checksum: None,
        options: Vec::new(),
    });
    // Read as TCP it would be a SYN that is half-open from then on.
    let bytes = Packet::v4(CLIENT, VIP).layer(tcp).ip_bytes()[20..].to_vec();
    let like_syn = to_vip().edit_v4(|ip| ip.protocol = Some(SCTP)).data(&bytes);
    let service = sctp_service(V4, DSR_PORT);
    cases.push(
        more_case("sctp v4, what would be a SYN of tcp", |world| world.fill_ring(service, remembers(NEAR_V4, OLD_V4)))
            .send(&like_syn, sent(&dsr(&like_syn, OLD_V4), service, OLD_V4, 40).remembers(flow(V4), service, OLD_V4)),
    );
    cases
}
