//! Reports that a real `lbd` must refuse: forged, replayed, mangled, of strangers, late, too many, and a flood of them.
//! Each is counted, none changes anything, and genuine ones get through. Needs root.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lb_core::api::TableReal;
use lb_core::auth::Keys;
use lb_core::report::{Availability, Inbox, Load, Refusal, Report, Share, encode};
use lb_lab::{NamespaceHandle, Plan, takes_reports, wait_for, write_keys};
use lb_tests::stage::{Config, HTTP, Kind, LIMIT, Stage, real_names};

const REALS: u8 = 2;
const REAL: &str = "real-1";
const OTHER_REAL: &str = "real-2";
/// The second key is good for the second real only.
const KEYS: &str = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n\
                    2 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f real-2\n";
/// Of the first key's id, with another secret.
const FORGED: &str = "1 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
const UNKNOWN_KEY: &str = "3 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
/// The second key's id and secret, by someone who does not keep to its real.
const BORROWED: &str = "2 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\n";
const GENERATION: u64 = 1_700_000_000_000_000;
/// Sequence of the genuine report that the table is made from: well above what stale ones have.
const NEWEST: u64 = 1_000;
/// Datagrams that are sent at a time: the kernel holds more for the daemon.
const BATCH: usize = 100;

fn plan() -> Plan {
    Plan { reals: REALS, vips: 1, ..Plan::default() }
}

/// A stage that takes reports, with these further lines about them.
fn set(lines: &str) -> Result<Stage> {
    let service = SocketAddr::new(plan().vip_addresses(0)[0], HTTP);
    let mut stage = Stage::prepare(plan(), |network| {
        let config = Config::of(network)
            .top("[scheduler]\ninterval = \"100ms\"\nexpire = \"1h\"")
            .top(&format!("{}\n{lines}", takes_reports(&network.run)));
        config.service("web", service, Kind::TcpDsr, &real_names(REALS))
    })?;
    write_keys(&stage.network.run, KEYS)?;
    stage.lbd.start_again()?;
    stage.lbd.wait_until_ready()?;
    Ok(stage)
}

fn report(sequence: u64) -> Report {
    Report {
        real: REAL.to_owned(),
        generation: GENERATION,
        sequence,
        // So long that its absence is noticed in no test.
        interval_ms: 3_600_000,
        availability: Availability::Alive,
        load: Load { cpu: Some(Share::of(0.5)), hits: Some(100_000), ..Load::default() },
    }
}

fn keys(text: &str) -> Keys {
    Keys::parse(text).expect("good keys")
}

fn datagram(report: &Report) -> Vec<u8> {
    encode(report, &keys(KEYS)).expect("a good report")
}

/// What is sent from a real server's namespace.
struct Sender {
    socket: UdpSocket,
}

impl Sender {
    fn new(from: &NamespaceHandle, to: SocketAddr) -> Result<Self> {
        let socket = from.run(|| UdpSocket::bind("0.0.0.0:0").context("no socket"))?;
        socket.connect(to).with_context(|| format!("cannot send to {to}"))?;
        Ok(Self { socket })
    }

    fn of(stage: &Stage) -> Result<Self> {
        Self::new(&stage.network.reals[0].handle(), stage.network.plan.report_address())
    }

    fn send(&self, datagram: &[u8]) -> Result<()> {
        self.socket.send(datagram).map(drop).context("cannot send a report")
    }

    /// Sends all of them, each batch after the one before it has been counted.
    fn send_all(&self, stage: &Stage, datagrams: &[Vec<u8>]) -> Result<()> {
        for batch in datagrams.chunks(BATCH) {
            let before = counted(stage)?;
            batch.iter().try_for_each(|datagram| self.send(datagram))?;
            let wanted = before + batch.len() as u64;
            wait_for("every datagram to be counted", LIMIT, || Ok((counted(stage)? >= wanted).then_some(())))?;
        }
        Ok(())
    }
}

/// Datagrams that came in, taken or refused.
fn counted(stage: &Stage) -> Result<u64> {
    let reports = stage.reports()?;
    Ok(reports.accepted + reports.refused.iter().map(|count| count.count).sum::<u64>())
}

/// A genuine report has been taken, and the table says what follows from it.
fn send_genuine(stage: &Stage, sender: &Sender) -> Result<Vec<TableReal>> {
    sender.send_all(stage, &[datagram(&report(NEWEST))])?;
    stage.wait_for_real(REAL, "a decision about its report", |real| real.capacity.is_some())?;
    settled(stage)
}

/// The table without the age of the report, once decisions change it no more.
fn settled(stage: &Stage) -> Result<Vec<TableReal>> {
    let mut last = None;
    let mut same = 0;
    wait_for("a table that stays as it is", LIMIT, || {
        let now = timeless(stage)?;
        same = if last.as_ref() == Some(&now) { same + 1 } else { 0 };
        last = Some(now.clone());
        Ok((same > 50).then_some(now))
    })
}

fn timeless(stage: &Stage) -> Result<Vec<TableReal>> {
    let reals = stage.table()?.reals.into_iter();
    Ok(reals.map(|real| TableReal { report_age_seconds: None, ..real }).collect())
}

/// Datagrams that are refused each for its own reason.
fn refused_ones() -> Vec<(Vec<u8>, Refusal)> {
    let signed = |report: &Report, by: &str| encode(report, &keys(by)).expect("a good report");
    let lies = |sequence| Report { availability: Availability::Stop, ..report(sequence) };
    let stranger = Report { real: "real-9".to_owned(), ..lies(1) };
    let old = Report { generation: GENERATION - 1, ..lies(NEWEST + 9) };
    let kinds = [
        (signed(&lies(NEWEST + 1), FORGED), Refusal::BadTag, 3),
        (signed(&lies(NEWEST + 1), UNKNOWN_KEY), Refusal::UnknownKey, 4),
        (signed(&stranger, KEYS), Refusal::UnknownReal, 5),
        (signed(&lies(NEWEST + 1), BORROWED), Refusal::WrongKey, 6),
        (datagram(&report(NEWEST)), Refusal::Replayed, 7),
        (datagram(&lies(NEWEST)), Refusal::Replayed, 8),
        (datagram(&old), Refusal::Stale, 9),
        (datagram(&lies(NEWEST - 500)), Refusal::Stale, 10),
        (b"no report".to_vec(), Refusal::Malformed, 11),
        (Vec::new(), Refusal::Malformed, 12),
        (vec![0x55; 9_000], Refusal::Malformed, 13),
    ];
    let mut all: Vec<_> =
        kinds.into_iter().flat_map(|(datagram, refusal, count)| vec![(datagram, refusal); count]).collect();
    // Authentic, in the window, never seen, and late: refused the first time already.
    all.extend((1..=14).map(|behind| (datagram(&lies(NEWEST - behind)), Refusal::Stale)));
    all
}

/// Each byte of the newest report, and of the one that would be next, flipped, and both cut short or lengthened.
fn mangled_ones() -> Vec<(Vec<u8>, Refusal)> {
    let mut inbox = Inbox::new(keys(KEYS), 1_000);
    inbox.set_reals(real_names(REALS));
    inbox.receive(&datagram(&report(NEWEST)), 0).expect("a genuine report");
    let mut mangled = Vec::new();
    for original in [datagram(&report(NEWEST)), datagram(&report(NEWEST + 1))] {
        for place in 0..original.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut flipped = original.clone();
                flipped[place] ^= bits;
                mangled.push(flipped);
            }
            mangled.push(original[..place].to_vec());
        }
        mangled.push([original.as_slice(), &[0]].concat());
    }
    let refusal = |datagram: &Vec<u8>| inbox.receive(datagram, 0).expect_err("a mangled report was taken");
    let refusals: Vec<Refusal> = mangled.iter().map(refusal).collect();
    mangled.into_iter().zip(refusals).collect()
}

fn by_name(refused: &[(Vec<u8>, Refusal)]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    refused.iter().for_each(|(_, refusal)| *counts.entry(refusal.name().to_owned()).or_default() += 1);
    counts
}

#[test]
fn what_is_no_new_genuine_report_changes_nothing_and_is_counted() {
    for refused in [refused_ones(), mangled_ones()] {
        let stage = set("").unwrap();
        let sender = Sender::of(&stage).unwrap();
        let before = send_genuine(&stage, &sender).unwrap();
        let datagrams: Vec<Vec<u8>> = refused.iter().map(|(datagram, _)| datagram.clone()).collect();
        sender.send_all(&stage, &datagrams).unwrap();
        assert_eq!(stage.refused().unwrap(), by_name(&refused));
        assert_eq!(stage.reports().unwrap().accepted, 1);
        assert_eq!(settled(&stage).unwrap(), before);
        // Genuine ones are taken as ever.
        sender.send_all(&stage, &[datagram(&report(NEWEST + 1))]).unwrap();
        assert_eq!(stage.reports().unwrap().accepted, 2);
    }
}

#[test]
fn too_many_reports_are_refused_and_counted() {
    const LIMIT_OF_RATE: u64 = 3;
    const SENT: u64 = 60;
    let stage = set(&format!("rate_limit = {LIMIT_OF_RATE}")).unwrap();
    let sender = Sender::of(&stage).unwrap();
    let began = Instant::now();
    let datagrams: Vec<Vec<u8>> = (1..=SENT).map(|sequence| datagram(&report(sequence))).collect();
    sender.send_all(&stage, &datagrams).unwrap();
    let refilled = began.elapsed().as_secs_f64() * LIMIT_OF_RATE as f64;
    let reports = stage.reports().unwrap();
    assert!((LIMIT_OF_RATE..=LIMIT_OF_RATE + refilled.ceil() as u64).contains(&reports.accepted), "{reports:#?}");
    let refused = BTreeMap::from([("too_fast".to_owned(), SENT - reports.accepted)]);
    assert_eq!(stage.refused().unwrap(), refused);
}

#[test]
fn what_a_killed_daemon_has_taken_is_not_taken_by_the_next_one() {
    const TAKEN: u64 = 15;
    let mut stage = set("").unwrap();
    let sender = Sender::of(&stage).unwrap();
    let stops = |sequence| datagram(&Report { availability: Availability::Stop, ..report(sequence) });
    let other = |sequence| datagram(&Report { real: OTHER_REAL.to_owned(), ..report(sequence) });
    let mut taken: Vec<Vec<u8>> = (1..TAKEN).map(stops).collect();
    taken.extend((1..TAKEN).map(other));
    // Its last word is another one, so that a replay of those before would show.
    taken.push(datagram(&report(TAKEN)));
    sender.send_all(&stage, &taken).unwrap();
    assert_eq!(stage.reports().unwrap().accepted, taken.len() as u64);

    stage.lbd.kill().unwrap();
    stage.lbd.start_again().unwrap();
    stage.lbd.wait_until_ready().unwrap();
    let before = settled(&stage).unwrap();
    sender.send_all(&stage, &taken).unwrap();
    let reports = stage.reports().unwrap();
    assert_eq!(reports.accepted, 0, "{reports:#?}");
    assert_eq!(stage.refused().unwrap().values().sum::<u64>(), taken.len() as u64);
    assert_eq!(settled(&stage).unwrap(), before);
    sender.send_all(&stage, &[datagram(&report(TAKEN + 1))]).unwrap();
    assert_eq!(stage.reports().unwrap().accepted, 1);
}

/// Forged reports in great number, until it is stopped.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Flood {
    /// From one batch to the next: 10,000 datagrams a second.
    const PERIOD: Duration = Duration::from_millis(10);
    const MOST: u64 = 100_000;

    /// Of the worst kind: well formed, of a known real, with a number that would be new, and all but the tag right, so that
    /// each is looked at to the end.
    fn start(stage: &Stage) -> Result<Self> {
        let sender = Sender::new(&stage.network.client.handle(), stage.network.plan.report_address())?;
        let stop = Arc::new(AtomicBool::new(false));
        let own = stop.clone();
        let thread = std::thread::spawn(move || Self::run(&sender, &own));
        Ok(Self { stop, thread })
    }

    fn run(sender: &Sender, stop: &AtomicBool) -> Result<u64> {
        let forged = Report { generation: GENERATION + 1, ..report(u64::MAX - 1) };
        let datagram = encode(&forged, &keys(FORGED))?;
        let (began, mut sent) = (Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) && sent < Self::MOST {
            (0..BATCH).try_for_each(|_| sender.send(&datagram))?;
            sent += BATCH as u64;
            let due = Self::PERIOD * u32::try_from(sent / BATCH as u64)?;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        Ok(sent)
    }

    /// Returns how many were sent.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the flood has panicked"))?
    }
}

#[test]
fn a_flood_of_forged_reports_delays_no_genuine_one_beyond_an_interval() {
    const INTERVAL: Duration = Duration::from_millis(200);
    const REPORTS: u64 = 25;
    let stage = set("").unwrap();
    let sender = Sender::of(&stage).unwrap();
    let flood = Flood::start(&stage).unwrap();
    let began = Instant::now();
    let (mut ages, mut taken_after) = (Vec::new(), Duration::ZERO);
    for sequence in 1..=REPORTS {
        let genuine = Report { interval_ms: INTERVAL.as_millis() as u32, ..report(sequence) };
        sender.send(&datagram(&genuine)).unwrap();
        let at = Instant::now();
        // The next one is sent after this one was taken, so none of them stands for another.
        wait_for("a genuine report to be taken", LIMIT, || Ok((stage.reports()?.accepted == sequence).then_some(())))
            .unwrap();
        taken_after = taken_after.max(at.elapsed());
        let due = INTERVAL * u32::try_from(sequence).unwrap();
        while began.elapsed() < due {
            ages.extend(stage.table_real(REAL).unwrap().report_age_seconds);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let sent = flood.stop().unwrap();
    let forged = stage.refused().unwrap();
    let oldest = ages.iter().copied().fold(0.0, f64::max);
    println!(
        "{sent} forged reports in {seconds:.1} s, {REPORTS} genuine ones each {INTERVAL:?}: seen to be taken after {} ms at \
         most; the newest was {:.0} ms old at most, in {} looks",
        taken_after.as_millis(),
        oldest * 1_000.0,
        ages.len()
    );
    assert!(forged.keys().eq(["bad_tag"]) && forged["bad_tag"] > sent / 2, "{forged:?} of {sent}");
    assert_eq!(stage.reports().unwrap().accepted, REPORTS);
    assert_eq!(stage.reports().unwrap().senders[0].sequence, REPORTS);
}
