//! The vectors that docs/reference/checkpoint-stream.md prints.

use super::*;
use crate::testing::page::{blocks, fields};

const PAGE: &str = include_str!("../../../../../docs/reference/checkpoint-stream.md");

#[test]
fn the_page_says_what_is_sent() {
    assert_eq!(blocks(PAGE, "keys")[0].trim(), SECRET);
    let page = &fields(PAGE, "stream")[0];
    let mut pair = Pair::new(Some((origin(), 12)));
    assert_eq!(*pair.follower.output(), page.bytes("hello"));
    pair.bring_to_owner().expect("a good first message");
    pair.owner.welcome(origin(), Some(12)).expect("it has asked");
    assert_eq!(*pair.owner.output(), page.bytes("welcome"));
    pair.bring_to_follower().expect("a good answer");
    pair.follower.ack(Some(12));
    assert_eq!(*pair.follower.output(), page.bytes("ack"));
    pair.owner.batch(&batch(13, vec![Entry::RealGone(7)]));
    assert_eq!(*pair.owner.output(), page.bytes("batch"));
    pair.bring_to_follower().expect("a good batch");
    pair.owner.tick(PING_INTERVAL_US).expect("a ping is due");
    assert_eq!(*pair.owner.output(), page.bytes("ping"));
    let mut pair = Pair::new(Some((origin(), 12)));
    pair.bring_to_owner().expect("a good first message");
    pair.owner.refuse("this node does not lead");
    assert_eq!(*pair.owner.output(), page.bytes("refusal"));
}

#[test]
fn the_page_gives_the_limits() {
    for limit in [MAX_HANDSHAKE_SIZE, MAX_MESSAGE_SIZE, MAX_BATCH_SIZE] {
        let digits = limit.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
        assert!(PAGE.contains(&groups.join(",")), "{limit}");
    }
    assert!(
        PAGE.contains(&format!("{} ms", SILENCE_US / 1_000))
            && PAGE.contains(&format!("{} ms", PING_INTERVAL_US / 1_000))
    );
}
