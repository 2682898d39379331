//! The data plane on this kernel: loading, pinning, adopting, writing rows. Needs root and BPF.

mod flow_events;
mod lease;
mod quic;

mod shared_rings;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use lb_common::{
    ABI_VERSION, ACCESS_ALLOW, ACCESS_DENY, ACCESS_FIXED_BITS, AccessKey, FALLBACK_RESET, FAMILY_V4, FAMILY_V6,
    FLOW_OPEN, FLOW_RST, FlowKey, FlowValue, GUARD_ACCESS, GUARD_RATE, Guard, HalfOpenValue, MODE_DSR, NAT_REPLIES,
    NatPortKey, NatReplyValue, NatState, PROTOCOL_TCP, PortRangeKey, QuicKey, QuicServerKey, QuicValue, REAL_ALIVE,
    REAL_RESOLVED, RING_SLOTS, RealValue, ServiceKey, ServiceOptions, ServiceValue, Slot, VipKey, VipPrefixKey,
    VipPrefixValue, VipValue, flow_hash, service_row, slot_of,
};
use lb_core::rows::{MapWrite, Rows, diff};
use lb_daemon::dataplane::{Adoption, Dataplane, DataplaneError, FlowTimeouts, Options, Sweep};

const VIP: [u8; 4] = [203, 0, 113, 10];
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

fn options(pin_dir: Option<PathBuf>) -> Options {
    Options {
        pin_dir,
        max_reals: 64,
        max_flows: 128,
        flow_events_size: lb_common::DEFAULT_FLOW_EVENTS_SIZE,
        debug_log: false,
    }
}

fn address(bytes: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&bytes);
    address
}

/// One service on port 80 with one real, reached by the interface that the frame came in by.
fn rows() -> Rows {
    let real = RealValue {
        address: address([192, 0, 2, 11]),
        next_hop_mac: [2, 0, 0, 0, 0, 11],
        source_mac: [2, 0, 0, 0, 0, 1],
        ifindex: 1,
        mtu: 1500,
        flags: REAL_ALIVE | REAL_RESOLVED,
        family: FAMILY_V4,
        ..RealValue::default()
    };
    let ring: Arc<[Slot]> = vec![Slot { real: 1, ..Slot::default() }; RING_SLOTS as usize].into();
    let service = ServiceValue { id: 7, mode: MODE_DSR, ..ServiceValue::default() };
    let key = ServiceKey { vip: address(VIP), port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V4 };
    let block =
        PortRangeKey { vip: address(VIP), family: FAMILY_V4, protocol: PROTOCOL_TCP, port: 8000_u16.to_be_bytes() };
    Rows {
        vips: HashMap::from([(
            VipKey { address: address(VIP), family: FAMILY_V4, reserved: [0; 3] },
            VipValue { flags: 1 },
        )]),
        vip_prefixes: HashMap::from([(
            (20, VipPrefixKey { family: FAMILY_V4, reserved: [0; 3], address: address([198, 18, 16, 0]) }),
            VipPrefixValue { vip: address([198, 18, 16, 0]), value: VipValue { flags: 1 } },
        )]),
        services: HashMap::from([(key, service)]),
        port_ranges: HashMap::from([((11, block), service)]),
        reals: BTreeMap::from([(1, real)]),
        rings: BTreeMap::from([(7, ring)]),
        service_options: BTreeMap::from([(
            7,
            ServiceOptions { fallback: FALLBACK_RESET, ..ServiceOptions::default() },
        )]),
        guards: BTreeMap::from([(
            7,
            Guard {
                interval_ns: 10,
                burst_ns: 20,
                flags: GUARD_ACCESS | GUARD_RATE,
                source_bits: 24,
                ..Guard::default()
            },
        )]),
        access: HashMap::from([
            (access(24, [198, 51, 100, 0]), ACCESS_ALLOW),
            (access(32, [198, 51, 100, 9]), ACCESS_DENY),
        ]),
        quic: HashMap::from([(
            QuicKey { service: 7, config: 2 },
            QuicValue { encoding: 1, offset: 1, server_id_length: 8, nonce_length: 8, schedule: [5; 44] },
        )]),
        quic_servers: HashMap::from([(QuicServerKey { service: 7, length: 8, id: [3; 15] }, 1)]),
        nat: NatState { flags: NAT_REPLIES },
        nat_ports: HashMap::from([(NatPortKey { service: 7, real: 1 }, 8_080)]),
        nat_replies: HashMap::from([(
            ServiceKey { vip: [9; 16], port: 8_080, protocol: PROTOCOL_TCP, family: FAMILY_V6 },
            NatReplyValue { service: 7, first_port: 8_080, last_port: 8_080 },
        )]),
    }
}

/// A prefix of service 7, as rows have it.
fn access(bits: u32, prefix: [u8; 4]) -> (u32, AccessKey) {
    (ACCESS_FIXED_BITS + bits, AccessKey { service: 7_u32.to_be_bytes(), address: address(prefix) })
}

/// A SYN from 198.51.100.7:4000.
fn syn(port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 7]);
    frame.extend(VIP);
    frame.extend([0x0f, 0xa0]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

/// A bpffs of this test's own, unmounted at its end.
struct Bpffs {
    mount: tempfile::TempDir,
}

impl Bpffs {
    fn new() -> Self {
        let mount = tempfile::Builder::new().prefix("us-bpffs-").tempdir().unwrap();
        let status = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(mount.path()).status().unwrap();
        assert!(status.success(), "mounting a bpffs needs root");
        Self { mount }
    }

    fn dir(&self) -> PathBuf {
        self.mount.path().join("pins")
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.mount.path()).status();
    }
}

#[test]
fn a_packet_for_a_service_goes_to_its_real() {
    let (mut dataplane, adoption) = Dataplane::open(&options(None)).unwrap();
    assert_eq!(adoption, Adoption::Fresh);
    assert_eq!(dataplane.test_run(&syn(80), 1).unwrap().action, XDP_PASS, "no VIP yet");
    dataplane.apply(&diff(&Rows::default(), &rows())).unwrap();

    let verdict = dataplane.test_run(&syn(80), 1).unwrap();

    assert_eq!(verdict.action, XDP_TX);
    assert_eq!(verdict.frame[..12], [2, 0, 0, 0, 0, 11, 2, 0, 0, 0, 0, 1]);
    assert_eq!(verdict.frame[12..], syn(80)[12..]);
    assert_eq!(dataplane.test_run(&syn(8031), 1).unwrap().action, XDP_TX, "inside the port range");
    assert_eq!(dataplane.test_run(&syn(8032), 1).unwrap().action, XDP_PASS, "outside it");
    assert_eq!(dataplane.events().unwrap()[0], 1, "vip_passed");
    let counters = dataplane.real_counters(1).unwrap();
    assert_eq!((counters.packets, counters.bytes, counters.syn), (2, 80, 2));
    assert_eq!(dataplane.service_counters(7).unwrap(), counters);
    assert!(dataplane.drops().unwrap().iter().all(|count| *count == 0));
}

/// Where a packet for the port is sent: the last byte of its real's MAC address.
fn real_of(dataplane: &Dataplane, port: u16) -> Option<u8> {
    let verdict = dataplane.test_run(&syn(port), 1).unwrap();
    (verdict.action == XDP_TX).then_some(verdict.frame[5])
}

#[test]
fn services_that_want_one_row_of_the_index_are_both_served() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let mut rows = rows();
    let (&first, &value) = rows.services.iter().next().unwrap();
    let second = (1..u16::MAX)
        .map(|port| ServiceKey { port, ..first })
        .find(|key| key.port != first.port && service_row(key) == service_row(&first))
        .unwrap();
    let vip = *rows.vips.keys().next().unwrap();
    // No port ranges, which would serve the port of a service that is gone.
    rows.vips.insert(vip, VipValue { flags: 0 });
    rows.reals.insert(2, RealValue { next_hop_mac: [2, 0, 0, 0, 0, 12], ..rows.reals[&1] });
    rows.rings.insert(8, vec![Slot { real: 2, ..Slot::default() }; RING_SLOTS as usize].into());
    dataplane.apply(&diff(&Rows::default(), &rows)).unwrap();
    let other = ServiceValue { id: 8, ..value };
    let set = |key, value| [MapWrite::Service { key, value }];

    dataplane.apply(&set(second, Some(other))).unwrap();
    assert_eq!((real_of(&dataplane, 80), real_of(&dataplane, second.port)), (Some(11), Some(12)));
    dataplane.apply(&set(first, Some(other))).unwrap();
    assert_eq!((real_of(&dataplane, 80), real_of(&dataplane, second.port)), (Some(12), Some(12)), "changed");
    dataplane.apply(&set(first, None)).unwrap();
    assert_eq!((real_of(&dataplane, 80), real_of(&dataplane, second.port)), (None, Some(12)), "the other has the row");
    dataplane.apply(&set(first, Some(value))).unwrap();
    dataplane.apply(&set(second, Some(value))).unwrap();
    assert_eq!((real_of(&dataplane, 80), real_of(&dataplane, second.port)), (Some(11), Some(11)));
    dataplane.apply(&set(second, None)).unwrap();
    assert_eq!((real_of(&dataplane, 80), real_of(&dataplane, second.port)), (Some(11), None));
}

#[test]
fn what_is_written_is_read_back_and_taken_away_again() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let rows = rows();
    dataplane.apply(&diff(&Rows::default(), &rows)).unwrap();
    assert_eq!(dataplane.rows().unwrap(), rows);

    let moved = Slot { real: 0, previous: 1, state: 1, reserved: 0 };
    dataplane.apply(&[MapWrite::Slots { service: 7, changes: [(65_536, moved)].into() }]).unwrap();
    let read = dataplane.rows().unwrap();
    assert_eq!((read.rings[&7][65_536], read.rings[&7][65_535]), (moved, rows.rings[&7][65_535]));

    dataplane.apply(&diff(&read, &Rows::default())).unwrap();
    assert_eq!(dataplane.rows().unwrap(), Rows::default());
    // Taking away what is not there is no error: a rollback may do so.
    dataplane.apply(&diff(&read, &Rows::default())).unwrap();
}

#[test]
fn counters_are_reset_for_a_new_owner() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    dataplane.apply(&diff(&Rows::default(), &rows())).unwrap();
    dataplane.test_run(&syn(80), 1).unwrap();
    let resets = [MapWrite::ResetServiceCounters { service: 7 }, MapWrite::ResetRealCounters { real: 1 }];
    dataplane.apply(&resets).unwrap();
    assert_eq!(dataplane.service_counters(7).unwrap().packets, 0);
    assert_eq!(dataplane.real_counters(1).unwrap().packets, 0);
}

#[test]
fn writes_outside_a_map_are_refused_by_name() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let error = dataplane.apply(&[MapWrite::Real { id: 64, value: None }]).unwrap_err();
    assert_eq!(error.to_string(), "real 64 is outside map reals, which has 64 entries");
    let error = dataplane.apply(&[MapWrite::RemoveRing { service: 4096 }]).unwrap_err();
    assert_eq!(error.to_string(), "service 4096 is outside map rings, which has 4096 entries");
    let options = MapWrite::ServiceOptions { service: 4096, value: ServiceOptions::default() };
    let error = dataplane.apply(&[options]).unwrap_err();
    assert_eq!(error.to_string(), "service 4096 is outside map service_options, which has 4096 entries");
}

#[test]
fn maps_outlive_the_process_and_are_adopted_or_replaced() {
    let bpffs = Bpffs::new();
    let pinned = options(Some(bpffs.dir()));
    {
        let (mut dataplane, adoption) = Dataplane::open(&pinned).unwrap();
        assert_eq!(adoption, Adoption::Fresh);
        dataplane.apply(&diff(&Rows::default(), &rows())).unwrap();
    }
    {
        let (dataplane, adoption) = Dataplane::open(&pinned).unwrap();
        assert_eq!(adoption, Adoption::Adopted);
        assert_eq!(dataplane.rows().unwrap(), rows());
        assert_eq!(dataplane.test_run(&syn(80), 1).unwrap().action, XDP_TX);
    }
    {
        let larger = Options { max_flows: 256, ..pinned.clone() };
        let (dataplane, adoption) = Dataplane::open(&larger).unwrap();
        let wanted =
            "pinned map flows has 40-byte keys, 24-byte values and 128 entries where 40, 24 and 256 are wanted";
        assert_eq!(adoption, Adoption::Replaced { reason: wanted.into() });
        assert_eq!(dataplane.rows().unwrap(), Rows::default());
    }
    fs::remove_file(bpffs.dir().join("drops")).unwrap();
    let (_, adoption) = Dataplane::open(&Options { max_flows: 256, ..pinned }).unwrap();
    assert_eq!(adoption, Adoption::Replaced { reason: "pinned map drops is missing".into() });
    assert_eq!(Dataplane::remove_pins(&bpffs.dir()).unwrap().len(), lb_common::map::ALL.len());
    assert!(!bpffs.dir().exists());
}

#[test]
fn pins_of_another_abi_version_are_replaced() {
    let bpffs = Bpffs::new();
    let pinned = options(Some(bpffs.dir()));
    drop(Dataplane::open(&pinned).unwrap());
    let abi = bpffs.dir().join("abi");
    let update = Command::new("bpftool")
        .args(["map", "update", "pinned"])
        .arg(&abi)
        .args(["key", "0", "0", "0", "0", "value", "99", "0", "0", "0"])
        .output()
        .unwrap();
    assert!(update.status.success(), "{}", String::from_utf8_lossy(&update.stderr));
    let (_, adoption) = Dataplane::open(&pinned).unwrap();
    let reason = format!("the pinned maps have ABI version 99, this lbd has {ABI_VERSION}");
    assert_eq!(adoption, Adoption::Replaced { reason });
    let (_, adoption) = Dataplane::open(&pinned).unwrap();
    assert_eq!(adoption, Adoption::Adopted, "the new pins have the right version");
}

#[test]
fn pinned_maps_show_named_fields() {
    let bpffs = Bpffs::new();
    let (mut dataplane, _) = Dataplane::open(&options(Some(bpffs.dir()))).unwrap();
    dataplane.apply(&diff(&Rows::default(), &rows())).unwrap();
    dataplane.put_flow(&flow_key(4000), &FlowValue { real: 1, ..FlowValue::default() }).unwrap();
    for (map, wanted) in [
        ("services", ["\"vip\":[203,0,113,10", "\"port\":80", "\"mode\":1"]),
        ("reals", ["\"address\":[192,0,2,11", "\"next_hop_mac\":[2,0,0,0,0,11]", "\"ifindex\":1"]),
        ("flows", ["\"client\":[198,51,100,7", "\"client_port\":4000", "\"real\":1"]),
    ] {
        let dump = dump(&bpffs.dir().join(map));
        for part in wanted {
            assert!(dump.contains(part), "{map} shows no {part}: {}", &dump[..dump.len().min(600)]);
        }
    }
}

fn dump(map: &Path) -> String {
    let output = Command::new("bpftool").args(["-j", "map", "dump", "pinned"]).arg(map).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect()
}

#[test]
fn a_pin_directory_on_a_disk_is_refused() {
    let dir = tempfile::Builder::new().prefix("us-no-bpffs-").tempdir().unwrap();
    let Err(error) = Dataplane::open(&options(Some(dir.path().join("pins")))) else { panic!("it was opened") };
    assert!(matches!(error, DataplaneError::PinDir { .. }), "{error}");
    assert!(error.to_string().contains("mount -t bpf"), "{error}");
    assert!(!dir.path().join("pins").exists());
}

fn flow_key(client_port: u16) -> FlowKey {
    let service = ServiceKey { vip: address(VIP), port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V4 };
    FlowKey { client: address([198, 51, 100, 7]), service, client_port, reserved: 0 }
}

#[test]
fn a_sweep_forgets_what_is_over_and_names_the_slots_in_use() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let flow = |last_seen_ns, state, slot| FlowValue {
        last_seen_ns,
        state,
        slot,
        service: 7,
        real: 1,
        ..FlowValue::default()
    };
    dataplane.put_flow(&flow_key(1), &flow(1_000, FLOW_OPEN, 11)).unwrap();
    dataplane.put_flow(&flow_key(2), &flow(899, FLOW_OPEN, 12)).unwrap();
    dataplane.put_flow(&flow_key(3), &flow(980, FLOW_RST, 13)).unwrap();
    dataplane.put_flow(&flow_key(6), &FlowValue { service: 8, ..flow(998, FLOW_OPEN, 16) }).unwrap();
    let half = |began_ns, slot| HalfOpenValue { began_ns, slot, real: 1, service: 7 };
    dataplane.put_half_open(&flow_key(4), &half(990, 14)).unwrap();
    dataplane.put_half_open(&flow_key(5), &half(900, 15)).unwrap();

    let open_of_service_ns = BTreeMap::from([(8, 1)]);
    let timeouts =
        FlowTimeouts { open_ns: 100, open_of_service_ns, fin_ns: 50, rst_ns: 10, half_open_ns: 20, seen_floor_ns: 0 };
    let mut sweep = dataplane.sweep(1_000, &timeouts).unwrap();
    sweep.forgotten.sort_by_key(|key| key.client_port);

    let forgotten = vec![flow_key(2), flow_key(3), flow_key(6)];
    assert_eq!((sweep.in_use, sweep.forgotten, sweep.flows), ([(7, 11), (7, 14)].into(), forgotten, 1));
    let left = dataplane.flows(10, |_, _| true).unwrap();
    assert_eq!(left, [(flow_key(1), flow(1_000, FLOW_OPEN, 11))]);
    let found_at_a_takeover = FlowTimeouts { seen_floor_ns: 1_100, ..timeouts };
    assert!(dataplane.sweep(1_110, &found_at_a_takeover).unwrap().forgotten.is_empty(), "seen by no one before 1,100");
    assert_eq!(dataplane.sweep(1_201, &found_at_a_takeover).unwrap().forgotten, [flow_key(1)]);
    dataplane.put_half_open(&flow_key(4), &half(990, 14)).unwrap();
    assert_eq!(dataplane.get_half_open(&flow_key(5)).unwrap(), None);
    assert_eq!(dataplane.get_half_open(&flow_key(4)).unwrap(), Some(half(990, 14)));
}

#[test]
fn a_great_flow_table_is_swept_in_portions() {
    const FLOWS: u16 = 4_000;
    let (mut dataplane, _) = Dataplane::open(&Options { max_flows: 8_192, ..options(None) }).unwrap();
    let table = dataplane.flow_table().unwrap();
    let seen = |number| if number % 2 == 0 { 1_000 } else { 0 };
    let flow = |number: u16| {
        let value = FlowValue { last_seen_ns: seen(number), slot: number.into(), service: 7, ..FlowValue::default() };
        (flow_key(number), value)
    };
    assert_eq!(table.put_batch(&(0..FLOWS).map(flow).collect::<Vec<_>>()).unwrap().written, usize::from(FLOWS));

    let timeouts = FlowTimeouts {
        open_ns: 100,
        open_of_service_ns: BTreeMap::new(),
        fin_ns: 100,
        rst_ns: 100,
        half_open_ns: 100,
        seen_floor_ns: 0,
    };
    let (mut sweep, mut portions) = (Sweep::in_portions(100), 1);
    while dataplane.sweep_on(&mut sweep, 1_000, &timeouts).unwrap() {
        portions += 1;
    }
    assert!(portions > 1, "{portions}");
    let (over, left): (Vec<u16>, Vec<u16>) = (0..FLOWS).partition(|number| seen(*number) == 0);
    sweep.forgotten.sort_by_key(|key| key.client_port);
    assert_eq!(sweep.forgotten, over.into_iter().map(flow_key).collect::<Vec<_>>());
    assert_eq!(sweep.in_use, left.iter().map(|slot| (7, u32::from(*slot))).collect());
    assert_eq!(sweep.flows, left.len() as u64);
    assert_eq!(dataplane.flows(usize::from(FLOWS), |_, _| true).unwrap().len(), left.len());
}

#[test]
fn a_service_without_ring_has_no_flows() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    for (port, service) in [(1, 7), (2, 8)] {
        dataplane.put_flow(&flow_key(port), &FlowValue { service, real: 1, ..FlowValue::default() }).unwrap();
        let half = HalfOpenValue { service, real: 1, ..HalfOpenValue::default() };
        dataplane.put_half_open(&flow_key(port + 10), &half).unwrap();
    }
    dataplane.apply(&diff(&Rows::default(), &rows())).unwrap();
    assert_eq!(dataplane.flows(10, |_, _| true).unwrap().len(), 2);

    dataplane.apply(&[MapWrite::RemoveRing { service: 7 }]).unwrap();

    let left = dataplane.flows(10, |_, _| true).unwrap();
    assert_eq!(left.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [flow_key(2)]);
    assert_eq!(dataplane.get_half_open(&flow_key(11)).unwrap(), None);
    assert!(dataplane.get_half_open(&flow_key(12)).unwrap().is_some());
}

#[test]
fn every_flow_of_a_full_table_is_read_in_batches() {
    let (mut dataplane, _) = Dataplane::open(&Options { max_flows: 20_000, ..options(None) }).unwrap();
    for port in 0..20_000 {
        dataplane.put_flow(&flow_key(port), &FlowValue::default()).unwrap();
    }
    let mut ports: Vec<u16> =
        dataplane.flows(usize::MAX, |_, _| true).unwrap().iter().map(|(key, _)| key.client_port).collect();
    ports.sort_unstable();
    assert_eq!(ports, (0..20_000).collect::<Vec<u16>>());
    assert_eq!(dataplane.flows(5, |key, _| key.client_port % 2 == 0).unwrap().len(), 5);
    assert!(dataplane.put_flow(&flow_key(30_000), &FlowValue::default()).unwrap_err().to_string().contains("full"));
    dataplane.clear_tables().unwrap();
    assert!(dataplane.flows(1, |_, _| true).unwrap().is_empty());
}

#[test]
fn the_programs_hash_is_the_hosts() {
    let (mut dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let mut rows = rows();
    let slot = slot_of(flow_hash(&flow_key(4000)));
    let mut ring = vec![Slot::default(); RING_SLOTS as usize];
    ring[slot as usize].real = 1;
    rows.rings.insert(7, ring.into());
    dataplane.apply(&diff(&Rows::default(), &rows)).unwrap();
    assert_eq!(dataplane.test_run(&syn(80), 1).unwrap().action, XDP_TX);
}
