//! What is said of a scenario that failed, and of all that did not.

use super::judge::who_serves;
use super::schedule::Schedule;
use super::world::{Tally, World};
use super::{SCENARIOS_VARIABLE, SEED_VARIABLE, run};

/// Lines of what came last.
const LAST: usize = 120;

/// Runs a scenario that failed once more, and tells all about it.
pub(super) fn failure(seed: u64) -> String {
    let mut world = World::new(Schedule::new(seed), true);
    let violation = run(&mut world).err().unwrap_or_else(|| "it passes now: the seed does not decide all".to_owned());
    let mut lines = vec![
        format!("seed {seed}: {violation}"),
        format!(
            "see it again with\n  {SEED_VARIABLE}={seed} {SCENARIOS_VARIABLE}=1 cargo test -p lb-core pair::simulation::one_owner"
        ),
        who_serves(&world),
        format!("{:?}", world.schedule.options[0]),
        format!("memories {:?}", world.schedule.memories),
        "what went wrong, in microseconds:".to_owned(),
    ];
    lines.extend(world.schedule.faults.iter().map(|(at, fault)| format!("{at:>9} {fault:?}")));
    lines.push("what came last:".to_owned());
    let trace: Vec<_> = world.trace().cloned().collect();
    lines.extend(trace.into_iter().rev().take(LAST).rev());
    lines.push(format!("seed {seed}: {violation}"));
    lines.join("\n")
}

/// What has been seen in all scenarios, so that a simulation in which nothing happens does not pass for a good one.
#[derive(Debug, Default)]
pub(super) struct Totals {
    scenarios: u64,
    sum: Tally,
}

impl Totals {
    pub(super) fn add(&mut self, world: &World) {
        let mut tally = world.tally;
        tally.by_need = world.watch.by_need;
        tally.both = world.watch.both_count;
        tally.longest_both_us = world.watch.longest_both_us;
        self.join(&Self { scenarios: 1, sum: tally });
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.scenarios += other.scenarios;
        let (sum, more) = (&mut self.sum, &other.sum);
        sum.events += more.events;
        sum.by_need += more.by_need;
        sum.with_consent += more.with_consent;
        sum.both += more.both;
        sum.longest_both_us = sum.longest_both_us.max(more.longest_both_us);
        sum.handed_over += more.handed_over;
        sum.refused += more.refused;
        sum.resumed += more.resumed;
        sum.stalls += more.stalls;
        sum.fenced += more.fenced;
        sum.peer_deaths += more.peer_deaths;
    }

    /// Each kind of thing has to have come often: once in a few hundred scenarios.
    pub(super) fn assert_nothing_is_missing(&self) {
        let seen = [
            ("takeovers of need", self.sum.by_need),
            ("takeovers with consent", self.sum.with_consent),
            ("two that serve", self.sum.both),
            ("handovers", self.sum.handed_over),
            ("refusals", self.sum.refused),
            ("restarts that resume", self.sum.resumed),
            ("stalls", self.sum.stalls),
            ("fenced nodes", self.sum.fenced),
            ("dead peers", self.sum.peer_deaths),
        ];
        for (what, times) in seen {
            assert!(times > self.scenarios / 500, "{what}: only {times} in {} scenarios", self.scenarios);
        }
    }
}
