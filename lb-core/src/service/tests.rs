//! Every way in which services and reals can fail to fit together.

use super::*;

mod extras;
mod group;
mod nat;
mod quic;
mod vip_prefix;

fn service(name: &str, vip: &str, ports: Ports, reals: &[&str]) -> Service {
    let reals = reals.iter().map(|real| Member { real: (*real).to_owned(), ..Member::default() }).collect();
    let vip = vip.parse().unwrap();
    Service {
        name: name.to_owned(),
        vip,
        protocol: Protocol::Tcp,
        ports,
        mode: Mode::Dsr,
        reals,
        vip_prefix: None,
        one_packet: false,
        affinity: None,
        guards: Guards::default(),
        quic: Vec::new(),
    }
}

fn real(name: &str, address: &str) -> Real {
    Real { name: name.to_owned(), address: address.parse().unwrap(), weight: DEFAULT_WEIGHT }
}

fn reals() -> Vec<Real> {
    vec![real("r1", "198.51.100.1"), real("r2", "198.51.100.2"), real("six", "2001:db8::1")]
}

const VIP: &str = "192.0.2.1";
const VIP6: &str = "2001:db8:1::1";

fn errors(services: Vec<Service>, reals: Vec<Real>) -> Vec<String> {
    Cluster::new(services, reals).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// The errors of a service beside a sound one.
fn errors_of(services: Vec<Service>) -> Vec<String> {
    errors(services, reals())
}

#[test]
fn a_sound_cluster_is_taken() {
    let services = vec![
        service("web", VIP, Ports::Single(80), &["r1", "r2"]),
        service("six", VIP6, Ports::Any, &["six"]),
        Service { mode: Mode::Ipip, ..service("4in6", VIP, Ports::Range(8000, 8099), &["six", "r1"]) },
    ];
    let cluster = Cluster::new(services.clone(), reals()).unwrap();
    assert_eq!(cluster.services(), services);
    assert_eq!(cluster.reals(), reals());
    assert_eq!(cluster.service("six"), Some(&services[1]));
    assert_eq!(cluster.real("r2"), Some(&reals()[1]));
    assert_eq!(cluster.service("r2"), None);
    assert_eq!(cluster.real("web"), None);
}

#[test]
fn an_empty_cluster_is_sound() {
    assert_eq!(Cluster::new(Vec::new(), Vec::new()), Ok(Cluster::default()));
}

#[test]
fn names() {
    let long = "n".repeat(65);
    let wrong = "must be 1 to 64 letters, digits, dots, underscores or hyphens";
    for name in ["", "a b", "ü", "a/b", "a:b", long.as_str()] {
        let found = errors_of(vec![service(name, VIP, Ports::Single(80), &["r1"])]);
        assert_eq!(found, [format!("service {name:?}: the name {wrong}")]);
        let found = errors(Vec::new(), vec![real(name, "198.51.100.1")]);
        assert_eq!(found, [format!("real {name:?}: the name {wrong}")]);
    }
    for name in ["a", "A-1_b.c", &"n".repeat(64)] {
        assert!(errors_of(vec![service(name, VIP, Ports::Single(80), &["r1"])]).is_empty());
    }
}

#[test]
fn names_given_twice() {
    let found = errors_of(vec![
        service("web", VIP, Ports::Single(80), &["r1"]),
        service("web", VIP, Ports::Single(81), &["r1"]),
    ]);
    assert_eq!(found, ["service \"web\": the name is given twice; rename one of the two"]);
    let found = errors(Vec::new(), vec![real("r1", "198.51.100.1"), real("r1", "198.51.100.2")]);
    assert_eq!(found, ["real \"r1\": the name is given twice; rename one of the two"]);
}

#[test]
fn a_service_and_a_real_may_share_a_name() {
    assert!(errors_of(vec![service("r1", VIP, Ports::Single(80), &["r1"])]).is_empty());
}

#[test]
fn addresses_that_no_host_has() {
    for (address, kind) in [
        ("0.0.0.0", "the unspecified address"),
        ("::", "the unspecified address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("127.0.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("255.255.255.255", "the broadcast address"),
        ("::ffff:192.0.2.1", "an IPv4 address written as IPv6"),
    ] {
        let found = errors(Vec::new(), vec![real("r1", address)]);
        assert_eq!(found, [format!("real \"r1\": {address} is {kind}; give the address of a host")]);
        let vip = Service { mode: Mode::Ipip, ..service("web", address, Ports::Single(80), &["six"]) };
        let found = errors_of(vec![vip]);
        assert_eq!(found, [format!("service \"web\": {address} is {kind}; give the address of a host")]);
    }
}

#[test]
fn a_real_that_is_a_vip() {
    let found = errors(vec![service("web", VIP, Ports::Single(80), &["r1"])], vec![real("r1", VIP)]);
    assert_eq!(
        found,
        ["real \"r1\": the address 192.0.2.1 is the VIP of service \"web\"; give the real's own address"]
    );
}

#[test]
fn two_reals_may_share_an_address() {
    assert!(errors(Vec::new(), vec![real("r1", "198.51.100.1"), real("r2", "198.51.100.1")]).is_empty());
}

#[test]
fn weights() {
    let heavy = Real { weight: 65_536, ..real("r1", "198.51.100.1") };
    let found = errors(Vec::new(), vec![heavy]);
    assert_eq!(found, ["real \"r1\": weight 65536 is too great; give one from 0 to 65535"]);
    let mut web = service("web", VIP, Ports::Single(80), &["r1", "r2"]);
    web.reals[0].weight = Some(65_535);
    web.reals[1].weight = Some(65_536);
    let found = errors_of(vec![web]);
    assert_eq!(found, ["real \"r2\" of service \"web\": weight 65536 is too great; give one from 0 to 65535"]);
}

#[test]
fn ports_that_cannot_be() {
    let zero = "service \"web\": port 0 cannot be served; give ports from 1 to 65535, or \"any\"";
    for (ports, error) in [
        (Ports::Single(0), zero),
        (Ports::Range(0, 80), zero),
        (Ports::Range(90, 80), "service \"web\": the port range 90-80 is the wrong way round; write 80-90"),
    ] {
        assert_eq!(errors_of(vec![service("web", VIP, ports, &["r1"])]), [error]);
    }
    assert!(errors_of(vec![service("web", VIP, Ports::Range(80, 80), &["r1"])]).is_empty());
    assert!(errors_of(vec![service("web", VIP, Ports::Range(1, 65_535), &["r1"])]).is_empty());
}

#[test]
fn members() {
    let found = errors_of(vec![service("web", VIP, Ports::Single(80), &[])]);
    assert_eq!(found, ["service \"web\": it has no reals; list at least one"]);
    let found = errors_of(vec![service("web", VIP, Ports::Single(80), &["r1", "r1", "r9"])]);
    assert_eq!(
        found,
        [
            "real \"r1\" of service \"web\": the real is listed twice; remove one of the two",
            "real \"r9\" of service \"web\": no such real is defined; define it, or correct the name",
        ]
    );
}

#[test]
fn families() {
    let cannot = |mode, vip, address| format!("mode {mode} cannot carry packets for {vip} to {address}; ");
    let (v4, v6) = ("198.51.100.1", "2001:db8::1");
    for (mode, vip, member, error) in [
        (Mode::Dsr, VIP, "r1", None),
        (Mode::Dsr, VIP, "six", Some(cannot("dsr", VIP, v6) + "use a real of the VIP's family, or mode ipip or gue")),
        (Mode::Dsr, VIP6, "r1", Some(cannot("dsr", VIP6, v4) + "use a real of the VIP's family, or mode ipip or gue")),
        (Mode::Dsr, VIP6, "six", None),
        (Mode::Ipip, VIP, "r1", None),
        (Mode::Ipip, VIP, "six", None),
        (Mode::Ipip, VIP6, "r1", Some(cannot("ipip", VIP6, v4) + "an IPv6 VIP needs IPv6 reals")),
        (Mode::Ipip, VIP6, "six", None),
        (Mode::Gue, VIP, "r1", None),
        (Mode::Gue, VIP, "six", None),
        (Mode::Gue, VIP6, "r1", Some(cannot("gue", VIP6, v4) + "an IPv6 VIP needs IPv6 reals")),
        (Mode::Gue, VIP6, "six", None),
        (Mode::Nat, VIP, "r1", None),
        (Mode::Nat, VIP, "six", Some(cannot("nat", VIP, v6) + "use a real of the VIP's family")),
        (Mode::Nat, VIP6, "r1", Some(cannot("nat", VIP6, v4) + "use a real of the VIP's family")),
        (Mode::Nat, VIP6, "six", None),
    ] {
        let found = errors_of(vec![Service { mode, ..service("web", vip, Ports::Single(80), &[member]) }]);
        let wanted: Vec<String> =
            error.iter().map(|error| format!("real \"{member}\" of service \"web\": {error}")).collect();
        assert_eq!(found, wanted, "{mode} {vip} {member}");
    }
}

#[test]
fn sctp_goes_every_way_but_nat() {
    let sctp = |mode| Service { protocol: Protocol::Sctp, mode, ..service("web", VIP, Ports::Single(80), &["r1"]) };
    for mode in [Mode::Dsr, Mode::Ipip, Mode::Gue] {
        assert_eq!(errors_of(vec![sctp(mode), service("tcp", VIP, Ports::Single(80), &["r1"])]), [""; 0], "{mode}");
    }
    let error = "service \"web\": mode nat cannot carry sctp, whose checksum covers the whole packet; use mode dsr, ipip or gue";
    assert_eq!(errors_of(vec![sctp(Mode::Nat)]), [error]);
}

#[test]
fn outer_headers_have_their_length() {
    let lengths = |real: &str| {
        let real = real.parse().unwrap();
        [Mode::Dsr, Mode::Nat, Mode::Ipip, Mode::Gue].map(|mode| mode.outer_length(real))
    };
    assert_eq!(lengths("198.51.100.1"), [0, 0, 20, 28]);
    assert_eq!(lengths("2001:db8::1"), [0, 0, 40, 48]);
}

#[test]
fn overlaps() {
    use Ports::{Any, Range, Single};
    for (a, b, allowed) in [
        (Single(80), Single(80), false),
        (Single(80), Single(81), true),
        (Single(80), Range(70, 90), true),
        (Single(80), Range(80, 80), true),
        (Single(80), Any, true),
        (Range(70, 90), Any, true),
        (Any, Any, false),
        (Range(70, 90), Range(70, 90), false),
        (Range(70, 90), Range(90, 100), false),
        (Range(70, 90), Range(91, 100), true),
        (Range(70, 90), Range(75, 80), false),
        (Range(1, 65_535), Range(65_535, 65_535), false),
    ] {
        for (first, second) in [(a, b), (b, a)] {
            let found = errors_of(vec![service("one", VIP, first, &["r1"]), service("two", VIP, second, &["r1"])]);
            if allowed {
                assert!(found.is_empty(), "{first} and {second}: {found:?}");
            } else {
                assert_eq!(
                    found,
                    [format!(
                        "service \"two\": 192.0.2.1 tcp port {second} is also claimed by service \"one\" (port {first}); \
                         only a single port may lie inside a range, and any of these beside a service of any port"
                    )]
                );
            }
        }
    }
}

#[test]
fn a_range_inside_an_earlier_wide_one_is_found_behind_a_narrow_one() {
    let found = errors_of(vec![
        service("wide", VIP, Ports::Range(1, 1000), &["r1"]),
        service("low", VIP, Ports::Range(2, 3), &["r1"]),
        service("high", VIP, Ports::Range(500, 501), &["r1"]),
    ]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].starts_with("service \"high\"") && found[1].contains("\"wide\""), "{found:?}");
}

#[test]
fn other_vips_and_protocols_do_not_overlap() {
    let web = service("web", VIP, Ports::Single(80), &["r1"]);
    let udp = Service { name: "udp".to_owned(), protocol: Protocol::Udp, ..web.clone() };
    let vip = Service { name: "vip".to_owned(), vip: "192.0.2.2".parse().unwrap(), ..web.clone() };
    assert!(errors_of(vec![web, udp, vip]).is_empty());
}

#[test]
fn everything_wrong_is_told_at_once() {
    let found = errors(
        vec![service("web", VIP, Ports::Single(0), &["r9"]), service("x y", VIP, Ports::Single(80), &[])],
        vec![Real { weight: 70_000, ..real("r1", "0.0.0.0") }],
    );
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn the_item_is_named() {
    let error = Cluster::new(vec![service("web", VIP, Ports::Single(80), &["r9"])], Vec::new()).unwrap_err();
    let subject = Subject::Member { service: "web".to_owned(), real: "r9".to_owned() };
    assert_eq!(error, [ClusterError { subject, problem: Problem::UnknownReal }]);
}

#[test]
fn more_than_the_maps_hold() {
    let many_services: Vec<Service> =
        (0..=MAX_SERVICES).map(|i| service(&format!("s{i}"), VIP, Ports::Single(i as u16 + 1), &["r1"])).collect();
    assert!(errors_of(many_services[..MAX_SERVICES].to_vec()).is_empty());
    assert_eq!(
        errors_of(many_services),
        ["service \"s4096\": there are 4097 services, and 4096 is the most; remove some"]
    );

    let many_reals: Vec<Real> = (0..=MAX_REALS).map(|i| real(&format!("r{i}"), "198.51.100.1")).collect();
    assert!(errors(Vec::new(), many_reals[..MAX_REALS].to_vec()).is_empty());
    let found = errors(Vec::new(), many_reals);
    assert_eq!(found, ["real \"r65535\": there are 65536 reals, and 65535 is the most; remove some"]);
}

#[test]
fn more_port_prefixes_than_the_trie_holds() {
    // 1-65534 needs 30 prefixes, on a VIP of its own each time.
    let wide = |i: u16| {
        let vip = format!("192.0.{}.{}", i / 250, i % 250 + 1);
        service(&format!("s{i}"), &vip, Ports::Range(1, 65_534), &["r1"])
    };
    assert!(errors_of((0..2_184).map(wide).collect()).is_empty());
    let found = errors_of((0..2_186).map(wide).collect());
    let wanted = "the port ranges need 65580 prefixes, and 65536 is the most; use fewer or aligned ranges";
    assert_eq!(found, [format!("service \"s2184\": {wanted}")]);
}
