//! QUIC services: connection ids that name a real, and ones that do not.

use std::time::Duration;

use lb_common::{
    Event, NO_SLOT, PROTOCOL_UDP, QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS, QUIC_PLAIN, QuicKey, QuicServerKey,
    QuicValue, SERVICE_GUARDED, SERVICE_ONE_PACKET, SERVICE_QUIC, TraceFilter,
    aes::{decryption_schedule, encryption_schedule},
};

use super::*;

/// The key of the vectors in draft-ietf-quic-load-balancers-21 appendix B.
const KEY: [u8; 16] = 0x8f95_f092_4576_5f80_2569_34e5_0c66_207f_u128.to_be_bytes();
const SERVICE: u32 = 7;
/// Where packets go whose connection id names nobody.
const BY_FLOW: u8 = 11;
/// The real that connection ids name.
const NAMED: u8 = 12;

/// Service 7 on UDP port 443: its ring has real 1, and these server ids stand for real 2.
fn quic_rows(encodings: &[(u32, QuicValue)], ids: &[&[u8]]) -> Rows {
    let rows = rows();
    let key = ServiceKey { vip: address(VIP), port: 443, protocol: PROTOCOL_UDP, family: FAMILY_V4 };
    let value = ServiceValue { id: SERVICE, mode: MODE_DSR, flags: SERVICE_QUIC, ..ServiceValue::default() };
    let named = RealValue { next_hop_mac: [2, 0, 0, 0, 0, NAMED], ..rows.reals[&1] };
    let bits = encodings.iter().map(|(config, _)| 1 << config).sum();
    let server = |id: &&[u8]| {
        let mut key = QuicServerKey { service: SERVICE, length: id.len() as u8, id: [0; 15] };
        key.id[..id.len()].copy_from_slice(id);
        (key, 2)
    };
    Rows {
        services: HashMap::from([(key, value)]),
        port_ranges: HashMap::new(),
        reals: BTreeMap::from([(1, rows.reals[&1]), (2, named)]),
        service_options: BTreeMap::from([(SERVICE, ServiceOptions { quic: bits, ..ServiceOptions::default() })]),
        guards: BTreeMap::new(),
        access: HashMap::new(),
        quic: encodings.iter().map(|&(config, value)| (QuicKey { service: SERVICE, config }, value)).collect(),
        quic_servers: ids.iter().map(server).collect(),
        ..rows
    }
}

fn encoding(encoding: u8, server_id_length: u8, nonce_length: u8) -> QuicValue {
    let schedule = match encoding {
        QUIC_ONE_PASS => decryption_schedule(&KEY),
        QUIC_FOUR_PASSES => encryption_schedule(&KEY),
        _ => [0; 44],
    };
    QuicValue { encoding, offset: 1, server_id_length, nonce_length, schedule }
}

/// A UDP packet from 198.51.100.7:4000 to port 443.
fn datagram(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    let length = 28 + payload.len() as u16;
    frame.extend([0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 64, PROTOCOL_UDP, 0, 0, 198, 51, 100, 7]);
    frame.extend(VIP);
    frame.extend([0x0f, 0xa0, 1, 187]);
    frame.extend((length - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// A packet with a short header, and 30 bytes behind the connection id.
fn short(cid: &[u8]) -> Vec<u8> {
    [&[0x40], cid, &[0x5a; 30]].concat()
}

/// A packet with a long header.
fn long(cid: &[u8]) -> Vec<u8> {
    [&[0xc0, 0, 0, 0, 1, cid.len() as u8], cid, &[0x5a; 30]].concat()
}

/// A data plane with these rows.
fn loaded(rows: &Rows) -> Dataplane {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    dataplane.apply(&diff(&Rows::default(), rows)).unwrap();
    dataplane
}

/// The last byte of the MAC address that a frame is sent to.
fn sent_to(dataplane: &Dataplane, frame: &[u8]) -> u8 {
    let verdict = dataplane.test_run(frame, 1).unwrap();
    assert_eq!(verdict.action, XDP_TX);
    verdict.frame[5]
}

fn counted(dataplane: &Dataplane) -> (u64, u64) {
    let events = dataplane.events().unwrap();
    (events[Event::QuicRouted as usize], events[Event::QuicUnrouted as usize])
}

/// Config, encoding, server id, connection id.
fn vectors() -> [(u32, QuicValue, Vec<u8>, Vec<u8>); 6] {
    let hex =
        |text: &str| (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..][..2], 16).unwrap()).collect();
    let of = |config, value, id: &str, cid: &str| (config, value, hex(id), hex(cid));
    [
        of(0, encoding(QUIC_CLEAR, 3, 4), "c4605e", "07c4605e4504cc4f"),
        of(0, encoding(QUIC_FOUR_PASSES, 3, 4), "ed793a", "0720b1d07b359d3c"),
        of(1, encoding(QUIC_FOUR_PASSES, 10, 5), "ed793a51d49b8f5fab65", "2fcc381bc74cb4fbad2823a3d1f8fed2"),
        of(2, encoding(QUIC_ONE_PASS, 8, 8), "ed793a51d49b8f5f", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"),
        of(0, encoding(QUIC_FOUR_PASSES, 9, 9), "ed793a51d49b8f5fab", "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"),
        of(QUIC_PLAIN, QuicValue { offset: 5, ..encoding(QUIC_CLEAR, 2, 0) }, "4504", "07c4605eff4504cc4f"),
    ]
}

#[test]
fn connection_ids_name_reals_in_each_encoding() {
    for (config, value, id, cid) in vectors() {
        let dataplane = loaded(&quic_rows(&[(config, value)], &[&id]));
        let mut other = cid.clone();
        other[usize::from(value.offset)] ^= 1;
        for (cid, expected) in [(&cid, NAMED), (&other, BY_FLOW)] {
            assert_eq!(sent_to(&dataplane, &datagram(&short(cid))), expected, "{value:?} {cid:02x?}");
            assert_eq!(sent_to(&dataplane, &datagram(&long(cid))), expected, "{value:?} {cid:02x?}");
        }
        assert_eq!(counted(&dataplane), (2, 2));
    }
}

#[test]
fn what_names_nobody_goes_by_its_flow() {
    let (config, value, id, cid) = vectors()[0].clone();
    let rows = quic_rows(&[(config, value)], &[&id]);
    let dataplane = loaded(&rows);
    let exact = |payload: &[u8], length: usize| datagram(&payload[..length]);
    let mut padded = exact(&short(&cid), 20);
    padded.extend([0; 30]);
    let unrouted = [
        ("another config", datagram(&short(&[&[0x20], &cid[1..]].concat()))),
        ("a byte too few", exact(&short(&cid), 20)),
        ("padding", padded),
        ("a byte too few, long", exact(&long(&cid), 25)),
        ("a connection id that is too short", datagram(&long(&cid[..7]))),
        ("an empty connection id", datagram(&long(&[]))),
        ("no payload", datagram(&[])),
    ];
    for (what, frame) in &unrouted {
        assert_eq!(sent_to(&dataplane, frame), BY_FLOW, "{what}");
    }
    assert_eq!(counted(&dataplane), (0, unrouted.len() as u64));
    assert_eq!(sent_to(&dataplane, &exact(&short(&cid), 21)), NAMED);
    assert_eq!(sent_to(&dataplane, &exact(&long(&cid), 26)), NAMED);

    let mut dead = rows.clone();
    dead.reals.get_mut(&2).unwrap().flags = REAL_RESOLVED;
    let dataplane = loaded(&dead);
    assert_eq!(sent_to(&dataplane, &datagram(&short(&cid))), BY_FLOW, "its real is not alive");
}

#[test]
fn connection_ids_go_after_guards_and_before_all_else() {
    let (config, value, id, cid) = vectors()[0].clone();
    let mut rows = quic_rows(&[(config, value)], &[&id]);
    let service = rows.services.values_mut().next().unwrap();
    service.flags |= SERVICE_ONE_PACKET;
    assert_eq!(sent_to(&loaded(&rows), &datagram(&short(&cid))), NAMED);
    rows.services.values_mut().next().unwrap().flags |= SERVICE_GUARDED;
    rows.guards.insert(SERVICE, Guard { flags: GUARD_ACCESS, ..Guard::default() });
    rows.access.insert(access(32, [198, 51, 100, 7]), ACCESS_DENY);
    let dataplane = loaded(&rows);
    assert_eq!(dataplane.test_run(&datagram(&short(&cid)), 1).unwrap().action, XDP_DROP);
    assert_eq!(counted(&dataplane), (0, 0));
}

#[test]
fn a_new_key_and_other_ids_count_at_once() {
    let (config, value, id, cid) = vectors()[1].clone();
    let rows = quic_rows(&[(config, value)], &[&id]);
    let mut dataplane = loaded(&rows);
    let frame = datagram(&short(&cid));
    assert_eq!(sent_to(&dataplane, &frame), NAMED);
    let other_key = quic_rows(&[(config, QuicValue { schedule: encryption_schedule(&[1; 16]), ..value })], &[&id]);
    dataplane.apply(&diff(&rows, &other_key)).unwrap();
    assert_eq!(sent_to(&dataplane, &frame), BY_FLOW);
    dataplane.apply(&diff(&other_key, &rows)).unwrap();
    assert_eq!(sent_to(&dataplane, &frame), NAMED);
    let other_id = quic_rows(&[(config, value)], &[&[1, 2, 3]]);
    dataplane.apply(&diff(&rows, &other_id)).unwrap();
    assert_eq!(sent_to(&dataplane, &frame), BY_FLOW);
    assert_eq!(dataplane.rows().unwrap(), other_id);
    dataplane.apply(&diff(&other_id, &Rows::default())).unwrap();
    assert_eq!(dataplane.rows().unwrap(), Rows::default());
}

#[test]
fn traces_say_that_a_connection_id_has_named_the_real() {
    let (config, value, id, cid) = vectors()[1].clone();
    let dataplane = loaded(&quic_rows(&[(config, value)], &[&id]));
    let mut tracer = dataplane.tracer().unwrap();
    let filter = TraceFilter { vip: address(VIP), family: FAMILY_V4, ..TraceFilter::default() };
    tracer.start(&filter, Duration::from_secs(3_600)).unwrap();
    let named = datagram(&short(&cid));
    let mut unnamed = named.clone();
    *unnamed.last_mut().unwrap() = 0;
    unnamed[44] ^= 1;
    dataplane.test_run(&named, 1).unwrap();
    dataplane.test_run(&unnamed, 1).unwrap();
    let mut told = Vec::new();
    tracer.drain(|event| told.push((event.has_slot, event.slot == NO_SLOT, event.service, event.real, event.reserved)));
    assert_eq!(told, [(1, true, 7, 2, 0), (1, false, 7, 1, 0)]);
    assert_eq!(counted(&dataplane), (1, 1), "a look ahead counts nothing");
}
