//! Datagrams over loopback: genuine, forged, mangled, too many.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use lb_core::auth::Keys;
use lb_core::report::{Availability, Load, MAX_REPORT_SIZE, Mark, Refusal, Report, encode};

use super::super::{Listening, ReportUpdate, Reports, Updates};
use super::{PATIENCE, next};

fn keys(secret_digit: char) -> Keys {
    Keys::parse(&format!("7 {}", secret_digit.to_string().repeat(32))).unwrap()
}

fn listening(addresses: &[&str]) -> Listening {
    Listening {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        keys: keys('a'),
        rate_limit: 1_000_000,
        journal: None,
    }
}

fn report(real: &str, sequence: u64) -> Report {
    Report {
        real: real.to_owned(),
        generation: 5,
        sequence,
        interval_ms: 1_000,
        availability: Availability::Alive,
        load: Load::default(),
    }
}

/// A host that sends datagrams to a receiver of its own.
struct Sender {
    socket: UdpSocket,
    to: SocketAddr,
    sent: u64,
}

impl Sender {
    fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Self { socket, to, sent: 0 }
    }

    fn send(&mut self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.to).unwrap();
        self.sent += 1;
    }

    /// Waits until all that was sent has been counted.
    fn settle(&self, reports: &Reports) {
        let start = Instant::now();
        while reports.counters().datagrams() < self.sent {
            assert!(start.elapsed() < PATIENCE, "{:?} of {} datagrams", reports.counters(), self.sent);
            std::thread::yield_now();
        }
    }
}

/// Nothing was taken before.
const NOTHING: BTreeMap<String, Mark> = BTreeMap::new();

/// A receiver of reports of `web1` and `web2`, and one who sends to its first address.
fn start(listening: Listening) -> (Reports, Updates, Sender) {
    let (reports, updates) = Reports::start(Some(listening)).unwrap();
    reports.set_reals(["web1".to_owned(), "web2".to_owned()], &NOTHING);
    let sender = Sender::new(reports.addresses()[0]);
    (reports, updates, sender)
}

#[tokio::test]
async fn a_report_comes_through() {
    let (_reports, mut updates, mut sender) = start(listening(&["127.0.0.1:0"]));
    sender.send(&encode(&report("web1", 1), &keys('a')).unwrap());
    assert_eq!(next(&mut updates).await, [ReportUpdate::Report(report("web1", 1))]);
}

#[tokio::test]
async fn every_address_is_listened_to() {
    let (reports, mut updates, mut first) = start(listening(&["127.0.0.1:0"; 3]));
    let mut others = reports.addresses()[1..].iter().map(|&address| Sender::new(address));
    for sequence in 1..=3 {
        let mut other = if sequence == 1 { None } else { others.next() };
        let sender = other.as_mut().unwrap_or(&mut first);
        sender.send(&encode(&report("web1", sequence), &keys('a')).unwrap());
        assert_eq!(next(&mut updates).await, [ReportUpdate::Report(report("web1", sequence))]);
    }
}

/// 10,000 forged datagrams of all kinds, and a genuine one after each hundred.
#[tokio::test]
async fn genuine_reports_come_through_a_flood_of_forged_ones() {
    let (reports, mut updates, mut sender) = start(listening(&["127.0.0.1:0"]));
    let (good, bad) = (keys('a'), keys('b'));
    for round in 1..=100 {
        let genuine = encode(&report("web1", round), &good).unwrap();
        for forgery in 0..25 {
            // Newer than all that is genuine: only the tag gives it away.
            sender.send(&encode(&report("web1", 1_000_000 + forgery), &bad).unwrap());
            let mut mangled = genuine.clone();
            mangled[36 + forgery as usize] ^= 0x10;
            sender.send(&mangled);
            sender.send(&encode(&report("web3", round), &good).unwrap());
            sender.send(&genuine[..genuine.len() - 1 - forgery as usize]);
        }
        sender.send(&genuine);
        sender.settle(&reports);
        assert_eq!(next(&mut updates).await, [ReportUpdate::Report(report("web1", round))]);
    }
    let counters = reports.counters();
    assert_eq!((counters.accepted, counters.datagrams()), (100, 10_100));
    assert_eq!(counters.refused(Refusal::UnknownReal), 2_500);
    // Of the mangled ones those whose fields nothing was measured for are malformed.
    let told_by_form_or_tag = counters.refused(Refusal::Malformed) + counters.refused(Refusal::BadTag);
    assert_eq!(told_by_form_or_tag, 7_500);
    assert!(counters.refused(Refusal::BadTag) >= 2_500, "{counters:?}");
}

#[tokio::test]
async fn each_refusal_is_counted_by_its_reason() {
    let mut settings = listening(&["127.0.0.1:0"]);
    settings.rate_limit = 1;
    let (reports, _updates, mut sender) = start(settings);
    let genuine = encode(&report("web1", 5), &keys('a')).unwrap();
    sender.send(&genuine);
    sender.send(&genuine);
    sender.send(&encode(&Report { generation: 4, ..report("web1", 6) }, &keys('a')).unwrap());
    sender.send(&encode(&report("web2", 1), &keys('b')).unwrap());
    sender.send(&encode(&report("web3", 1), &keys('a')).unwrap());
    sender.send(&[]);
    sender.send(&[0; MAX_REPORT_SIZE + 1]);
    sender.send(&[0xff; 60_000]);
    sender.send(&{
        let mut other = genuine.clone();
        other[4] = 9;
        other
    });
    sender.settle(&reports);
    let counters = reports.counters();
    let refused = |refusal| counters.refused(refusal);
    assert_eq!(counters.accepted, 1);
    assert_eq!(refused(Refusal::Malformed), 3);
    for refusal in [Refusal::Replayed, Refusal::Stale, Refusal::BadTag, Refusal::UnknownReal, Refusal::Version] {
        assert_eq!(refused(refusal), 1, "{refusal:?}");
    }
}

/// A datagram that goes on where the longest report ends is not that report.
#[tokio::test]
async fn a_report_with_something_behind_it_is_refused() {
    let name = "w".repeat(64);
    let (reports, _updates, mut sender) = start(listening(&["127.0.0.1:0"]));
    reports.set_reals([name.clone()], &NOTHING);
    let mut datagram = encode(&report(&name, 1), &keys('a')).unwrap();
    assert_eq!(datagram.len(), MAX_REPORT_SIZE);
    for more in 1..4 {
        datagram.push(0);
        sender.send(&datagram);
        sender.settle(&reports);
        assert_eq!(reports.counters().refused(Refusal::Malformed), more);
    }
}

#[tokio::test]
async fn a_slow_reader_finds_the_newest_report_of_each_real() {
    let (reports, mut updates, mut sender) = start(listening(&["127.0.0.1:0"]));
    for sequence in 1..=50 {
        for real in ["web1", "web2"] {
            sender.send(&encode(&report(real, sequence), &keys('a')).unwrap());
        }
    }
    sender.settle(&reports);
    let newest = ["web1", "web2"].map(|real| ReportUpdate::Report(report(real, 50)));
    assert_eq!(next(&mut updates).await, newest);
    assert_eq!(reports.counters().accepted, 100);
}

#[tokio::test]
async fn reals_keys_and_limit_can_be_replaced() {
    let (reports, mut updates, mut sender) = start(listening(&["127.0.0.1:0"]));
    sender.send(&encode(&report("web3", 1), &keys('a')).unwrap());
    sender.settle(&reports);
    reports.set_reals(["web3".to_owned()], &NOTHING);
    reports.set_keys(keys('b'));
    reports.set_rate_limit(1);
    sender.send(&encode(&report("web3", 2), &keys('a')).unwrap());
    sender.send(&encode(&report("web1", 1), &keys('b')).unwrap());
    sender.send(&encode(&report("web3", 3), &keys('b')).unwrap());
    assert_eq!(next(&mut updates).await, [ReportUpdate::Report(report("web3", 3))]);
    sender.settle(&reports);
    let counters = reports.counters();
    assert_eq!((counters.refused(Refusal::UnknownReal), counters.refused(Refusal::BadTag)), (2, 1));
    assert_eq!(reports.marks(), BTreeMap::from([("web3".to_owned(), Mark { generation: 5, sequence: 3 })]));
    for sequence in 4..=100 {
        sender.send(&encode(&report("web3", sequence), &keys('b')).unwrap());
    }
    sender.settle(&reports);
    assert!(reports.counters().refused(Refusal::TooFast) > 0, "not all in as many seconds");
}

#[tokio::test]
async fn what_came_before_a_restart_is_not_taken_after_it() {
    let (before, _updates, mut sender) = start(listening(&["127.0.0.1:0"]));
    let captured = encode(&report("web1", 9), &keys('a')).unwrap();
    sender.send(&captured);
    sender.settle(&before);
    let (after, _updates) = Reports::start(Some(listening(&["127.0.0.1:0"]))).unwrap();
    let mut sender = Sender::new(after.addresses()[0]);
    after.set_reals(["web1".to_owned()], &before.marks());
    sender.send(&captured);
    sender.settle(&after);
    assert_eq!(after.counters().refused(Refusal::Replayed), 1);
}

/// One that was killed has told nobody its marks, and has left its journal.
#[tokio::test]
async fn what_came_before_a_kill_is_not_taken_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let with_journal = || Listening { journal: Some(directory.path().join("reports")), ..listening(&["127.0.0.1:0"]) };
    let (before, _updates, mut sender) = start(with_journal());
    let captured = [7, 9, 8].map(|sequence| encode(&report("web1", sequence), &keys('a')).unwrap());
    captured.iter().for_each(|datagram| sender.send(datagram));
    sender.settle(&before);
    drop(before);
    let (after, _updates, mut sender) = start(with_journal());
    captured.iter().for_each(|datagram| sender.send(datagram));
    sender.send(&encode(&report("web1", 10), &keys('a')).unwrap());
    sender.settle(&after);
    assert_eq!((after.counters().accepted, after.counters().refused(Refusal::Replayed)), (1, 3));
}

/// Those who report while the daemon starts are not unknown to it.
#[tokio::test]
async fn what_comes_before_the_reals_are_known_waits_for_them() {
    let (reports, mut updates) = Reports::start(Some(listening(&["127.0.0.1:0"]))).unwrap();
    let mut sender = Sender::new(reports.addresses()[0]);
    sender.send(&encode(&report("web1", 1), &keys('a')).unwrap());
    // A thread that reads already has the time to do so here.
    (0..1_000).for_each(|_| std::thread::yield_now());
    assert_eq!(reports.counters().datagrams(), 0);
    reports.set_reals(["web1".to_owned()], &NOTHING);
    assert_eq!(next(&mut updates).await, [ReportUpdate::Report(report("web1", 1))]);
    sender.settle(&reports);
    assert_eq!(reports.counters().refused(Refusal::UnknownReal), 0);
}

#[tokio::test]
async fn a_receiver_that_never_began_ends() {
    let (reports, mut updates) = Reports::start(Some(listening(&["127.0.0.1:0"]))).unwrap();
    drop(reports);
    assert_eq!(updates.next().await, None);
}

#[tokio::test]
async fn the_end_frees_the_address_and_ends_the_news() {
    let (reports, mut updates, sender) = start(listening(&["127.0.0.1:0"]));
    drop(reports);
    assert_eq!(updates.next().await, None);
    let (again, _updates) = Reports::start(Some(listening(&[&sender.to.to_string()]))).unwrap();
    assert_eq!(again.addresses(), [sender.to]);
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let (reports, _updates, _sender) = start(listening(&["127.0.0.1:0"]));
    let taken = reports.addresses()[0].to_string();
    for (address, hint) in [(taken.as_str(), "ss -lunp"), ("192.0.2.1:6720", "no such address")] {
        let Err(error) = Reports::start(Some(listening(&[address]))) else { panic!("{address} can be had") };
        let text = error.to_string();
        assert!(text.contains(address) && text.contains(hint) && text.contains("reports.listen"), "{text}");
    }
}

#[tokio::test]
async fn without_listening_nothing_is_received() {
    let (reports, mut updates) = Reports::start(None).unwrap();
    reports.set_reals(["web1".to_owned()], &NOTHING);
    assert!(reports.addresses().is_empty() && reports.marks().is_empty());
    assert_eq!(reports.counters().datagrams(), 0);
    drop(reports);
    assert_eq!(updates.next().await, None);
}
