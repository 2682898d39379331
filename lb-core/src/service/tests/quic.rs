//! QUIC services whose connection ids could not be read, and server ids that would name nobody or two reals.

use super::*;

fn lb(config: u8, server_id_length: u8, nonce_length: u8) -> QuicEncoding {
    QuicEncoding { server_id_length, layout: QuicLayout::QuicLb { config, nonce_length, key: None } }
}

fn plain(offset: u8, server_id_length: u8) -> QuicEncoding {
    QuicEncoding { server_id_length, layout: QuicLayout::Plain { offset } }
}

fn id(hex: &str) -> QuicServerId {
    QuicServerId::parse(hex).unwrap()
}

/// Of reals r1 and r2, with these server ids.
fn quic(encodings: &[QuicEncoding], ids: [&[&str]; 2]) -> Service {
    let mut service = service("web", VIP, Ports::Single(443), &["r1", "r2"]);
    for (member, ids) in service.reals.iter_mut().zip(ids) {
        member.quic_server_ids = ids.iter().map(|hex| id(hex)).collect();
    }
    Service { protocol: Protocol::Udp, quic: encodings.to_vec(), ..service }
}

#[test]
fn sound_encodings_are_taken() {
    let all: Vec<QuicEncoding> = (0..7).map(|config| lb(config, 1 + config, 4)).collect();
    for service in [
        quic(&all, [&["0a", "0b0c"], &["0c"]]),
        quic(&[lb(6, 15, 4)], [&["000102030405060708090a0b0c0d0e"], &[]]),
        quic(&[lb(0, 1, 18)], [&[], &[]]),
        quic(&[plain(19, 1)], [&["00"], &["ff"]]),
        Service { one_packet: true, ..quic(&[plain(0, 15)], [&[], &[]]) },
    ] {
        assert_eq!(errors_of(vec![service]), [""; 0]);
    }
}

#[test]
fn lengths_are_those_of_a_connection_id() {
    const LENGTH: &str = "service \"web\": a QUIC-LB connection id has a server id of 1 to 15 bytes and a nonce of 4 to 18, both together 19 at most; give other lengths";
    const PLAIN: &str = "service \"web\": a server id of 1 to 15 bytes has to end within the 20 bytes of a connection id; give other numbers";
    for (encoding, error) in [
        (lb(0, 0, 4), LENGTH),
        (lb(0, 16, 4), LENGTH),
        (lb(0, 1, 3), LENGTH),
        (lb(0, 1, 19), LENGTH),
        (lb(0, 15, 5), LENGTH),
        (lb(0, 255, 255), LENGTH),
        (lb(7, 3, 4), LENGTH),
        (plain(1, 0), PLAIN),
        (plain(1, 16), PLAIN),
        (plain(6, 15), PLAIN),
        (plain(255, 2), PLAIN),
    ] {
        assert_eq!(errors_of(vec![quic(std::slice::from_ref(&encoding), [&[], &[]])]), [error], "{encoding:?}");
    }
}

#[test]
fn configs_are_told_apart() {
    assert_eq!(
        errors_of(vec![quic(&[lb(1, 3, 4), lb(2, 3, 4), lb(1, 4, 4)], [&[], &[]])]),
        ["service \"web\": config 1 is there twice; give each table `quic` another one, from 0 to 6"]
    );
    let alone = "service \"web\": encoding \"plain\" has no config, and goes with no other table `quic`; remove the others, or this one";
    assert_eq!(errors_of(vec![quic(&[lb(1, 3, 4), plain(1, 2)], [&[], &[]])]), [alone]);
    assert_eq!(errors_of(vec![quic(&[plain(1, 2), plain(1, 2)], [&[], &[]])]), [alone]);
}

#[test]
fn only_udp_carries_quic() {
    for protocol in [Protocol::Tcp, Protocol::Sctp] {
        let service = Service { protocol, ..quic(&[lb(0, 3, 4)], [&[], &[]]) };
        let error = format!("service \"web\": quic is for udp, and this service is {protocol}; remove `quic`");
        assert_eq!(errors_of(vec![service]), [error]);
    }
}

#[test]
fn a_server_id_stands_for_one_real() {
    let encodings = [lb(0, 1, 4), lb(1, 2, 4)];
    let of = |real: &str, problem: &str| vec![format!("real {real:?} of service \"web\": {problem}")];
    for (ids, expected) in [
        (
            [&["0a"] as &[&str], &["0b", "0a"] as &[&str]],
            of("r2", "server id 0a is also that of real \"r1\"; a server id stands for one real, so give another"),
        ),
        (
            [&[], &["0b", "0b"]],
            of("r2", "server id 0b is also that of real \"r2\"; a server id stands for one real, so give another"),
        ),
        (
            [&["0a0b0c"], &["0a", "0a00"]],
            of(
                "r1",
                "no `quic` of the service has a server_id_length like that of 0a0b0c; give it as many bytes as they say",
            ),
        ),
    ] {
        assert_eq!(errors_of(vec![quic(&encodings, ids)]), expected);
    }
    let alone = "the service has no `quic`, which says where connection ids have a server id; add it, or remove these";
    assert_eq!(errors_of(vec![quic(&[], [&["0a"], &[]])]), of("r1", alone));
    let many: Vec<String> = (0..17).map(|n| format!("{n:02x}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(errors_of(vec![quic(&encodings, [&many[..16], &[]])]), [""; 0]);
    let error = of("r1", "it has 17 server ids, and 16 is the most; remove some");
    assert_eq!(errors_of(vec![quic(&encodings, [&many, &[]])]), error);
}

#[test]
fn encodings_and_server_ids_fit_the_maps() {
    let encodings: Vec<QuicEncoding> = (0..7).map(|config| lb(config, 2, 4)).collect();
    let numbered = |n: u16| Service { name: format!("s{n}"), ports: Ports::Single(n), ..quic(&encodings, [&[], &[]]) };
    let services: Vec<Service> = (1..=586).map(numbered).collect();
    assert_eq!(errors_of(services[..585].to_vec()), [""; 0]);
    let error = "service \"s586\": all services together have 4102 tables `quic`, and 4096 is the most; remove some";
    assert_eq!(errors_of(services), [error]);

    let many: Vec<QuicServerId> = (0..16_u16).map(|n| id(&format!("{n:04x}"))).collect();
    let with_ids = |n: u16| {
        let mut service = numbered(n);
        service.quic.truncate(1);
        service.reals.truncate(1);
        service.reals[0].quic_server_ids = many.clone();
        service
    };
    let services: Vec<Service> = (1..=4_096).map(with_ids).collect();
    assert_eq!(errors_of(services.clone()), [""; 0], "65,536 of them");
    let mut one_more = services;
    one_more[0].reals.push(Member { real: "r2".to_owned(), quic_server_ids: vec![id("ffff")], ..Member::default() });
    let error =
        "service \"s4096\": the reals of all services have 65537 QUIC server ids, and 65536 is the most; remove some";
    assert_eq!(errors_of(one_more), [error]);
}

#[test]
fn server_ids_are_hex_digits() {
    for (text, bytes) in [("0a", vec![10]), ("fF00", vec![255, 0]), (&"00".repeat(15), vec![0; 15])] {
        assert_eq!(QuicServerId::parse(text).unwrap().bytes(), bytes);
    }
    assert_eq!(id("0A0b").to_string(), "0a0b");
    for text in ["", "0", "0g", "+1", "0a0", "0a 0", &"00".repeat(16)] {
        assert_eq!(QuicServerId::parse(text), None, "{text:?}");
    }
}

#[test]
fn keys_are_not_shown() {
    let secret = QuicSecret { file: "/etc/understudy/quic.key".into(), bytes: [0xab; 16] };
    assert_eq!(format!("{secret:?}"), "QuicSecret { file: \"/etc/understudy/quic.key\", .. }");
}
