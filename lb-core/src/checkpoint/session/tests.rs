//! Both ends of a connection, with everything between them in the tests' hands.

mod fuzz;
mod handshake;
mod stream;
mod vectors;

use lb_common::{FAMILY_V4, FlowKey, PROTOCOL_TCP, RING_SLOTS, SLOT_REMEMBERS, ServiceKey, Slot};

use super::*;
use crate::auth::Keys;
use crate::checkpoint::{Batch, Entry, FlowEntry, RingEntry};

const SECRET: &str = "1 000102030405060708090a0b0c0d0e0f";

fn keys() -> Keys {
    Keys::parse(SECRET).expect("a key file")
}

fn owner_me() -> Me {
    Me::new(77, Role::Primary, 5)
}

fn follower_me() -> Me {
    Me::new(77, Role::Standby, 9)
}

fn origin() -> Origin {
    Origin { cluster: 77, owner: Role::Primary, boot: 5, epoch: 3 }
}

fn owner_of(me: Me) -> Owner {
    Owner::new(me, keys(), [0xa0; 16], 0)
}

fn follower_of(me: Me, has: Has) -> Follower {
    let epoch = has.map_or(0, |(origin, _)| origin.epoch);
    Follower::new(me, &keys(), [0xf0; 16], has, epoch, 0).expect("there is a key")
}

/// Two ends, and what has come out of them.
struct Pair {
    owner: Owner,
    follower: Follower,
}

impl Pair {
    fn new(has: Has) -> Self {
        Self { owner: owner_of(owner_me()), follower: follower_of(follower_me(), has) }
    }

    /// After the handshake.
    fn open(has: Has, resume: Option<Sequence>) -> Self {
        let mut pair = Self::new(has);
        pair.bring_to_owner().expect("a good first message");
        assert!(matches!(pair.owner.poll(), Some(Heard::Asked(_))));
        pair.owner.welcome(origin(), resume).expect("it has asked");
        pair.bring_to_follower().expect("a good answer");
        assert!(matches!(pair.follower.poll(), Some(Told::Welcomed { .. })));
        pair.follower.ack(resume);
        pair.bring_to_owner().expect("a good ack");
        assert_eq!(pair.owner.poll(), Some(Heard::Acked { applied: resume, durable: resume }));
        pair
    }

    fn bring_to_owner(&mut self) -> Result<(), SessionError> {
        let bytes = std::mem::take(self.follower.output());
        self.owner.input(&bytes, 0)
    }

    fn bring_to_follower(&mut self) -> Result<(), SessionError> {
        let bytes = std::mem::take(self.owner.output());
        self.follower.input(&bytes, 0)
    }

    fn told(&mut self) -> Vec<Told> {
        std::iter::from_fn(|| self.follower.poll()).collect()
    }
}

fn key(number: u32) -> FlowKey {
    let mut client = [0; 16];
    client[..4].copy_from_slice(&[198, 18, (number >> 8) as u8, number as u8]);
    let service = ServiceKey { port: 80, protocol: PROTOCOL_TCP, family: FAMILY_V4, ..ServiceKey::default() };
    FlowKey { client, service, client_port: (number >> 4) as u16, reserved: 0 }
}

fn flows(count: u32) -> Vec<FlowEntry> {
    (0..count).map(|number| FlowEntry { key: key(number), service: 1, real: 2 }).collect()
}

fn batch(sequence: Sequence, entries: Vec<Entry>) -> Batch {
    Batch { sequence, generation: 40 + sequence, entries }
}

fn small(sequence: Sequence) -> Batch {
    batch(sequence, vec![Entry::Remembered(flows(2)), Entry::Forgotten(vec![key(7)])])
}

/// A ring of which no slot is clean and no two are alike: the longest there can be.
fn wild_ring() -> Entry {
    let slot = |index: u32| Slot { real: index as u16, previous: !index as u16, state: SLOT_REMEMBERS, reserved: 0 };
    let slots: Vec<Slot> = (0..RING_SLOTS).map(slot).collect();
    let ages_ms = (0..RING_SLOTS).map(|index| (index, u64::MAX - u64::from(index))).collect::<Vec<_>>();
    Entry::Ring(RingEntry { service: 1, slots: slots.into(), ages_ms: ages_ms.into() })
}
