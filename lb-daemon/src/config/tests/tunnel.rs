//! Tunnels and SCTP: what is read, and every way to get it wrong.

use lb_core::service::{Mode, Protocol, Tunnel};

use super::super::*;
use super::{GOOD, errors, parse};

fn source(keys: &str) -> String {
    format!("{GOOD}[tunnel]\n{keys}\n")
}

/// The only error of these keys; they begin in line 20.
fn error(keys: &str) -> String {
    let found = errors(&source(keys));
    assert_eq!(found.len(), 1, "{keys}\n{found:#?}");
    found[0].clone()
}

#[test]
fn a_tunnel_is_read() {
    let tunnel = |text: &str| *parse(text).unwrap().cluster.tunnel();
    assert_eq!(tunnel(GOOD), Tunnel::default());
    assert_eq!(tunnel(&source("")), Tunnel::default());
    let keys = "gue_port = 6081\nsource_v4 = \"198.18.0.0/16\"\nsource_v6 = \"2001:db8:ffff::/96\"";
    let expected = Tunnel {
        gue_port: 6_081,
        source_v4: Some("198.18.0.0/16".parse().unwrap()),
        source_v6: Some("2001:db8:ffff::/96".parse().unwrap()),
    };
    assert_eq!(tunnel(&source(keys)), expected);
    assert_eq!(
        Config::parse(Path::new("x"), &GOOD.replace("dsr", "gue"), &|_| None).unwrap().cluster.services()[0].mode,
        Mode::Gue
    );
}

#[test]
fn sources_are_prefixes_of_their_family_with_bits_to_spare() {
    let other = "write IPv4; `source_v4` and `source_v6` are what they are called";
    let bits = "it can have /8 to /30, so that some bits are left for the flows";
    let bits6 = "it can have /96 to /126, so that some bits are left for the flows";
    for (keys, expected) in [
        ("source_v4 = \"x\"", "`source_v4`: \"x\" is not a prefix | write an address, a slash and how many bits count, as in 192.0.2.0/24".to_owned()),
        ("source_v4 = \"198.18.0.1/16\"", "`source_v4`: 198.18.0.1/16 has bits set beyond its 16 | write 198.18.0.0/16, or 198.18.0.1/32 for the address alone".to_owned()),
        ("source_v4 = \"2001:db8::/96\"", format!("`source_v4` is not an IPv4 prefix | {other}")),
        ("source_v6 = \"198.18.0.0/16\"", format!("`source_v6` is not an IPv6 prefix | {}", other.replace("write IPv4", "write IPv6"))),
        ("source_v4 = \"192.0.0.0/7\"", format!("`source_v4` is too long or too short: 192.0.0.0/7 | {bits}")),
        ("source_v4 = \"198.18.0.0/31\"", format!("`source_v4` is too long or too short: 198.18.0.0/31 | {bits}")),
        ("source_v6 = \"2001:db8::/95\"", format!("`source_v6` is too long or too short: 2001:db8::/95 | {bits6}")),
        ("source_v6 = \"2001:db8::/127\"", format!("`source_v6` is too long or too short: 2001:db8::/127 | {bits6}")),
        (
            "source_v4 = \"127.0.0.0/8\"",
            "`source_v4` has addresses that no packet can come from: 127.0.0.0/8 | \
             give a block that the reals take packets from, as in source_v4 = \"198.18.0.0/16\"".to_owned(),
        ),
    ] {
        assert_eq!(error(keys), format!("20:13 {expected}"), "{keys}");
    }
}

#[test]
fn sctp_is_read_and_not_for_nat_nor_for_checks_at_its_port() {
    let sctp = GOOD.replace("\"tcp\"", "\"sctp\"");
    assert_eq!(parse(&sctp).unwrap().cluster.services()[0].protocol, Protocol::Sctp);
    let nat = errors(&sctp.replace("mode = \"dsr\"", "mode = \"nat\""));
    let error = "service \"web\": mode nat cannot carry sctp, whose checksum covers the whole packet | use mode dsr, ipip or gue";
    assert_eq!(nat, [format!("13:8 {error}")]);
    let checked = |keys: &str| {
        let listed = sctp.replace("mode = \"dsr\"", "mode = \"dsr\"\nchecks = [\"alive\"]");
        errors(&format!("{listed}[[check]]\nname = \"alive\"\n{keys}"))
    };
    let error = "18:11 check \"alive\" of service \"web\": the service's port is one of SCTP, which no check speaks | \
                 add a `port` to the check \"alive\"";
    assert_eq!(checked("type = \"tcp\""), [error]);
    assert_eq!(checked("type = \"tcp\"\nport = 80"), [""; 0]);
    assert_eq!(checked("type = \"icmp\""), [""; 0]);
}
