//! What a service says of its clients: affinity, one-packet scheduling, guards. What is read, and every way to get it wrong.

use lb_core::service::{Affinity, Guards, NewFlowLimit, Service, SynFlood};

use super::{GOOD, errors, parse};

/// [`GOOD`] with keys of its service; they begin in line 19.
fn source(keys: &str) -> String {
    format!("{GOOD}{keys}\n")
}

fn service(keys: &str) -> Service {
    parse(&source(keys)).unwrap().cluster.services()[0].clone()
}

fn service6(keys: &str) -> Service {
    let six = source(keys).replace("198.51.100.1", "2001:db8:1::1").replace("192.0.2.1", "2001:db8::1");
    parse(&six).unwrap().cluster.services()[0].clone()
}

/// The only error of these keys.
fn error(keys: &str) -> String {
    let found = errors(&source(keys));
    assert_eq!(found.len(), 1, "{keys}\n{found:#?}");
    found[0].clone()
}

#[test]
fn a_service_says_nothing_of_its_clients() {
    let service = service("");
    assert_eq!((service.one_packet, service.affinity.clone(), service.guards), (false, None, Guards::default()));
}

#[test]
fn affinity_is_read() {
    let affinity = |prefix, timeout_ms| Some(Affinity { prefix, timeout_ms, group: None });
    assert_eq!(service("affinity = {}").affinity, affinity(32, None));
    assert_eq!(service6("[service.affinity]").affinity, affinity(128, None));
    assert_eq!(service("affinity = { prefix = 24, timeout = \"1h\" }").affinity, affinity(24, Some(3_600_000)));
}

/// [`GOOD`] with another service of its affinity group.
fn group(own: &str, others: &str) -> String {
    format!(
        "{GOOD}affinity = {{ group = \"shop\" }}\n{own}\n[[service]]\nname = \"tls\"\nvip = \"198.51.100.1\"\nprotocol = \"tcp\"\nport = 443\n\
         mode = \"dsr\"\nreals = [\"web1\", {{ name = \"web2\", weight = 20 }}]\n{others}\n"
    )
}

#[test]
fn services_of_a_group_are_alike_in_what_decides_their_ring() {
    let found = |own: &str, others: &str| errors(&group(own, others));
    let affinity = "affinity = { group = \"shop\" }\n";
    let config = parse(&group("", affinity)).unwrap();
    let leaders: Vec<_> = config.cluster.services().iter().map(|own| config.cluster.leader(own).name.clone()).collect();
    assert_eq!(leaders, ["web", "web"]);
    for key in ["scheduling = \"static\"", "all_down = \"reset\""] {
        let name = key.split(' ').next().unwrap();
        let expected = format!(
            "service \"tls\": service \"web\" is of affinity group \"shop\" too, and has another `{name}` | make the two alike"
        );
        let [error] = &found("", &format!("{affinity}{key}"))[..] else { panic!("one error for {key}") };
        assert!(error.contains(&expected), "{error}");
        assert_eq!(found(key, &format!("{affinity}{key}")), [""; 0]);
    }
    let [error] = &found("", "affinity = { group = \"shop\", prefix = 24 }")[..] else { panic!("one error") };
    assert!(
        error.contains(
            "and its prefix is 32 and not 24 | make the two alike in this, or give one of them another group"
        ),
        "{error}"
    );
    let [error] = &found("", "affinity = { group = \"the shop\" }")[..] else { panic!("one error") };
    assert!(error.contains("must be 1 to 64 letters, digits, dots, underscores or hyphens | rename it"), "{error}");
}

#[test]
fn guards_are_read() {
    let keys = "allow = [\"203.0.113.0/24\", \"192.0.2.9\"]\ndeny = [\"203.0.113.7/32\"]\n\
                [service.new_flow_limit]\nrate = 100\nburst = 7\nprefix = 24\n[service.syn_flood]\nthreshold = 5";
    let expected = Guards {
        allow: vec!["203.0.113.0/24".parse().unwrap(), "192.0.2.9/32".parse().unwrap()],
        deny: vec!["203.0.113.7/32".parse().unwrap()],
        new_flow_limit: Some(NewFlowLimit { rate: 100, burst: 7, prefix: 24 }),
        syn_flood: Some(SynFlood { threshold: 5 }),
    };
    assert_eq!(service(keys).guards, expected);
    let limit = |prefix| Some(NewFlowLimit { rate: 3, burst: 3, prefix });
    assert_eq!(service("new_flow_limit = { rate = 3 }").guards.new_flow_limit, limit(32));
    assert_eq!(service6("new_flow_limit = { rate = 3 }").guards.new_flow_limit, limit(64));
}

#[test]
fn what_cannot_be_is_pointed_at() {
    for (keys, expected) in [
        ("allow = []", "19:9 `allow` is empty | name a prefix, as in allow = [\"192.0.2.0/24\"], or remove `allow`"),
        (
            "deny = [\"192.0.2.0/24\", \"192.0.2.7/24\"]",
            "19:25 `deny`: 192.0.2.7/24 has bits set beyond its 24 | write 192.0.2.0/24, or 192.0.2.7/32 for the address alone",
        ),
        (
            "deny = [\"2001:db8::/32\"]",
            "19:9 service \"web\": 2001:db8::/32 is not of the family of the VIP 198.51.100.1 | no packet for it can come from there, so remove it",
        ),
        (
            "allow = [\"192.0.2.0/24\"]\ndeny = [\"192.0.2.0/24\"]",
            "20:9 service \"web\": 192.0.2.0/24 is in `allow` and in `deny` | remove one of the two",
        ),
        (
            "affinity = { prefix = 33 }",
            "19:12 service \"web\": the prefix of affinity is 33, and an address of the VIP's family has 32 bits | write 1 to 32",
        ),
        (
            "one_packet = true",
            "19:1 service \"web\": one_packet is for udp, and this service is tcp | remove `one_packet`",
        ),
        ("new_flow_limit = { burst = 1 }", "19:18 `rate` is missing | add a line like this: rate = 100"),
        ("syn_flood = {}", "19:13 `threshold` is missing | add a line like this: threshold = 10000"),
        ("affinity = { timeout = \"25h\" }", "19:24 `timeout` is out of range | it can be 1s to 1d"),
    ] {
        assert_eq!(error(keys), expected, "{keys}");
    }
}
