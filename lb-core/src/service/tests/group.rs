//! Affinity groups whose services cannot share a ring.

use super::*;

fn affinity(group: &str) -> Affinity {
    Affinity { prefix: 24, timeout_ms: None, group: Some(group.to_owned()) }
}

fn grouped(name: &str, port: u16) -> Service {
    Service { affinity: Some(affinity("shop")), ..service(name, VIP, Ports::Single(port), &["r1", "r2"]) }
}

/// The error of a service beside `web`, of the same group.
fn error(change: impl Fn(&mut Service)) -> Vec<String> {
    let mut other = grouped("other", 443);
    change(&mut other);
    errors_of(vec![grouped("web", 80), other])
}

#[test]
fn ports_protocols_modes_and_vips_may_differ() {
    let udp = Service { protocol: Protocol::Udp, vip: "192.0.2.9".parse().unwrap(), ..grouped("udp", 443) };
    let nat = Service { mode: Mode::Nat, ports: Ports::Single(8_443), ..grouped("nat", 1) };
    let mut weighted = grouped("weighted", 81);
    weighted.reals[0].weight = Some(DEFAULT_WEIGHT);
    assert_eq!(errors_of(vec![grouped("web", 80), grouped("tls", 443), udp, nat, weighted]), [""; 0]);
    let cluster = Cluster::new(
        vec![service("one", VIP, Ports::Single(1), &["r1"]), grouped("tls", 443), grouped("web", 80)],
        reals(),
    );
    let cluster = cluster.unwrap();
    let leaders: Vec<&str> = cluster.services().iter().map(|service| cluster.leader(service).name.as_str()).collect();
    assert_eq!(leaders, ["one", "tls", "tls"], "the first of the group leads");
    assert_eq!(cluster.group_of(&cluster.services()[2]).count(), 2);
    assert_eq!(cluster.group_of(&cluster.services()[0]).count(), 0);
}

#[test]
fn what_decides_the_ring_is_alike() {
    let differs = |difference: &str| {
        vec![format!(
            "service \"other\": service \"web\" is of affinity group \"shop\" too, and {difference}; make the two alike in this, \
             or give one of them another group"
        )]
    };
    let own = |service: &mut Service, change: fn(&mut Affinity)| service.affinity.iter_mut().for_each(change);
    assert_eq!(error(|_| {}), [""; 0]);
    assert_eq!(error(|other| own(other, |own| own.group = Some("mail".to_owned()))), [""; 0]);
    assert_eq!(error(|other| own(other, |own| own.prefix = 25)), differs("its prefix is 24 and not 25"));
    let timeout = error(|other| own(other, |own| own.timeout_ms = Some(1_500)));
    assert_eq!(timeout, differs("its timeout is `flow_idle_timeout` and not 1.5 s"));
    assert_eq!(error(|other| other.reals.truncate(1)), differs("it has the real \"r2\""));
    let more = Member { real: "six".to_owned(), ..Member::default() };
    let mode = Mode::Ipip;
    let with_more = error(|other| {
        other.reals.push(more.clone());
        other.mode = mode;
    });
    assert_eq!(with_more, differs("it has not the real \"six\""));
    assert_eq!(error(|other| other.reals[1].weight = Some(7)), differs("its real \"r2\" has weight 100 and not 7"));
    assert_eq!(error(|other| other.reals[1].fallback = true), differs("its real \"r2\" is no fallback"));
    let six = Service { affinity: Some(affinity("shop")), ..service("six", VIP6, Ports::Any, &["six"]) };
    let family = "service \"six\": service \"web\" is of affinity group \"shop\" too, and its VIP 192.0.2.1 is of the other family \
                  than 2001:db8:1::1; make the two alike in this, or give one of them another group";
    assert_eq!(errors_of(vec![grouped("web", 80), six]), [family]);
}

#[test]
fn a_group_has_a_name_and_no_quic() {
    let name = "service \"other\": the name of an affinity group must be 1 to 64 letters, digits, dots, underscores or hyphens; rename it";
    assert_eq!(error(|other| other.affinity = Some(affinity("the shop"))), [name]);
    let quic = QuicEncoding { server_id_length: 2, layout: QuicLayout::Plain { offset: 1 } };
    let quic = error(|other| (other.protocol, other.quic) = (Protocol::Udp, vec![quic.clone()]));
    let problem = "service \"other\": quic sends connections where their ids say, and an affinity group all of a client to one real; \
                   remove `group` or `quic`";
    assert_eq!(quic, [problem]);
}
