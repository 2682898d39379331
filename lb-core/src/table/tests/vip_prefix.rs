//! The rows of services whose VIP is a whole prefix.

use lb_common::{NAT_VIP_PREFIXES, PROTOCOL_TCP, ServiceKey, VIP_HAS_PORT_RANGES, VipPrefixKey};

use super::*;
use crate::rows::address_bytes;

fn of_prefix(name: &str, ports: Ports) -> Service {
    Service { vip: [203, 0, 113, 0].into(), vip_prefix: Some(24), ports, ..service(name, 80, &["a", "b"]) }
}

fn rows_of(services: &[Service]) -> Rows {
    let mut table = SchedulingTable::new(TableOptions::default());
    table.replace(cluster(services, &[real("a", 1), real("b", 2)]), 0).unwrap();
    table.rows()
}

#[test]
fn all_its_services_are_under_its_first_address() {
    let rows = rows_of(&[of_prefix("web", Ports::Single(80)), of_prefix("many", Ports::Range(8000, 8001))]);
    let (vip, family) = address_bytes([203, 0, 113, 0].into());
    assert!(rows.vips.is_empty());
    let row = &rows.vip_prefixes[&(24, VipPrefixKey { family, reserved: [0; 3], address: vip })];
    assert_eq!((row.vip, row.value.flags), (vip, VIP_HAS_PORT_RANGES));
    assert_eq!(rows.vip_prefixes.len(), 1);
    assert!(rows.services.contains_key(&ServiceKey { vip, port: 80, protocol: PROTOCOL_TCP, family }));
    assert!(rows.port_ranges.keys().all(|(_, key)| key.vip == vip) && !rows.port_ranges.is_empty());
    assert_eq!(rows.nat.flags, NAT_VIP_PREFIXES);
}

#[test]
fn without_prefixes_there_is_no_trace_of_them() {
    let rows = rows_of(&[service("web", 80, &["a"])]);
    assert!(rows.vip_prefixes.is_empty() && rows.nat.flags == 0);
}

#[test]
fn a_restart_finds_its_services_again() {
    let services = [of_prefix("web", Ports::Single(80)), of_prefix("any", Ports::Any)];
    let cluster = cluster(&services, &[real("a", 1), real("b", 2)]);
    let mut before = SchedulingTable::new(TableOptions::default());
    before.replace(cluster.clone(), 0).unwrap();
    let rows = before.rows();
    let mut after = SchedulingTable::restore(TableOptions::default(), before.saved(), &rows, 0).unwrap();
    after.replace(cluster, 0).unwrap();
    assert_eq!(diff(&rows, &after.rows()), []);
    assert!(after.rows().rings.iter().all(|(id, ring)| Arc::ptr_eq(ring, &rows.rings[id])));
}
