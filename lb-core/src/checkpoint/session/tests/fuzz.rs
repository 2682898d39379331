//! Bytes that nobody honest sends: never a panic, never more memory than they justify, and never anything taken for true.

use super::messages::Message;
use super::*;

const SEED: u64 = 0x5eed;
const ROUNDS: usize = 20_000;

fn random_bytes(random: &mut fastrand::Rng) -> Vec<u8> {
    let size = random.usize(..200);
    (0..size).map(|_| random.u8(..)).collect()
}

#[test]
fn random_bytes_open_no_session() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..ROUNDS {
        let mut bytes = random_bytes(&mut random);
        if random.bool() {
            let size = bytes.len() as u32;
            bytes.splice(..0, size.to_be_bytes());
        }
        let (mut owner, mut follower) = (owner_of(owner_me()), follower_of(follower_me(), None));
        _ = owner.input(&bytes, 0);
        _ = follower.input(&bytes, 0);
        assert!(owner.poll().is_none() && follower.poll().is_none());
    }
}

#[test]
fn each_flipped_bit_of_a_handshake_is_refused() {
    let mut pair = Pair::new(Some((origin(), 12)));
    let hello = pair.follower.output().clone();
    for bit in 0..hello.len() * 8 {
        let mut changed = hello.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut owner = owner_of(owner_me());
        let refused = owner.input(&changed, 0).is_err();
        assert!(refused || owner.poll().is_none(), "bit {bit}");
    }
    pair.bring_to_owner().expect("a good first message");
    pair.owner.welcome(origin(), Some(12)).expect("it has asked");
    let welcome = pair.owner.output().clone();
    for bit in 0..welcome.len() * 8 {
        let mut changed = welcome.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let mut follower = follower_of(follower_me(), Some((origin(), 12)));
        let refused = follower.input(&changed, 0).is_err();
        assert!(refused || follower.poll().is_none(), "bit {bit}");
    }
}

/// A follower that goes on after batch 4, and what signs as its owner.
fn with_a_channel() -> (Follower, seal::Channel) {
    let mut pair = Pair::new(Some((origin(), 4)));
    let hello = pair.follower.output().clone();
    pair.bring_to_owner().expect("a good first message");
    pair.owner.welcome(origin(), Some(4)).expect("it has asked");
    let welcome = pair.owner.output().clone();
    pair.bring_to_follower().expect("a good answer");
    pair.told();
    let [hello, welcome] = [&hello, &welcome].map(|frame| seal::unopened(&frame[4..]).expect("a message and a tag"));
    let key = keys().get(1).expect("key 1").clone();
    (pair.follower, seal::Channel::new(key, hello, welcome, seal::Direction::ToFollower))
}

/// Authentic, and of no sense: what a peer with a flaw could send.
#[test]
fn messages_of_random_bytes_are_read_or_refused() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for _ in 0..ROUNDS {
        let mut bytes = random_bytes(&mut random);
        if let Some(kind) = bytes.first_mut() {
            *kind %= 11;
        }
        if let Ok(message) = Message::decode(&bytes) {
            assert_eq!(message.encode(), bytes, "each message has one form");
        }
    }
}

#[test]
fn authentic_messages_with_changed_bytes_never_panic() {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut entries = Vec::new();
    crate::checkpoint::codec::encode_entries(&small(5).entries, &mut entries);
    let seeds = [
        Message::FullBegin.encode(),
        Message::FullPart { progress: Default::default(), entries: &entries }.encode(),
        Message::FullEnd { parts: 1, sequence: 5, generation: 1 }.encode(),
        Message::Batch { sequence: 5, generation: 1, more: false, entries: &entries }.encode(),
        Message::Batch { sequence: 5, generation: 1, more: true, entries: &entries }.encode(),
    ];
    for _ in 0..2_000 {
        let (mut follower, mut owner) = with_a_channel();
        let mut out = Vec::new();
        for _ in 0..4 {
            let mut message = seeds[random.usize(..seeds.len())].clone();
            if random.bool() {
                let at = random.usize(..message.len());
                message[at] = random.u8(..);
            }
            if random.u8(..) < 40 {
                message.truncate(random.usize(..message.len()));
            }
            owner.put(&message, &mut out);
        }
        _ = follower.input(&out, 0);
        assert!(std::iter::from_fn(|| follower.poll()).count() <= 4);
    }
}
