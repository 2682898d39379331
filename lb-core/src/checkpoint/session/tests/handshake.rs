//! Who may speak to whom, in which version, and what is gone on with.

use super::*;

fn asked(pair: &mut Pair) -> Asked {
    match pair.owner.poll() {
        Some(Heard::Asked(asked)) => asked,
        other => panic!("{other:?}"),
    }
}

/// What both ends say where the owner refuses by itself.
fn refused(owner: Me, follower: Me) -> (SessionError, SessionError) {
    let mut pair = Pair { owner: owner_of(owner), follower: follower_of(follower, None) };
    let at_owner = pair.bring_to_owner().expect_err("refused");
    (at_owner, pair.bring_to_follower().expect_err("it is told"))
}

#[test]
fn a_follower_says_what_it_has_and_goes_on_from_there() {
    let mut pair = Pair::new(Some((origin(), 12)));
    pair.bring_to_owner().expect("a good first message");
    assert_eq!(asked(&mut pair), Asked { boot: 9, has: Some((origin(), 12)), version: FORMAT_VERSION });
    pair.owner.welcome(origin(), Some(12)).expect("it has asked");
    pair.bring_to_follower().expect("a good answer");
    assert_eq!(pair.told(), [Told::Welcomed { origin: origin(), version: FORMAT_VERSION, resume: Some(12) }]);
}

#[test]
fn what_a_follower_has_is_read_as_it_was_written() {
    for owner in [Role::Primary, Role::Standby] {
        let has = Some((Origin { owner, boot: 1, epoch: 2, cluster: 77 }, u64::MAX));
        let mut pair = Pair::new(has);
        pair.bring_to_owner().expect("a good first message");
        assert_eq!(asked(&mut pair).has, has);
    }
    let mut pair = Pair::new(None);
    pair.bring_to_owner().expect("a good first message");
    assert_eq!(asked(&mut pair).has, None);
}

#[test]
fn the_lesser_version_is_spoken_and_without_a_common_one_nothing() {
    for (owners, followers, spoken) in [(1..=2, 1..=1, 1), (1..=1, 1..=2, 1), (1..=2, 1..=2, 2), (1..=2, 2..=9, 2)] {
        let owner = Me { versions: owners, ..owner_me() };
        let follower = Me { versions: followers, ..follower_me() };
        let mut pair = Pair { owner: owner_of(owner), follower: follower_of(follower, None) };
        pair.bring_to_owner().expect("a good first message");
        assert_eq!(asked(&mut pair).version, spoken);
    }
    let (owner, follower) = refused(Me { versions: 1..=2, ..owner_me() }, Me { versions: 3..=4, ..follower_me() });
    assert_eq!(owner, SessionError::Version { theirs: 3..=4, mine: 1..=2 });
    assert!(follower.to_string().contains("speaks versions 3..=4"), "{follower}");
}

#[test]
fn nodes_of_other_clusters_and_of_the_own_role_are_refused_and_told_why() {
    let (owner, follower) = refused(owner_me(), Me { cluster: 78, ..follower_me() });
    assert_eq!((owner.clone(), follower), (SessionError::Cluster, SessionError::Refused(owner.to_string())));
    let (owner, follower) = refused(owner_me(), Me { role: Role::Primary, ..follower_me() });
    assert_eq!((owner.clone(), follower), (SessionError::OwnRole, SessionError::Refused(owner.to_string())));
}

#[test]
fn an_owner_whose_epoch_is_older_serves_nobody() {
    // A node that has led itself has nothing of anybody, and knows of a newer epoch all the same.
    let follower = Follower::new(follower_me(), &keys(), [0; 16], None, 4, 0).expect("there is a key");
    let mut pair = Pair { owner: owner_of(owner_me()), follower };
    pair.bring_to_owner().expect("a good first message");
    assert_eq!(pair.owner.welcome(origin(), None), Err(SessionError::Stale { owner: 3, known: 4 }));
    assert!(pair.bring_to_follower().is_err_and(|why| why.to_string().contains("older than epoch 4")));
}

#[test]
fn a_follower_takes_no_answer_that_does_not_fit() {
    let held = Some((origin(), 12));
    for (answer, resume, wanted) in [
        (origin(), Some(11), SessionError::Resume),
        (Origin { boot: 6, ..origin() }, Some(12), SessionError::Resume),
        (Origin { owner: Role::Standby, ..origin() }, None, SessionError::OwnRole),
        (Origin { cluster: 1, ..origin() }, None, SessionError::Cluster),
    ] {
        let mut pair = Pair::new(held);
        pair.bring_to_owner().expect("a good first message");
        pair.owner.welcome(answer, resume).expect("it has asked");
        assert_eq!(pair.bring_to_follower(), Err(wanted));
    }
    let older = Follower::new(follower_me(), &keys(), [0; 16], None, 9, 0);
    let mut pair = Pair { owner: owner_of(owner_me()), follower: older.expect("there is a key") };
    let hello = std::mem::take(pair.follower.output());
    // An owner that does not look, as no honest one is.
    let Ok(asked) = wire::Hello::decode(&hello[4..hello.len() - 16]) else { panic!("it is one") };
    let lie = wire::Welcome { version: 2, origin: origin(), nonce: [0; 16], resume: None }.encode();
    let mut frame = Vec::new();
    seal::put_frame(keys().get(1).expect("key 1"), &[&asked.encode()], &lie, &mut frame);
    assert_eq!(pair.follower.input(&frame, 0), Err(SessionError::Stale { owner: 3, known: 9 }));
}

#[test]
fn only_keys_of_the_pair_count() {
    let first = |keys: &str| {
        let keys = Keys::parse(keys).expect("a key file");
        let mut follower = Follower::new(follower_me(), &keys, [0; 16], None, 0, 0).expect("there is a key");
        owner_of(owner_me()).input(&std::mem::take(follower.output()), 0)
    };
    assert_eq!(first("2 000102030405060708090a0b0c0d0e0f"), Err(SessionError::UnknownKey(2)));
    assert_eq!(first("1 ff0102030405060708090a0b0c0d0e0f"), Err(SessionError::Forged));
    assert_eq!(first(SECRET), Ok(()));
    let bound = Keys::parse("1 000102030405060708090a0b0c0d0e0f web1").expect("a key file");
    let mut owner = Owner::new(owner_me(), bound.clone(), [0; 16], 0);
    let hello = std::mem::take(follower_of(follower_me(), None).output());
    assert_eq!(owner.input(&hello, 0), Err(SessionError::UnknownKey(1)));
    assert_eq!(Follower::new(follower_me(), &bound, [0; 16], None, 0, 0).err(), Some(SessionError::NoKey));
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let mut old = Pair::new(None);
    old.bring_to_owner().expect("a good first message");
    old.owner.welcome(origin(), None).expect("it has asked");
    let recorded = std::mem::take(old.owner.output());
    let mut new = Follower::new(follower_me(), &keys(), [1; 16], None, 0, 0).expect("there is a key");
    assert_eq!(new.input(&recorded, 0), Err(SessionError::Forged));
}

#[test]
fn a_recorded_connection_gets_nowhere() {
    let mut real = Pair::new(None);
    let hello = real.follower.output().clone();
    real.bring_to_owner().expect("a good first message");
    real.owner.welcome(origin(), None).expect("it has asked");
    real.bring_to_follower().expect("a good answer");
    real.told();
    real.follower.ack(None);
    let ack = std::mem::take(real.follower.output());
    // The recording, played to the owner again: it answers, and takes nothing for an ack.
    let mut owner = Owner::new(owner_me(), keys(), [0xa1; 16], 0);
    owner.input(&hello, 0).expect("no harm in asking");
    owner.poll();
    owner.welcome(origin(), None).expect("it was asked");
    assert_eq!(owner.input(&ack, 0), Err(SessionError::BadTag(0)));
    assert_eq!(owner.poll(), None);
}

#[test]
fn before_the_handshake_no_message_may_be_long() {
    let announced = (MAX_HANDSHAKE_SIZE as u32 + 1).to_be_bytes();
    let wanted = SessionError::TooLong { size: MAX_HANDSHAKE_SIZE + 1, max: MAX_HANDSHAKE_SIZE };
    assert_eq!(owner_of(owner_me()).input(&announced, 0), Err(wanted.clone()));
    assert_eq!(follower_of(follower_me(), None).input(&announced, 0), Err(wanted));
}

#[test]
fn a_handshake_takes_a_second_at_most() {
    let (mut owner, mut follower) = (owner_of(owner_me()), follower_of(follower_me(), None));
    assert_eq!((owner.next_tick(), follower.next_tick()), (HANDSHAKE_TIMEOUT_US, HANDSHAKE_TIMEOUT_US));
    assert_eq!((owner.tick(HANDSHAKE_TIMEOUT_US - 1), follower.tick(HANDSHAKE_TIMEOUT_US - 1)), (Ok(()), Ok(())));
    assert_eq!(owner.tick(HANDSHAKE_TIMEOUT_US), Err(SessionError::Handshake));
    assert_eq!(follower.tick(HANDSHAKE_TIMEOUT_US), Err(SessionError::Handshake));
}

#[test]
fn whoever_says_more_before_the_answer_is_refused() {
    let mut pair = Pair::new(None);
    let hello = pair.follower.output().clone();
    let twice = [hello.clone(), hello].concat();
    assert!(matches!(pair.owner.input(&twice, 0), Err(SessionError::Order(_))));
}
