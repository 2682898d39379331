//! `lbctl services` of services whose ports are rewritten.

use lb_core::api::*;

use super::super::*;
use super::{member, service_list};

#[test]
fn a_real_is_shown_with_its_port_where_ports_are_rewritten() {
    let mut list = service_list();
    list.services.truncate(1);
    let at = |port, address| ServiceReal { port: Some(port), ..member("web-1", address, 65_537) };
    list.services[0].mode = Mode::Nat;
    list.services[0].reals = vec![at(8_080, "198.51.100.11"), at(80, "2001:db8::11")];
    let text = services(&list, Style::Plain);
    for part in ["TCP  192.0.2.80:80 nat web\n", "  -> 198.51.100.11:8080 ", "  -> [2001:db8::11]:80 "] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}
