//! The pair, its paths and its events.

use std::time::Duration;

use super::*;

fn quality() -> Quality {
    Quality { detections: 0, detection_mean_ms: None, detection_max_ms: None, mistakes: 0, accuracy: 1.0 }
}

fn measured() -> Quality {
    Quality {
        detections: 2,
        detection_mean_ms: Some(31.25),
        detection_max_ms: Some(38.5),
        mistakes: 1,
        accuracy: 0.999,
    }
}

fn active() -> Pair {
    Pair {
        role: Role::Primary,
        state: NodeState::Active,
        state_seconds: 11_045.3,
        epoch: 7,
        boot: 1_700_000_000,
        fitness: 100,
        lacks: None,
        held: false,
        forbidden: None,
        moving: None,
        lease: Lease { service: LeaseService::Serving, remaining_ms: 18.4, expired: false, reconfirming: false },
        peer: PairPeer {
            health: PeerHealth::Alive,
            heard_ms: Some(4.21),
            says: Some(PeerSays {
                state: NodeState::Standby,
                epoch: 7,
                boot: 1_700_000_005,
                fitness: 100,
                held: false,
                in_sync: true,
                unable: false,
                lease_ms: 0.0,
            }),
            version: Some("0.1.0".into()),
            same_role_frames: 0,
        },
        sync: Sync { state: SyncState::InSync, reason: "the nodes have the same VIPs, services and slots".into() },
        detection: Detection { min_ms: 29.5, mean_ms: 34.5, max_ms: 39.5 },
        quality: quality(),
        stalls: Stalls { count: 0, longest_ms: 0.0, total_ms: 0.0 },
        handicaps: vec![],
    }
}

fn unwell() -> Pair {
    let says = PeerSays {
        state: NodeState::Active,
        epoch: 8,
        fitness: 60,
        held: true,
        unable: true,
        ..active().peer.says.unwrap()
    };
    Pair {
        state: NodeState::Fenced,
        fitness: 60,
        lacks: Some("the gateway 192.0.2.1 does not answer".into()),
        held: true,
        forbidden: Some("198.51.100.1 is in use by 02:00:00:00:00:99 on eth0".into()),
        moving: Some("an operator wants the VIPs on the other node".into()),
        lease: Lease { service: LeaseService::Serving, remaining_ms: 0.0, expired: true, reconfirming: true },
        peer: PairPeer {
            health: PeerHealth::Dead,
            heard_ms: Some(75_400.0),
            says: Some(says),
            version: None,
            same_role_frames: 12,
        },
        sync: Sync {
            state: SyncState::VipsDiffer,
            reason: "the nodes have different VIPs: make their configurations alike".into(),
        },
        quality: measured(),
        stalls: Stalls { count: 3, longest_ms: 38.2, total_ms: 61.0 },
        handicaps: vec!["no real-time priority: give lbd CAP_SYS_NICE".into()],
        ..active()
    }
}

#[test]
fn the_pair_when_all_is_well_and_when_not() {
    assert_eq!(pair(&active(), Style::Plain), include_str!("../snapshots/pair.txt"));
    assert_eq!(pair(&unwell(), Style::Plain), include_str!("../snapshots/pair-degraded.txt"));
    let never_heard =
        PairPeer { health: PeerHealth::Unknown, heard_ms: None, says: None, version: None, same_role_frames: 0 };
    let silent = Lease { service: LeaseService::Silent, remaining_ms: 0.0, expired: false, reconfirming: false };
    let text = pair(&Pair { state: NodeState::Starting, peer: never_heard, lease: silent, ..active() }, Style::Plain);
    assert!(text.contains("\npeer        unknown\n"), "{text}");
    assert!(text.contains("\nlease       none: this node is silent for the VIPs\n"), "{text}");
}

#[test]
fn each_thing_that_is_wrong_makes_the_pair_degraded() {
    assert!(!active().is_degraded());
    let peer = |health| PairPeer { health, ..active().peer };
    assert!(!Pair { peer: peer(PeerHealth::Degraded), held: true, ..active() }.is_degraded());
    assert!(Pair { peer: peer(PeerHealth::Dead), ..active() }.is_degraded());
    assert!(Pair { state: NodeState::Fenced, ..active() }.is_degraded());
    assert!(Pair { forbidden: Some("why".into()), ..active() }.is_degraded());
    assert!(Pair { lease: Lease { expired: true, ..active().lease }, ..active() }.is_degraded());
    let sync = |state| Sync { state, reason: String::new() };
    assert!(Pair { sync: sync(SyncState::ServicesDiffer), ..active() }.is_degraded());
    assert!(!Pair { sync: sync(SyncState::SlotsDiffer), ..active() }.is_degraded());
}

fn path(id: u8, name: &str) -> Path {
    Path {
        id,
        name: name.into(),
        kind: PathKind::Udp,
        state: PathState::Up,
        silent: false,
        problem: None,
        interval_ms: 10.0,
        rtt: Some(Rtt { last_ms: 0.4, smoothed_ms: 0.31, min_ms: 0.2, max_ms: 3.0 }),
        loss: 0.0,
        missed_in_a_row: 0,
        heard_ms: Some(4.21),
        counters: PathCounters { missed: 12, ..PathCounters::default() },
        refused: vec![Count { name: "bad_tag".into(), count: 0, explanation: "not signed with its key".into() }],
        quality: quality(),
    }
}

fn all_paths() -> Paths {
    let refused = vec![Count { name: "bad_tag".into(), count: 99, explanation: "not signed with its key".into() }];
    let eth2 = Path {
        state: PathState::Down,
        silent: true,
        rtt: None,
        loss: 1.0,
        missed_in_a_row: 640,
        heard_ms: None,
        refused,
        ..path(1, "udp eth2")
    };
    let serial = Path {
        kind: PathKind::Serial,
        state: PathState::Unknown,
        problem: Some("cannot open /dev/ttyS0: no such device".into()),
        quality: measured(),
        ..path(2, "serial /dev/ttyS0")
    };
    Paths { paths: vec![path(0, "udp eth1"), eth2, serial], overall: measured() }
}

#[test]
fn paths_with_their_troubles() {
    assert_eq!(paths(&all_paths(), Style::Plain), include_str!("../snapshots/paths.txt"));
    let coloured = paths(&all_paths(), Style::Colour);
    assert_eq!(stripped(&coloured), paths(&all_paths(), Style::Plain));
    assert!(coloured.contains("\n\x1b[31mudp eth2 "), "a path that is down is red");
    assert!(all_paths().is_degraded());
    assert!(!Paths { paths: vec![path(0, "udp eth1")], overall: quality() }.is_degraded());
}

#[test]
fn events_with_their_time() {
    let event =
        |sequence, unix_ms, what, reason: &str| Event { sequence, unix_ms, boot: 1, what, reason: reason.into() };
    let state = Happening::State { from: NodeState::Standby, to: NodeState::TakingOver, epoch: 8 };
    let mut list = Events {
        events: vec![
            event(1, 1_795_384_988_123, Happening::Peer { health: PeerHealth::Dead }, "silent on all paths"),
            event(2, 1_795_384_988_124, state, "the peer is dead"),
            event(3, 1_795_384_990_000, Happening::Notice, "udp eth1 and udp eth2 are back"),
        ],
        truncated: false,
    };
    let expected = include_str!("../snapshots/events.txt");
    assert_eq!(events(&list, Style::Plain), expected);
    assert_eq!(stripped(&events(&list, Style::Colour)), expected);
    assert!(events(&list, Style::Colour).contains("\x1b[31mthe peer is dead"));
    list.truncated = true;
    let more = "3 events shown; there are older ones: --limit N shows up to N\n";
    assert_eq!(events(&list, Style::Plain), format!("{expected}{more}"));
    list.events.clear();
    assert_eq!(events(&list, Style::Plain), "Nothing has happened yet.\n");
}

#[test]
fn the_pair_in_the_status() {
    let Pair { role, state, epoch, held, lease, sync, detection, .. } = active();
    let peer = PeerHealth::Alive;
    let in_pair =
        Status { pair: Some(PairStatus { role, state, epoch, held, lease, peer, sync, detection }), ..healthy() };
    let text = status(&in_pair, Style::Plain);
    let expected = "\
pair        primary, active, epoch 7; the peer is alive; the nodes have the same
            VIPs, services and slots
lease       serving, 18.4 ms left
detection   a dead peer is found out in 29.5 ms to 39.5 ms, in the mean 34.5 ms
";
    assert!(text.contains(expected), "{text}");
    assert_eq!(stripped(&status(&in_pair, Style::Colour)), text);
}

#[test]
fn what_came_of_steering() {
    let changed = |state, held| PairChanged { state, epoch: 8, held };
    assert_eq!(handed_over(&changed(NodeState::Standby, false)), "Handed over: this node is now standby (epoch 8)\n");
    assert_eq!(
        held(&changed(NodeState::Standby, true)),
        "This node is standby, and held back: it does not become active, until `lbctl hold off`\n"
    );
    assert_eq!(
        held(&changed(NodeState::Active, false)),
        "This node is active, and not held back: it may become active\n"
    );
    assert_eq!(
        restarting(&changed(NodeState::Active, false), Duration::from_secs(5)),
        "lbd ends; this node stays active if lbd is back within 5.0s\n"
    );
}

#[test]
fn times_are_short() {
    let cases = [
        (0.314, "0.31 ms"),
        (9.99, "9.99 ms"),
        (10.0, "10.0 ms"),
        (999.9, "999.9 ms"),
        (1_000.0, "1.0s"),
        (75_400.0, "1m 15s"),
    ];
    for (ms, text) in cases {
        assert_eq!(milliseconds(ms), text);
    }
}
