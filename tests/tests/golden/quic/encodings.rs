//! What a connection id says by each encoding and of each length.

use lb_common::{MAX_QUIC_SERVER_ID, QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS};
use lb_tests::quic_lb::hex;

use super::*;

pub fn cases() -> Vec<Case> {
    let mut cases = of_the_page();
    for family in FAMILIES {
        cases.extend(in_the_clear(family));
        cases.extend(one_pass(family));
        cases.extend(four_passes(family));
        cases.extend(broken(family));
    }
    cases
}

const SERVER: [u8; MAX_QUIC_SERVER_ID] =
    [0xa1, 0x5b, 0x02, 0xf3, 0x64, 0xe5, 0x86, 0x17, 0x98, 0xd9, 0x3a, 0xcb, 0x7c, 0x0d, 0xbe];
const REST: [u8; 19] =
    [0x4f, 0xee, 0x21, 0x03, 0x94, 0x75, 0xd6, 0x67, 0xb8, 0x59, 0x1a, 0xfb, 0x3c, 0xad, 0x8e, 0x40, 0xc1, 0x72, 0xe3];

/// Each row of the table: the real that has the server id, by both headers and both families.
fn of_the_page() -> Vec<Case> {
    let other = hex("fdf726a9893ec05c0632d3956680baf0");
    let keyed = |encoding, server_id, nonce| row(encoding, server_id, nonce);
    let with_other = |row: QuicRow| QuicRow { key: other.clone().try_into().expect("16 bytes"), ..row };
    let rows = [
        (0, keyed(QUIC_CLEAR, 3, 4), "c4605e", "07c4605e4504cc4f"),
        (0, keyed(QUIC_FOUR_PASSES, 3, 4), "ed793a", "0720b1d07b359d3c"),
        (1, keyed(QUIC_FOUR_PASSES, 10, 5), "ed793a51d49b8f5fab65", "2fcc381bc74cb4fbad2823a3d1f8fed2"),
        (2, keyed(QUIC_ONE_PASS, 8, 8), "ed793a51d49b8f5f", "504dd2d05a7b0de9b2b9907afb5ecf8cc3"),
        (0, keyed(QUIC_FOUR_PASSES, 9, 9), "ed793a51d49b8f5fab", "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"),
        (5, with_other(keyed(QUIC_FOUR_PASSES, 3, 4)), "31441a", "a767947d29be054a"),
    ];
    let mut cases = Vec::new();
    for (at, (config, row, server_id, id)) in rows.into_iter().enumerate() {
        for family in FAMILIES {
            for (header, datagram) in [("long", long(&hex(id))), ("short", short(&hex(id)))] {
                let world = quic(service(family), config, row, &[(&hex(server_id), far(family))]);
                cases.push(one_in(&format!("row {} of the page, {header}", at + 1), family, world, &datagram, true));
            }
        }
    }
    cases
}

/// A row's server id is the far real's, and as many of its bytes as are more or fewer are the old one's.
fn world(family: u8, row: QuicRow) -> impl Fn(&mut State) {
    let service = service(family);
    let length = usize::from(row.server_id_length);
    move |world| {
        quic(service, 2, row, &[(&SERVER[..length], far(family))])(world);
        for other in (1..=SERVER.len()).filter(|other| *other != length) {
            world.add_quic_server(service, &SERVER[..other], old(family).into());
        }
    }
}

fn id_of(row: &QuicRow) -> Vec<u8> {
    let lengths = [row.server_id_length, row.nonce_length].map(usize::from);
    connection_id(row, 2, &SERVER[..lengths[0]], &REST[..lengths[1]])
}

/// By both headers; and not where the connection id is a byte shorter.
fn reads(name: &str, family: u8, row: QuicRow) -> Vec<Case> {
    let id = id_of(&row);
    let (long, short) = (long(&id), short(&id));
    let mut case = quic_case(name, family, world(family, row));
    for datagram in [&long, &short] {
        let packet = packet(family, datagram);
        case = case.send(&packet, routed(family, &packet));
    }
    let mut cut = long.clone();
    cut[5] -= 1;
    let cut = packet(family, &cut);
    vec![case.send(&cut, unrouted(family, &cut))]
}

fn in_the_clear(family: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    for server_id in 1..=15 {
        for nonce in [0, 4, 19 - server_id] {
            let name = format!("clear, {server_id} and {nonce} bytes");
            let row = row(QUIC_CLEAR, server_id, nonce);
            if cases.iter().any(|case: &Case| case.name.ends_with(&format!(", {name}"))) {
                continue;
            }
            cases.extend(reads(&name, family, row));
        }
    }
    // The server id is where the row says.
    for (offset, server_id, nonce) in [(0, 15, 5), (0, 1, 0), (2, 3, 4), (5, 15, 0), (19, 1, 0), (16, 1, 3), (12, 4, 4)]
    {
        let row = QuicRow { offset, ..row(QUIC_CLEAR, server_id, nonce) };
        let begin = usize::from(offset);
        let mut id = filled(vec![2 << 5], CID);
        id[begin..begin + usize::from(server_id)].copy_from_slice(&SERVER[..server_id.into()]);
        let config = u32::from(id[0] >> 5);
        let change = |state: &mut State| {
            world(family, row)(state);
            state.add_quic(service(family), config, row);
        };
        let name = format!("clear, {server_id} bytes at {offset}");
        cases.push(one_in(&name, family, change, &short(&id), true));
        cases.push(one_in(&format!("{name}, long"), family, change, &long(&id), true));
        let mut exact = long(&id);
        exact[5] = offset + server_id + nonce;
        cases.push(one_in(&format!("{name}, long and exact"), family, change, &exact, true));
        exact[5] -= 1;
        cases.push(one_in(&format!("{name}, long and a byte less"), family, change, &exact, false));
    }
    // The key does not matter.
    let keyed = QuicRow { key: [0; 16], ..clear() };
    cases.push(one_in(
        "clear, another key",
        family,
        quic(service(family), 0, keyed, &[(&ID, far(family))]),
        &short(&usual_id()),
        true,
    ));
    cases
}

/// Those from the first one behind the config to this one: where one of their bits is another, so is the server id.
fn bytes_that_count(name: &str, family: u8, row: QuicRow, last: usize) -> Case {
    let id = filled(id_of(&row), CID);
    let mut case = quic_case(name, family, world(family, row));
    for at in 0..CID {
        // Not the config.
        for bit in [0x01, 0x10, 0x80].into_iter().filter(|bit| at > 0 || *bit < 0x20) {
            let mut other = id.clone();
            other[at] ^= bit;
            let packet = packet(family, &short(&other));
            let is_routed = at == 0 || at > last;
            let expect = if is_routed { routed(family, &packet) } else { unrouted(family, &packet) };
            case = case.send(&packet, expect);
        }
    }
    case
}

fn one_pass(family: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    for server_id in 1..=15 {
        let row = row(QUIC_ONE_PASS, server_id, 16 - server_id);
        cases.extend(reads(&format!("one pass, {server_id} bytes"), family, row));
    }
    let right = row(QUIC_ONE_PASS, 8, 8);
    let id = id_of(&right);
    // Which bytes are the block.
    cases.push(bytes_that_count("one pass, bytes that are others", family, right, 16));
    for (server_id, nonce) in [(8, 7), (7, 8), (8, 9), (15, 0), (15, 2), (1, 4), (3, 4), (15, 4)] {
        let wrong = row(QUIC_ONE_PASS, server_id, nonce);
        let name = format!("one pass, {server_id} and {nonce} bytes");
        let datagram = short(&connection_id(&right, 2, &SERVER[..8], &REST[..8]));
        let change = |state: &mut State| {
            world(family, wrong)(state);
            (0..=255).for_each(|first| state.add_quic_server(service(family), &[first], far(family).into()));
        };
        cases.push(one_in(&name, family, change, &datagram, false));
    }
    // The block begins behind the first byte, whatever the row says.
    for offset in [0, 2, 4] {
        let row = QuicRow { offset, ..right };
        cases.push(one_in(&format!("one pass, offset {offset}"), family, world(family, row), &short(&id), true));
    }
    let keyed = QuicRow { key: [7; 16], ..right };
    cases.push(one_in("one pass, another key", family, world(family, keyed), &short(&id), false));
    cases
}

fn four_passes(family: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    for both in 5..=19_u8 {
        let mut lengths = vec![1, both / 2, both.div_ceil(2), both / 2 + 1, both - 4, both - 1, both];
        lengths.retain(|server_id| (1..=15).contains(server_id));
        lengths.sort_unstable();
        lengths.dedup();
        for server_id in lengths {
            let row = row(QUIC_FOUR_PASSES, server_id, both - server_id);
            cases.extend(reads(&format!("four passes, {server_id} of {both} bytes"), family, row));
        }
    }
    // Each byte counts, and none behind them.
    for both in [5, 7, 16, 18, 19] {
        let row = row(QUIC_FOUR_PASSES, 3, both - 3);
        cases.push(bytes_that_count(
            &format!("four passes of {both} bytes, bytes that are others"),
            family,
            row,
            both.into(),
        ));
    }
    // Too few and too many bytes, and whatever they would say is the far real's.
    for (offset, server_id, nonce) in [(1, 1, 0), (1, 1, 3), (1, 2, 2), (1, 4, 0), (0, 15, 5), (0, 5, 15)] {
        let wrong = QuicRow { offset, ..row(QUIC_FOUR_PASSES, server_id, nonce) };
        let change = |state: &mut State| {
            world(family, wrong)(state);
            (0..=255).for_each(|first| state.add_quic_server(service(family), &[first], far(family).into()));
        };
        let name = format!("four passes, {server_id} and {nonce} bytes at {offset}");
        let right = row(QUIC_FOUR_PASSES, 3, 4);
        cases.push(one_in(&name, family, change, &short(&filled(id_of(&right), CID)), false));
    }
    let right = row(QUIC_FOUR_PASSES, 3, 4);
    let keyed = QuicRow { key: [7; 16], ..right };
    cases.push(one_in("four passes, another key", family, world(family, keyed), &short(&id_of(&right)), false));
    for offset in [0, 2, 13] {
        let row = QuicRow { offset, ..right };
        cases.push(one_in(
            &format!("four passes, offset {offset}"),
            family,
            world(family, row),
            &short(&id_of(&right)),
            true,
        ));
    }
    cases
}

/// Rows that nobody writes.
fn broken(family: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut one = |name: String, row: QuicRow, is_routed: bool| {
        let change = |state: &mut State| {
            quic(service(family), 2, row, &[])(state);
            // Whatever it says of a server id of any length, that is the far real's.
            for length in 1..=15 {
                state.add_quic_server(service(family), &[0x55; 15][..length], far(family).into());
            }
            let none = lb_common::QuicServerKey { service: service(family), ..lb_common::QuicServerKey::default() };
            state.quic_servers.insert(none, far(family).into());
        };
        let mut id = vec![0x55; CID];
        id[0] = 2 << 5;
        cases.push(one_in(&name, family, change, &short(&id), is_routed));
    };
    for (offset, server_id, nonce) in [(1, 3, 16), (1, 15, 4), (5, 15, 0), (1, 1, 18), (4, 4, 12)] {
        one(
            format!("a row of {offset}, {server_id} and {nonce}"),
            QuicRow { offset, ..row(QUIC_CLEAR, server_id, nonce) },
            true,
        );
    }
    for (offset, server_id, nonce) in [
        (1, 3, 17),
        (1, 15, 5),
        (6, 15, 0),
        (20, 1, 0),
        (17, 4, 0),
        (1, 0, 4),
        (1, 0, 19),
        (1, 16, 0),
        (1, 16, 3),
        (0, 20, 0),
        (1, 255, 0),
        (255, 1, 0),
        (255, 2, 0),
        (255, 2, 4),
        (1, 3, 255),
        (1, 3, 253),
        (250, 3, 4),
        (128, 3, 128),
    ] {
        one(
            format!("a broken row of {offset}, {server_id} and {nonce}"),
            QuicRow { offset, ..row(QUIC_CLEAR, server_id, nonce) },
            false,
        );
    }
    for encoding in [3, 4, 128, 255] {
        one(format!("encoding {encoding}"), row(encoding, 3, 4), false);
        one(format!("encoding {encoding}, a block"), row(encoding, 8, 8), false);
    }
    for (name, encoding) in [("one pass", QUIC_ONE_PASS), ("four passes", QUIC_FOUR_PASSES)] {
        for (server_id, nonce) in [(0, 16), (16, 0), (0, 7)] {
            one(format!("a broken row of {name}, {server_id} and {nonce}"), row(encoding, server_id, nonce), false);
        }
    }
    cases
}
