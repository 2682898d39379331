//! The schedule and the news, on a made-up clock.

use super::super::decide::{Link, Lookup, Neighbour, NeighbourState, Route};
use super::*;

const T: Timing = Timing {
    settle: Duration::from_millis(20),
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(8),
    confirm: Duration::from_secs(30),
    refresh: Duration::from_secs(3600),
    full_refresh_gap: Duration::from_secs(1),
};

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn watch(real: &str, address: &str) -> Watch {
    Watch { real: real.into(), address: ip(address), needs_tunnel: true, needs_same_link: false, known: None }
}

fn snapshot(state: NeighbourState, last_byte: u8) -> Snapshot {
    let route = Route { ifindex: 3, gateway: None, source: Some(ip("192.0.2.1")), mtu: None };
    let mac = Some([2, 0, 0, 0, 0, 1]);
    let link = Link { name: "eth1".into(), kind: None, mac, mtu: 1500, up: true, carrier: true };
    let neighbour = Neighbour { state, mac: Some([2, 0, 0, 0, 1, last_byte]) };
    Snapshot { route: Lookup::Unicast(route), link: Some(link), neighbour: Some(neighbour) }
}

fn behind(gateway: &str, state: NeighbourState) -> Snapshot {
    let mut snapshot = snapshot(state, 1);
    if let Lookup::Unicast(route) = &mut snapshot.route {
        route.gateway = Some(ip(gateway));
    }
    snapshot
}

fn no_route() -> Snapshot {
    Snapshot { route: Lookup::NoRoute, link: None, neighbour: None }
}

fn key(address: &str) -> NeighbourKey {
    NeighbourKey { ifindex: 3, address: ip(address) }
}

fn tracker(watches: &[Watch]) -> (Tracker, Instant) {
    let now = Instant::now();
    let mut tracker = Tracker::new(T, now);
    tracker.watch(watches.to_vec(), now);
    (tracker, now)
}

fn names(due: &[(String, IpAddr)]) -> Vec<&str> {
    due.iter().map(|(real, _)| real.as_str()).collect()
}

/// Looks at every real of the tracker, all of them resolved.
fn resolve_all(tracker: &mut Tracker, now: Instant) {
    for (real, _) in tracker.due(now, usize::MAX) {
        tracker.observed(&real, &snapshot(NeighbourState::Fresh, 1), now);
    }
    while tracker.next_update().is_some() {}
}

#[test]
fn only_changes_are_reported() {
    let (mut tracker, now) = tracker(&[watch("a", "192.0.2.11")]);
    assert!(!tracker.has_update());
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 1), now);
    let update = tracker.next_update().unwrap();
    assert_eq!((update.real.as_str(), update.note.as_str()), ("a", ""));
    assert!(update.next_hop.is_some());
    tracker.observed("a", &snapshot(NeighbourState::Stale, 1), now);
    assert!(!tracker.has_update());
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 2), now);
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 1), now);
    assert_eq!(tracker.next_update(), None, "it changed and changed back before anyone read it");
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 2), now);
    assert_eq!(tracker.next_update().unwrap().next_hop.unwrap().next_hop_mac[5], 2);
}

#[test]
fn a_next_hop_stays_in_use_until_another_is_found() {
    let (mut tracker, now) = tracker(&[watch("a", "192.0.2.11")]);
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 1), now);
    let found = tracker.next_update().unwrap().next_hop;
    for (snapshot, note) in [
        (snapshot(NeighbourState::Failed, 1), "no ARP answer"),
        (no_route(), "no route"),
        (Snapshot { link: None, ..snapshot(NeighbourState::Fresh, 1) }, "the interface"),
    ] {
        tracker.observed("a", &snapshot, now);
        let update = tracker.next_update().unwrap();
        assert_eq!(update.next_hop, found);
        assert!(update.note.starts_with(note) && update.note.ends_with("; the last known next hop stays in use"));
    }
    tracker.failed("a", "no answer", now);
    assert_eq!(tracker.next_update().unwrap().next_hop, found);
    tracker.observed("a", &Snapshot { route: Lookup::Local, ..no_route() }, now);
    assert_eq!(tracker.next_update().unwrap().next_hop, None, "an address of this host is no real's");
}

#[test]
fn a_silent_neighbour_is_asked_for_with_growing_pauses_and_reported_once() {
    let (mut tracker, start) = tracker(&[watch("a", "192.0.2.11")]);
    let mut now = start;
    let mut asked_after = Vec::new();
    tracker.observed("a", &snapshot(NeighbourState::Incomplete, 1), now);
    assert!(tracker.next_update().unwrap().note.starts_with("waiting for"));
    tracker.observed("a", &snapshot(NeighbourState::Failed, 1), now);
    assert!(tracker.next_update().unwrap().note.starts_with("no ARP answer"));
    for _ in 0..6 {
        now = tracker.next_due().unwrap();
        // News of the failure in between brings nothing forward.
        let early = now - Duration::from_millis(1);
        assert_eq!(tracker.observed("a", &snapshot(NeighbourState::Failed, 1), early), None);
        assert_eq!(tracker.observed("a", &snapshot(NeighbourState::Incomplete, 1), now), Some(key("192.0.2.11")));
        asked_after.push((now - start).as_secs());
    }
    assert_eq!(asked_after, [1, 3, 7, 15, 23, 31]);
    assert_eq!(tracker.next_update(), None, "still silent is no news");
}

#[test]
fn an_answer_or_a_link_event_ends_the_pauses() {
    let (mut tracker, now) = tracker(&[watch("a", "192.0.2.11")]);
    let failed = snapshot(NeighbourState::Failed, 1);
    for _ in 0..4 {
        let due = tracker.next_due().unwrap();
        tracker.observed("a", &failed, due);
    }
    let later = tracker.next_due().unwrap() - Duration::from_millis(100);
    assert_eq!(tracker.observed("a", &failed, later), None);
    tracker.heard(&Event::Link(3), later);
    assert_eq!(tracker.next_due(), Some(later + T.settle));
    assert_eq!(tracker.observed("a", &failed, later + T.settle), Some(key("192.0.2.11")));

    let now = now + Duration::from_secs(100);
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 1), now);
    assert_eq!(tracker.observed("a", &failed, now + Duration::from_secs(1)), Some(key("192.0.2.11")));
    assert_eq!(tracker.next_due(), Some(now + Duration::from_secs(2)), "the first pause again");
}

#[test]
fn a_stale_neighbour_is_confirmed_at_a_bounded_rate_whoever_shares_it() {
    let (mut tracker, now) = tracker(&[watch("a", "198.51.100.11"), watch("b", "198.51.100.12")]);
    let stale = behind("192.0.2.254", NeighbourState::Stale);
    assert_eq!(tracker.observed("a", &stale, now), Some(key("192.0.2.254")));
    assert_eq!(tracker.observed("b", &stale, now), None, "the same gateway");
    assert_eq!(tracker.observed("a", &stale, now + T.confirm - Duration::from_millis(1)), None);
    assert_eq!(tracker.observed("b", &stale, now + T.confirm), Some(key("192.0.2.254")));
}

#[test]
fn neighbours_that_nobody_is_behind_are_forgotten() {
    let (mut tracker, now) = tracker(&[watch("a", "198.51.100.11"), watch("b", "198.51.100.12")]);
    for real in ["a", "b"] {
        tracker.observed(real, &behind("192.0.2.254", NeighbourState::Incomplete), now);
    }
    tracker.observed("a", &behind("192.0.2.253", NeighbourState::Incomplete), now);
    assert_eq!(tracker.asked.len(), 2);
    tracker.observed("b", &behind("192.0.2.253", NeighbourState::Incomplete), now);
    assert_eq!(tracker.asked.keys().collect::<Vec<_>>(), [&key("192.0.2.253")]);
    tracker.watch(vec![watch("c", "198.51.100.13")], now);
    assert!(tracker.asked.is_empty());
}

#[test]
fn asks_are_limited_over_all_neighbours() {
    let watches: Vec<Watch> = (0..MAX_ASKS_PER_SECOND + 50)
        .map(|i| watch(&format!("r{i}"), &format!("198.18.{}.{}", i / 250, i % 250 + 1)))
        .collect();
    let (mut tracker, now) = tracker(&watches);
    let ask_all = |tracker: &mut Tracker, now: Instant| {
        let due = tracker.due(now, usize::MAX);
        let asked =
            due.iter().filter_map(|(real, _)| tracker.observed(real, &snapshot(NeighbourState::Incomplete, 1), now));
        asked.count()
    };
    assert_eq!(ask_all(&mut tracker, now), MAX_ASKS_PER_SECOND as usize);
    assert_eq!(ask_all(&mut tracker, now + Duration::from_millis(999)), 0);
    assert_eq!(ask_all(&mut tracker, now + Duration::from_secs(1)), MAX_ASKS_PER_SECOND as usize);
}

#[test]
fn a_change_concerns_those_that_it_touches() {
    let watches = [watch("a", "192.0.2.11"), watch("b", "192.0.2.12"), watch("c", "2001:db8::11")];
    let prefix = |prefix: &str, length| Event::Route { prefix: ip(prefix), length };
    let cases: [(Event, &[&str]); 10] = [
        (Event::Neighbour(key("192.0.2.12")), &["b"]),
        (Event::Neighbour(NeighbourKey { ifindex: 4, address: ip("192.0.2.12") }), &[]),
        (prefix("192.0.2.11", 32), &["a"]),
        (prefix("192.0.2.8", 29), &["a", "b"]),
        (prefix("0.0.0.0", 0), &["a", "b"]),
        (prefix("::", 0), &["c"]),
        (prefix("2001:db8::", 32), &["c"]),
        (prefix("2001:db9::", 32), &[]),
        (Event::Link(4), &[]),
        (Event::Address(3), &["a", "b", "c"]),
    ];
    for (event, concerned) in cases {
        let (mut tracker, now) = tracker(&watches);
        resolve_all(&mut tracker, now);
        let later = now + Duration::from_secs(10);
        tracker.heard(&event, later);
        let due = tracker.due(later + T.settle, usize::MAX);
        assert_eq!(names(&due), concerned, "{event:?}");
    }
}

#[test]
fn a_new_address_concerns_those_that_have_no_way_yet() {
    let (mut tracker, now) = tracker(&[watch("a", "192.0.2.11"), watch("b", "192.0.2.12")]);
    resolve_all(&mut tracker, now);
    tracker.observed("b", &no_route(), now);
    tracker.heard(&Event::Address(9), now);
    assert_eq!(names(&tracker.due(now + T.settle, usize::MAX)), ["b"]);
}

#[test]
fn looks_at_everything_keep_their_distance_and_do_not_pile_up() {
    let (mut tracker, start) = tracker(&[watch("a", "192.0.2.11")]);
    resolve_all(&mut tracker, start);
    for _ in 0..100 {
        tracker.heard(&Event::Everything, start);
    }
    assert_eq!(tracker.next_due(), Some(start + T.settle));
    resolve_all(&mut tracker, start + T.settle);
    let soon = start + Duration::from_millis(100);
    for _ in 0..100 {
        tracker.heard(&Event::Everything, soon);
    }
    assert_eq!(tracker.next_due(), Some(start + T.settle + T.full_refresh_gap + T.settle));
    let later = start + Duration::from_secs(60);
    resolve_all(&mut tracker, later);
    let much_later = later + Duration::from_secs(60);
    tracker.heard(&Event::Everything, much_later);
    assert_eq!(tracker.next_due(), Some(much_later + T.settle));
}

#[test]
fn who_waits_longest_comes_first() {
    let (mut tracker, now) = tracker(&[watch("a", "192.0.2.11"), watch("b", "192.0.2.12")]);
    resolve_all(&mut tracker, now);
    tracker.heard(&Event::Neighbour(key("192.0.2.12")), now);
    tracker.heard(&Event::Neighbour(key("192.0.2.11")), now + Duration::from_millis(5));
    assert_eq!(names(&tracker.due(now + Duration::from_secs(1), 1)), ["b"]);
}

#[test]
fn without_news_everything_is_looked_at_now_and_then() {
    let (mut tracker, now) = tracker(&[watch("a", "192.0.2.11"), watch("b", "192.0.2.12")]);
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 1), now);
    tracker.observed("b", &no_route(), now);
    for real in ["a", "b"] {
        let due = tracker.reals[real].due - now;
        assert!(due >= T.refresh * 3 / 4 && due <= T.refresh * 5 / 4, "{real}: {due:?}");
    }
}

#[test]
fn a_new_set_of_reals_keeps_what_still_holds() {
    let (mut tracker, now) = tracker(&[watch("a", "192.0.2.11"), watch("b", "192.0.2.12"), watch("c", "192.0.2.13")]);
    resolve_all(&mut tracker, now);
    let found = tracker.reals["a"].next_hop;
    tracker.observed("b", &no_route(), now);
    tracker.observed("c", &no_route(), now);
    let other_mode = Watch { needs_tunnel: false, needs_same_link: true, ..watch("a", "192.0.2.11") };
    tracker.watch(vec![other_mode, watch("b", "192.0.2.22"), watch("d", "192.0.2.14")], now);
    assert!(!tracker.has_update(), "`c` is gone and `b` has another address: what was news of them is none now");
    assert_eq!(tracker.next_update(), None);
    assert_eq!(names(&tracker.due(now, usize::MAX)), ["a", "b", "d"]);
    tracker.observed("a", &snapshot(NeighbourState::Fresh, 1), now);
    assert_eq!(tracker.next_update(), None);
    assert_eq!(tracker.reals["a"].next_hop, found);
    assert_eq!(tracker.reals["b"].next_hop, None, "another address");

    let known = Watch { known: found, ..watch("e", "192.0.2.15") };
    tracker.watch(vec![known, watch("a", "192.0.2.11")], now);
    tracker.observed("e", &no_route(), now);
    assert_eq!(tracker.next_update().unwrap().next_hop, found);
}
