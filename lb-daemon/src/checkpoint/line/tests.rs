//! When the line is needed, and what it may change.

use std::sync::atomic::AtomicU8;

use lb_core::checkpoint::Entry;
use lb_core::pair::view::{PairView, PathView};
use lb_core::pair::{Memory, Node, Options, PathOptions, Role};

use super::*;
use crate::checkpoint::test_support::settings;
use crate::engine::test_support::Bench;

const ORIGIN: Origin = Origin { cluster: 1, owner: Role::Primary, boot: 1, epoch: 3 };
const ME: Me = Me { cluster: 1, role: Role::Standby, boot: 9 };

fn view(kinds: &[PathKind]) -> PairView {
    let path = |kind: &PathKind| PathOptions {
        kind: *kind,
        interval_us: 100_000,
        ack_timeout_us: 50_000,
        missed_limit: 3,
        rise: 3,
        fall: 9,
    };
    let options = Options {
        role: Role::Standby,
        boot: 1,
        paths: kinds.iter().map(path).collect(),
        preempt: false,
        failback_delay_us: 1,
        start_wait_us: 1,
        lease_us: 1,
        drain_us: 1,
        handover_timeout_us: 1,
    };
    Node::new(options, Memory::default(), 0).view(0)
}

#[test]
fn the_line_is_needed_where_it_is_all_there_is() {
    let kinds = [PathKind::Udp, PathKind::Udp, PathKind::Serial];
    let is_needed = |levels: [Level; 3]| {
        let paths = view(&kinds).paths.into_iter().zip(levels);
        is_only_way(&paths.map(|(path, level)| PathView { level, ..path }).collect::<Vec<_>>())
    };
    assert!(is_needed([Level::Down, Level::Down, Level::Up]));
    assert!(!is_needed([Level::Down, Level::Up, Level::Up]), "the stream has a NIC");
    assert!(!is_needed([Level::Down, Level::Unknown, Level::Up]), "it may have one");
    assert!(!is_needed([Level::Down, Level::Down, Level::Down]), "nothing would come");
    assert!(!is_needed([Level::Down, Level::Down, Level::Unknown]));
}

#[test]
fn it_is_said_which_way_the_table_goes() {
    let words = |what| Told(AtomicU8::new(what)).words();
    assert_eq!(words(NOTHING), None);
    assert_eq!(words(GOES), Some("only the scheduling table goes to it, over the serial line"));
    assert_eq!(words(COMES), Some("only the scheduling table comes, over the serial line"));
}

fn message(epoch: u32) -> Message {
    Message { all: true, boot: ORIGIN.boot, epoch, generation: 5, entries: vec![Entry::RealGone(7)] }
}

#[test]
fn what_the_stream_has_brought_since_is_newer() {
    let mut engine = Bench::new().start().unwrap();
    let hub = Hub::new(settings(), true);
    let mut taken = |hub: &Hub, base, message| apply(&mut engine, hub, base, &ME, message);
    hub.change(|ledger, _| ledger.lead(Origin { owner: Role::Standby, ..ORIGIN }));
    assert_eq!(taken(&hub, None, message(3)), Ok(false), "a node that leads is told nothing");
    hub.change(|ledger, _| {
        ledger.follow();
        ledger.owner_refills().unwrap();
        ledger.refilled(ORIGIN, 4, 1).unwrap();
    });
    let base = Some((ORIGIN, 4));
    assert_eq!(taken(&hub, base, message(3)), Ok(false), "the stream is there");
    hub.change(|ledger, _| ledger.owner_gone("cut"));
    assert_eq!(taken(&hub, Some((ORIGIN, 3)), message(3)), Ok(false), "the session is older than what is held");
    let refused = taken(&hub, base, message(2)).unwrap_err();
    assert!(refused.contains("newer owner"), "{refused}");
}
