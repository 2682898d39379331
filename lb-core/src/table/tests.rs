//! Ids, names, administrative state, time, and what the maps shall hold.

use std::{collections::HashSet, slice::from_ref};

use lb_common::{
    ACCESS_ALLOW, ACCESS_DENY, AccessKey, GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE, Guard, REAL_ALIVE,
    REAL_RESOLVED, SERVICE_AFFINITY, SERVICE_GUARDED, SERVICE_ONE_PACKET, SLOT_MARKED, SLOT_REMEMBERS, ServiceKey,
    VIP_HAS_PORT_RANGES,
};

use super::*;
use crate::{
    rows::{diff, vip_key},
    service::{Affinity, Guards, Member, Mode, NewFlowLimit, Ports, Protocol, SynFlood, Tunnel},
};

mod checkpoint;
mod group;
mod nat;
mod plan;
mod quic;
mod restart;
mod sharing;
mod vip_prefix;

const VIP: &str = "192.0.2.1";

fn real(name: &str, last: u8) -> Real {
    Real { name: name.to_owned(), address: [198, 51, 100, last].into(), weight: 100 }
}

fn service(name: &str, port: u16, reals: &[&str]) -> Service {
    let reals = reals.iter().map(|real| Member { real: (*real).to_owned(), ..Member::default() }).collect();
    let (vip, ports) = (VIP.parse().unwrap(), Ports::Single(port));
    Service {
        name: name.to_owned(),
        vip,
        protocol: Protocol::Tcp,
        ports,
        mode: Mode::Dsr,
        reals,
        vip_prefix: None,
        one_packet: false,
        affinity: None,
        guards: Guards::default(),
        quic: Vec::new(),
    }
}

fn cluster(services: &[Service], reals: &[Real]) -> Cluster {
    Cluster::new(services.to_vec(), reals.to_vec()).unwrap()
}

/// Services `web` and `mail`, reals `a`, `b` and `c`.
fn usual() -> Cluster {
    let services = [service("web", 80, &["a", "b", "c"]), service("mail", 25, &["a", "b"])];
    cluster(&services, &[real("a", 1), real("b", 2), real("c", 3)])
}

fn table() -> SchedulingTable {
    let mut table = SchedulingTable::new(TableOptions::default());
    table.replace(usual(), 0).unwrap();
    table
}

fn hop(last: u8) -> NextHop {
    let tunnel_source = [198, 51, 100, 254].into();
    NextHop { ifindex: 3, next_hop_mac: [last; 6], source_mac: [2; 6], tunnel_source, mtu: 1_500 }
}

fn real_ids(table: &SchedulingTable) -> Vec<(&str, u16)> {
    table.reals().map(|view| (view.real.name.as_str(), view.id)).collect()
}

fn service_ids(table: &SchedulingTable) -> Vec<(&str, u32)> {
    table.services().map(|view| (view.service.name.as_str(), view.id)).collect()
}

fn slots(table: &SchedulingTable, service: &str) -> Arc<[Slot]> {
    table.services[service].ring.slots().clone()
}

fn held(table: &SchedulingTable, service: &str) -> Vec<u32> {
    let view = table.services().find(|view| view.service.name == service).unwrap();
    view.members.iter().map(|member| member.slots).collect()
}

mod ids {
    use super::*;

    #[test]
    fn are_handed_out_by_name() {
        let table = table();
        assert_eq!(real_ids(&table), [("a", 1), ("b", 2), ("c", 3)]);
        assert_eq!(service_ids(&table), [("web", 1), ("mail", 0)]);
    }

    #[test]
    fn stay_with_the_name() {
        let mut table = table();
        let before = slots(&table, "web");
        let mut services = [service("web", 8080, &["c", "b", "a"]), service("new", 81, &["d"])];
        services[0].vip = "192.0.2.9".parse().unwrap();
        services[0].protocol = Protocol::Udp;
        services[0].mode = Mode::Ipip;
        let reals = [real("d", 4), real("c", 3), real("b", 2), real("a", 1)];
        table.replace(cluster(&services, &reals), 1).unwrap();
        assert_eq!(real_ids(&table), [("d", 4), ("c", 3), ("b", 2), ("a", 1)]);
        assert_eq!(service_ids(&table), [("web", 1), ("new", 2)]);
        assert!(Arc::ptr_eq(&slots(&table, "web"), &before), "the ring is untouched");
    }

    #[test]
    fn of_removed_names_are_used_again_as_late_as_possible() {
        let options = TableOptions { max_reals: 6, ..TableOptions::default() };
        let mut table = SchedulingTable::new(options);
        let mut seen = Vec::new();
        for round in 0..7u8 {
            let reals = [real("stays", 100), real(&format!("r{round}"), round + 1)];
            table.replace(cluster(&[], &reals), 0).unwrap();
            seen.push(table.reals().nth(1).unwrap().id);
        }
        // "r0" comes before "stays".
        assert_eq!(table.reals().next().unwrap().id, 2);
        assert_eq!(seen, [1, 3, 4, 5, 1, 3, 4]);
    }

    #[test]
    fn of_the_same_change_are_used_only_when_there_are_no_others() {
        let options = TableOptions { max_reals: 4, ..TableOptions::default() };
        let mut table = SchedulingTable::new(options);
        let three = |first: u8| [real("a", first), real("b", first + 1), real("c", first + 2)];
        let web = service("web", 80, &["a", "b", "c"]);
        table.replace(cluster(from_ref(&web), &three(1)), 0).unwrap();
        // Slots remember the first a, which the second a with its id must not be taken for.
        table.set_weight("a", Some(1), 0).unwrap();
        table.replace(cluster(from_ref(&web), &three(11)), 0).unwrap();
        assert_eq!(real_ids(&table), [("a", 1), ("b", 2), ("c", 3)]);
        let is_new = |slot: &Slot| slot.state != SLOT_REMEMBERS && slot.previous == 0 && slot.real != 0;
        assert!(slots(&table, "web").iter().all(is_new));

        let four = [real("a", 1), real("b", 2), real("c", 3), real("d", 4)];
        let before = table.clone();
        let error = table.replace(cluster(&[web], &four), 0).unwrap_err();
        assert_eq!(error.to_string(), "there are more than 3 reals; remove some, or raise max_reals");
        assert_eq!(table.saved(), before.saved());
        assert_eq!(table.rows(), before.rows());
    }

    #[test]
    fn a_real_with_another_address_is_another_one() {
        let mut table = table();
        table.set_admin("c", AdminState::Drained, 0).unwrap();
        table.set_weight("b", Some(7), 0).unwrap();
        table.set_next_hop("b", Some(hop(9))).unwrap();
        let reals = [real("a", 1), real("b", 22), real("c", 33)];
        table.replace(cluster(&[service("web", 80, &["a", "b", "c"])], &reals), 5).unwrap();
        assert_eq!(real_ids(&table), [("a", 1), ("b", 4), ("c", 5)]);
        let views: Vec<_> = table.reals().collect();
        assert_eq!((views[1].weight_override, views[1].next_hop), (Some(7), None));
        assert_eq!(views[2].admin, AdminState::Drained);
        for slot in slots(&table, "web").iter() {
            assert!([1, 4].contains(&slot.real) && ![2, 3].contains(&slot.previous), "{slot:?}");
        }
    }

    #[test]
    fn equal_services_share_their_first_filling() {
        let services = [service("one", 80, &["a", "b"]), service("two", 81, &["b", "a"]), service("other", 82, &["a"])];
        let mut table = SchedulingTable::new(TableOptions::default());
        table.replace(cluster(&services, &[real("a", 1), real("b", 2)]), 0).unwrap();
        assert!(Arc::ptr_eq(&slots(&table, "one"), &slots(&table, "two")));
        assert!(!Arc::ptr_eq(&slots(&table, "one"), &slots(&table, "other")));
    }
}

mod wishes {
    use super::*;

    #[test]
    fn a_drained_real_gets_no_new_flows_and_lives() {
        let mut table = table();
        table.set_admin("b", AdminState::Drained, 10).unwrap();
        assert_eq!(held(&table, "web")[1], 0);
        assert_eq!(held(&table, "mail"), [RING_SLOTS, 0]);
        assert!(
            slots(&table, "mail")
                .iter()
                .any(|&slot| { slot == Slot { real: 1, previous: 2, state: SLOT_REMEMBERS, reserved: 0 } })
        );
        assert_eq!(table.rows().reals[&2].flags, REAL_ALIVE);
    }

    #[test]
    fn a_disabled_real_is_not_alive() {
        let mut table = table();
        table.set_admin("b", AdminState::Disabled, 10).unwrap();
        assert_eq!(table.rows().reals[&2].flags, 0);
        assert_eq!(held(&table, "mail"), [RING_SLOTS, 0]);
        table.set_admin("b", AdminState::Enabled, 20).unwrap();
        assert_eq!(table.rows().reals[&2].flags, REAL_ALIVE);
        assert_eq!(held(&table, "mail"), [32_769, 32_768]);
    }

    #[test]
    fn the_operators_weight_goes_before_configured_ones() {
        let mut table = SchedulingTable::new(TableOptions::default());
        let mut web = service("web", 80, &["a", "b"]);
        web.reals[1].weight = Some(300);
        table.replace(cluster(&[web, service("mail", 25, &["a", "b"])], &[real("a", 1), real("b", 2)]), 0).unwrap();
        assert_eq!(held(&table, "web"), [16_384, 49_153]);
        assert_eq!(held(&table, "mail"), [32_769, 32_768]);
        table.set_weight("b", Some(50), 1).unwrap();
        for service in ["web", "mail"] {
            assert_eq!(held(&table, service), [43_691, 21_846]);
        }
        table.set_weight("b", None, 2).unwrap();
        assert_eq!(held(&table, "web"), [16_384, 49_153]);
    }

    #[test]
    fn survive_a_reload() {
        let mut table = table();
        table.set_admin("b", AdminState::Drained, 1).unwrap();
        table.set_weight("a", Some(9), 1).unwrap();
        let before = slots(&table, "web");
        table.replace(usual(), 2).unwrap();
        assert!(Arc::ptr_eq(&slots(&table, "web"), &before));
        let views: Vec<_> = table.reals().map(|view| (view.admin, view.weight_override, view.weight)).collect();
        let wanted =
            [(AdminState::Enabled, Some(9), 9), (AdminState::Drained, None, 0), (AdminState::Enabled, None, 100)];
        assert_eq!(views, wanted);
    }

    #[test]
    fn are_forgotten_with_the_name() {
        let mut table = table();
        table.set_admin("c", AdminState::Drained, 1).unwrap();
        table.replace(cluster(&[service("web", 80, &["a"])], &[real("a", 1)]), 2).unwrap();
        table.replace(usual(), 3).unwrap();
        assert_eq!(table.reals().nth(2).unwrap().admin, AdminState::Enabled);
    }

    #[test]
    fn that_cannot_be_are_refused() {
        let mut table = table();
        let before = table.generation();
        for error in [
            table.set_admin("x", AdminState::Drained, 1).unwrap_err(),
            table.set_weight("x", None, 1).unwrap_err(),
            table.set_next_hop("x", None).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), "there is no real \"x\"");
        }
        let error = table.set_weight("a", Some(65_536), 1).unwrap_err();
        assert_eq!(error.to_string(), "weight 65536 for real \"a\" is too great; give one from 0 to 65535");
        let six = NextHop { tunnel_source: "2001:db8::1".parse().unwrap(), ..hop(1) };
        let error = table.set_next_hop("a", Some(six)).unwrap_err();
        let wanted = "real \"a\" has the address 198.51.100.1, and a tunnel cannot lead there from 2001:db8::1";
        assert_eq!(error.to_string(), wanted);
        assert_eq!(table.generation(), before);
    }

    #[test]
    fn the_generation_grows_with_each_change_only() {
        let mut table = table();
        assert_eq!(table.generation(), 1);
        let grows = |table: &mut SchedulingTable, by: u64, change: &dyn Fn(&mut SchedulingTable)| {
            let before = table.generation();
            change(table);
            assert_eq!(table.generation(), before + by);
        };
        grows(&mut table, 1, &|t| t.set_admin("a", AdminState::Drained, 0).unwrap());
        grows(&mut table, 0, &|t| t.set_admin("a", AdminState::Drained, 0).unwrap());
        grows(&mut table, 1, &|t| t.set_weight("b", Some(5), 0).unwrap());
        grows(&mut table, 0, &|t| t.set_weight("b", Some(5), 0).unwrap());
        grows(&mut table, 1, &|t| t.set_next_hop("a", Some(hop(1))).unwrap());
        grows(&mut table, 0, &|t| t.set_next_hop("a", Some(hop(1))).unwrap());
        grows(&mut table, 0, &|t| assert_eq!(t.expire(10), 0));
        grows(&mut table, 1, &|t| assert!(t.expire(DEFAULT_FLOW_IDLE_TIMEOUT_MS) > 0));
        grows(&mut table, 1, &|t| t.set_flow_idle_timeout(7));
        grows(&mut table, 0, &|t| t.set_flow_idle_timeout(7));
        grows(&mut table, 1, &|t| t.replace(usual(), 0).unwrap());
    }
}

mod time {
    use super::*;

    const IDLE: u64 = DEFAULT_FLOW_IDLE_TIMEOUT_MS;

    fn drained() -> SchedulingTable {
        let mut table = table();
        table.set_admin("b", AdminState::Drained, 1_000).unwrap();
        table
    }

    #[test]
    fn slots_remember_for_flow_idle_timeout() {
        let mut table = drained();
        let remembering = table.services().map(|view| view.tally.remembers).sum::<u32>();
        assert_eq!(remembering, 32_768 + 21_846);
        assert_eq!(table.expire(999 + IDLE), 0);
        assert_eq!(table.expire(1_000 + IDLE), remembering);
        assert!(slots(&table, "mail").iter().all(|slot| slot.state != SLOT_REMEMBERS && slot.previous == 0));
    }

    #[test]
    fn a_shorter_timeout_counts_at_once() {
        let mut table = drained();
        table.set_flow_idle_timeout(10);
        assert_eq!(table.expire(1_009), 0);
        assert!(table.expire(1_010) > 0);
    }

    #[test]
    fn marked_slots_are_cleaned_when_handshakes_are_over() {
        let mut table = drained();
        table.expire(1_000 + IDLE);
        let mail = 0;
        let marked = slots(&table, "mail").iter().position(|slot| slot.state == SLOT_MARKED).unwrap() as u32;
        let in_use = HashSet::from([(mail, marked)]);
        assert_eq!(table.flows_in_use(&in_use, 999 + IDLE + HANDSHAKE_TIMEOUT_MS), 0);
        assert_eq!(table.flows_in_use(&in_use, 1_000 + IDLE + HANDSHAKE_TIMEOUT_MS), 32_768 + 21_846 - 1);
        assert_eq!(table.slot(mail.into(), marked).unwrap().state, SLOT_MARKED);
        assert_eq!(table.flows_in_use(&HashSet::new(), 1_001 + IDLE + HANDSHAKE_TIMEOUT_MS), 1);
        assert_eq!(table.flows_in_use(&HashSet::new(), u64::MAX), 0);
    }

    #[test]
    fn a_short_idle_timeout_shortens_the_wait() {
        let mut table = drained();
        table.set_flow_idle_timeout(10);
        table.expire(1_010);
        assert_eq!(table.flows_in_use(&HashSet::new(), 1_019), 0);
        assert!(table.flows_in_use(&HashSet::new(), 1_020) > 0);
        assert_eq!(table.flows_in_use(&HashSet::new(), 5), 0);
    }
}

mod maps {
    use super::*;

    #[test]
    fn rows_say_what_is_configured() {
        let mut services = [service("web", 80, &["a"]), service("range", 1, &["a"]), service("six", 53, &["f"])];
        services[1].ports = Ports::Range(8_000, 8_007);
        services[2].vip = "2001:db8::53".parse().unwrap();
        services[2].protocol = Protocol::Udp;
        let six = Real { address: "2001:db8::1".parse().unwrap(), ..real("f", 0) };
        let mut table = SchedulingTable::new(TableOptions::default());
        table.replace(cluster(&services, &[real("a", 1), six]), 0).unwrap();
        table.set_next_hop("a", Some(hop(7))).unwrap();
        let rows = table.rows();

        let vip4 = vip_key(VIP.parse().unwrap());
        let vip6 = vip_key("2001:db8::53".parse().unwrap());
        assert_eq!(rows.vips.len(), 2);
        assert_eq!((rows.vips[&vip4].flags, rows.vips[&vip6].flags), (VIP_HAS_PORT_RANGES, 0));
        let web = ServiceKey { vip: vip4.address, port: 80, protocol: 6, family: 4 };
        let dns = ServiceKey { vip: vip6.address, port: 53, protocol: 17, family: 6 };
        assert_eq!(rows.services.len(), 2);
        assert_eq!((rows.services[&web].id, rows.services[&dns].id), (2, 1));
        assert_eq!((rows.services[&web].mode, rows.services[&web].reserved), (lb_common::MODE_DSR, [0; 2]));
        let [(&(bits, key), value)] = rows.port_ranges.iter().collect::<Vec<_>>()[..] else { panic!("one block") };
        assert_eq!((bits, key.port, key.protocol, value.id), (13, [0x1f, 0x40], 6, 0));

        let a = rows.reals[&1];
        assert_eq!((&a.address[..4], a.family, a.flags), (&[198, 51, 100, 1][..], 4, REAL_ALIVE | REAL_RESOLVED));
        assert_eq!((a.next_hop_mac, a.source_mac, a.ifindex, a.mtu), ([7; 6], [2; 6], 3, 1_500));
        assert_eq!(&a.tunnel_source[..4], [198, 51, 100, 254]);
        assert_eq!((rows.reals[&2].flags, rows.reals[&2].family), (REAL_ALIVE, 6));
        assert_eq!(rows.rings.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(rows.rings.values().all(|ring| ring.len() == RING_SLOTS as usize));
    }

    #[test]
    fn guards_have_rows_of_their_service() {
        let guards = Guards {
            allow: vec!["203.0.113.0/24".parse().unwrap()],
            deny: vec!["203.0.113.128/25".parse().unwrap()],
            new_flow_limit: Some(NewFlowLimit { rate: 100, burst: 3, prefix: 24 }),
            syn_flood: Some(SynFlood { threshold: 5 }),
        };
        let web = Service { guards, ..service("web", 80, &["a"]) };
        let mut table = SchedulingTable::new(TableOptions::default());
        table.replace(cluster(&[service("other", 81, &["a"]), web.clone()], &[real("a", 1)]), 0).unwrap();
        let rows = table.rows();
        let key = ServiceKey { vip: vip_key(VIP.parse().unwrap()).address, port: 80, protocol: 6, family: 4 };
        assert_eq!(rows.services[&key].flags, SERVICE_GUARDED);
        assert_eq!(rows.services[&ServiceKey { port: 81, ..key }].flags, 0);
        let id = rows.services[&key].id;
        let row = Guard {
            interval_ns: 10_000_000,
            burst_ns: 20_000_000,
            flags: GUARD_ACCESS | GUARD_LISTED_ONLY | GUARD_RATE,
            source_bits: 24,
            ..Guard::default()
        };
        assert_eq!(rows.guards, [(id, row)].into());
        let access = |bits, last| {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&[203, 0, 113, last]);
            (bits, AccessKey { service: id.to_be_bytes(), address })
        };
        assert_eq!(rows.access, [(access(56, 0), ACCESS_ALLOW), (access(57, 128), ACCESS_DENY)].into());

        let generation = table.generation();
        table.set_flooded("web", true);
        table.set_flooded("other", true);
        assert_eq!(table.generation(), generation + 1);
        assert_eq!(table.rows().guards, [(id, Guard { flags: row.flags | GUARD_FLOOD, ..row })].into());
        table.replace(cluster(&[service("web", 80, &["a"])], &[real("a", 1)]), 0).unwrap();
        assert!(table.rows().guards.is_empty() && table.rows().access.is_empty());
    }

    #[test]
    fn affinity_has_the_keys_of_its_service() {
        let affinity = Some(Affinity { prefix: 24, timeout_ms: Some(5_000), group: None });
        let web = Service { affinity, ports: Ports::Range(8_000, 8_007), ..service("web", 80, &["a"]) };
        let once = Service { one_packet: true, protocol: Protocol::Udp, ..service("once", 53, &["a"]) };
        let mut table = SchedulingTable::new(TableOptions::default());
        table.replace(cluster(&[service("other", 81, &["a"]), once, web], &[real("a", 1)]), 0).unwrap();
        let rows = table.rows();
        let [(_, value)] = rows.port_ranges.iter().collect::<Vec<_>>()[..] else { panic!("one block") };
        assert_eq!(value.flags, SERVICE_AFFINITY);
        let options = ServiceOptions {
            vip: vip_key(VIP.parse().unwrap()).address,
            affinity_service: value.id,
            affinity_port: 8_000,
            affinity_client_port: 8_007,
            affinity_protocol: 6,
            affinity_bits: 24,
            ..ServiceOptions::default()
        };
        assert_eq!(rows.service_options, [(value.id, options)].into());
        assert_eq!(table.idle_timeouts_ms(), [(value.id, 5_000)].into());
        let flags: Vec<u8> = rows.services.values().map(|value| value.flags).collect();
        assert_eq!(flags.iter().sum::<u8>(), SERVICE_ONE_PACKET);
    }

    #[test]
    fn slots_of_a_service_with_affinity_remember_for_its_own_timeout() {
        let affinity = Some(Affinity { prefix: 24, timeout_ms: Some(5_000), group: None });
        let services = [service("web", 80, &["a", "b"]), Service { affinity, ..service("shop", 81, &["a", "b"]) }];
        let mut table = SchedulingTable::new(TableOptions::default());
        table.replace(cluster(&services, &[real("a", 1), real("b", 2)]), 0).unwrap();
        table.set_admin("a", AdminState::Drained, 1_000).unwrap();
        let remembers =
            |table: &SchedulingTable| -> Vec<u32> { table.services().map(|view| view.tally.remembers).collect() };
        let before = remembers(&table);
        assert!(before.iter().all(|count| *count > 0));
        assert_eq!(table.expire(5_999), 0);
        assert_eq!(table.expire(6_000), before[1]);
        assert_eq!(remembers(&table), [before[0], 0]);
    }

    #[test]
    fn the_outer_source_is_the_hosts_unless_it_differs_by_flow() {
        let six = Real { address: "2001:db8::1".parse().unwrap(), ..real("f", 0) };
        let cluster = || cluster(&[service("web", 80, &["a"])], &[real("a", 1), six.clone()]);
        let mut table = SchedulingTable::new(TableOptions::default());
        table.replace(cluster(), 0).unwrap();
        table.set_next_hop("a", Some(hop(7))).unwrap();
        let a = table.rows().reals[&1];
        assert_eq!((&a.tunnel_source[..4], a.source_bits, a.gue_port), (&[198, 51, 100, 254][..], 0, 6_080));

        let tunnel = Tunnel { gue_port: 6_081, source_v4: Some("198.18.0.0/15".parse().unwrap()), source_v6: None };
        table.replace(cluster().with_tunnel(tunnel), 0).unwrap();
        let a = table.rows().reals[&1];
        assert_eq!((&a.tunnel_source[..4], a.source_bits, a.gue_port), (&[198, 18, 0, 0][..], 17, 6_081));

        let tunnel = Tunnel { source_v6: Some("2001:db8:ffff::/96".parse().unwrap()), ..Tunnel::default() };
        table.replace(cluster().with_tunnel(tunnel), 0).unwrap();
        table.set_next_hop("f", Some(NextHop { tunnel_source: "::".parse().unwrap(), ..hop(7) })).unwrap();
        let rows = table.rows();
        assert_eq!((&rows.reals[&1].tunnel_source[..4], rows.reals[&1].source_bits), (&[198, 51, 100, 254][..], 0));
        let source = "2001:db8:ffff::".parse::<std::net::Ipv6Addr>().unwrap().octets();
        assert_eq!((rows.reals[&2].tunnel_source, rows.reals[&2].source_bits), (source, 32));
    }

    #[test]
    fn rows_of_an_unchanged_table_are_equal_and_the_same() {
        let table = table();
        let (rows, again) = (table.rows(), table.clone().rows());
        assert_eq!(diff(&rows, &again), []);
        assert!(rows.rings.iter().all(|(id, ring)| Arc::ptr_eq(ring, &again.rings[id])));
    }

    #[test]
    fn a_drain_moves_only_the_slots_of_that_real() {
        let table = table();
        let mut next = table.clone();
        next.set_admin("c", AdminState::Drained, 1).unwrap();
        let writes = diff(&table.rows(), &next.rows());
        let [crate::rows::MapWrite::Slots { service: 1, changes }] = &writes[..] else { panic!("{writes:?}") };
        assert_eq!(changes.len(), 21_845);
    }
}

#[test]
fn views_show_what_counts() {
    let mut table = table();
    table.set_admin("b", AdminState::Drained, 0).unwrap();
    table.set_weight("a", Some(0), 0).unwrap();
    let web = table.services().next().unwrap();
    assert_eq!((web.id, web.service.name.as_str()), (1, "web"));
    let members: Vec<_> = web.members.iter().map(|m| (m.real.name.as_str(), m.id, m.weight, m.slots)).collect();
    assert_eq!(members, [("a", 1, 0, 0), ("b", 2, 0, 0), ("c", 3, 100, RING_SLOTS)]);
    let mail = table.services().nth(1).unwrap();
    assert_eq!((mail.tally.of_real(0), mail.tally.remembers, mail.tally.clean), (RING_SLOTS, RING_SLOTS, 0));
    assert_eq!(table.slots_held(), [(3, RING_SLOTS.into())].into());
}
