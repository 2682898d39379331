//! What happens to the servers, and when.

use fastrand::Rng;

use super::traffic::FLOWS_PER_SECOND;

/// Servers. The first has capacity 1 in some unit, the last has 8.
pub const SERVERS: usize = 8;
/// Load of the whole cluster before anything changes.
const LOAD: f64 = 0.65;
/// What the antagonist takes of one server's CPU.
const ANTAGONIST: f64 = 0.4;

/// At some instant a server's CPU becomes another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When, in seconds.
    pub at: f64,
    /// Whose.
    pub server: usize,
    /// Its capacity from then on.
    pub capacity: f64,
    /// The part of it that something else eats from then on.
    pub eaten: f64,
}

/// One story.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Capacities at the beginning, in work per second.
    pub capacities: [f64; SERVERS],
    /// In order of time.
    pub changes: Vec<Change>,
    /// Seconds until the end.
    pub duration: f64,
}

impl Scenario {
    /// The story that the seed names, one event every `phase` seconds, the first after two of them: one server loses half of its
    /// capacity and gets it back, another's doubles and falls back, and on a third something eats CPU and ends.
    #[must_use]
    pub fn new(seed: u64, phase: f64) -> Self {
        let unit = FLOWS_PER_SECOND / LOAD / (1..=SERVERS).sum::<usize>() as f64;
        let capacities = std::array::from_fn(|server| (server + 1) as f64 * unit);
        let mut servers: Vec<usize> = (0..SERVERS).collect();
        Rng::with_seed(seed).shuffle(&mut servers);
        let events = [
            (servers[0], 0.5, 0.0),
            (servers[0], 1.0, 0.0),
            (servers[1], 2.0, 0.0),
            (servers[1], 1.0, 0.0),
            (servers[2], 1.0, ANTAGONIST),
            (servers[2], 1.0, 0.0),
        ];
        let change = |(number, (server, times, eaten)): (usize, (usize, f64, f64))| Change {
            at: (number + 2) as f64 * phase,
            server,
            capacity: capacities[server] * times,
            eaten,
        };
        let changes = events.into_iter().enumerate().map(change).collect();
        Self { capacities, changes, duration: (events.len() + 2) as f64 * phase }
    }
}
