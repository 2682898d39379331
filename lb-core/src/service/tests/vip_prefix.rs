//! VIPs that are whole prefixes: which can be, and what must not be in them.

use super::*;

fn of(name: &str, vip: &str, length: u8, port: u16) -> Service {
    Service { vip_prefix: Some(length), ..service(name, vip, Ports::Single(port), &["r1"]) }
}

fn six(vip: &str, length: u8) -> Service {
    Service { vip_prefix: Some(length), ..service("web", vip, Ports::Single(80), &["six"]) }
}

#[test]
fn sound_prefixes_are_taken() {
    for services in [
        vec![of("web", "192.0.2.0", 24, 80), of("mail", "192.0.2.0", 24, 25)],
        vec![of("web", "10.0.0.0", 8, 80)],
        vec![of("web", "192.0.2.6", 31, 80)],
        vec![six("2a00::", 16)],
        vec![six("2001:db8:1::2", 127)],
        // One in the other, and an address in both.
        vec![
            of("wide", "192.0.0.0", 16, 80),
            of("narrow", "192.0.2.0", 24, 80),
            service("one", "192.0.2.1", Ports::Single(80), &["r1"]),
        ],
        vec![Service { mode: Mode::Ipip, ports: Ports::Any, ..of("web", "192.0.2.0", 24, 80) }],
    ] {
        assert_eq!(errors_of(services.clone()), [""; 0], "{services:?}");
    }
}

#[test]
fn a_prefix_has_a_length_that_a_vip_can_have() {
    let error = |vips: &str, least: u8, most: u8| {
        format!(
            "service \"web\": the VIP {vips} is not a prefix of {least} to {most} bits; give one, or a single address"
        )
    };
    assert_eq!(errors_of(vec![of("web", "10.0.0.0", 7, 80)]), [error("10.0.0.0/7", 8, 31)]);
    assert_eq!(errors_of(vec![of("web", "192.0.2.1", 32, 80)]), [error("192.0.2.1/32", 8, 31)]);
    assert_eq!(errors_of(vec![of("web", "192.0.2.1", 200, 80)]), [error("192.0.2.1/32", 8, 31)]);
    assert_eq!(errors_of(vec![six("3ffe::", 15)]), [error("3ffe::/15", 16, 127)]);
    assert_eq!(errors_of(vec![six("2a00::", 128)]), [error("2a00::/128", 16, 127)]);
    let host_bits = "service \"web\": the VIP 192.0.2.1/24 has bits set beyond its 24; write 192.0.2.0/24, or 192.0.2.1/32 for the address alone";
    assert_eq!(errors_of(vec![of("web", "192.0.2.1", 24, 80)]), [host_bits]);
}

#[test]
fn nat_cannot_tell_which_address_a_reply_is_of() {
    let error = "service \"web\": mode nat cannot serve the VIP 192.0.2.0/24, since replies would not tell which address they are of; use mode dsr, ipip or gue";
    assert_eq!(errors_of(vec![Service { mode: Mode::Nat, ..of("web", "192.0.2.0", 24, 80) }]), [error]);
}

#[test]
fn two_vips_do_not_begin_alike() {
    let error = |vips: &str, other: &str| {
        format!(
            "service \"b\": the VIP {vips} begins with the same address as {other} of service \"a\"; give both the same VIP, or let one begin elsewhere"
        )
    };
    let single = |name: &str| service(name, "192.0.2.0", Ports::Single(25), &["r1"]);
    let wide = |name: &str| of(name, "192.0.2.0", 24, 80);
    assert_eq!(errors_of(vec![wide("a"), single("b")]), [error("192.0.2.0", "192.0.2.0/24")]);
    assert_eq!(errors_of(vec![single("a"), wide("b")]), [error("192.0.2.0/24", "192.0.2.0")]);
    assert_eq!(errors_of(vec![wide("a"), of("b", "192.0.2.0", 25, 25)]), [error("192.0.2.0/25", "192.0.2.0/24")]);
}

#[test]
fn reals_are_outside_of_it() {
    let inside = "real \"r1\": the address 198.51.100.1 is in the VIP 198.51.100.0/24 of service \"web\"; give the real an address outside of it";
    let found = errors_of(vec![of("web", "198.51.100.0", 24, 80)]);
    assert_eq!(found, [inside, &inside.replace("r1", "r2").replace("100.1 ", "100.2 ")]);
    let found = errors(vec![of("web", "198.51.100.0", 24, 80)], vec![real("r1", "198.51.100.0")]);
    assert_eq!(
        found,
        ["real \"r1\": the address 198.51.100.0 is the VIP of service \"web\"; give the real's own address"]
    );
    assert_eq!(errors_of(vec![of("web", "198.51.100.4", 30, 80)]), [""; 0]);
}

#[test]
fn a_prefix_has_its_addresses() {
    let web = of("web", "192.0.2.0", 24, 80);
    for (address, inside) in [("192.0.2.0", true), ("192.0.2.255", true), ("192.0.3.0", false), ("2001:db8::", false)] {
        assert_eq!(web.has_vip(address.parse().unwrap()), inside, "{address}");
    }
    assert_eq!(web.vips().to_string(), "192.0.2.0/24");
    let single = service("web", VIP, Ports::Single(80), &["r1"]);
    assert!(single.has_vip(VIP.parse().unwrap()) && !single.has_vip("192.0.2.2".parse().unwrap()));
    assert_eq!(single.vips().to_string(), "192.0.2.1/32");
}
