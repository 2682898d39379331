//! Events go in, and are found again: at hand, on disk, and by a successor.

use std::fs;

use lb_core::api::{NodeState, PeerHealth};
use lb_core::pair::{Event, Happening as What, Micros, Peer, State};

use super::*;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);

struct Fixture {
    journal: Journal,
    troubles: Receiver<Trouble>,
}

fn start(state_dir: &Path, boot: u32) -> Fixture {
    let (sender, troubles) = mpsc::channel();
    let parts = Parts {
        boot,
        paths: vec!["udp eth1".to_owned(), "serial /dev/ttyS0".to_owned()],
        clock: Box::new(|at| 1_700_000_000_000 + at / 1_000),
        tell: Box::new(move |trouble| sender.send(trouble).unwrap_or_default()),
    };
    Fixture { journal: Journal::start(state_dir, parts).unwrap(), troubles }
}

fn event(at: Micros, what: What, reason: &str) -> Event {
    Event { at, what, reason: reason.to_owned() }
}

fn reasons(journal: &Journal, limit: usize) -> Vec<String> {
    journal.newest(limit).events.into_iter().map(|event| event.reason).collect()
}

#[test]
fn an_event_has_number_time_boot_and_names() {
    let directory = tempfile::tempdir().unwrap();
    let Fixture { journal, .. } = start(directory.path(), 9);
    let state = What::State { from: State::Standby, to: State::TakingOver, epoch: 4 };
    journal.note(event(2_000, state, "the peer is dead"));
    journal.note(event(3_000, What::Path { path: 1, up: false }, "6 misses in a row"));
    journal.note(event(4_000, What::Peer(Peer::Dead), ""));
    journal.note(event(5_000, What::Stalled { for_us: 38_500 }, ""));
    assert!(journal.flush(LONG));
    let expected = [
        (1, 2, Happening::State { from: NodeState::Standby, to: NodeState::TakingOver, epoch: 4 }),
        (2, 3, Happening::Path { path: 1, name: "serial /dev/ttyS0".to_owned(), up: false }),
        (3, 4, Happening::Peer { health: PeerHealth::Dead }),
        (4, 5, Happening::Stalled { for_ms: 38.5 }),
    ];
    let events = journal.newest(10).events;
    assert_eq!(events.len(), expected.len());
    for (event, (sequence, ms, what)) in events.iter().zip(expected) {
        assert_eq!((event.sequence, event.unix_ms, event.boot), (sequence, 1_700_000_000_000 + ms, 9));
        assert_eq!(event.what, what);
    }
}

#[test]
fn a_successor_goes_on_with_the_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let first = start(directory.path(), 1);
    first.journal.note(event(0, What::Notice, "one"));
    assert!(first.journal.flush(LONG));
    drop(first);
    let second = start(directory.path(), 2);
    second.journal.note(event(0, What::Notice, "two"));
    assert!(second.journal.flush(LONG));
    let events = second.journal.newest(10).events;
    let found: Vec<_> = events.iter().map(|event| (event.sequence, event.boot, event.reason.as_str())).collect();
    assert_eq!(found, [(1, 1, "one"), (2, 2, "two")]);
}

#[test]
fn the_newest_are_at_hand() {
    let directory = tempfile::tempdir().unwrap();
    let Fixture { journal, .. } = start(directory.path(), 1);
    for n in 0..=MAX_AT_HAND {
        journal.note(event(0, What::Notice, &n.to_string()));
        if n % (QUEUE / 2) == 0 {
            assert!(journal.flush(LONG));
        }
    }
    assert!(journal.flush(LONG));
    assert_eq!(reasons(&journal, 2), [(MAX_AT_HAND - 1).to_string(), MAX_AT_HAND.to_string()]);
    let all = journal.newest(usize::MAX);
    assert_eq!((all.events.len(), all.events[0].reason.as_str(), all.truncated), (MAX_AT_HAND, "1", true));
}

#[test]
fn a_disk_that_cannot_be_written_is_a_trouble_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file::EVENTS_FILE);
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let Fixture { journal, troubles } = start(directory.path(), 1);
    journal.note(event(0, What::Notice, "one"));
    let trouble = troubles.recv_timeout(LONG).unwrap();
    assert_eq!(trouble.subject, "journal");
    let message = trouble.message.unwrap();
    assert!(message.starts_with(&format!("cannot write {}: No space left", path.display())), "{message}");
    assert_eq!(reasons(&journal, 10), ["one"]);
    fs::remove_file(&path).unwrap();
    journal.note(event(0, What::Notice, "two"));
    let mended =
        std::iter::repeat_with(|| troubles.recv_timeout(LONG).unwrap()).find(|trouble| trouble.message.is_none());
    assert!(mended.is_some());
    assert!(journal.flush(LONG));
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(lines.lines().count(), 2, "what failed at first is written, too: {lines}");
}
