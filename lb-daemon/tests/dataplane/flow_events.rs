//! What the program tells of flows, and many flows written at once.

use std::time::{Duration, Instant};

use lb_common::{
    FLOW_EVENT_FORGOTTEN, FLOW_EVENT_RECORD, FLOW_EVENT_REMEMBERED, FlowEvent, FlowKey, FlowValue, HalfOpenValue,
    NODE_SERVING, NODE_TELLS_FLOWS, NodeState, RING_SLOTS, SLOT_REMEMBERS, Slot, flow_hash, slot_of,
};
use lb_core::{
    pair::Service,
    rows::{Rows, diff},
};
use lb_daemon::dataplane::{Adoption, Dataplane, Options, Put};

use super::{Bpffs, flow_key, options, rows, syn};

const SERVICE: u16 = 7;
const REAL: u16 = 1;
/// Where the TCP flags are in [`syn`]'s frame.
const TCP_FLAGS: usize = 14 + 20 + 13;
const ACK: u8 = 0x10;

/// A data plane whose every slot remembers.
fn remembering(options: &Options) -> Dataplane {
    let (mut dataplane, _) = Dataplane::open(options).unwrap();
    let slot = Slot { real: REAL, previous: REAL, state: SLOT_REMEMBERS, reserved: 0 };
    let mut rows = rows();
    rows.rings.insert(u32::from(SERVICE), vec![slot; RING_SLOTS as usize].into());
    dataplane.apply(&diff(&Rows::default(), &rows)).unwrap();
    dataplane
}

/// A packet of a flow that began before the slots were moved.
fn run_older(dataplane: &Dataplane, client_port: u16) {
    let mut frame = syn(80);
    frame[34..36].copy_from_slice(&client_port.to_be_bytes());
    frame[TCP_FLAGS] = ACK;
    dataplane.test_run(&frame, 1).unwrap();
}

fn remembered(client_port: u16, real: u16) -> FlowEvent {
    let key = flow_key(client_port);
    let slot = slot_of(flow_hash(&key));
    FlowEvent { key, service: SERVICE, real, slot, kind: FLOW_EVENT_REMEMBERED, reserved: [0; 3] }
}

fn value(client_port: u16, real: u16) -> FlowValue {
    let slot = slot_of(flow_hash(&flow_key(client_port)));
    FlowValue { service: SERVICE, real, slot, ..FlowValue::default() }
}

#[test]
fn what_is_remembered_is_told_where_it_is_wanted() {
    let dataplane = remembering(&options(None));
    let mut events = dataplane.flow_events().unwrap();
    let mut told = Vec::new();
    run_older(&dataplane, 1);
    assert!(!events.wait(Duration::ZERO).unwrap(), "nobody has asked");

    dataplane.set_tells_flows(true).unwrap();
    run_older(&dataplane, 2);
    assert!(events.wait(Duration::from_secs(10)).unwrap());
    assert_eq!(events.drain(|event| told.push(*event)).unwrap(), 1);
    assert_eq!(told, [remembered(2, REAL)]);

    dataplane.set_tells_flows(false).unwrap();
    run_older(&dataplane, 3);
    assert_eq!(events.drain(|event| told.push(*event)).unwrap(), 0);
    assert_eq!(events.lost().unwrap(), 0);
}

#[test]
fn a_flow_is_told_as_it_is_when_its_event_is_read() {
    let dataplane = remembering(&options(None));
    dataplane.set_tells_flows(true).unwrap();
    let (mut events, table) = (dataplane.flow_events().unwrap(), dataplane.flow_table().unwrap());
    for port in 1..=3 {
        run_older(&dataplane, port);
    }
    table.forget_batch(&[flow_key(2)]).unwrap();
    table.put_batch(&[(flow_key(3), value(3, 9))]).unwrap();

    let mut told = Vec::new();
    events.drain(|event| told.push(*event)).unwrap();

    let gone = FlowEvent { key: flow_key(2), kind: FLOW_EVENT_FORGOTTEN, ..FlowEvent::default() };
    assert_eq!(told, [remembered(1, REAL), gone, remembered(3, 9)]);
}

#[test]
fn what_is_known_already_is_not_written_over() {
    let (dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let table = dataplane.flow_table().unwrap();
    table.put_batch(&[(flow_key(1), value(1, 1))]).unwrap();
    let new = table.put_new(&[(flow_key(1), value(1, 9)), (flow_key(2), value(2, 9))]).unwrap();
    assert_eq!(new, [(flow_key(2), value(2, 9))]);
    assert_eq!(table.get(&flow_key(1)).unwrap(), Some(value(1, 1)));
    assert_eq!(table.get(&flow_key(2)).unwrap(), Some(value(2, 9)));
    let half = HalfOpenValue { real: REAL, service: SERVICE, ..HalfOpenValue::default() };
    assert_eq!(table.put_new_half_open(&[(flow_key(1), half)]).unwrap().len(), 1);
    assert_eq!(table.put_new_half_open(&[(flow_key(1), half)]).unwrap().len(), 0);
    table.end_half_open(&[flow_key(1), flow_key(3)]).unwrap();
    assert_eq!(dataplane.get_half_open(&flow_key(1)).unwrap(), None);
    assert_eq!(table.get(&flow_key(1)).unwrap(), Some(value(1, 1)));
}

#[test]
fn a_new_daemon_reads_what_was_told_before_it() {
    let bpffs = Bpffs::new();
    let pinned = options(Some(bpffs.dir()));
    let dataplane = remembering(&pinned);
    dataplane.set_tells_flows(true).unwrap();
    let mut events = dataplane.flow_events().unwrap();
    run_older(&dataplane, 1);
    events.drain(|_| {}).unwrap();
    run_older(&dataplane, 2);
    drop((events, dataplane));

    let (dataplane, adoption) = Dataplane::open(&pinned).unwrap();
    let mut events = dataplane.flow_events().unwrap();
    run_older(&dataplane, 3);
    let mut told = Vec::new();
    events.drain(|event| told.push(*event)).unwrap();

    assert_eq!(adoption, Adoption::Adopted);
    assert_eq!(told, [remembered(2, REAL), remembered(3, REAL)]);
}

#[test]
fn what_a_full_buffer_has_no_room_for_is_counted() {
    let dataplane = remembering(&Options { flow_events_size: 1, ..options(None) });
    dataplane.set_tells_flows(true).unwrap();
    let mut events = dataplane.flow_events().unwrap();
    let room = 4_096 / FLOW_EVENT_RECORD as u16 - 1;

    for port in 1..=room + 5 {
        run_older(&dataplane, port);
    }

    assert_eq!(events.lost().unwrap(), 5);
    assert_eq!(events.drain(|_| {}).unwrap(), usize::from(room));
    run_older(&dataplane, 1_000);
    assert_eq!((events.drain(|_| {}).unwrap(), events.lost().unwrap()), (1, 5), "there is room again");
}

#[test]
fn the_lease_leaves_alone_what_is_told() {
    let (dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let lease = dataplane.lease_map().unwrap();
    dataplane.set_tells_flows(true).unwrap();
    for service in [Service::Silent, Service::Draining, Service::Serving] {
        lease.store(service, 5);
        assert_eq!(lease.load().flags, NODE_TELLS_FLOWS, "{service:?}");
    }
    dataplane.set_tells_flows(false).unwrap();
    assert_eq!(lease.load(), NodeState { lease_until: 5, service: NODE_SERVING, flags: 0 });
    lease.store_solo();
    dataplane.set_tells_flows(true).unwrap();
    assert_eq!(lease.load(), NodeState { flags: NODE_TELLS_FLOWS, ..NodeState::default() });
}

#[test]
fn flows_are_written_and_forgotten_by_the_batch() {
    let (dataplane, _) = Dataplane::open(&options(None)).unwrap();
    let table = dataplane.flow_table().unwrap();
    let flows: Vec<_> = (1..=128).map(|port| (flow_key(port), value(port, 1))).collect();
    assert_eq!(table.put_batch(&flows).unwrap(), Put { written: 128, refused: Vec::new() });

    // The table is full: a new flow is refused, and one that it knows is not.
    let more = [(flow_key(200), value(200, 1)), (flow_key(5), value(5, 2)), (flow_key(201), value(201, 1))];
    let refused = vec![flow_key(200), flow_key(201)];
    assert_eq!(table.put_batch(&more).unwrap(), Put { written: 1, refused });
    assert_eq!(table.get(&flow_key(5)).unwrap(), Some(value(5, 2)));

    let half = HalfOpenValue { began_ns: 1, slot: 1, real: 1, service: SERVICE };
    assert_eq!(table.put_half_open(&[(flow_key(6), half)]).unwrap().written, 1);
    // The second is in neither table.
    let forgotten = [flow_key(5), flow_key(300), flow_key(6)];
    assert_eq!(table.forget_batch(&forgotten).unwrap(), 2);
    assert_eq!((table.get(&flow_key(6)).unwrap(), dataplane.get_half_open(&flow_key(6)).unwrap()), (None, None));
    let mut left = 0;
    table
        .each(|_, _| {
            left += 1;
            true
        })
        .unwrap();
    assert_eq!(left, 126);
}

/// What a follower's first full checkpoint takes, and a lookup for each event. `--ignored --nocapture` shows it.
#[test]
#[ignore = "measures"]
fn a_million_flows() {
    const FLOWS: u32 = 1_000_000;
    let (dataplane, _) = Dataplane::open(&Options { max_flows: FLOWS, ..options(None) }).unwrap();
    let table = dataplane.flow_table().unwrap();
    let key = |n: u32| FlowKey { client_port: n as u16, ..with_client(n >> 16) };
    let flows: Vec<_> = (0..FLOWS).map(|n| (key(n), value(1, 1))).collect();
    let keys: Vec<_> = flows.iter().map(|(key, _)| *key).collect();
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let (began, began_cpu) = (Instant::now(), thread_cpu());
        work();
        println!("{what}: {:?}, of which on the CPU {:?}", began.elapsed(), thread_cpu() - began_cpu);
    };
    timed("put", &mut || assert_eq!(table.put_batch(&flows).unwrap().written, FLOWS as usize));
    timed("put again", &mut || assert_eq!(table.put_batch(&flows).unwrap().written, FLOWS as usize));
    timed("look up", &mut || assert!(keys.iter().all(|key| table.get(key).unwrap().is_some())));
    timed("forget", &mut || assert_eq!(table.forget_batch(&keys).unwrap(), FLOWS as usize));
}

/// For how long this thread has run, in the kernel or out of it.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is one that Linux has, and the buffer is a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn with_client(n: u32) -> FlowKey {
    let mut key = flow_key(0);
    key.client[2..4].copy_from_slice(&(n as u16).to_be_bytes());
    key
}
