//! Guards, affinity and one-packet scheduling that do not fit their service.

use super::*;

fn guarded(vip: &str, guards: Guards) -> Service {
    Service { guards, ..service("web", vip, Ports::Single(80), &[if vip == VIP { "r1" } else { "six" }]) }
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn access(vip: &str, allow: &[&str], deny: &[&str]) -> Service {
    guarded(vip, Guards { allow: prefixes(allow), deny: prefixes(deny), ..Guards::default() })
}

fn of_web(problem: &str) -> Vec<String> {
    vec![format!("service \"web\": {problem}")]
}

#[test]
fn prefixes_are_of_the_vips_family_and_listed_once() {
    for (service, expected) in [
        (access(VIP, &["203.0.113.0/24", "203.0.113.0/25", "0.0.0.0/0"], &["203.0.113.0/26"]), vec![]),
        (access(VIP6, &["2001:db8::/32"], &["::/0"]), vec![]),
        (
            access(VIP, &["2001:db8::/32"], &[]),
            of_web(
                "2001:db8::/32 is not of the family of the VIP 192.0.2.1; no packet for it can come from there, so remove it",
            ),
        ),
        (
            access(VIP, &["203.0.113.7", "203.0.113.7/32"], &[]),
            of_web("203.0.113.7/32 is listed twice; remove one of the two"),
        ),
        (
            access(VIP, &[], &["203.0.113.0/24", "203.0.113.0/24"]),
            of_web("203.0.113.0/24 is listed twice; remove one of the two"),
        ),
        (
            access(VIP, &["203.0.113.0/24"], &["203.0.113.0/24"]),
            of_web("203.0.113.0/24 is in `allow` and in `deny`; remove one of the two"),
        ),
    ] {
        assert_eq!(errors_of(vec![service]), expected);
    }
}

#[test]
fn prefixes_fit_the_map() {
    let prefix = |n: u32| Prefix::new(std::net::Ipv4Addr::from_bits(n << 8).into(), 24).unwrap();
    let allow: Vec<Prefix> = (1 << 16..(1 << 16) + MAX_ACCESS_PREFIXES as u32).map(prefix).collect();
    let most = guarded(VIP, Guards { allow: allow.clone(), ..Guards::default() });
    let one_more =
        Service { name: "more".to_owned(), ports: Ports::Single(81), ..access(VIP, &[], &["203.0.113.0/24"]) };
    assert_eq!(errors_of(vec![most.clone()]), [""; 0]);
    let error =
        "service \"more\": all services together allow and deny 65537 prefixes, and 65536 is the most; join some";
    assert_eq!(errors_of(vec![most, one_more]), [error]);
}

#[test]
fn limits_are_for_tcp_and_have_their_bounds() {
    let limit = |rate, burst, prefix| Guards {
        new_flow_limit: Some(NewFlowLimit { rate, burst, prefix }),
        ..Guards::default()
    };
    let flood = Guards { syn_flood: Some(SynFlood { threshold: 1 }), ..Guards::default() };
    assert_eq!(errors_of(vec![guarded(VIP, limit(1, 1, 32))]), [""; 0]);
    assert_eq!(errors_of(vec![guarded(VIP6, limit(1_000_000, 1_000_000, 128))]), [""; 0]);
    assert_eq!(errors_of(vec![guarded(VIP, flood.clone())]), [""; 0]);
    let bounds = "rate and burst of new_flow_limit must be 1 to 1000000; give others";
    for guards in [limit(0, 1, 32), limit(1, 0, 32), limit(1_000_001, 1, 32), limit(1, 1_000_001, 32)] {
        assert_eq!(errors_of(vec![guarded(VIP, guards)]), of_web(bounds));
    }
    for (vip, prefix, bits) in [(VIP, 0, 32), (VIP, 33, 32), (VIP6, 129, 128)] {
        let error = format!(
            "the prefix of new_flow_limit is {prefix}, and an address of the VIP's family has {bits} bits; write 1 to {bits}"
        );
        assert_eq!(errors_of(vec![guarded(vip, limit(1, 1, prefix))]), of_web(&error));
    }
    for protocol in [Protocol::Udp, Protocol::Sctp] {
        for (guards, what) in [(limit(1, 1, 32), "new_flow_limit"), (flood.clone(), "syn_flood")] {
            let error = format!(
                "{what} is for tcp, whose SYN says that a flow begins, and this service is {protocol}; remove `{what}`"
            );
            assert_eq!(errors_of(vec![Service { protocol, ..guarded(VIP, guards) }]), of_web(&error));
        }
    }
}

#[test]
fn one_packet_is_for_udp_and_not_with_affinity() {
    let plain = |protocol| Service { protocol, ..service("web", VIP, Ports::Single(80), &["r1"]) };
    let affinity = Some(Affinity { prefix: 24, timeout_ms: None, group: None });
    assert_eq!(errors_of(vec![Service { one_packet: true, ..plain(Protocol::Udp) }]), [""; 0]);
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        assert_eq!(errors_of(vec![Service { affinity: affinity.clone(), ..plain(protocol) }]), [""; 0], "{protocol}");
    }
    let error =
        "one_packet sends each packet by itself, and affinity all of a client to one real; remove one of the two";
    assert_eq!(errors_of(vec![Service { one_packet: true, affinity, ..plain(Protocol::Udp) }]), of_web(error));
    let error = "one_packet is for udp, and this service is tcp; remove `one_packet`";
    assert_eq!(errors_of(vec![Service { one_packet: true, ..plain(Protocol::Tcp) }]), of_web(error));
    let wide = Some(Affinity { prefix: 33, timeout_ms: None, group: None });
    let error = "the prefix of affinity is 33, and an address of the VIP's family has 32 bits; write 1 to 32";
    assert_eq!(errors_of(vec![Service { affinity: wide, ..plain(Protocol::Tcp) }]), of_web(error));
}
