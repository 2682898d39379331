//! Services in `nat` mode: ports of reals, and replies that could not be told apart.

use super::*;

fn nat(name: &str, vip: &str, ports: Ports, reals: &[(&str, Option<u16>)]) -> Service {
    let member = |&(real, port): &(&str, Option<u16>)| Member { real: real.to_owned(), port, ..Member::default() };
    Service { mode: Mode::Nat, reals: reals.iter().map(member).collect(), ..service(name, vip, ports, &[]) }
}

const OTHER_VIP: &str = "192.0.2.2";

#[test]
fn a_real_serves_at_its_own_port_or_the_services() {
    let web = nat("web", VIP, Ports::Single(80), &[("r1", Some(8_080)), ("r2", None)]);
    let ports: Vec<Option<u16>> = web.reals.iter().map(|member| web.real_port(member)).collect();
    assert_eq!(ports, [Some(8_080), Some(80)]);
    let wide = nat("wide", VIP, Ports::Range(90, 91), &[("r1", None)]);
    assert_eq!(wide.real_port(&wide.reals[0]), None);
    assert!(errors_of(vec![web, wide]).is_empty());
}

#[test]
fn a_port_of_its_own_where_ports_stay_as_they_are() {
    let wrong = "real \"r1\" of service \"web\": a port of its own needs mode nat and a service of one port; \
                 leave `port` away, or use mode nat";
    let with_port = |mode, ports| Service { mode, ..nat("web", VIP, ports, &[("r1", Some(8_080))]) };
    for (mode, ports) in [
        (Mode::Dsr, Ports::Single(80)),
        (Mode::Ipip, Ports::Single(80)),
        (Mode::Nat, Ports::Range(80, 90)),
        (Mode::Nat, Ports::Any),
    ] {
        assert_eq!(errors_of(vec![with_port(mode, ports)]), [wrong], "{mode} {ports}");
    }
    let zero = nat("web", VIP, Ports::Single(80), &[("r1", Some(0))]);
    assert!(errors_of(vec![zero])[0].contains("port 0 cannot be served"));
}

#[test]
fn replies_that_could_not_be_told_apart() {
    use Ports::{Any, Range, Single};
    // The second service's real, its port, and what of its replies the first service has, too.
    for (first, second, clash) in [
        ((Single(80), None), (Single(80), None), Some("80")),
        ((Single(80), Some(8_080)), (Single(8_080), None), Some("8080")),
        ((Single(80), Some(8_080)), (Single(80), None), None),
        ((Single(80), Some(8_080)), (Range(8_000, 8_099), None), Some("8000-8099")),
        ((Single(80), Some(8_080)), (Range(8_081, 8_099), None), None),
        ((Single(80), Some(8_080)), (Range(8_000, 8_080), None), Some("8000-8080")),
        ((Any, None), (Single(443), None), Some("443")),
        ((Range(90, 99), None), (Single(80), Some(90)), Some("90")),
        ((Range(90, 99), None), (Single(95), Some(9_000)), None),
        ((Range(90, 99), None), (Range(100, 109), None), Some("100-109")),
    ] {
        let services = |protocol, real| {
            let one = nat("one", VIP, first.0, &[("r1", first.1)]);
            let two = Service { protocol, ..nat("two", OTHER_VIP, second.0, &[(real, second.1)]) };
            errors_of(vec![one, two])
        };
        let told = clash.map(|ports| {
            format!(
                "real \"r1\" of service \"two\": its replies would come from 198.51.100.1 tcp port {ports} like those to \
                 service \"one\"; let it serve one of the two at another port or address (of nat services of several ports \
                 a real can have one)"
            )
        });
        assert_eq!(services(Protocol::Tcp, "r1"), Vec::from_iter(told), "{first:?} {second:?}");
        assert!(services(Protocol::Udp, "r1").is_empty() && services(Protocol::Tcp, "r2").is_empty());
    }
}

#[test]
fn one_host_with_two_names() {
    let reals = || vec![real("a", "198.51.100.1"), real("b", "198.51.100.1")];
    let web = |a, b| vec![nat("web", VIP, Ports::Single(80), &[("a", a), ("b", b)])];
    assert!(errors(web(None, Some(8_080)), reals()).is_empty());
    let found = errors(web(Some(8_080), Some(8_080)), reals());
    assert!(found.len() == 1 && found[0].starts_with("real \"b\" of service \"web\": its replies"), "{found:?}");
}

#[test]
fn other_modes_have_no_replies_to_be_told() {
    let dsr = service("dsr", OTHER_VIP, Ports::Single(80), &["r1"]);
    assert!(errors_of(vec![nat("web", VIP, Ports::Single(80), &[("r1", None)]), dsr]).is_empty());
}

#[test]
fn a_real_that_is_listed_twice_is_told_of_once() {
    let found = errors_of(vec![nat("web", VIP, Ports::Single(80), &[("r1", None), ("r1", None)])]);
    assert!(found.len() == 1 && found[0].contains("the real is listed twice"), "{found:?}");
}

#[test]
fn more_reals_than_the_map_of_replies_holds() {
    let reals: Vec<Real> = (0..100_u32).map(|i| real(&format!("r{i}"), &format!("198.51.100.{}", i + 1))).collect();
    let members: Vec<(String, Option<u16>)> = reals.iter().map(|real| (real.name.clone(), None)).collect();
    let members: Vec<(&str, Option<u16>)> = members.iter().map(|(name, port)| (name.as_str(), *port)).collect();
    let services = |count: u16| (1..=count).map(|i| nat(&format!("s{i}"), VIP, Ports::Single(i), &members)).collect();
    assert!(errors(services(655), reals.clone()).is_empty());
    let found = errors(services(656), reals);
    assert_eq!(
        found,
        ["service \"s656\": the nat services have 65600 reals together, and 65536 is the most; remove some"]
    );
}
