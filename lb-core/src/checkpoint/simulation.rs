//! Two nodes, of which one tells the other what it has learned, on one virtual clock: flows come and go, weights, health and
//! configuration change, the link between the nodes is slow, cut, or overflows, and at any instant the other node may have to take over.
//! Then every flow must go to the same server as before, but for those *at risk*: the owner remembered or forgot something of them, or they
//! began by a state of the table, that the follower has not been told of yet. When it has been told everything, no flow is at risk.
//!
//! The forwarder, the flows and their configuration are those of the table's simulation. What is judged is the tables' and the
//! [`ledger`](super::ledger)'s code.
//!
//! A scenario follows from its seed. A longer run:
//!
//! ```text
//! UNDERSTUDY_CHECKPOINT_SEED=1000000 UNDERSTUDY_CHECKPOINT_SCENARIOS=100000 cargo test -p lb-core checkpoint::simulation
//! ```

mod judge;
mod link;
mod node;
mod operations;
mod traffic;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    env, thread,
};

use super::{Origin, Sequence};
use crate::{
    pair::Role,
    rows::Rows,
    table::{
        Plan,
        simulation::{Random, flow::Flow},
    },
};
use link::Link;
use node::Node;

/// Where the seeds begin, and how many there are unless the environment says otherwise.
const SEED: u64 = 0x5eed_0000;
const SCENARIOS: u64 = 600;
const SEED_VARIABLE: &str = "UNDERSTUDY_CHECKPOINT_SEED";
const SCENARIOS_VARIABLE: &str = "UNDERSTUDY_CHECKPOINT_SCENARIOS";
const THREADS: u64 = 2;
/// Operations of a scenario.
const OPERATIONS: u64 = 30;
/// Events that a failure tells.
const STORY: usize = 40;
/// Small steps between two of them.
const STEPS: u64 = 20;

/// What the owner does, and what it must not do, so that a test sees that the judge would notice.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    /// Changes of the table are told when the maps have them already.
    no_write_ahead: bool,
    /// What the sweep has removed is told at once, and not in the order of the program's events.
    sweep_out_of_turn: bool,
    /// Where everything is told, slots come before the flows.
    rings_before_flows: bool,
}

/// What the follower has not been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    News,
    Everything,
}

/// What went wrong.
type Outcome = Result<(), String>;
type Coverage = BTreeMap<&'static str, u64>;

/// A flow, and by which state of the owner's table it began.
struct Tracked {
    flow: Flow,
    version: u64,
}

struct World {
    rules: Rules,
    nodes: [Node; 2],
    owner: usize,
    epoch: u32,
    link: Link,
    flows: Vec<Tracked>,
    /// How the reals are: both nodes see it.
    plan: Plan,
    /// States of the owner's table so far.
    version: u64,
    /// Which of them its maps have, or are about to.
    written: u64,
    /// By the batch that told it.
    versions: HashMap<Sequence, u64>,
    /// What the owner's maps hold, or are about to.
    target: Rows,
    is_changing: bool,
    now_us: u64,
    random: Random,
    coverage: Coverage,
    /// What happened lately, and when.
    story: VecDeque<(u64, String)>,
}

impl World {
    fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let room = 4 + random.below(60) as usize;
        let ahead_ms = random.below(1_000_000);
        let mut world = Self {
            rules,
            nodes: [Node::new(0, room), Node::new(ahead_ms, room)],
            owner: 0,
            epoch: 0,
            link: Link::default(),
            flows: Vec::new(),
            plan: Plan::default(),
            version: 0,
            written: 0,
            versions: HashMap::new(),
            target: Rows::default(),
            is_changing: false,
            now_us: 1_000_000_000,
            random,
            coverage: Coverage::new(),
            story: VecDeque::new(),
        };
        for number in 0..2 {
            // The ids of the nodes differ.
            let mut other = world.nodes[number].config.clone();
            (0..number).for_each(|real| other.change(&crate::table::simulation::config::Change::ToggleReal(real)));
            let now_ms = world.now_ms(number);
            for config in [other, world.nodes[number].config.clone()] {
                let next = Node::configured(&world.nodes[number].table, config.cluster(), now_ms);
                world.nodes[number].adopt(next);
            }
        }
        world.target = world.owner().table.rows();
        world.lead();
        world
    }

    fn run(&mut self) -> Outcome {
        for _ in 0..OPERATIONS {
            for _ in 0..STEPS {
                self.happens()?;
            }
            self.operate()?;
        }
        Ok(())
    }

    /// A little time passes, and something happens in it.
    fn happens(&mut self) -> Outcome {
        self.now_us += self.random.below(700);
        self.move_link();
        if self.random.one_in(3) {
            self.tell_news();
        }
        if self.random.one_in(200) {
            self.trouble_link();
        }
        self.traffic()?;
        if self.random.one_in(25) {
            self.check_takeover()?;
        }
        Ok(())
    }

    /// What the thread does that reads the program's events.
    fn tell_news(&mut self) {
        let now_us = self.now_us;
        let owner = &mut self.nodes[self.owner];
        let has_lost = std::mem::take(&mut owner.maps.events.lost);
        let entries = owner.news();
        let generation = owner.table.generation();
        owner.ledger.append(entries, generation, now_us);
        if has_lost {
            owner.ledger.flows_lost("its buffer was full");
            owner.ledger.tell_all_anew(now_us);
            self.count("overflows");
        }
    }

    /// The owner begins a ledger of its own.
    fn lead(&mut self) {
        self.epoch += 1;
        let owner = if self.owner == 0 { Role::Primary } else { Role::Standby };
        let origin = Origin { cluster: 1, owner, boot: self.epoch, epoch: self.epoch };
        self.versions.clear();
        self.owner_mut().ledger.lead(origin);
        self.follower_mut().ledger.follow();
    }

    fn owner(&self) -> &Node {
        &self.nodes[self.owner]
    }

    fn owner_mut(&mut self) -> &mut Node {
        &mut self.nodes[self.owner]
    }

    fn follower(&self) -> &Node {
        &self.nodes[1 - self.owner]
    }

    fn follower_mut(&mut self) -> &mut Node {
        &mut self.nodes[1 - self.owner]
    }

    /// By this node's clock.
    fn now_ms(&self, node: usize) -> u64 {
        self.now_us / 1_000 + self.nodes[node].ahead_ms
    }

    fn tell_story(&mut self, what: impl Into<String>) {
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        self.story.push_back((self.now_us, what.into()));
    }

    fn count(&mut self, event: &'static str) {
        self.tell_story(event);
        self.count_many(event, 1);
    }

    fn count_many(&mut self, event: &'static str, times: usize) {
        *self.coverage.entry(event).or_default() += times as u64;
    }
}

#[test]
fn a_flow_breaks_at_a_takeover_only_where_it_was_at_risk() {
    let first = from_environment(SEED_VARIABLE, SEED);
    let scenarios = from_environment(SCENARIOS_VARIABLE, SCENARIOS);
    let part =
        |number: u64| move || scan((first + number..first + scenarios).step_by(THREADS as usize), Rules::default());
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(part(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread panicked")).collect()
    });
    let mut coverage = Coverage::new();
    for result in results {
        let part =
            result.unwrap_or_else(|(seed, what)| panic!("{SEED_VARIABLE}={seed} {SCENARIOS_VARIABLE}=1: {what}"));
        part.into_iter().for_each(|(event, times)| *coverage.entry(event).or_default() += times);
    }
    println!("{scenarios} scenarios from seed {first}: {coverage:?}");
    if scenarios >= SCENARIOS {
        assert_nothing_is_missing(&coverage);
    }
}

/// How often each thing must have happened in [`SCENARIOS`], so that a simulation in which nothing happens does not pass for a good one.
fn assert_nothing_is_missing(coverage: &Coverage) {
    for (event, least) in [
        ("takeovers", 500),
        ("judged takeovers with all told", 3_000),
        ("flows at takeovers", 200_000),
        ("flows at risk that broke", 5_000),
        ("flows told", 20_000),
        ("slots moved more than once", 20_000),
        ("resyncs", 2),
        ("first fulls", 1_500),
        ("connections resumed", 400),
        ("cuts", 600),
        ("overflows", 5),
        ("changes that were acked and not written", 200),
        ("changes that were not acked in time", 400),
        ("reloads of the follower", 400),
        ("restarts of the follower", 200),
        ("cold starts", 200),
    ] {
        assert!(coverage.get(event).is_some_and(|&times| times > least), "{event}: {coverage:?}");
    }
}

#[test]
fn the_judge_notices_changes_that_are_told_late() {
    let broken = Rules { no_write_ahead: true, ..Rules::default() };
    assert!(scan(SEED..SEED + SCENARIOS, broken).is_err(), "nobody noticed that changes were told late");
}

/// Runs scenarios until one fails: its seed, and why.
fn scan(seeds: impl Iterator<Item = u64>, rules: Rules) -> Result<Coverage, (u64, String)> {
    let mut coverage = Coverage::new();
    for seed in seeds {
        let mut world = World::new(seed, rules);
        world.run().map_err(|what| (seed, format!("{what}\n{:?}", world.story)))?;
        world.coverage.into_iter().for_each(|(event, times)| *coverage.entry(event).or_default() += times);
    }
    Ok(coverage)
}

fn from_environment(variable: &str, otherwise: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => otherwise,
    }
}
