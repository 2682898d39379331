//! How soon a dead real is noticed: the rhythm of its checks and the monitor's counting together, in simulated time.

use proptest::prelude::*;

use super::*;
use crate::{check::Pace, maglev::name_hash, testing::cases};

/// How a real dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// Its host refuses connections at once.
    Killed,
    /// Its link is cut: each check waits in vain until its time is up.
    Cut,
}

/// What a check meets.
#[derive(Clone, Debug)]
struct World {
    death: Death,
    dies_ms: u64,
    /// The check that is under way at that instant passes all the same.
    just_made_it: bool,
    /// Of a thousand checks of a real that lives, so many fail.
    flaky: u64,
    seed: u64,
}

impl World {
    /// How long the check takes that begins at `begins_ms`, and whether it passes.
    fn probe(&self, check: &Check, begins_ms: u64) -> (u64, bool) {
        let random = |what: &str, below: u64| name_hash(&format!("{what} {begins_ms}"), self.seed) % below;
        let took_ms = random("latency", check.timeout_ms);
        let is_under_way = begins_ms < self.dies_ms && begins_ms + took_ms >= self.dies_ms;
        match self.death {
            _ if begins_ms < self.dies_ms && !is_under_way => (took_ms, random("fate", 1_000) >= self.flaky),
            _ if is_under_way && self.just_made_it => (took_ms, true),
            Death::Killed => (self.dies_ms.saturating_sub(begins_ms), false),
            Death::Cut => (check.timeout_ms, false),
        }
    }
}

/// From the real's death until the monitor says that it is down, in milliseconds.
fn noticed_after(check: Check, real: &str, world: &World) -> u64 {
    let check = Arc::new(check);
    let own = ServiceMonitoring { checks: vec![check.clone()], ..ServiceMonitoring::default() };
    let monitoring = Monitoring { services: BTreeMap::from([("web".into(), own)]), ..Monitoring::default() };
    let mut monitor = monitor_of(&monitoring);
    let mut pace = Pace::new(&check, "web", real);
    let mut begins_ms = pace.first_ms();
    loop {
        let (took_ms, has_passed) = world.probe(&check, begins_ms);
        let ends_ms = begins_ms + took_ms;
        let outcome = if has_passed { passed() } else { failed() };
        monitor.check(&result("web", real, &check.name, outcome), ends_ms);
        if ends_ms >= world.dies_ms && health(&monitor, "web", real) == Health::Down {
            return ends_ms - world.dies_ms;
        }
        begins_ms = ends_ms.max(begins_ms + pace.next_ms(has_passed));
    }
}

/// The documented bound: `fall` intervals, and for a `fall` of 1 an interval and the time limit.
fn bound_ms(check: &Check) -> u64 {
    if check.fall == 1 { check.interval_ms + check.timeout_ms } else { u64::from(check.fall) * check.interval_ms }
}

fn a_check() -> impl Strategy<Value = Check> {
    (100..10_000u64, 1..=4u64, 1..=5u32, prop_oneof![Just(1), 2..=10u32]).prop_map(
        |(interval_ms, tenths, rise, fall)| {
            let timeout_ms = (interval_ms * tenths / 10).max(10);
            Check { interval_ms, timeout_ms, rise, fall, ..(*check("tcp")).clone() }
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let death = prop_oneof![Just(Death::Killed), Just(Death::Cut)];
    let flaky = prop_oneof![3 => Just(0), 1 => 0..700u64];
    (death, 0..20_000u64, any::<bool>(), flaky, any::<u64>())
        .prop_map(|(death, dies_ms, just_made_it, flaky, seed)| World { death, dies_ms, just_made_it, flaky, seed })
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn a_dead_real_is_down_within_the_documented_time(
        check in a_check(),
        world in world(),
        real in prop_oneof![Just("a"), Just("b"), Just("c")],
    ) {
        let (bound_ms, fall) = (bound_ms(&check), check.fall);
        let after_ms = noticed_after(check, real, &world);
        prop_assert!(after_ms <= bound_ms, "down {} ms after its death, of {} with fall = {}", after_ms, bound_ms, fall);
    }
}

/// The bound is no wider than it has to be: a silent real comes within a tenth of it.
#[test]
fn the_bound_is_nearly_reached() {
    let check = |fall| Check { fall, ..(*check("tcp")).clone() };
    let worst = |fall: u32, death: Death| {
        let world = |dies_ms| World { death, dies_ms, just_made_it: true, flaky: 0, seed: 1 };
        (20_000..25_000).map(|dies_ms| noticed_after(check(fall), "a", &world(dies_ms))).max().unwrap()
    };
    assert!((1_350..=1_400).contains(&worst(1, Death::Cut)), "{}", worst(1, Death::Cut));
    assert!((1_750..=1_800).contains(&worst(2, Death::Cut)), "{}", worst(2, Death::Cut));
    assert!((2_150..=2_200).contains(&worst(3, Death::Cut)), "{}", worst(3, Death::Cut));
    assert!((1_450..=1_500).contains(&worst(3, Death::Killed)), "{}", worst(3, Death::Killed));
}
