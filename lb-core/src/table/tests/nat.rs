//! What the maps hold for services in `nat` mode, over reloads and restarts.

use lb_common::{NAT_REPLIES, NAT_REPLY_RANGES, OPTION_REAL_PORTS, PROTOCOL_TCP};

use super::*;

fn nat(name: &str, ports: Ports, reals: &[(&str, Option<u16>)]) -> Service {
    let member = |&(real, port): &(&str, Option<u16>)| Member { real: real.to_owned(), port, ..Member::default() };
    Service { mode: Mode::Nat, ports, reals: reals.iter().map(member).collect(), ..service(name, 1, &[]) }
}

fn three() -> [Real; 3] {
    [real("a", 1), real("b", 2), real("c", 3)]
}

/// `web` at 8080 on `a` and `b`, and at 9090 on `c`.
fn web() -> Service {
    nat("web", Ports::Single(80), &[("a", Some(8_080)), ("b", Some(8_080)), ("c", Some(9_090))])
}

fn table_of(services: &[Service]) -> SchedulingTable {
    let mut table = SchedulingTable::new(TableOptions::default());
    table.replace(cluster(services, &three()), 0).unwrap();
    table
}

/// Where replies come from: last byte of the address and port, and the service's id with its ports.
type Reply = ((u8, u16), (u32, u16, u16));

fn replies(table: &SchedulingTable) -> Vec<Reply> {
    let rows = table.rows();
    assert!(rows.nat_replies.keys().all(|key| key.protocol == PROTOCOL_TCP));
    let reply = |(key, row): (&ServiceKey, &lb_common::NatReplyValue)| {
        ((key.vip[3], key.port), (row.service, row.first_port, row.last_port))
    };
    let mut replies: Vec<_> = rows.nat_replies.iter().map(reply).collect();
    replies.sort_unstable();
    replies
}

/// The port at which the program would send the packets of a real, by its name.
fn port_of(table: &SchedulingTable, service: u32, real: &str) -> u32 {
    let rows = table.rows();
    let options = rows.service_options[&service];
    let key = lb_common::NatPortKey { service, real: table.reals[real].id.into() };
    let own = rows.nat_ports.get(&key).filter(|_| options.flags & OPTION_REAL_PORTS != 0);
    own.copied().unwrap_or(options.real_port.into())
}

#[test]
fn options_ports_and_replies() {
    let table = table_of(&[web()]);
    let rows = table.rows();
    let options = rows.service_options[&0];
    assert_eq!(options.vip[..4], [192, 0, 2, 1]);
    assert_eq!((options.vip_port, options.real_port, options.flags), (80, 8_080, OPTION_REAL_PORTS));
    assert_eq!(rows.nat_ports.len(), 1, "only where the port is another");
    assert_eq!(["a", "b", "c"].map(|real| port_of(&table, 0, real)), [8_080, 8_080, 9_090]);
    assert_eq!(rows.nat.flags, NAT_REPLIES);
    assert_eq!(
        replies(&table),
        [((1, 8_080), (0, 8_080, 8_080)), ((2, 8_080), (0, 8_080, 8_080)), ((3, 9_090), (0, 9_090, 9_090))]
    );
}

#[test]
fn a_service_of_several_ports_leaves_them_as_they_are() {
    let range = nat("range", Ports::Range(8_000, 8_099), &[("a", None)]);
    let table = table_of(&[range, nat("any", Ports::Any, &[("b", None)])]);
    let rows = table.rows();
    for options in rows.service_options.values() {
        assert_eq!((options.vip_port, options.real_port, options.flags), (0, 0, 0));
        assert_eq!(options.vip[..4], [192, 0, 2, 1]);
    }
    assert_eq!(rows.nat.flags, NAT_REPLIES | NAT_REPLY_RANGES);
    assert_eq!(replies(&table), [((1, 0), (1, 8_000, 8_099)), ((2, 0), (0, 0, u16::MAX))]);
}

#[test]
fn other_modes_have_no_rows() {
    let rows = table().rows();
    assert_eq!((rows.nat.flags, rows.nat_ports.len(), rows.nat_replies.len()), (0, 0, 0));
    assert!(rows.service_options.is_empty());
}

#[test]
fn replies_are_told_whatever_state_a_real_is_in() {
    let mut table = table_of(&[web()]);
    let before = replies(&table);
    table.set_admin("a", AdminState::Drained, 1).unwrap();
    table.set_admin("b", AdminState::Disabled, 1).unwrap();
    let dead = RealPlan { alive: false, ..RealPlan::default() };
    table.set_plan(&Plan { reals: BTreeMap::from([("c".to_owned(), dead)]), ..Plan::default() }, 1);
    assert_eq!(replies(&table), before);
}

#[test]
fn with_the_same_configuration_a_restart_writes_nothing() {
    let services = [web(), nat("range", Ports::Range(8_000, 8_010), &[("a", None)])];
    let before = table_of(&services);
    for saved in [before.saved(), SavedState::default()] {
        let mut after = SchedulingTable::restore(TableOptions::default(), saved, &before.rows(), 5_000).unwrap();
        after.replace(cluster(&services, &three()), 5_000).unwrap();
        assert_eq!(diff(&before.rows(), &after.rows()), []);
    }
}

/// `web` without `c`.
fn without_c() -> Service {
    nat("web", Ports::Single(80), &[("a", Some(8_080)), ("b", Some(8_080))])
}

#[test]
fn older_flows_of_a_former_member_go_on() {
    let mut table = table_of(&[web()]);
    let before = replies(&table);
    table.replace(cluster(&[without_c()], &three()), 1).unwrap();
    assert_eq!((replies(&table), port_of(&table, 0, "c")), (before.clone(), 9_090));
    assert!(slots(&table, "web").iter().any(|slot| slot.previous == table.reals["c"].id));
    table.replace(cluster(&[without_c()], &three()), 2).unwrap();
    assert_eq!(replies(&table), before, "over a second reload");
    let mut after = SchedulingTable::restore(TableOptions::default(), table.saved(), &table.rows(), 3).unwrap();
    after.replace(cluster(&[without_c()], &three()), 3).unwrap();
    assert_eq!(diff(&table.rows(), &after.rows()), [], "over a restart");
    table.replace(cluster(&[without_c()], &three()[..2]), 4).unwrap();
    assert_eq!((replies(&table).len(), table.rows().nat_ports.len()), (2, 0), "until the real goes");
}

#[test]
fn a_former_members_port_can_be_given_away() {
    for taker in
        [nat("new", Ports::Single(81), &[("c", Some(9_090))]), nat("new", Ports::Range(9_000, 9_099), &[("c", None)])]
    {
        let mut table = table_of(&[web()]);
        table.replace(cluster(&[without_c(), taker], &three()), 1).unwrap();
        let new = service_ids(&table)[1].1;
        let of_c: Vec<_> = replies(&table).into_iter().filter(|((host, _), _)| *host == 3).collect();
        assert!(of_c.len() == 1 && of_c[0].1.0 == new, "{of_c:?}");
        assert!(table.services["web"].former.is_empty());
    }
}

#[test]
fn a_real_with_another_address_or_port_is_no_former_member() {
    let mut table = table_of(&[web()]);
    let moved = [real("a", 1), real("b", 2), real("c", 33)];
    table.replace(cluster(&[without_c()], &moved), 1).unwrap();
    assert_eq!(replies(&table).len(), 2);
    let successor = [real("a", 1), real("c", 33), real("new", 2)];
    table.replace(cluster(&[nat("web", Ports::Single(80), &[("a", Some(8_080))])], &successor), 2).unwrap();
    assert_eq!(replies(&table).len(), 1, "who comes to an address is not who was there");
    let other = nat("web", Ports::Single(80), &[("a", Some(8_081)), ("b", Some(8_080))]);
    table.replace(cluster(&[other], &three()), 2).unwrap();
    assert_eq!(replies(&table).len(), 2, "who serves at another port serves there alone");
}

#[test]
fn a_service_that_leaves_nat_leaves_nothing() {
    let mut table = table_of(&[web()]);
    let dsr = service("web", 80, &["a", "b", "c"]);
    table.replace(cluster(&[dsr], &three()), 1).unwrap();
    let rows = table.rows();
    assert!(rows.nat_replies.is_empty() && rows.nat_ports.is_empty() && rows.service_options.is_empty());
}

#[test]
fn gateways_are_vips_without_services() {
    let gateway = "198.51.100.254".parse().unwrap();
    let mut table = table_of(&[web()]);
    let without = table.rows();
    table.replace(cluster(&[web()], &three()).with_gateways([gateway]), 1).unwrap();
    let with = table.rows();
    assert_eq!(with.vips.len(), without.vips.len() + 1);
    assert_eq!(with.vips[&vip_key(gateway)].flags, 0);
    assert_eq!(diff(&without, &with).len(), 1);
}
