//! The rows of QUIC services.

use lb_common::{
    QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS, QUIC_PLAIN, QuicKey, QuicServerKey, QuicValue, SERVICE_QUIC,
    aes::{decryption_schedule, encryption_schedule},
};

use super::*;
use crate::service::{QuicEncoding, QuicLayout, QuicSecret, QuicServerId};

const KEY: [u8; 16] = [7; 16];

fn lb(config: u8, server_id_length: u8, nonce_length: u8, key: Option<[u8; 16]>) -> QuicEncoding {
    let key = key.map(|bytes| QuicSecret { file: "/k".into(), bytes });
    QuicEncoding { server_id_length, layout: QuicLayout::QuicLb { config, nonce_length, key } }
}

fn plain(offset: u8, server_id_length: u8) -> QuicEncoding {
    QuicEncoding { server_id_length, layout: QuicLayout::Plain { offset } }
}

/// Service `quic` of reals `a` and `b`, of which `b` has these server ids, after the usual ones.
fn with_quic(encodings: &[QuicEncoding], ids: &[&str]) -> Cluster {
    let mut quic = Service { protocol: Protocol::Udp, quic: encodings.to_vec(), ..service("quic", 443, &["a", "b"]) };
    quic.reals[1].quic_server_ids = ids.iter().map(|id| QuicServerId::parse(id).unwrap()).collect();
    let services = [service("web", 80, &["a", "b", "c"]), service("mail", 25, &["a", "b"]), quic];
    cluster(&services, &[real("a", 1), real("b", 2), real("c", 3)])
}

fn server(service: u32, hex: &str) -> QuicServerKey {
    let bytes = QuicServerId::parse(hex).unwrap();
    let mut key = QuicServerKey { service, length: bytes.bytes().len() as u8, id: [0; 15] };
    key.id[..bytes.bytes().len()].copy_from_slice(bytes.bytes());
    key
}

#[test]
fn each_encoding_has_its_row_and_each_server_id_its_real() {
    let mut table = table();
    assert_eq!((table.rows().quic, table.rows().quic_servers), Default::default());
    let encodings = [lb(0, 3, 4, None), lb(2, 8, 8, Some(KEY)), lb(6, 3, 14, Some(KEY))];
    table.replace(with_quic(&encodings, &["0a0b0c", "0102030405060708"]), 1).unwrap();
    let rows = table.rows();
    let id = table.services().find(|view| view.service.name == "quic").unwrap().id;
    let value = |encoding, server_id_length, nonce_length, schedule| QuicValue {
        encoding,
        offset: 1,
        server_id_length,
        nonce_length,
        schedule,
    };
    let expected = [
        (0, value(QUIC_CLEAR, 3, 4, [0; 44])),
        (2, value(QUIC_ONE_PASS, 8, 8, decryption_schedule(&KEY))),
        (6, value(QUIC_FOUR_PASSES, 3, 14, encryption_schedule(&KEY))),
    ];
    let expected = expected.map(|(config, value)| (QuicKey { service: id, config }, value));
    assert_eq!(rows.quic, expected.into());
    let b = 2;
    assert_eq!(rows.quic_servers, [(server(id, "0a0b0c"), b), (server(id, "0102030405060708"), b)].into());
    assert_eq!(rows.service_options[&id].quic, 1 << 0 | 1 << 2 | 1 << 6);
    let flags = |port| rows.services.iter().find(|(key, _)| key.port == port).unwrap().1.flags;
    assert_eq!((flags(443), flags(80)), (SERVICE_QUIC, 0));
}

#[test]
fn a_plain_encoding_has_the_row_that_no_config_has() {
    let mut table = table();
    table.replace(with_quic(&[plain(5, 2)], &["0a0b"]), 1).unwrap();
    let rows = table.rows();
    let value = QuicValue { encoding: QUIC_CLEAR, offset: 5, server_id_length: 2, ..QuicValue::default() };
    assert_eq!(rows.quic, [(QuicKey { service: 2, config: QUIC_PLAIN }, value)].into());
    assert_eq!(rows.service_options[&2].quic, 1 << QUIC_PLAIN);
}

#[test]
fn a_new_key_and_other_ids_are_taken_over_and_nothing_is_left_behind() {
    let mut table = table();
    table.replace(with_quic(&[lb(0, 3, 4, Some(KEY))], &["0a0b0c"]), 1).unwrap();
    let before = table.rows();
    table.replace(with_quic(&[lb(0, 3, 4, Some([8; 16]))], &["0a0b0d"]), 2).unwrap();
    let after = table.rows();
    let key = QuicKey { service: 2, config: 0 };
    assert_eq!(after.quic[&key].schedule, encryption_schedule(&[8; 16]));
    assert_eq!(after.quic_servers, [(server(2, "0a0b0d"), 2)].into());
    assert_eq!(diff(&before, &after).len(), 3, "a key, an id that comes, an id that goes");
    table.replace(usual(), 3).unwrap();
    let gone = table.rows();
    assert_eq!((gone.quic, gone.quic_servers, gone.service_options.get(&2)), Default::default());
}
