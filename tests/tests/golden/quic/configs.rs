//! Which row a connection id is read by: configs, and connection ids in the clear at a place of their own.

use lb_common::QUIC_PLAIN;

use super::*;

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in FAMILIES {
        cases.extend(configs(family));
        cases.extend(bits(family));
        cases.extend(plain(family));
    }
    cases
}

/// The usual connection id of another config.
fn id_of(config: u8) -> Vec<u8> {
    connection_id(&clear(), config, &ID, &NONCE)
}

fn configs(family: u8) -> Vec<Case> {
    let service = service(family);
    let mut cases = Vec::new();
    for config in 0..7 {
        let world = quic(service, config.into(), clear(), &[(&ID, far(family))]);
        let mut case = quic_case(&format!("config {config} alone"), family, world);
        for other in 0..8 {
            for datagram in [long(&id_of(other)), short(&id_of(other))] {
                let packet = packet(family, &datagram);
                let expect = if other == config { routed(family, &packet) } else { unrouted(family, &packet) };
                case = case.send(&packet, expect);
            }
        }
        cases.push(case);
    }
    // The five low bits of the first byte do not matter.
    for low in [0, 1, 0x1f] {
        let mut id = id_of(3);
        id[0] = 3 << 5 | low;
        let world = quic(service, 3, clear(), &[(&ID, far(family))]);
        cases.push(one_in(&format!("low bits 0x{low:x}"), family, world, &short(&id), true));
    }
    // Each config by its own row.
    let world = |world: &mut State| {
        for config in 0..7 {
            let row = QuicRow { offset: 1 + config, ..clear() };
            quic(
                service,
                config.into(),
                row,
                &[(&[config; 3], if config % 2 == 0 { far(family) } else { old(family) })],
            )(world);
        }
    };
    let mut each = quic_case("each config its own row", family, world);
    for config in 0..7_u8 {
        let mut id = vec![config << 5];
        id.extend(std::iter::repeat_n(0x55, config.into()));
        id.extend([config; 3]);
        let packet = packet(family, &short(&id));
        let real = if config % 2 == 0 { far(family) } else { old(family) };
        each = each.send(&packet, goes(&packet, service, real).event(Event::QuicRouted));
    }
    cases.push(each);
    cases
}

/// What `service_options` says of `quic`.
fn bits(family: u8) -> Vec<Case> {
    let service = service(family);
    let with_bits = |bits: u8| {
        move |world: &mut State| {
            usual(family)(world);
            quic(service, 7, clear(), &[])(world);
            world.service_options.entry(service).or_default().quic = bits;
        }
    };
    let without_row = |world: &mut State| {
        usual(family)(world);
        world.quic.clear();
    };
    let of_another = |world: &mut State| {
        usual(family)(world);
        world.quic.clear();
        world.add_quic(service + 1, 0, clear());
    };
    let (short0, short7) = (short(&id_of(0)), short(&id_of(7)));
    vec![
        one_in("no bits", family, with_bits(0), &short0, false),
        one_in("another config's bit", family, with_bits(0b10), &short0, false),
        one_in("all other configs' bits", family, with_bits(0b0111_1110), &short0, false),
        one_in("all configs' bits", family, with_bits(0b0111_1111), &short0, true),
        one_in("config 7 is none, though there is a row", family, with_bits(0b0111_1111), &short7, false),
        one_in("a bit and no row", family, without_row, &short0, false),
        one_in("a bit, and the row is another service's", family, of_another, &short0, false),
        one_in(
            "no options at all",
            family,
            |world| {
                usual(family)(world);
                world.service_options.clear();
            },
            &short0,
            false,
        ),
    ]
}

fn plain(family: u8) -> Vec<Case> {
    let service = service(family);
    let row = |offset, server_id_length| QuicRow { offset, server_id_length, nonce_length: 0, ..clear() };
    let world =
        |offset: u8, id: &'static [u8]| quic(service, QUIC_PLAIN, row(offset, id.len() as u8), &[(id, far(family))]);
    let id_at = |offset: u8, id: &[u8], first: u8| {
        let mut bytes = filled(Vec::new(), 40);
        bytes[0] = first;
        bytes[usize::from(offset)..][..id.len()].copy_from_slice(id);
        bytes.truncate(20);
        bytes
    };
    let mut cases = Vec::new();
    for first in [0, 0x1f, 0x20, 0x80, 0xe0, 0xff] {
        let name = format!("plain, first byte 0x{first:x}");
        cases.push(one_in(&name, family, world(1, &[9, 8]), &short(&id_at(1, &[9, 8], first)), true));
        cases.push(one_in(&format!("{name}, long"), family, world(1, &[9, 8]), &long(&id_at(1, &[9, 8], first)), true));
    }
    for (offset, id) in [(0, &[1][..]), (0, &[1, 2, 3]), (5, &[7, 7, 7]), (19, &[3]), (18, &[3, 4]), (5, &[1; 15])] {
        let name = format!("plain, {} bytes at {offset}", id.len());
        let datagram = short(&id_at(offset, id, if offset == 0 { id[0] } else { 0 }));
        let world = quic(service, QUIC_PLAIN, row(offset, id.len() as u8), &[(id, far(family))]);
        cases.push(one_in(&name, family, world, &datagram, true));
    }
    let mut late = long(&id_at(4, &[9, 8], 0));
    late[5] = 6;
    cases.push(one_in("plain, a connection id that ends with the server id", family, world(4, &[9, 8]), &late, true));
    late[5] = 5;
    cases.push(one_in("plain, a connection id that ends before", family, world(4, &[9, 8]), &late, false));
    // The bit goes before all others.
    let with_bits = |bits: u8| {
        move |world: &mut State| {
            quic(service, 0, clear(), &[(&ID, old(family))])(world);
            quic(service, QUIC_PLAIN, row(9, 2), &[(&[9, 8], far(family))])(world);
            world.service_options.entry(service).or_default().quic = bits;
        }
    };
    let mut both = id_of(0);
    both.extend([0x33, 9, 8]);
    let without_row = |world: &mut State| {
        with_bits(0b1000_0001)(world);
        world.quic.remove(&lb_common::QuicKey { service, config: QUIC_PLAIN });
    };
    let named = packet(family, &short(&both));
    cases.extend([
        one_in("plain beside a config", family, with_bits(0b1000_0001), &short(&both), true),
        one_in("plain beside all configs", family, with_bits(0xff), &short(&both), true),
        one_in("plain without a row, beside a config", family, without_row, &short(&both), false),
        quic_case("a config, and plain has no bit", family, with_bits(1))
            .send(&named, goes(&named, service, old(family)).event(Event::QuicRouted)),
    ]);
    // The nonce counts here too, where a row has one.
    let nonce = QuicRow { nonce_length: 4, ..row(1, 2) };
    let with_nonce = || quic(service, QUIC_PLAIN, nonce, &[(&[9, 8], far(family))]);
    let mut datagram = long(&id_at(1, &[9, 8], 0));
    datagram[5] = 7;
    cases.push(one_in("plain with a nonce", family, with_nonce(), &datagram, true));
    datagram[5] = 6;
    cases.push(one_in("plain with a nonce that is cut off", family, with_nonce(), &datagram, false));
    let hidden = QuicRow { encoding: lb_common::QUIC_FOUR_PASSES, ..clear() };
    let id = connection_id(&hidden, 7, &ID, &NONCE);
    cases.push(one_in(
        "plain with an encoding",
        family,
        quic(service, QUIC_PLAIN, hidden, &[(&ID, far(family))]),
        &short(&id),
        true,
    ));
    cases
}
