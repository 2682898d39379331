//! Two nodes on one line and one virtual clock: heartbeats, losses, doubled and reordered frames, cuts, restarts; and bytes that nobody
//! honest sends.

use std::collections::BTreeMap;

use lb_common::{NO_REAL, SLOT_CLEAN, SLOT_REMEMBERS, Slot};
use proptest::prelude::*;

use super::*;
use crate::{
    checkpoint::{
        Batch, Entry, FlowEntry, Load, Origin, RealEntry, RingEntry, ServiceEntry, SlotChange,
        codec::{FORMAT_VERSION, encode_entries, tests::any::entries},
        image::Image,
    },
    monitoring::Scheduling,
    pair::{
        Role,
        wire::{
            FRAME_SIZE, MAX_FRAME_SIZE,
            table::{PART_OVERHEAD, Part, WANT_SIZE, Want},
        },
    },
    service::{Ports, Protocol},
    table::{AdminState, Fallback, Learned, RealPlan, ServicePlan},
    testing::cases,
};

const ORIGIN: Origin = Origin { cluster: 1, owner: Role::Primary, boot: 7, epoch: 3 };
const SLOTS: usize = 257;
const MS: Micros = 1_000;
const SECOND: Micros = 1_000_000;
/// Tb and baud of lines that people have.
const LINES: [(Micros, u32); 4] = [(10 * MS, 115_200), (100 * MS, 115_200), (20 * MS, 921_600), (1_000 * MS, 9_600)];

fn real(id: u16, weight: u32) -> RealEntry {
    RealEntry {
        id,
        name: format!("real-{id}"),
        address: [198, 51, 100, id as u8].into(),
        admin: if weight == 0 { AdminState::Drained } else { AdminState::Enabled },
        weight: Some(weight),
        plan: RealPlan { factor: 1, eased: 1, alive: true, hot: false, no_new_flows: false },
        learned: Learned::default(),
        load: None,
    }
}

fn service(id: u16, without: &[&str]) -> ServiceEntry {
    ServiceEntry {
        id,
        name: format!("service-{id}"),
        vip: [192, 0, 2, id as u8].into(),
        protocol: Protocol::Tcp,
        ports: Ports::Any,
        plan: ServicePlan {
            fallback: Fallback::Drop,
            scheduling: Scheduling::Load,
            without: without.iter().map(|name| (*name).to_owned()).collect(),
        },
    }
}

fn slot(random: &mut fastrand::Rng) -> (Slot, u64) {
    let real = random.u16(1..4);
    if random.bool() {
        return (Slot { real, previous: NO_REAL, state: SLOT_CLEAN, reserved: 0 }, 0);
    }
    (Slot { real, previous: random.u16(1..4), state: SLOT_REMEMBERS, reserved: 0 }, random.u64(..1_000))
}

fn ring(service: u16, random: &mut fastrand::Rng) -> RingEntry {
    let (slots, ages): (Vec<Slot>, Vec<u64>) = (0..SLOTS).map(|_| slot(random)).unzip();
    let exceptions = (0..).zip(&slots).zip(ages).filter(|((_, slot), _)| slot.state != SLOT_CLEAN);
    let ages_ms = exceptions.map(|((index, _), age)| (index, age)).collect();
    RingEntry { service, slots: slots.into(), ages_ms }
}

fn flow() -> FlowEntry {
    FlowEntry { key: lb_common::FlowKey::default(), service: 1, real: 1 }
}

/// Anything that an owner tells of three reals and two services.
fn change(random: &mut fastrand::Rng) -> Entry {
    match random.u8(..12) {
        0..4 => Entry::Real(real(random.u16(1..4), random.u32(..100))),
        4 => Entry::Service(service(random.u16(1..3), if random.bool() { &["real-1"] } else { &[] })),
        5 => Entry::Remembered(vec![flow()]),
        6 => Entry::Ring(ring(random.u16(1..3), random)),
        _ => {
            let mut changes = BTreeMap::new();
            for _ in 0..random.usize(1..20) {
                changes.insert(random.u32(..SLOTS as u32), slot(random));
            }
            let change = |(index, (slot, age_ms))| SlotChange { index, slot, age_ms };
            Entry::Slots { service: random.u16(1..3), changes: changes.into_iter().map(change).collect() }
        }
    }
}

/// All but flows.
fn table(image: &Image) -> Vec<Entry> {
    image.entries().filter(|entry| !message::is_about_flows(entry)).collect()
}

/// One direction of a line.
struct Way {
    pace: Pace,
    /// When each frame arrives.
    flying: Vec<(Micros, Frame)>,
}

#[derive(Clone, Debug)]
enum Frame {
    Heartbeat,
    Part(Part),
    Want(Want),
}

impl Frame {
    fn size(&self) -> usize {
        match self {
            Self::Heartbeat => FRAME_SIZE,
            Self::Part(part) => PART_OVERHEAD + part.bytes.len(),
            Self::Want(_) => WANT_SIZE,
        }
    }
}

/// What the line does to frames of the table, in percent.
#[derive(Clone, Copy, Default)]
struct Faults {
    lost: u8,
    doubled: u8,
    /// Delayed by so much that others overtake them.
    late: u8,
    cut: bool,
}

struct World {
    random: fastrand::Rng,
    now: Micros,
    interval_us: Micros,
    timing: Timing,
    next_ask: Micros,
    faults: Faults,
    down: Way,
    up: Way,
    sender: Sender,
    receiver: Receiver,
    /// What the owner has, and its batches from the first that it keeps.
    owner: Image,
    batches: Vec<Batch>,
    last: u64,
    /// What who follows had when the NICs went, and has by now.
    base: Option<u64>,
    follower: Image,
    /// It was told names to which the owner's ids refer.
    knows_names: bool,
    messages: usize,
    sessions: usize,
}

impl World {
    fn new(seed: u64, (interval_us, baud): (Micros, u32), base: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let pace = Pace::new(interval_us, baud);
        let timing = pace.timing().expect("the line has room");
        let way = || Way { pace: pace.clone(), flying: Vec::new() };
        let mut owner = Image::default();
        for id in 1..4 {
            owner.apply(&Entry::Real(real(id, 10)));
        }
        for id in 1..3 {
            owner.apply(&Entry::Service(service(id, &[])));
            owner.apply(&Entry::Ring(ring(id, &mut random)));
        }
        let follower = if base { owner.clone() } else { Image::default() };
        Self {
            now: 0,
            interval_us,
            timing,
            next_ask: 0,
            faults: Faults::default(),
            down: way(),
            up: way(),
            sender: Sender::new(ORIGIN, timing),
            receiver: Receiver::new(5, timing),
            owner,
            batches: Vec::new(),
            last: 40,
            base: base.then_some(40),
            follower,
            knows_names: base,
            messages: 0,
            sessions: 0,
            random,
        }
    }

    fn learn(&mut self) {
        let entries = vec![change(&mut self.random)];
        entries.iter().for_each(|entry| self.owner.apply(entry));
        self.last += 1;
        self.batches.push(Batch { sequence: self.last, generation: self.last, entries });
    }

    fn run(&mut self, until: Micros) {
        while self.now < until {
            self.heartbeats();
            self.arrive();
            self.follow();
            self.lead();
            self.now += 250;
        }
    }

    /// An ask, and at once its ack. The line has to be free for both.
    fn heartbeats(&mut self) {
        if self.now < self.next_ask {
            return;
        }
        self.next_ask += self.interval_us;
        assert!(self.up.is_free(self.now), "an ask waits at {}", self.now);
        self.up.send(Frame::Heartbeat, self.now, Faults::default(), &mut self.random);
    }

    fn arrive(&mut self) {
        for frame in self.up.arrived(self.now) {
            match frame {
                Frame::Want(want) => self.sender.heard(&want, self.now),
                _ => {
                    assert!(self.down.is_free(self.now), "an ack waits at {}", self.now);
                    self.down.send(Frame::Heartbeat, self.now, Faults::default(), &mut self.random);
                }
            }
        }
        for frame in self.down.arrived(self.now) {
            let Frame::Part(part) = frame else { continue };
            if let Some(bytes) = self.receiver.heard(&part, self.now) {
                self.apply(&bytes);
            }
        }
    }

    fn apply(&mut self, bytes: &[u8]) {
        let message = Message::decode(bytes).expect("the owner sends messages");
        assert_eq!((message.boot, message.epoch), (ORIGIN.boot, ORIGIN.epoch));
        self.knows_names |= message.all;
        assert!(self.knows_names, "rings without names");
        message.entries.iter().for_each(|entry| self.follower.apply(entry));
        self.messages += 1;
    }

    fn follow(&mut self) {
        if self.receiver.begun().is_none() || self.receiver.is_lost(self.now) {
            let has = self.base.map(|at| (ORIGIN.boot, ORIGIN.epoch, at));
            self.receiver.begin(has, self.now);
            self.sessions += 1;
        }
        if self.up.pace.start(WANT_SIZE, self.now) == Some(self.now)
            && let Some(want) = self.receiver.poll(self.now)
        {
            self.up.send(Frame::Want(want), self.now, self.faults, &mut self.random);
        }
    }

    fn lead(&mut self) {
        match self.sender.needs(self.now) {
            Needs::Nothing => {}
            Needs::After(after) if self.batches.first().is_none_or(|first| first.sequence <= after + 1) => {
                self.batches.iter().filter(|batch| batch.sequence > after).for_each(|batch| self.sender.take(batch));
            }
            Needs::After(_) => self.sender.lost(),
            Needs::Everything => {
                let all: Vec<Entry> = self.owner.entries().collect();
                self.sender.take_everything(&all, self.last, self.last);
            }
        }
        if self.down.pace.start(self.timing.part + PART_OVERHEAD, self.now) == Some(self.now)
            && let Some(part) = self.sender.poll(self.now)
        {
            assert!(part.bytes.len() <= self.timing.part);
            self.down.send(Frame::Part(part), self.now, self.faults, &mut self.random);
        }
    }

    fn is_told(&self) -> bool {
        self.receiver.is_complete() && table(&self.owner) == table(&self.follower)
    }

    /// Runs until who follows has the table, and is told that this is all.
    fn settle(&mut self, limit: Micros) {
        let until = self.now + limit;
        while !self.is_told() {
            assert!(self.now < until, "not told in {limit} us");
            self.run(self.now + self.interval_us);
        }
    }
}

impl Way {
    fn is_free(&self, now: Micros) -> bool {
        self.pace.is_free(now)
    }

    fn send(&mut self, frame: Frame, now: Micros, faults: Faults, random: &mut fastrand::Rng) {
        let arrives = match frame {
            Frame::Heartbeat => {
                self.pace.heartbeat(frame.size(), now);
                now
            }
            _ => {
                self.pace.sent(frame.size(), now);
                now + 5 * MS
            }
        };
        if faults.cut || random.u8(..100) < faults.lost {
            return;
        }
        let late = if random.u8(..100) < faults.late { random.u64(..3 * SECOND) } else { 0 };
        if random.u8(..100) < faults.doubled {
            self.flying.push((arrives + random.u64(..SECOND), frame.clone()));
        }
        self.flying.push((arrives + late, frame));
    }

    fn arrived(&mut self, now: Micros) -> Vec<Frame> {
        let (here, flying) = self.flying.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.flying = flying;
        here.into_iter().map(|(_, frame)| frame).collect()
    }
}

#[test]
fn what_changes_is_told_on_each_line_and_no_heartbeat_waits() {
    for (index, line) in LINES.into_iter().enumerate() {
        for base in [true, false] {
            let mut world = World::new(index as u64, line, base);
            world.settle(120 * SECOND);
            for _ in 0..10 {
                world.learn();
            }
            world.settle(120 * SECOND);
            world.run(world.now + 60 * SECOND);
            assert!(world.messages > 0 && world.is_told());
            assert_eq!(world.sessions, 1, "it began anew without need");
        }
    }
}

#[test]
fn losses_doubles_delays_and_cuts_only_take_time() {
    for seed in 0..40 {
        let line = LINES[seed as usize % 3];
        let mut world = World::new(seed, line, seed % 2 == 0);
        for _ in 0..8 {
            let random = &mut world.random;
            world.faults = Faults {
                lost: random.u8(..40),
                doubled: random.u8(..30),
                late: random.u8(..20),
                cut: random.u8(..4) == 0,
            };
            for _ in 0..world.random.usize(..6) {
                world.learn();
            }
            let step = world.random.u64(..8 * SECOND);
            world.run(world.now + step);
        }
        world.faults = Faults::default();
        world.settle(120 * SECOND);
    }
}

#[test]
fn an_owner_that_has_begun_anew_is_asked_in_a_new_session() {
    let mut world = World::new(1, LINES[1], true);
    world.learn();
    world.settle(60 * SECOND);
    world.sender = Sender::new(ORIGIN, world.timing);
    world.learn();
    world.settle(60 * SECOND);
}

#[test]
fn where_batches_are_gone_everything_is_told_anew() {
    let mut world = World::new(2, LINES[1], true);
    world.settle(60 * SECOND);
    world.learn();
    world.learn();
    world.batches.remove(0);
    world.knows_names = false;
    world.settle(60 * SECOND);
    assert!(world.knows_names, "nobody said that all begins anew");
}

#[test]
fn nobody_is_sent_anything_who_does_not_want_it() {
    let mut sender = Sender::new(ORIGIN, World::new(0, LINES[0], true).timing);
    assert_eq!(sender.needs(0), Needs::Nothing);
    sender.take_everything(&[Entry::Real(real(1, 1))], 1, 1);
    assert_eq!(sender.poll(0), None);
    let want = Want { boot: 5, session: 1, lane: Lane::Names, message: 1, offset: 0, version: 2, has: Some((7, 3, 0)) };
    sender.heard(&want, 0);
    assert_eq!(sender.needs(0), Needs::After(0));
    sender.take(&Batch { sequence: 1, generation: 1, entries: vec![Entry::Real(real(1, 1))] });
    assert!(sender.poll(0).is_some());
    // Nothing is heard any more.
    assert!(sender.poll(10 * SECOND).is_none() && !sender.is_wanted(10 * SECOND));
}

#[test]
fn what_is_lost_is_sent_again_and_rings_wait_for_names() {
    let timing = World::new(0, LINES[1], true).timing;
    let mut sender = Sender::new(ORIGIN, timing);
    let want = Want { boot: 5, session: 1, lane: Lane::Names, message: 1, offset: 0, version: 2, has: None };
    sender.heard(&want, 0);
    let ring = ring(1, &mut fastrand::Rng::with_seed(1));
    let reals = (1..6).map(|id| Entry::Real(real(id, 1)));
    let all: Vec<Entry> = reals.chain([Entry::Ring(ring), Entry::Service(service(1, &[]))]).collect();
    sender.take_everything(&all, 1, 1);
    let polled = |sender: &mut Sender, now| std::iter::from_fn(|| sender.poll(now)).collect::<Vec<_>>();
    let first = polled(&mut sender, 0);
    assert!(first.len() > 1 && first.iter().all(|part| part.lane == Lane::Names), "{first:?}");
    assert!(polled(&mut sender, timing.round_us - 1).is_empty(), "it is on its way");
    assert_eq!(sender.next_wake(0), Some(timing.round_us));
    assert_eq!(polled(&mut sender, timing.round_us), first, "nobody has acked it");
    let half = first[1].offset;
    sender.heard(&Want { offset: half, ..want }, timing.round_us);
    assert_eq!(polled(&mut sender, 2 * timing.round_us), first[1..], "what is acked is not sent again");
    sender.heard(&Want { message: 2, ..want }, 2 * timing.round_us);
    let then = polled(&mut sender, 2 * timing.round_us);
    assert!(!then.is_empty() && then.iter().all(|part| part.lane == Lane::Rings), "{then:?}");
}

#[test]
fn a_recorded_want_of_an_earlier_session_moves_nothing() {
    let mut world = World::new(3, LINES[1], true);
    let old = Want { boot: 5, session: 1, lane: Lane::Names, message: 1, offset: 0, version: 2, has: None };
    world.settle(60 * SECOND);
    world.receiver.begin(world.receiver.begun().unwrap(), world.now);
    world.learn();
    world.settle(60 * SECOND);
    world.sender.heard(&old, world.now);
    world.sender.heard(&Want { boot: 4, session: 99, ..old }, world.now);
    assert_eq!(world.sender.needs(world.now), Needs::After(world.last), "the session has begun anew");
}

#[test]
fn a_load_alone_is_not_told() {
    let mut pending = pending::Pending::default();
    let told = |pending: &mut pending::Pending| {
        let mut bytes = Vec::new();
        pending.take(Lane::Names, FORMAT_VERSION, &mut bytes);
        !bytes.is_empty()
    };
    pending.put(&Entry::Real(real(1, 5)));
    assert!(told(&mut pending));
    pending.put(&Entry::Real(RealEntry { load: Some(Load { utilisation: 0.5, hits: None }), ..real(1, 5) }));
    assert!(!told(&mut pending));
    pending.put(&Entry::Real(real(1, 6)));
    assert!(told(&mut pending));
}

#[test]
fn what_waits_is_bounded() {
    let mut sender = Sender::new(ORIGIN, World::new(0, LINES[0], true).timing);
    let want = Want { boot: 5, session: 1, lane: Lane::Names, message: 1, offset: 0, version: 2, has: Some((7, 3, 0)) };
    sender.heard(&want, 0);
    let change = |index| SlotChange { index, slot: Slot::default(), age_ms: 0 };
    let mut sequence = 0;
    while sender.needs(0) == Needs::After(sequence) {
        sequence += 1;
        assert!(sequence < 1_000, "slots pile up");
        let changes = (0..1_000).map(|slot| change(sequence as u32 * 1_000 + slot)).collect();
        let entries = vec![Entry::Slots { service: 1, changes }];
        sender.take(&Batch { sequence, generation: 1, entries });
    }
    assert_eq!(sender.needs(0), Needs::Everything, "rings are shorter");
}

#[test]
fn a_line_that_heartbeats_fill_carries_no_table() {
    assert_eq!(Pace::new(9_500, 115_200).timing(), None);
    assert_eq!(Pace::new(100 * MS, 9_600).timing(), None);
    let timing = |interval_us, baud| Pace::new(interval_us, baud).timing().map(|timing| timing.part);
    assert_eq!(timing(10 * MS, 115_200), Some(16));
    assert_eq!(timing(100 * MS, 115_200), Some(93));
}

#[test]
fn a_frame_goes_behind_a_heartbeat_and_never_without_one() {
    let mut pace = Pace::new(100 * MS, 115_200);
    assert_eq!(pace.start(WANT_SIZE, 0), None);
    pace.heartbeat(FRAME_SIZE, 0);
    assert_eq!(pace.start(WANT_SIZE, 0), Some(0), "behind the heartbeat");
    pace.sent(MAX_FRAME_SIZE, 0);
    let next = pace.start(WANT_SIZE, 0).expect("the gap is long");
    assert!((8 * MS..9 * MS).contains(&next), "{next}: more than a heartbeat is ahead");
    assert_eq!(pace.start(WANT_SIZE, 20 * MS), Some(20 * MS));
    assert_eq!(pace.start(WANT_SIZE, 86 * MS), None, "it would not be through in time");
    assert_eq!(pace.start(WANT_SIZE, 500 * MS), None, "no heartbeat goes out any more");
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_bytes_are_a_message_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        _ = Message::decode(&bytes);
    }

    /// With a good head, and entries of which some bytes are others.
    #[test]
    fn changed_entries_are_a_message_or_are_refused(entries in entries(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = Vec::new();
        message::Head { all: true, version: 2, boot: 1, epoch: 2, generation: 3 }.put(&mut bytes);
        encode_entries(&entries, &mut bytes);
        let good = Message::decode(&bytes);
        if entries.iter().any(message::is_about_flows) {
            prop_assert!(good.is_err(), "flows are taken");
        } else {
            prop_assert_eq!(good, Ok(Message { all: true, boot: 1, epoch: 2, generation: 3, entries }));
        }
        let at = at % bytes.len();
        bytes[at] = byte;
        _ = Message::decode(&bytes);
    }

    /// Parts of any kind and order: nothing but bytes that were sent in their order makes a message, and no more is kept than one of each lane.
    #[test]
    fn any_parts_leave_a_receiver_whole(
        parts in prop::collection::vec((0..3_u32, 1..4_u16, 0..4_u32, any::<bool>(), any::<bool>(), 0..3_usize), 0..60),
    ) {
        let mut receiver = Receiver::new(5, Timing { part: 2, round_us: 1, interval_us: MS });
        receiver.begin(None, 0);
        for (session, message, offset, last, rings, size) in parts {
            let lane = if rings { Lane::Rings } else { Lane::Names };
            let part = Part { boot: 5, session, lane, message, offset, last, bytes: vec![message as u8; size] };
            if let Some(bytes) = receiver.heard(&part, 0) {
                prop_assert!(bytes.iter().all(|byte| u16::from(*byte) == message), "mixed: {:?}", bytes);
            }
        }
    }

    #[test]
    fn any_wants_leave_a_sender_whole(
        wants in prop::collection::vec((0..3_u32, 1..4_u16, 0..2_000_u32, any::<bool>(), 0..128_u8, prop::option::of(0..3_u64)), 0..60),
        entries in entries(),
    ) {
        let mut sender = Sender::new(ORIGIN, Timing { part: 93, round_us: SECOND, interval_us: 100 * MS });
        for (at, (session, message, offset, rings, version, has)) in wants.into_iter().enumerate() {
            let lane = if rings { Lane::Rings } else { Lane::Names };
            let has = has.map(|sequence| (ORIGIN.boot, ORIGIN.epoch, sequence));
            let now = at as Micros * MS;
            sender.heard(&Want { boot: 1, session, lane, message, offset, version, has }, now);
            sender.take_everything(&entries, 3, 3);
            for _ in 0..3 {
                let part = sender.poll(now);
                prop_assert!(part.is_none_or(|part| part.bytes.len() <= 93 && part.offset < MAX_MESSAGE_SIZE as u32));
            }
        }
    }
}
