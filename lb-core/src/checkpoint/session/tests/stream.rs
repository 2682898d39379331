//! What comes after the handshake: everything, batches, acks, pings, ends; and who cannot speak in between.

use super::*;
use crate::checkpoint::ledger::Progress;

/// The frames of an output.
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(length) = bytes.first_chunk::<4>() {
        let (frame, rest) = bytes.split_at(4 + u32::from_be_bytes(*length) as usize);
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

#[test]
fn batches_come_as_they_were_told_whatever_the_bytes_come_in() {
    let mut pair = Pair::open(Some((origin(), 4)), Some(4));
    let batches: Vec<Batch> = (5..9).map(small).collect();
    batches.iter().for_each(|batch| pair.owner.batch(batch));
    for byte in std::mem::take(pair.owner.output()) {
        pair.follower.input(&[byte], 0).expect("good bytes");
    }
    assert_eq!(pair.told(), batches.into_iter().map(Told::Batch).collect::<Vec<_>>());
}

#[test]
fn a_batch_without_entries_is_one() {
    let mut pair = Pair::open(Some((origin(), 4)), Some(4));
    pair.owner.batch(&batch(5, Vec::new()));
    pair.bring_to_follower().expect("a good batch");
    assert_eq!(pair.told(), [Told::Batch(batch(5, Vec::new()))]);
}

#[test]
fn a_long_batch_goes_in_several_messages_and_comes_as_one() {
    let mut pair = Pair::open(Some((origin(), 4)), Some(4));
    let entries = vec![wild_ring(), wild_ring(), Entry::Remembered(flows(30_000)), wild_ring()];
    pair.owner.batch(&batch(5, entries));
    let messages = frames(pair.owner.output());
    assert!(messages.len() > 2, "{}", messages.len());
    assert!(messages.iter().all(|message| message.len() <= 4 + MAX_MESSAGE_SIZE));
    pair.bring_to_follower().expect("a good batch");
    let [Told::Batch(got)] = &pair.told()[..] else { panic!("one batch") };
    let count = |entry: &Entry| if let Entry::Remembered(flows) = entry { flows.len() } else { 0 };
    assert_eq!((got.sequence, got.entries.iter().map(count).sum::<usize>()), (5, 30_000));
    let rings = got.entries.iter().filter(|entry| **entry == wild_ring());
    assert_eq!(rings.count(), 3);
}

#[test]
fn everything_comes_in_parts_and_then_what_is_new() {
    let mut pair = Pair::open(None, None);
    pair.owner.begin_full();
    pair.owner.full_part(&[Entry::Remembered(flows(3))], 2);
    pair.owner.full_part(&[Entry::Forgotten(vec![key(1)])], 2);
    pair.owner.end_full(70, 8);
    pair.owner.batch(&small(71));
    pair.bring_to_follower().expect("good messages");
    let part = |done, entry| Told::FullPart { entries: vec![entry], progress: Progress { done, estimate: 2 } };
    assert_eq!(
        pair.told(),
        [
            Told::FullBegins(origin()),
            part(1, Entry::Remembered(flows(3))),
            part(2, Entry::Forgotten(vec![key(1)])),
            Told::FullEnds { sequence: 70, generation: 8 },
            Told::Batch(small(71)),
        ]
    );
}

#[test]
fn acks_say_what_has_changed_and_nothing_twice() {
    let mut pair = Pair::open(Some((origin(), 4)), Some(4));
    pair.follower.ack(Some(4));
    assert!(pair.follower.output().is_empty());
    pair.follower.applied(6);
    pair.follower.ack(Some(4));
    pair.follower.ack(Some(5));
    pair.bring_to_owner().expect("good acks");
    assert_eq!(pair.owner.poll(), Some(Heard::Acked { applied: Some(6), durable: Some(4) }));
    assert_eq!(pair.owner.poll(), Some(Heard::Acked { applied: Some(6), durable: Some(5) }));
}

#[test]
fn an_ack_from_before_everything_began_anew_says_nothing() {
    let mut pair = Pair::open(Some((origin(), 4)), Some(4));
    pair.follower.applied(5);
    pair.follower.ack(Some(5));
    pair.owner.begin_full();
    pair.bring_to_owner().expect("a good ack");
    assert_eq!(pair.owner.poll(), Some(Heard::Acked { applied: None, durable: None }));
    pair.owner.end_full(9, 1);
    pair.bring_to_follower().expect("good messages");
    assert_eq!(pair.follower.poll(), Some(Told::FullBegins(origin())));
    pair.follower.ack(Some(9));
    pair.bring_to_owner().expect("a good ack");
    assert_eq!(pair.owner.poll(), Some(Heard::Acked { applied: None, durable: None }), "not applied yet");
    pair.follower.poll();
    pair.follower.applied(9);
    pair.follower.ack(None);
    pair.bring_to_owner().expect("a good ack");
    assert_eq!(pair.owner.poll(), Some(Heard::Acked { applied: Some(9), durable: None }));
}

#[test]
fn what_is_out_of_order_ends_it() {
    type Say = fn(&mut Owner);
    let cases: [(Say, SessionError); 6] = [
        (|owner| owner.batch(&small(7)), SessionError::Gap { wanted: 5, got: 7 }),
        (|owner| owner.batch(&small(4)), SessionError::Gap { wanted: 5, got: 4 }),
        (|owner| owner.full_part(&[Entry::RealGone(1)], 1), SessionError::Order("a part of everything")),
        (|owner| owner.end_full(1, 1), SessionError::Order("the end of everything")),
        (
            |owner| {
                owner.begin_full();
                owner.batch(&small(5));
            },
            SessionError::Order("a batch"),
        ),
        (
            |owner| {
                owner.begin_full();
                owner.full_part(&[Entry::RealGone(1)], 1);
                owner.begin_full();
                owner.full_part(&[Entry::RealGone(1)], 1);
                owner.end_full(1, 1);
                owner.end_full(1, 1);
            },
            SessionError::Order("the end of everything"),
        ),
    ];
    for (say, wanted) in cases {
        let mut pair = Pair::open(Some((origin(), 4)), Some(4));
        say(&mut pair.owner);
        assert_eq!(pair.bring_to_follower(), Err(wanted));
    }
    let mut pair = Pair::open(None, None);
    pair.owner.batch(&small(1));
    assert_eq!(pair.bring_to_follower(), Err(SessionError::Order("a batch")));
}

#[test]
fn messages_replayed_left_out_reordered_or_changed_end_it() {
    type Meddle = fn(&mut Vec<Vec<u8>>);
    let cases: [(Meddle, u64); 5] = [
        (|frames| frames.insert(1, frames[0].clone()), 1),
        (|frames| _ = frames.remove(0), 0),
        (|frames| frames.swap(1, 2), 1),
        (|frames| frames[2][9] ^= 1, 2),
        (|frames| *frames[1].last_mut().expect("bytes") ^= 0x80, 1),
    ];
    for (meddle, bad) in cases {
        let mut pair = Pair::open(Some((origin(), 4)), Some(4));
        (5..8).for_each(|sequence| pair.owner.batch(&small(sequence)));
        let mut frames = frames(pair.owner.output());
        meddle(&mut frames);
        assert_eq!(pair.follower.input(&frames.concat(), 0), Err(SessionError::BadTag(bad)));
        assert_eq!(pair.told().len() as u64, bad, "what came before it counts");
    }
}

#[test]
fn what_is_sent_back_or_of_another_session_ends_it() {
    let mut pair = Pair::open(None, None);
    pair.owner.begin_full();
    let sent = std::mem::take(pair.owner.output());
    assert_eq!(pair.owner.input(&sent, 0), Err(SessionError::BadTag(1)));
    let mut other =
        Pair { owner: Owner::new(owner_me(), keys(), [0xa1; 16], 0), follower: follower_of(follower_me(), None) };
    other.bring_to_owner().expect("a good first message");
    other.owner.welcome(origin(), None).expect("it has asked");
    other.bring_to_follower().expect("a good answer");
    assert_eq!(other.follower.input(&sent, 0), Err(SessionError::BadTag(0)));
}

#[test]
fn who_is_silent_pings_and_who_is_not_heard_is_given_up() {
    let mut pair = Pair::open(None, None);
    assert_eq!(pair.owner.next_tick(), PING_INTERVAL_US);
    pair.owner.tick(PING_INTERVAL_US - 1).expect("nothing is due");
    assert!(pair.owner.output().is_empty());
    pair.owner.tick(PING_INTERVAL_US).expect("a ping is due");
    pair.follower.tick(PING_INTERVAL_US).expect("a ping is due");
    let (ping, pong) = (std::mem::take(pair.owner.output()), std::mem::take(pair.follower.output()));
    pair.follower.input(&ping, 180_000).expect("a good ping");
    pair.owner.input(&pong, 180_000).expect("a good ping");
    assert!(pair.told().is_empty() && pair.owner.poll().is_none());
    let end = 180_000 + SILENCE_US;
    assert_eq!((pair.owner.tick(end - 1), pair.follower.tick(end - 1)), (Ok(()), Ok(())));
    assert_eq!(
        (pair.owner.tick(end), pair.follower.tick(end)),
        (Err(SessionError::Silent(SILENCE_US / 1_000)), Err(SessionError::Silent(SILENCE_US / 1_000)))
    );
    pair.follower.listens_again(end);
    assert_eq!(pair.follower.tick(end + SILENCE_US - 1), Ok(()));
}

#[test]
fn who_sends_need_not_ping() {
    let mut pair = Pair::open(None, None);
    pair.owner.sent(40_000);
    pair.owner.tick(PING_INTERVAL_US).expect("nothing is due");
    assert!(pair.owner.output().is_empty());
    assert_eq!(pair.owner.next_tick(), 40_000 + PING_INTERVAL_US);
}

#[test]
fn an_end_says_why() {
    let mut pair = Pair::open(None, None);
    pair.owner.refuse("this node does not lead any more");
    assert_eq!(pair.bring_to_follower(), Err(SessionError::Refused("this node does not lead any more".to_owned())));
    let mut pair = Pair::open(None, None);
    pair.follower.end(&"ä".repeat(MAX_REASON_SIZE));
    assert_eq!(pair.bring_to_owner(), Err(SessionError::Refused("ä".repeat(MAX_REASON_SIZE / 2))));
}

#[test]
fn a_connection_that_is_closed_says_where() {
    let mut pair = Pair::new(None);
    assert!(pair.follower.closed().to_string().contains("without an answer"));
    let hello = pair.follower.output().clone();
    pair.owner.input(&hello[..20], 0).expect("the rest may follow");
    assert!(pair.owner.closed().to_string().ends_with("in the middle of a message"));
    let mut pair = Pair::open(None, None);
    assert_eq!(pair.follower.closed(), SessionError::Closed(""));
    pair.owner.begin_full();
    let bytes = std::mem::take(pair.owner.output());
    pair.follower.input(&bytes[..bytes.len() - 1], 0).expect("the rest may follow");
    assert!(pair.follower.closed().to_string().ends_with("in the middle of a message"));
}

#[test]
fn no_message_may_be_longer_than_the_limit() {
    let mut pair = Pair::open(None, None);
    let announced = (MAX_MESSAGE_SIZE as u32 + 1).to_be_bytes();
    let wanted = SessionError::TooLong { size: MAX_MESSAGE_SIZE + 1, max: MAX_MESSAGE_SIZE };
    assert_eq!(pair.follower.input(&announced, 0), Err(wanted.clone()));
    assert_eq!(pair.owner.input(&announced, 0), Err(wanted));
}

#[test]
fn an_older_peer_is_told_what_it_knows() {
    let older = Me { versions: 1..=1, ..follower_me() };
    let mut pair = Pair { owner: owner_of(owner_me()), follower: follower_of(older, Some((origin(), 4))) };
    pair.bring_to_owner().expect("a good first message");
    pair.owner.poll();
    pair.owner.welcome(origin(), Some(4)).expect("it has asked");
    pair.owner.batch(&batch(5, vec![Entry::HalfOpen(flows(1)), Entry::Remembered(flows(2))]));
    pair.bring_to_follower().expect("good messages");
    let told = pair.told();
    assert_eq!(told[0], Told::Welcomed { origin: origin(), version: 1, resume: Some(4) });
    assert_eq!(told[1..], [Told::Batch(batch(5, vec![Entry::Remembered(flows(2))]))]);
}
