//! The engine on a data plane that fails when it is told to: what it does, what it undoes, and what it says.

use lb_common::{FLOW_OPEN, FlowKey, FlowValue, GUARD_FLOOD, REAL_ALIVE, REAL_RESOLVED, RING_SLOTS, ServiceKey};
use lb_core::api;

use super::test_support::{Bench, CONFIG, resolved};
use super::*;

fn messages(engine: &Engine) -> Vec<String> {
    engine.status().warnings.iter().map(|warning| format!("{}: {}", warning.subject, warning.message)).collect()
}

fn assert_maps_are_as_the_table_says(bench: &Bench, engine: &Engine) {
    let rows = engine.table.rows();
    assert!(bench.fake.world().rows == rows, "the maps are not what the table says");
}

#[test]
fn a_start_writes_the_maps_attaches_and_saves() {
    let bench = Bench::new();
    let engine = bench.start().unwrap();
    assert_maps_are_as_the_table_says(&bench, &engine);
    assert_eq!(bench.fake.world().rows.reals.len(), 2);
    assert_eq!(bench.fake.world().attached["eth0"], 2);
    let status = engine.status();
    assert!(status.state.saved && bench.state_dir().join("state.json").exists());
    assert!(!status.degraded, "{:?}", status.warnings);
    assert_eq!(status.interfaces[0].mode, Some(api::AttachMode::Driver));
    let watched: Vec<_> = bench.fake.world().watched.iter().map(|watch| watch.real.clone()).collect();
    assert_eq!(watched, ["web1", "web2"]);
}

#[test]
fn new_maps_are_attached_when_next_hops_are_known() {
    let bench = Bench::new();
    let mut engine = bench.start_with(Adoption::Fresh).unwrap();
    assert!(bench.fake.world().attached.is_empty());
    engine.set_next_hops(vec![resolved("web1", 11)]);
    assert!(!engine.is_ready() && bench.fake.world().attached.is_empty());
    engine.set_next_hops(vec![resolved("web2", 12)]);
    assert!(engine.is_ready() && !bench.fake.world().attached.is_empty());
}

#[test]
fn new_maps_are_attached_without_next_hops_after_a_while() {
    let bench = Bench::new();
    let mut engine = bench.start_with(Adoption::Fresh).unwrap();
    bench.pass(&mut engine, 1);
    assert!(bench.fake.world().attached.is_empty());
    bench.pass(&mut engine, 1);
    assert!(!bench.fake.world().attached.is_empty());
}

#[test]
fn a_start_that_cannot_write_says_why_and_leaves_the_maps_as_they_were() {
    let bench = Bench::new();
    drop(bench.start().unwrap());
    let before = bench.fake.world().rows.clone();
    bench.write_config(&CONFIG.replace("port = 80", "port = 81").replace("192.0.2.12", "192.0.2.13"));
    bench.fake.world().writes_before_failure = vec![3];
    let error = format!("{:#}", bench.start().err().unwrap());
    assert_eq!(error, "cannot write the maps, which go on as they were: map services is full");
    assert!(bench.fake.world().rows == before);
}

#[test]
fn a_restart_keeps_ids_slots_next_hops_and_what_operators_set() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    engine.set_next_hops(vec![resolved("web1", 11), resolved("web2", 12)]);
    engine.set_admin("web1", api::AdminState::Drained).unwrap();
    engine.set_weight("web2", Some(7)).unwrap();
    drop(engine);
    let rows = bench.fake.world().rows.clone();
    let writes = bench.fake.world().writes;
    let engine = bench.start().unwrap();
    assert!(bench.fake.world().rows == rows, "a restart changes nothing");
    assert_eq!(bench.fake.world().writes, writes, "and writes nothing");
    let reals = engine.reals().unwrap().reals;
    assert_eq!((reals[0].admin, reals[0].slots), (api::AdminState::Drained, 0));
    assert_eq!((reals[1].weight_override, reals[1].slots), (Some(7), RING_SLOTS));
    assert!(reals.iter().all(|real| real.next_hop.is_some()));
}

#[test]
fn draining_moves_the_slots_and_a_second_time_changes_nothing() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    let changed = engine.set_admin("web1", api::AdminState::Drained).unwrap();
    assert!(changed.changed && changed.warnings.is_empty());
    assert_eq!((changed.real.slots, changed.real.admin), (0, api::AdminState::Drained));
    assert_maps_are_as_the_table_says(&bench, &engine);
    let service = &engine.services().unwrap().services[0];
    assert_eq!(service.reals[1].slots, RING_SLOTS);
    assert!(service.slots.remembering > 30_000, "{:?}", service.slots);
    let again = engine.set_admin("web1", api::AdminState::Drained).unwrap();
    assert!(!again.changed);
    assert_eq!(again.generation, changed.generation);
}

#[test]
fn where_nothing_changes_the_maps_are_left_alone() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    engine.set_next_hops(vec![resolved("web1", 11)]);
    let applies = bench.fake.world().applies;
    bench.pass(&mut engine, 1);
    bench.pass(&mut engine, 60);
    engine.set_next_hops(vec![resolved("web1", 11)]);
    engine.set_admin("web1", api::AdminState::Enabled).unwrap();
    engine.reload().unwrap();
    assert_eq!(bench.fake.world().applies, applies);
}

#[test]
fn actions_on_what_is_not_there_are_refused() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    let error = engine.set_admin("web9", api::AdminState::Drained).unwrap_err();
    assert_eq!(error.to_string(), "there is no real \"web9\"");
    let error = engine.set_weight("web1", Some(70_000)).unwrap_err();
    assert!(matches!(error, ChangeError::Refused(TableError::Weight { .. })), "{error}");
}

#[test]
fn a_failed_write_is_taken_back() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    let before = bench.fake.world().rows.clone();
    bench.write_config(&CONFIG.replace("port = 80", "port = 81").replace("192.0.2.12", "192.0.2.13"));
    let writes = 4;
    for failing in 0..writes {
        bench.fake.world().writes_before_failure = vec![failing];
        let error = engine.reload().unwrap_err();
        assert_eq!(error.error, "the maps could not be written, and nothing was changed: map services is full");
        assert!(bench.fake.world().rows == before, "after {failing} writes");
        assert_eq!(engine.table.cluster().reals()[1].address, "192.0.2.12".parse::<std::net::IpAddr>().unwrap());
        assert!(!engine.status().degraded);
    }
    assert!(engine.reload().unwrap().changed);
    assert_maps_are_as_the_table_says(&bench, &engine);
}

#[test]
fn a_failed_write_that_cannot_be_taken_back_is_repaired_later() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    bench.fake.world().writes_before_failure = vec![1, 0];
    engine.set_admin("web1", api::AdminState::Disabled).unwrap_err();
    let message = "maps: they may differ from what is configured, and are written again soon: map services is full";
    assert_eq!(messages(&engine), [message]);
    assert!(engine.status().degraded);
    bench.pass(&mut engine, 1);
    assert_maps_are_as_the_table_says(&bench, &engine);
    assert!(!engine.status().degraded);
}

#[test]
fn a_next_hop_that_could_not_be_written_is_written_later() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    bench.fake.world().writes_before_failure = vec![0];
    engine.set_next_hops(vec![resolved("web1", 11)]);
    let flags = || bench.fake.world().rows.reals[&1].flags;
    assert_eq!(flags(), REAL_ALIVE);
    bench.pass(&mut engine, 1);
    assert_eq!(flags(), REAL_ALIVE | REAL_RESOLVED);
    assert!(!engine.status().degraded);
}

#[test]
fn a_reload_takes_over_services_reals_interfaces_and_the_timeout() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    bench.fake.world().interfaces.insert("eth1".to_owned(), 3);
    let real = "[[real]]\nname = \"web3\"\naddress = \"192.0.2.13\"\n";
    let text = CONFIG.replace("\"eth0\"", "\"eth1\"").replace("[\"web1\", \"web2\"]", "[\"web2\", \"web3\"]");
    bench.write_config(&format!("flow_idle_timeout = \"20s\"\n{text}{real}"));
    let reloaded = engine.reload().unwrap();
    assert!(reloaded.changed);
    assert_eq!(reloaded.warnings, Vec::<String>::new());
    assert_maps_are_as_the_table_says(&bench, &engine);
    assert_eq!(bench.fake.world().attached.keys().collect::<Vec<_>>(), ["eth1"]);
    assert_eq!(engine.table.options().flow_idle_timeout_ms, 20_000);
    assert_eq!(bench.fake.world().watched.len(), 3);
    assert!(engine.status().state.saved);
    assert!(!engine.reload().unwrap().changed);
}

#[test]
fn a_reload_of_a_wrong_file_changes_nothing() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    let before = bench.fake.world().rows.clone();
    let generation = engine.status().generation;
    let wrong = CONFIG.replace("port = 80", "port = 81").replace("\"dsr\"", "\"vxlan\"");
    bench.write_config(&wrong);
    let refused = engine.reload().unwrap_err();
    assert!(refused.error.contains("`mode` cannot be \"vxlan\""), "{}", refused.error);
    assert!(refused.error.contains("lbd.toml:17:8"), "{}", refused.error);
    assert!(refused.hint.unwrap().starts_with("the configuration in use serves on"));
    assert!(bench.fake.world().rows == before);
    assert_eq!(engine.status().generation, generation);
}

#[test]
fn a_reload_names_the_keys_that_wait_for_a_restart() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    bench.write_config(&format!("attach_mode = \"generic\"\nlimits.flows = 2048\n{CONFIG}"));
    let reloaded = engine.reload().unwrap();
    let message = "configuration: attach_mode, limits.flows changed, and lbd takes that over when it is restarted";
    assert_eq!(reloaded.warnings, [message]);
    bench.write_config(CONFIG);
    assert!(engine.reload().unwrap().warnings.is_empty());
}

#[test]
fn interfaces_may_come_go_and_come_again() {
    let bench = Bench::new();
    bench.fake.world().interfaces.clear();
    let mut engine = bench.start().unwrap();
    assert_eq!(
        messages(&engine),
        [
            "interface eth0: does not exist; lbd attaches to it when it appears (`ip link` shows what there is)",
            "interfaces: the XDP program is attached to none: no packet is balanced until one works",
        ]
    );
    bench.fake.world().interfaces.insert("eth0".to_owned(), 5);
    bench.pass(&mut engine, 1);
    assert_eq!(bench.fake.world().attached["eth0"], 5);
    assert!(!engine.status().degraded);
    bench.fake.world().interfaces.clear();
    bench.pass(&mut engine, 1);
    assert!(engine.status().degraded && bench.fake.world().attached.is_empty());
    bench.fake.world().interfaces.insert("eth0".to_owned(), 6);
    bench.pass(&mut engine, 1);
    assert_eq!(bench.fake.world().attached["eth0"], 6);
    bench.fake.world().interfaces.insert("eth0".to_owned(), 7);
    bench.pass(&mut engine, 1);
    assert_eq!(bench.fake.world().attached["eth0"], 7, "gone and back between two looks");
}

#[test]
fn an_interface_that_left_the_configuration_while_no_daemon_ran_is_let_go() {
    let bench = Bench::new();
    bench.fake.world().interfaces.insert("eth1".to_owned(), 3);
    bench.write_config(&CONFIG.replace("[\"eth0\"]", "[\"eth0\", \"eth1\"]"));
    drop(bench.start().unwrap());
    assert_eq!(bench.fake.world().attached.len(), 2);
    bench.write_config(CONFIG);
    let _engine = bench.start().unwrap();
    assert_eq!(bench.fake.world().attached.keys().collect::<Vec<_>>(), ["eth0"]);
}

#[test]
fn an_interface_with_another_program_is_tried_again_later() {
    let bench = Bench::new();
    bench.fake.world().refuse_to_attach.insert("eth0".to_owned(), "has another XDP program".to_owned());
    let mut engine = bench.start().unwrap();
    assert_eq!(engine.status().interfaces[0].error.as_deref(), Some("has another XDP program"));
    bench.fake.world().refuse_to_attach.clear();
    bench.pass(&mut engine, 9);
    assert!(engine.status().degraded, "not yet");
    bench.pass(&mut engine, 1);
    assert!(!engine.status().degraded);
    assert_eq!(engine.status().interfaces[0].error, None);
}

#[test]
fn a_vip_on_no_interface_and_a_real_without_a_next_hop_are_told() {
    let bench = Bench::new();
    bench.fake.world().addresses.clear();
    let mut engine = bench.start().unwrap();
    let note = "no answer to ARP requests on eth0".to_owned();
    let update = Update { real: "web1".to_owned(), next_hop: None, note };
    engine.set_next_hops(vec![update.clone()]);
    assert_eq!(messages(&engine).len(), 1, "the real may take its time");
    engine.set_next_hops(vec![update]);
    bench.pass(&mut engine, 1);
    assert_eq!(
        messages(&engine),
        [
            "real web1: 192.0.2.11: no next hop is known: no answer to ARP requests on eth0",
            "vip 198.51.100.1: on no interface of this host: unless it is routed here, no packet for it comes; \
             ip address add 198.51.100.1/32 dev eth0",
        ]
    );
    engine.set_next_hops(vec![resolved("web1", 11)]);
    bench.fake.world().addresses.insert("198.51.100.1".parse().unwrap());
    bench.pass(&mut engine, 1);
    assert!(messages(&engine).is_empty());
}

#[test]
fn a_state_that_cannot_be_saved_is_told_and_tried_again() {
    let bench = Bench::new();
    let mut engine = bench.start().unwrap();
    let temporary = bench.state_dir().join("state.json.tmp");
    std::os::unix::fs::symlink("/dev/full", &temporary).unwrap();
    let changed = engine.set_weight("web1", Some(3)).unwrap();
    assert!(changed.warnings[0].contains("No space left on device"), "{:?}", changed.warnings);
    assert_eq!(changed.real.weight_override, Some(3), "traffic follows all the same");
    let status = engine.status();
    assert!(status.degraded && !status.state.saved && status.state.error.is_some());
    std::fs::remove_file(&temporary).unwrap();
    bench.pass(&mut engine, 10);
    let status = engine.status();
    assert!(!status.degraded && status.state.saved, "{:?}", status.warnings);
}

#[test]
fn a_damaged_state_file_is_set_aside_and_the_maps_tell_the_rest() {
    let bench = Bench::new();
    drop(bench.start().unwrap());
    let before = bench.fake.world().rows.clone();
    let path = bench.state_dir().join("state.json");
    for damage in [
        "{",
        "{\"version\": 99, \"generation\": 1, \"next_service_id\": 0, \"next_real_id\": 1, \"services\": [], \"reals\": []}",
    ] {
        std::fs::write(&path, damage).unwrap();
        let engine = bench.start().unwrap();
        let told = messages(&engine);
        assert!(told[0].contains("moved to") && told[0].contains("state.json.bad"), "{told:?}");
        assert!(bench.fake.world().rows == before);
        assert!(engine.status().state.saved);
    }
}

#[test]
fn slots_are_marked_in_time_and_clean_when_their_flows_are_over() {
    let bench = Bench::new();
    bench.write_config(&format!("flow_idle_timeout = \"100s\"\n{CONFIG}"));
    let mut engine = bench.start().unwrap();
    engine.set_admin("web1", api::AdminState::Drained).unwrap();
    let slots = |engine: &Engine| engine.services().unwrap().services[0].slots;
    let moved = slots(&engine).remembering;
    let slot = bench.fake.world().rows.rings[&0].iter().position(|slot| slot.state != 0).unwrap() as u32;
    bench.pass(&mut engine, 100);
    assert_eq!(slots(&engine), api::SlotStates { clean: RING_SLOTS - moved, remembering: 0, marked: moved });
    let last_seen_ns = bench.fake.world().now_ns + 60_000_000_000;
    bench.fake.world().flows = vec![(flow_key(1), flow_value(last_seen_ns, slot))];
    bench.pass(&mut engine, 70);
    assert_eq!(slots(&engine).marked, 1, "the flow's slot");
    assert_eq!(engine.status().flows, 1);
    bench.pass(&mut engine, 100);
    assert_eq!(slots(&engine), api::SlotStates { clean: RING_SLOTS, remembering: 0, marked: 0 });
    assert_eq!(engine.status().flows, 0);
    assert_maps_are_as_the_table_says(&bench, &engine);
}

fn flow_key(client: u8) -> FlowKey {
    let address = |bytes: [u8; 4]| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&bytes);
        address
    };
    let service = ServiceKey { vip: address([198, 51, 100, 1]), port: 80, protocol: 6, family: 4 };
    FlowKey { client: address([203, 0, 113, client]), service, client_port: 1000 + u16::from(client), reserved: 0 }
}

fn flow_value(last_seen_ns: u64, slot: u32) -> FlowValue {
    FlowValue { last_seen_ns, slot, real: 1, service: 0, state: FLOW_OPEN, reserved: [0; 3] }
}

#[test]
fn flows_are_shown_by_name_up_to_the_limit() {
    let bench = Bench::new();
    let engine = bench.start().unwrap();
    let now_ns = bench.fake.world().now_ns;
    bench.fake.world().flows = (1..=3).map(|n| (flow_key(n), flow_value(now_ns - 1_500_000_000, 9))).collect();
    let found = engine.flows(&FlowQuery { vip: None, limit: 2 }).unwrap();
    assert!(found.truncated);
    let expected = api::Flow {
        client: "203.0.113.1".parse().unwrap(),
        client_port: 1001,
        vip: "198.51.100.1".parse().unwrap(),
        vip_port: 80,
        protocol: api::Protocol::Tcp,
        service: Some("web".to_owned()),
        real: Some("web1".to_owned()),
        slot: 9,
        state: api::FlowState::Open,
        idle_seconds: 1.5,
    };
    assert_eq!(found.flows.len(), 2);
    assert_eq!(found.flows[0], expected);
    let other = FlowQuery { vip: Some("198.51.100.2".parse().unwrap()), limit: 2 };
    assert!(engine.flows(&other).unwrap().flows.is_empty());
    assert!(!engine.flows(&FlowQuery { vip: None, limit: 3 }).unwrap().truncated);
}

#[test]
fn counters_are_those_of_the_ids() {
    let bench = Bench::new();
    let engine = bench.start().unwrap();
    let sent = |packets| lb_common::TrafficCounters { packets, bytes: 10 * packets, syn: 1, fin: 2, rst: 3 };
    {
        let mut world = bench.fake.world();
        world.service_counters.insert(0, sent(5));
        world.real_counters.insert(2, sent(4));
        world.drops = vec![1, 2];
    }
    let stats = engine.stats().unwrap();
    assert_eq!(stats.at_ns, bench.fake.world().now_ns);
    assert_eq!((stats.total.packets, stats.services[0].counters.bytes, stats.dropped), (5, 50, 3));
    assert_eq!((stats.reals[0].counters.packets, stats.reals[1].counters.packets), (0, 4));
    assert_eq!(engine.reals().unwrap().reals[1].counters.fin, 2);
    let drops = engine.drops().unwrap();
    assert_eq!((drops.drops[1].name.as_str(), drops.drops[1].count), ("truncated", 2));
    assert!(drops.drops.iter().chain(&drops.events).all(|count| !count.explanation.is_empty()));
}

#[test]
fn a_syn_flood_is_told_to_the_program_and_to_people_until_it_is_over() {
    let bench = Bench::new();
    bench.write_config(&format!("{CONFIG}syn_flood = {{ threshold = 1000 }}\n"));
    let mut engine = bench.start().unwrap();
    let id = engine.table.services().next().unwrap().id;
    let is_told = |bench: &Bench| {
        let world = bench.fake.world();
        world.rows.guards.get(&id).is_some_and(|guard| guard.flags & GUARD_FLOOD != 0)
    };
    let second = |engine: &mut Engine, syns: u64| {
        bench.fake.world().service_counters.entry(id).or_default().syn += syns;
        bench.pass(engine, 1);
    };
    let flooded =
        |engine: &Engine| engine.services().unwrap().services[0].guards.clone().unwrap().syn_flood.unwrap().flooded;
    for _ in 0..3 {
        second(&mut engine, 1_000);
    }
    assert!(!is_told(&bench) && !flooded(&engine));
    second(&mut engine, 1_001);
    assert!(is_told(&bench) && flooded(&engine));
    assert_maps_are_as_the_table_says(&bench, &engine);
    let about =
        |engine: &Engine| messages(engine).into_iter().find(|message| message.starts_with("SYN flood of web: "));
    assert!(about(&engine).unwrap().contains("1001 SYNs a second, and syn_flood.threshold is 1000"));
    for _ in 0..9 {
        second(&mut engine, 10);
    }
    assert!(is_told(&bench));
    second(&mut engine, 10);
    assert!(!is_told(&bench) && !flooded(&engine) && about(&engine).is_none());

    second(&mut engine, 5_000);
    assert!(is_told(&bench));
    bench.write_config(CONFIG);
    engine.reload().unwrap();
    assert!(bench.fake.world().rows.guards.is_empty());
    bench.pass(&mut engine, 1);
    assert_eq!(about(&engine), None, "nobody looks any more");
}

#[test]
fn clients_of_a_service_with_affinity_are_forgotten_after_its_own_time() {
    let bench = Bench::new();
    bench.write_config(&format!("{CONFIG}affinity = {{ timeout = \"20s\" }}\n"));
    let mut engine = bench.start().unwrap();
    let id = engine.table.services().next().unwrap().id as u16;
    let now_ns = bench.fake.world().now_ns;
    let flow = |service| FlowValue { service, state: FLOW_OPEN, last_seen_ns: now_ns, real: 1, ..FlowValue::default() };
    let key = |client_port| FlowKey { client_port, ..FlowKey::default() };
    bench.fake.world().flows = vec![(key(1), flow(id)), (key(2), flow(id + 1))];
    for _ in 0..19 {
        bench.pass(&mut engine, 1);
    }
    assert_eq!(bench.fake.world().flows.len(), 2);
    for _ in 0..30 {
        bench.pass(&mut engine, 1);
    }
    assert_eq!(bench.fake.world().flows, [(key(2), flow(id + 1))]);
}
