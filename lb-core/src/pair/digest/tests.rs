//! Digests: those that docs/reference/wire.md prints, and what they depend on.

use super::*;
use crate::{
    service::{
        Affinity, Guards, Member, Mode, NewFlowLimit, Ports, Protocol, QuicEncoding, QuicServerId, Real, SynFlood,
    },
    table::TableOptions,
    testing::page::{blocks, fields},
};

const PAGE: &str = include_str!("../../../../docs/reference/wire.md");

fn real(name: &str, address: &str, weight: u32) -> Real {
    Real { name: name.to_owned(), address: address.parse().unwrap(), weight }
}

fn web() -> Service {
    Service {
        name: "web".to_owned(),
        vip: "192.0.2.1".parse().unwrap(),
        protocol: Protocol::Tcp,
        ports: Ports::Range(8_000, 8_099),
        mode: Mode::Dsr,
        reals: vec![Member { real: "web1".to_owned(), weight: Some(7), ..Member::default() }],
        vip_prefix: None,
        one_packet: false,
        affinity: None,
        guards: Guards::default(),
        quic: Vec::new(),
    }
}

fn mail() -> Service {
    Service {
        name: "mail".to_owned(),
        vip: "2001:db8::25".parse().unwrap(),
        protocol: Protocol::Udp,
        ports: Ports::Any,
        mode: Mode::Ipip,
        reals: vec![Member { real: "web2".to_owned(), ..Member::default() }],
        vip_prefix: None,
        one_packet: false,
        affinity: None,
        guards: Guards::default(),
        quic: Vec::new(),
    }
}

fn reals() -> Vec<Real> {
    vec![real("web1", "198.51.100.1", 100), real("web2", "2001:db8::1:0:2", 50)]
}

fn table(clusters: &[Cluster]) -> SchedulingTable {
    let mut table = SchedulingTable::new(TableOptions::default());
    clusters.iter().for_each(|cluster| table.replace(cluster.clone(), 0).unwrap());
    table
}

#[test]
fn the_page_says_what_is_hashed() {
    let cluster = Cluster::new(vec![web(), mail()], reals()).unwrap();
    let lines: Vec<String> = lines(&cluster).into_iter().collect();
    assert_eq!(lines, blocks(PAGE, "services")[0].lines().collect::<Vec<_>>());
    let page = &fields(PAGE, "digests")[0];
    let digest = |name: &str| u64::from_str_radix(page.text(name), 16).unwrap();
    assert_eq!(vips(&cluster), digest("vips"));
    assert_eq!(services(&cluster), digest("services"));
    assert_eq!(slots(&table(&[cluster])), digest("slots"));
}

#[test]
fn order_and_ids_do_not_matter() {
    let cluster = Cluster::new(vec![web(), mail()], reals()).unwrap();
    let turned = Cluster::new(vec![mail(), web()], reals().into_iter().rev().collect()).unwrap();
    assert_eq!((vips(&turned), services(&turned)), (vips(&cluster), services(&cluster)));
    let only_web = Cluster::new(vec![web()], reals().into_iter().take(1).collect()).unwrap();
    let other_ids = table(&[turned.clone(), only_web, turned]);
    let usual = table(&[cluster]);
    let ids = |table: &SchedulingTable| table.reals().map(|view| view.id).collect::<Vec<_>>();
    assert_ne!(ids(&other_ids), ids(&usual));
    assert_eq!(slots(&other_ids), slots(&usual));
}

#[test]
fn a_vip_of_two_services_counts_once() {
    let second = Service { name: "web-udp".to_owned(), protocol: Protocol::Udp, ..web() };
    let one = Cluster::new(vec![web()], reals()).unwrap();
    let two = Cluster::new(vec![web(), second], reals()).unwrap();
    assert_eq!(vips(&one), vips(&two));
    assert_ne!(services(&one), services(&two));
    assert_ne!(vips(&one.clone().with_gateways(["192.0.2.254".parse().unwrap()])), vips(&one));
}

#[test]
fn whatever_is_configured_counts() {
    let usual = services(&Cluster::new(vec![web()], reals()).unwrap());
    let changes: [fn(&mut Service); 5] = [
        |service| service.vip = "192.0.2.2".parse().unwrap(),
        |service| service.protocol = Protocol::Udp,
        |service| service.ports = Ports::Single(8_000),
        |service| service.mode = Mode::Ipip,
        |service| service.reals[0].weight = None,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut service = web();
        change(&mut service);
        assert_ne!(services(&Cluster::new(vec![service], reals()).unwrap()), usual, "change {number}");
    }
    let nat = |port| {
        let reals = vec![Member { real: "web1".to_owned(), port, ..Member::default() }];
        let nat = Service { mode: Mode::Nat, ports: Ports::Single(80), reals, ..web() };
        services(&Cluster::new(vec![nat], self::reals()).unwrap())
    };
    assert_ne!(nat(None), nat(Some(8_080)));
    assert_ne!(nat(Some(8_081)), nat(Some(8_080)));
    let heavier = vec![real("web1", "198.51.100.1", 101), reals().remove(1)];
    assert_ne!(services(&Cluster::new(vec![web()], heavier).unwrap()), usual);
}

#[test]
fn a_slot_that_moves_counts() {
    let both = |first: u32| {
        let members = [("web1", first), ("web3", 100)];
        let members =
            members.map(|(real, weight)| Member { real: real.to_owned(), weight: Some(weight), ..Member::default() });
        let reals = vec![real("web1", "198.51.100.1", 100), real("web3", "198.51.100.3", 100)];
        Cluster::new(vec![Service { reals: members.into(), ..web() }], reals).unwrap()
    };
    assert_ne!(slots(&table(&[both(100)])), slots(&table(&[both(101)])));
    assert_eq!(slots(&table(&[both(100)])), slots(&table(&[both(100)])));
}

#[test]
fn nothing_configured_has_digests_too() {
    let nothing = Cluster::default();
    assert_eq!(vips(&nothing), services(&nothing));
    assert_eq!(slots(&table(&[])), vips(&nothing), "of no text");
}

#[test]
fn what_few_services_have_counts_where_they_have_it() {
    let digest = |service: Service| services(&Cluster::new(vec![service], reals()).unwrap());
    let tcp = || Service { reals: web().reals, ..web() };
    let prefix = |text: &str| vec![text.parse().unwrap()];
    let guarded = |guards| Service { guards, ..tcp() };
    let limit = |rate| Some(NewFlowLimit { rate, burst: 1, prefix: 32 });
    let lb = |config, nonce_length, key: Option<u8>| {
        let key = key.map(|byte| QuicSecret { file: format!("/{nonce_length}").into(), bytes: [byte; 16] });
        QuicEncoding { server_id_length: 2, layout: QuicLayout::QuicLb { config, nonce_length, key } }
    };
    let plain = |offset| QuicEncoding { server_id_length: 2, layout: QuicLayout::Plain { offset } };
    let quic = |encoding, id: Option<&str>| {
        let mut service = Service { protocol: Protocol::Udp, quic: vec![encoding], ..tcp() };
        service.reals[0].quic_server_ids = id.and_then(QuicServerId::parse).into_iter().collect();
        service
    };
    let grouped = |group: &str| Some(Affinity { prefix: 24, timeout_ms: None, group: Some(group.to_owned()) });
    let variants = [
        quic(lb(0, 4, None), None),
        quic(lb(1, 4, None), None),
        quic(lb(0, 5, None), None),
        quic(lb(0, 4, Some(1)), None),
        quic(lb(0, 4, Some(2)), None),
        quic(plain(4), None),
        quic(plain(5), None),
        quic(plain(5), Some("0a0b")),
        quic(plain(5), Some("0a0c")),
        tcp(),
        Service { affinity: Some(Affinity { prefix: 24, timeout_ms: None, group: None }), ..tcp() },
        Service { affinity: Some(Affinity { prefix: 24, timeout_ms: Some(1_000), group: None }), ..tcp() },
        Service { affinity: grouped("shop"), ..tcp() },
        Service { affinity: grouped("mail"), ..tcp() },
        Service { vip: [192, 0, 2, 0].into(), ..tcp() },
        Service { vip: [192, 0, 2, 0].into(), vip_prefix: Some(31), ..tcp() },
        Service { vip: [192, 0, 2, 0].into(), vip_prefix: Some(30), ..tcp() },
        Service { protocol: Protocol::Udp, ..tcp() },
        Service { protocol: Protocol::Udp, one_packet: true, ..tcp() },
        guarded(Guards { allow: prefix("203.0.113.0/24"), ..Guards::default() }),
        guarded(Guards { deny: prefix("203.0.113.0/24"), ..Guards::default() }),
        guarded(Guards { new_flow_limit: limit(1), ..Guards::default() }),
        guarded(Guards { new_flow_limit: limit(2), ..Guards::default() }),
        guarded(Guards { syn_flood: Some(SynFlood { threshold: 1 }), ..Guards::default() }),
    ];
    let digests: BTreeSet<u64> = variants.into_iter().map(digest).collect();
    assert_eq!(digests.len(), 24);
}

/// Where it is on a node does not matter.
#[test]
fn keys_of_quic_count_and_are_not_told() {
    let line = |file: &str, byte: u8| {
        let key = Some(QuicSecret { file: file.into(), bytes: [byte; 16] });
        let encoding =
            QuicEncoding { server_id_length: 3, layout: QuicLayout::QuicLb { config: 2, nonce_length: 4, key } };
        of_quic(&Service { quic: vec![encoding], ..web() }).collect::<Vec<_>>()
    };
    // printf '\\252%.0s' {1..16} | sha256sum
    assert_eq!(line("/a", 0xaa), ["quic web 2 3 4 bc1443a0d17aab2d"]);
    assert_eq!(line("/a", 0xaa), line("/b", 0xaa));
    assert_ne!(line("/a", 0xaa), line("/a", 0xab));
}
