//! What random states have of QUIC connection ids, and datagrams with such ids.

use fastrand::Rng;
use lb_common::{
    PROTOCOL_UDP, QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS, QUIC_PLAIN, SERVICE_AFFINITY, SERVICE_GUARDED,
    SERVICE_ONE_PACKET, SERVICE_QUIC,
};
use lb_tests::model::{QuicRow, State};
use lb_tests::quic_lb::connection_id;

use crate::world::{FRONTS, Front, family_of, pick_real};

/// By config: how connection ids are made. Most states read them so.
const ROWS: [QuicRow; 8] = [
    row(QUIC_CLEAR, 3, 4),
    row(QUIC_FOUR_PASSES, 3, 4),
    row(QUIC_FOUR_PASSES, 8, 8),
    row(QUIC_ONE_PASS, 8, 8),
    row(QUIC_FOUR_PASSES, 10, 9),
    row(QUIC_ONE_PASS, 12, 4),
    row(QUIC_CLEAR, 15, 4),
    row(QUIC_CLEAR, 2, 0),
];
/// Servers, each with an id of each length.
const SERVERS: u8 = 4;
/// Bytes of a connection id that are looked at.
const CID: usize = 20;

const fn row(encoding: u8, server_id_length: u8, nonce_length: u8) -> QuicRow {
    let key = [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, encoding];
    QuicRow { encoding, offset: 1, server_id_length, nonce_length, key }
}

fn server_id(server: u8, length: u8) -> Vec<u8> {
    (0..length).map(|at| server.wrapping_mul(85).wrapping_add(at)).collect()
}

/// Adds it all to a state that has everything else.
pub fn add(rng: &mut Rng, state: &mut State) {
    for front in FRONTS.iter().filter(|front| front.protocol == PROTOCOL_UDP) {
        if rng.u8(..3) > 0 {
            let others = state.services.values().chain(state.port_ranges.values()).find(|row| row.id == front.id);
            let others = others.map_or(0, |row| row.flags & (SERVICE_GUARDED | SERVICE_AFFINITY | SERVICE_ONE_PACKET));
            state.set_flags(front.id, others | SERVICE_QUIC);
        }
        // What has no flag has rows all the same: nobody looks at them.
        add_rows(rng, state, front);
        add_servers(rng, state, front);
    }
}

fn add_rows(rng: &mut Rng, state: &mut State, front: &Front) {
    for (config, known) in ROWS.iter().enumerate() {
        let config = config as u32;
        if config == QUIC_PLAIN && rng.u8(..8) != 0 {
            continue;
        }
        if rng.u8(..12) != 0 {
            let row = if rng.u8(..8) == 0 { other_row(rng, known) } else { *known };
            state.add_quic(front.id, config, row);
        }
        if rng.u8(..12) == 0 {
            state.service_options.entry(front.id).or_default().quic ^= 1 << config;
        }
    }
}

/// Perhaps one that nobody writes.
fn other_row(rng: &mut Rng, known: &QuicRow) -> QuicRow {
    let mut row = *known;
    match rng.u8(..8) {
        0 => row.encoding = rng.u8(3..),
        1 => row.encoding = rng.u8(..3),
        2 => row.key[0] ^= 1,
        3 => (row.server_id_length, row.nonce_length) = (rng.u8(..22), rng.u8(..22)),
        4 => row.server_id_length = rng.u8(..),
        5 => row.nonce_length = rng.u8(..),
        6 if row.encoding == QUIC_CLEAR => row.offset = rng.u8(..22),
        // Bytes from a few to as many as there may be.
        _ => {
            let both = rng.u8(1..20);
            row.server_id_length = rng.u8(1..=both.min(15));
            row.nonce_length = both - row.server_id_length;
        }
    }
    row
}

fn add_servers(rng: &mut Rng, state: &mut State, front: &Front) {
    let mode = state.services.values().chain(state.port_ranges.values()).find(|row| row.id == front.id);
    let mode = mode.map_or(0, |row| row.mode);
    let mut lengths = ROWS.map(|row| row.server_id_length).to_vec();
    lengths.dedup();
    for length in lengths {
        for server in 0..SERVERS {
            if rng.u8(..10) == 0 {
                continue;
            }
            let real = u32::from(pick_real(rng, family_of(front.vip), mode));
            let real = if rng.u8(..30) == 0 { real | rng.u32(..) << 16 } else { real };
            state.add_quic_server(front.id, &server_id(server, length), real);
        }
    }
}

/// The bytes behind a UDP header: mostly a connection id of some server's.
pub fn datagram(rng: &mut Rng) -> Vec<u8> {
    let config = if rng.u8(..12) == 0 { 7 } else { rng.usize(..7) };
    let row = &ROWS[config];
    // One that nobody has, now and then.
    let server = if rng.u8(..12) == 0 { SERVERS } else { rng.u8(..SERVERS) };
    let nonce: Vec<u8> = (0..row.nonce_length).map(|_| rng.u8(..)).collect();
    let mut id = connection_id(row, config as u8, &server_id(server, row.server_id_length), &nonce);
    if rng.u8(..10) == 0 {
        let at = rng.usize(..id.len());
        id[at] ^= 1 << rng.u8(..8);
    }
    let mut bytes = if rng.bool() { vec![rng.u8(..0x80)] } else { long_header(rng, id.len() as u8) };
    let least = bytes.len() + CID;
    bytes.extend(id);
    let length = match rng.u8(..16) {
        0 => rng.usize(..least + 2),
        1 => least - 1,
        2 => least,
        3 => rng.usize(least..1_500),
        _ => least + rng.usize(..40),
    };
    while bytes.len() < length {
        bytes.push(rng.u8(..));
    }
    bytes.truncate(length);
    bytes
}

fn long_header(rng: &mut Rng, length: u8) -> Vec<u8> {
    let length = match rng.u8(..12) {
        0 => rng.u8(..),
        1 => rng.u8(..22),
        2 => length.saturating_sub(1),
        _ => length,
    };
    let mut header = vec![rng.u8(0x80..)];
    header.extend(rng.u32(..).to_be_bytes());
    header.push(length);
    header
}
