//! VIPs that are whole prefixes: what is read, and what is said of those that cannot be.

use super::*;

fn with_vip(vip: &str) -> Result<Config, ConfigError> {
    parse(&GOOD.replacen("\"198.51.100.1\"", &format!("{vip:?}"), 1))
}

#[test]
fn a_prefix_is_read() {
    for (vip, address, prefix) in [
        ("198.51.100.0/24", "198.51.100.0", Some(24)),
        ("198.51.100.1/32", "198.51.100.1", None),
        ("198.51.100.1", "198.51.100.1", None),
    ] {
        let config = with_vip(vip).unwrap();
        let service = &config.cluster.services()[0];
        assert_eq!((service.vip.to_string().as_str(), service.vip_prefix), (address, prefix), "{vip}");
    }
}

#[test]
fn prefixes_that_cannot_be() {
    for (vip, expected) in [
        (
            "198.51.100.1/24",
            "14:7 `vip`: 198.51.100.1/24 has bits set beyond its 24 | write 198.51.100.0/24, or 198.51.100.1/32 for the address alone",
        ),
        (
            "198.51.100.0/x",
            "14:7 `vip`: \"198.51.100.0/x\" is not a prefix | write an address, a slash and how many bits count, as in 192.0.2.0/24",
        ),
        (
            "198.0.0.0/7",
            "14:7 service \"web\": the VIP 198.0.0.0/7 is not a prefix of 8 to 31 bits | give one, or a single address",
        ),
        (
            "192.0.2.0/24",
            "5:11 real \"web1\": the address 192.0.2.11 is in the VIP 192.0.2.0/24 of service \"web\" | give the real an address outside of it",
        ),
    ] {
        assert_eq!(errors(&GOOD.replacen("\"198.51.100.1\"", &format!("{vip:?}"), 1))[0], expected, "{vip}");
    }
    let nat = GOOD.replacen("198.51.100.1", "198.51.100.0/24", 1).replacen("\"dsr\"", "\"nat\"", 1);
    assert_eq!(
        errors(&nat),
        [
            "14:7 service \"web\": mode nat cannot serve the VIP 198.51.100.0/24, since replies would not tell which address they are of | use mode dsr, ipip or gue"
        ]
    );
}
