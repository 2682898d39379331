//! QUIC services: what is read, every way to get it wrong, and the files of keys.

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt as _;

use lb_core::service::{QuicEncoding, QuicLayout, QuicSecret, Service};

use super::{Config, GOOD, errors, parse};

/// [`GOOD`] with a UDP service, and keys of it; they begin in line 19.
fn source(keys: &str) -> String {
    format!("{}{keys}\n", GOOD.replace("tcp", "udp"))
}

/// The same with server ids of the second real.
fn with_ids(ids: &str) -> String {
    source("quic = [{ server_id_length = 3, nonce_length = 4 }]")
        .replace("weight = 20", &format!("quic_server_ids = {ids}"))
}

fn service(keys: &str) -> Service {
    parse(&source(keys)).unwrap().cluster.services()[0].clone()
}

/// The only error of a file.
fn error_of(source: &str) -> String {
    let found = errors(source);
    assert_eq!(found.len(), 1, "{source}\n{found:#?}");
    found[0].clone()
}

#[test]
fn encodings_are_read() {
    let lb = |config, server_id_length, nonce_length, key| QuicEncoding {
        server_id_length,
        layout: QuicLayout::QuicLb { config, nonce_length, key },
    };
    let plain = |offset, server_id_length| QuicEncoding { server_id_length, layout: QuicLayout::Plain { offset } };
    assert_eq!(service("").quic, []);
    assert_eq!(service("[[service.quic]]\nserver_id_length = 3\nnonce_length = 4").quic, [lb(0, 3, 4, None)]);
    let two = "[[service.quic]]\nencoding = \"quic-lb\"\nconfig = 6\nserver_id_length = 15\nnonce_length = 4\n\
               key_file = \"/etc/understudy/quic.key\"\n[[service.quic]]\nserver_id_length = 1\nnonce_length = 18\n";
    // Nobody looks for the file here.
    let key = Some(QuicSecret { file: "/etc/understudy/quic.key".into(), bytes: [0; 16] });
    assert_eq!(service(two).quic, [lb(6, 15, 4, key), lb(0, 1, 18, None)]);
    assert_eq!(service("quic = [{ encoding = \"plain\", server_id_length = 2 }]").quic, [plain(1, 2)]);
    assert_eq!(service("quic = [{ encoding = \"plain\", offset = 0, server_id_length = 2 }]").quic, [plain(0, 2)]);
}

#[test]
fn server_ids_are_read() {
    let reals = parse(&with_ids("[\"0a0b0c\", \"FF0000\"]")).unwrap().cluster.services()[0].reals.clone();
    let ids: Vec<String> = reals[1].quic_server_ids.iter().map(ToString::to_string).collect();
    assert_eq!((reals[0].quic_server_ids.len(), ids), (0, vec!["0a0b0c".to_owned(), "ff0000".to_owned()]));
}

#[test]
fn what_cannot_be_is_pointed_at() {
    let table = |keys: &str| source(&format!("[[service.quic]]\n{keys}"));
    for (source, expected) in [
        (table("nonce_length = 4"), "19:1 `server_id_length` is missing | add a line like this: server_id_length = 3"),
        (table("server_id_length = 3"), "19:1 `nonce_length` is missing | add a line like this: nonce_length = 4"),
        (
            table("server_id_length = 0\nnonce_length = 4"),
            "20:20 `server_id_length` is out of range | it can be 1 to 15",
        ),
        (table("server_id_length = 1\nnonce_length = 19"), "21:16 `nonce_length` is out of range | it can be 4 to 18"),
        (
            table("server_id_length = 15\nnonce_length = 5"),
            "19:1 service \"web\": a QUIC-LB connection id has a server id of 1 to 15 bytes and a nonce of 4 to 18, both together 19 at most | give other lengths",
        ),
        (
            table("config = 7\nserver_id_length = 1\nnonce_length = 4"),
            "20:10 `config` is out of range | it can be 0 to 6",
        ),
        (
            table("server_id_length = 1\nnonce_length = 4\noffset = 1"),
            "22:1 encoding `quic-lb` has no `offset` | remove it, or write encoding = \"plain\"",
        ),
        (
            table("encoding = \"plain\"\nserver_id_length = 1\nkey_file = \"/k\""),
            "22:1 encoding `plain` has no `key_file` | remove it, or write encoding = \"quic-lb\"",
        ),
        (
            table("encoding = \"plain\"\nserver_id_length = 2\noffset = 19"),
            "19:1 service \"web\": a server id of 1 to 15 bytes has to end within the 20 bytes of a connection id | give other numbers",
        ),
        (
            table("server_id_length = 1\nnonce_length = 4\nkey_file = \"quic.key\""),
            "22:12 `key_file` is not an absolute path: \"quic.key\" | write the whole path, as in key_file = \"/etc/understudy/quic.key\"",
        ),
        (
            source("quic = [{ server_id_length = 1, nonce_length = 4 }, { server_id_length = 2, nonce_length = 4 }]"),
            "19:53 service \"web\": config 0 is there twice | give each table `quic` another one, from 0 to 6",
        ),
        (
            table("server_id_length = 1\nnonce_length = 4").replace("udp", "tcp"),
            "19:1 service \"web\": quic is for udp, and this service is tcp | remove `quic`",
        ),
        (
            with_ids("[\"0a0b\"]"),
            "18:54 real \"web2\" of service \"web\": no `quic` of the service has a server_id_length like that of 0a0b | give it as many bytes as they say",
        ),
        (
            with_ids("[\"0a0b0c\", \"0A0B0C\"]"),
            "18:64 real \"web2\" of service \"web\": server id 0a0b0c is also that of real \"web2\" | a server id stands for one real, so give another",
        ),
        (
            with_ids("[]"),
            "18:53 `quic_server_ids` has 0 entries | it can have 1 to 16, as in quic_server_ids = [\"0a0b0c\"]",
        ),
        (
            with_ids("[\"0a0b0\"]"),
            "18:54 `quic_server_ids` cannot have \"0a0b0\" | write two hex digits for each of its 1 to 15 bytes, as in \"0a0b0c\"",
        ),
    ] {
        assert_eq!(error_of(&source), expected, "{source}");
    }
}

#[test]
fn keys_are_read_with_the_file_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let (path, key) = (directory.path().join("lbd.toml"), directory.path().join("quic.key"));
    let table = format!("[[service.quic]]\nserver_id_length = 1\nnonce_length = 4\nkey_file = {key:?}");
    write(&path, source(&table)).unwrap();
    let load = || {
        let config = Config::load(&path)?;
        let QuicLayout::QuicLb { key, .. } = &config.cluster.services()[0].quic[0].layout else { panic!("plain") };
        Ok::<_, lb_config::ConfigError>(key.clone().unwrap().bytes)
    };
    let error = load().unwrap_err().to_string();
    assert!(error.contains("lbd.toml:22:12") && error.contains("openssl rand -hex 16"), "{error}");
    for byte in [1, 2] {
        write(&key, format!("{}\n", format!("{byte:02x}").repeat(16))).unwrap();
        set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load().unwrap(), [byte; 16]);
    }
    set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(error.contains("others than its owner can get at it") && !error.contains("0202"), "{error}");
}
