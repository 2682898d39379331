//! The detector held to theory: how soon it notices a death, and how often it calls a peer dead that is alive.
//!
//! A node that an operator holds back watches a peer that answers each ask, unless the network loses it. All asks are answered at the end of a fixed way, so the
//! timeout W counts from the ask's arrival. The seeds are fixed, and the samples so many that 2% are six standard errors of the mean at least.

use fastrand::Rng;

use crate::pair::{
    Action, Flags, Frame, Happening, Input, Kind, Memory, Micros, Node, Options, PathId, PathKind, PathOptions, Peer,
    Role, State, detection_time,
};

const TB_US: Micros = 100_000;
const W_US: Micros = 25_000;
/// From an ask to its ack.
const RTT_US: Micros = 700;
const TOLERANCE: f64 = 0.02;
const MISTAKES: u64 = 100_000;
const DEATHS: u64 = 20_000;

/// A held node and its peer.
struct Watching {
    node: Node,
    now: Micros,
    /// Acks on their way, in order of time; the way is the same for all.
    acks: std::collections::VecDeque<(Micros, PathId, Frame)>,
    sequences: Vec<u32>,
    /// Share of the asks that are lost, or their acks.
    loss: f64,
    is_dead: bool,
    rng: Rng,
    deaths: u64,
    /// Time spent calling the peer dead.
    suspected_us: Micros,
    suspects_since: Option<Micros>,
}

impl Watching {
    fn new(paths: &[PathOptions], loss: f64, seed: u64) -> Self {
        let options = Options {
            role: Role::Standby,
            boot: 1,
            paths: paths.to_vec(),
            preempt: false,
            failback_delay_us: 30_000_000,
            start_wait_us: 1_000_000,
            lease_us: TB_US,
            drain_us: 100_000,
            handover_timeout_us: 1_000_000,
        };
        let memory = Memory { held: true, ..Memory::default() };
        Self {
            node: Node::new(options, memory, 1_000_000),
            now: 1_000_000,
            acks: std::collections::VecDeque::new(),
            sequences: vec![0; paths.len()],
            loss,
            is_dead: false,
            rng: Rng::with_seed(seed),
            deaths: 0,
            suspected_us: 0,
            suspects_since: None,
        }
    }

    /// Until this instant, or until the peer has been called dead so many times.
    fn run(&mut self, until: Micros, deaths: u64) {
        while self.deaths < deaths {
            let ack = self.acks.front().map_or(Micros::MAX, |(at, ..)| *at);
            let wake = self.node.next_wake().max(self.now);
            if ack.min(wake) > until {
                self.now = until;
                return;
            }
            if ack <= wake {
                self.hear();
            } else {
                self.now = wake;
                self.node.handle(Input::Wake, wake);
            }
            self.act();
        }
    }

    fn hear(&mut self) {
        if let Some((at, path, frame)) = self.acks.pop_front() {
            self.now = at;
            self.node.handle(Input::Frame { path, frame }, at);
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Send { path, frame } if frame.kind != Kind::Ack => self.answer(path, &frame),
                Action::Tell(event) => self.note(event.what),
                _ => {}
            }
        }
    }

    fn answer(&mut self, path: PathId, ask: &Frame) {
        if self.is_dead || self.rng.f64() < self.loss {
            return;
        }
        let sequence = &mut self.sequences[usize::from(path)];
        *sequence = sequence.wrapping_add(1);
        let frame = Frame {
            kind: Kind::Ack,
            from: Role::Primary,
            boot: 1,
            sequence: *sequence,
            echo_boot: ask.boot,
            echo: ask.sequence,
            held: 0,
            epoch: 1,
            state: State::Active,
            flags: Flags::default(),
            fitness: 100,
            lease: 1,
        };
        self.acks.push_back((self.now + RTT_US, path, frame));
    }

    fn note(&mut self, what: Happening) {
        match what {
            Happening::Peer(Peer::Dead) => {
                self.deaths += 1;
                self.suspects_since = Some(self.now);
            }
            Happening::Peer(_) => {
                self.suspected_us += self.suspects_since.take().map_or(0, |since| self.now - since);
            }
            _ => {}
        }
    }
}

fn paths(count: usize, missed_limit: u32) -> Vec<PathOptions> {
    let path = PathOptions {
        kind: PathKind::Udp,
        interval_us: TB_US,
        ack_timeout_us: W_US,
        missed_limit,
        rise: 3,
        fall: missed_limit * 2,
    };
    vec![path; count]
}

/// How often a peer that is alive is called dead, and for how long: with loss on each path of its own.
struct Mistakes {
    recurrence_us: f64,
    duration_us: f64,
}

fn mistakes(count: usize, missed_limit: u32, loss: f64, seed: u64) -> Mistakes {
    let mut watching = Watching::new(&paths(count, missed_limit), loss, seed);
    watching.run(Micros::MAX - 1, 1);
    let first = watching.now;
    let suspected = watching.suspected_us;
    watching.run(Micros::MAX - 1, MISTAKES + 1);
    Mistakes {
        recurrence_us: (watching.now - first) as f64 / MISTAKES as f64,
        duration_us: (watching.suspected_us - suspected) as f64 / MISTAKES as f64,
    }
}

/// Tb / ((1-Q) Q^n), Q being the product of the paths' losses.
fn mean_time_between_mistakes(count: usize, missed_limit: u32, loss: f64) -> f64 {
    let all = loss.powi(i32::try_from(count).expect("few paths"));
    TB_US as f64 / ((1.0 - all) * all.powi(i32::try_from(missed_limit).expect("few misses")))
}

/// A peer that is called dead is heard again with the first ask that is not lost: Tb / (1-Q) after the ask that was the last straw, less what of that is before the
/// deadline.
fn mean_duration(count: usize, loss: f64) -> f64 {
    let all = loss.powi(i32::try_from(count).expect("few paths"));
    TB_US as f64 / (1.0 - all) - (W_US - RTT_US) as f64
}

fn is_near(measured: f64, theory: f64) -> bool {
    (measured / theory - 1.0).abs() < TOLERANCE
}

#[test]
fn mistakes_come_as_often_as_theory_says() {
    for (count, missed_limit, loss, seed) in
        [(1, 3, 0.5, 11), (1, 2, 0.3, 12), (2, 3, 0.7, 13), (2, 2, 0.6, 14), (3, 3, 0.8, 15)]
    {
        let measured = mistakes(count, missed_limit, loss, seed);
        let theory = mean_time_between_mistakes(count, missed_limit, loss);
        let what = format!("{count} paths, n = {missed_limit}, loss {loss}");
        assert!(
            is_near(measured.recurrence_us, theory),
            "{what}: {} us between mistakes, not {theory}",
            measured.recurrence_us
        );
        let lasts = mean_duration(count, loss);
        assert!(
            is_near(measured.duration_us, lasts),
            "{what}: a mistake lasts {} us, not {lasts}",
            measured.duration_us
        );
        for (count, missed_limit) in [(count + 1, missed_limit), (count, missed_limit + 1), (count, missed_limit - 1)] {
            let wrong = mean_time_between_mistakes(count, missed_limit, loss);
            assert!(!is_near(measured.recurrence_us, wrong), "{what}: {wrong} would pass too");
        }
        let without_gap = theory * (1.0 - loss.powi(count as i32));
        assert!(!is_near(measured.recurrence_us, without_gap), "{what}: Tb / Q^n would pass too");
    }
}

/// The figures of the documentation: 10% loss on each path, Tb = 100 ms, n = 3.
#[test]
fn more_paths_make_mistakes_rare() {
    let seconds = |count| mean_time_between_mistakes(count, 3, 0.19) / 1e6;
    assert!(is_near(seconds(1), 18.0), "{}", seconds(1));
    assert!(is_near(seconds(3) / 86_400.0, 3.6), "{}", seconds(3) / 86_400.0);
}

/// From each death to when it is noticed, in order.
fn detection_times(paths: &[PathOptions], seed: u64) -> Vec<Micros> {
    let mut rng = Rng::with_seed(seed);
    let mut times: Vec<_> = (0..DEATHS)
        .map(|_| {
            let mut watching = Watching::new(paths, 0.0, 0);
            let dies = watching.now + 10 * TB_US + rng.u64(0..4 * TB_US);
            watching.run(dies, 1);
            watching.is_dead = true;
            watching.run(Micros::MAX - 1, 1);
            watching.now - dies
        })
        .collect();
    times.sort_unstable();
    times
}

/// The greatest distance between the share of times up to t and what it is for even times on [least, most].
fn distance(times: &[Micros], least: Micros, most: Micros) -> f64 {
    let even = |time: Micros| time.saturating_sub(least) as f64 / (most - least) as f64;
    let share = |index: usize| (index + 1) as f64 / times.len() as f64;
    times.iter().enumerate().map(|(index, time)| (share(index) - even(*time)).abs()).fold(0.0, f64::max)
}

#[test]
fn deaths_are_noticed_as_soon_as_theory_says() {
    for (count, missed_limit, seed) in [(1, 3, 21), (1, 2, 22), (2, 3, 23), (3, 3, 24), (3, 5, 25)] {
        let paths = paths(count, missed_limit);
        let n = Micros::from(missed_limit);
        let (least, most) = ((n - 1) * TB_US + W_US, n * TB_US + W_US);
        assert_eq!(detection_time(&paths), (least, least.midpoint(most), most));
        let times = detection_times(&paths, seed);
        let what = format!("{count} paths, n = {missed_limit}");
        assert!(
            times[0] >= least && times[times.len() - 1] <= most,
            "{what}: {} to {}",
            times[0],
            times[times.len() - 1]
        );
        let mean = times.iter().sum::<Micros>() as f64 / times.len() as f64;
        let theory = (n as f64 - 0.5) * TB_US as f64 + W_US as f64;
        assert!(is_near(mean, theory), "{what}: {mean} us, not {theory}");
        assert!(distance(&times, least, most) < 0.015, "{what}: not even, by {}", distance(&times, least, most));
        assert!(distance(&times, least, most + TB_US / 10) > 0.05, "{what}: what is not even would pass too");
        assert!(!is_near(mean, theory + W_US as f64 / 2.0), "{what}: half of W more would pass too");
    }
}

/// Paths of one interval whose acks take differently long have their deadlines at the same instants: the slowest decides, and adds nothing.
#[test]
fn the_slowest_path_adds_its_own_timeout_and_no_more() {
    let mut paths = paths(3, 3);
    paths[0].ack_timeout_us = 5_000;
    paths[2].ack_timeout_us = 40_000;
    let times = detection_times(&paths, 31);
    let (least, most) = (2 * TB_US + 40_000, 3 * TB_US + 40_000);
    assert!(times[0] >= least && times[times.len() - 1] <= most, "{} to {}", times[0], times[times.len() - 1]);
    assert!(distance(&times, least, most) < 0.015, "not even, by {}", distance(&times, least, most));
}
