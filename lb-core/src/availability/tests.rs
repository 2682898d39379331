//! The model against closed forms, against a simulation, and against nonsense.

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::testing::cases;

const DAY: f64 = 86_400.0;
const USUAL: Pair =
    Pair { mtbf: 30.0 * DAY, repair: 4.0 * 3_600.0, detection: 0.035, restore: 0.005, common_cause: None };

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} is not {expected}");
}

/// Down for `repair` and `restore` of each round; a failure while it restores begins a repair anew.
#[test]
fn without_a_backup_it_is_repair_over_all() {
    let pair = Pair { mtbf: 1_000.0, repair: 50.0, restore: 0.0, ..USUAL };
    close(pair.unavailability_without_backup(), 50.0 / 1_050.0, 1e-9);
    let slow = Pair { restore: 10.0, ..pair };
    // A repair and a restore are begun 1 + restore/mtbf times per round.
    let down = (50.0 + 10.0 * 1_000.0 / 1_010.0) * (1.0 + 10.0 / 1_000.0);
    close(slow.unavailability_without_backup(), down / (down + 1_000.0), 1e-12);
}

/// Two nodes that take over in no time, and one hand that repairs: the birth-death chain of the textbooks.
#[test]
fn with_a_takeover_in_no_time_only_double_failures_count() {
    for (mtbf, repair) in [(1_000.0, 50.0), (30.0 * DAY, 4.0 * 3_600.0), (1e9, 1.0)] {
        let pair = Pair { mtbf, repair, detection: 0.0, restore: 0.0, common_cause: None };
        let (fails, mends) = (1.0 / mtbf, 1.0 / repair);
        let down = 2.0 * fails * fails / (mends * mends + 2.0 * mends * fails + 2.0 * fails * fails);
        close(pair.steady().down, down, 1e-6);
    }
}

/// The dominant terms, by hand: each failure of the main costs detection and restore; one of the other meanwhile costs a repair.
#[test]
fn a_usual_pair_is_as_available_as_a_rough_sum_says() {
    let Pair { mtbf, repair, detection, restore, .. } = USUAL;
    let rough = (detection + restore) / mtbf + 2.0 * (repair / mtbf).powi(2);
    close(USUAL.steady().unavailability(), rough, 0.02);
    let struck = Pair { common_cause: Some(3_650.0 * DAY), ..USUAL };
    close(struck.steady().unavailability(), rough + repair / (3_650.0 * DAY), 0.02);
}

#[test]
fn a_year_has_its_minutes() {
    close(minutes_a_year(1.0), 525_960.0, 1e-12);
    close(minutes_a_year(1e-5), 5.2596, 1e-12);
}

/// Two states: up, and down with probability f/(f + r) (1 - exp(-(f + r) t)).
#[test]
fn a_chain_of_two_moves_by_one_exponential() {
    for (fails, mends) in [(0.01, 1.0), (1e-7, 1e3), (1e-12, 1e9)] {
        let mut chain = Chain::<2>::default();
        chain.add(0, 1, fails);
        chain.add(1, 0, mends);
        for time in [1e-3, 0.5, 2.0, 1e4] {
            let time = time / mends;
            let down = fails / (fails + mends) * -(-(fails + mends) * time).exp_m1();
            close(chain.after(0, time)[1], down, 1e-9);
        }
    }
}

#[test]
fn after_long_it_is_as_in_the_long_run() {
    for pair in
        [USUAL, Pair { common_cause: Some(365.0 * DAY), ..USUAL }, Pair { detection: 0.0, restore: 0.0, ..USUAL }]
    {
        let (steady, after) = (pair.chain().steady(), pair.chain().after(BOTH, 100.0 * pair.repair));
        for (state, (&steady, &after)) in steady.iter().zip(&after).enumerate() {
            assert!((steady - after).abs() <= 1e-9 * steady + 1e-30, "state {state}: {steady} is not {after}");
        }
        close(pair.unavailability_after(100.0 * pair.repair), pair.steady().unavailability(), 1e-9);
    }
    assert_eq!(USUAL.unavailability_after(0.0), USUAL.unavailability_after(-1.0));
}

/// It comes in steps: first who is about to take over, then double failures.
#[test]
fn unavailability_grows_recovery() {
    let takeover = USUAL.detection + USUAL.restore;
    close(USUAL.unavailability_after(0.001), 0.001 / USUAL.mtbf, 0.02);
    close(USUAL.unavailability_after(10.0 * takeover), takeover / USUAL.mtbf, 0.01);
    let times = (0..80).map(|step| 1e-4 * 1.3_f64.powi(step));
    let shares: Vec<f64> = times.map(|time| USUAL.unavailability_after(time)).collect();
    assert!(shares.is_sorted_by(|a, b| *a <= *b * (1.0 + 1e-12)), "{shares:?}");
}

/// Plays nodes that fail and are mended, not states: each has its own clock.
struct World {
    rng: Rng,
    pair: Pair,
}

impl World {
    fn time(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.rng.f64()).ln()
    }

    /// The share of the time without service, in so many failures of a main that has its backup.
    fn unavailability(&mut self, rounds: u32) -> f64 {
        let (mut lost, mut all) = (0.0, 0.0);
        for _ in 0..rounds {
            let (main, backup) = (self.time(self.pair.mtbf), self.time(self.pair.mtbf));
            all += main.min(backup);
            if main < backup {
                let gap = self.takeover(backup - main);
                (lost, all) = (lost + gap, all + gap);
            }
            let (down, time) = self.until_both();
            (lost, all) = (lost + down, all + time);
        }
        lost / all
    }

    /// The time without service from the main's death until a node serves; the backup lives so long.
    fn takeover(&mut self, lives: f64) -> f64 {
        let takes = self.time(self.pair.detection) + self.time(self.pair.restore);
        if takes < lives { takes } else { lives + self.recovery() }
    }

    /// Both are down: the time until one is mended and has restored.
    fn recovery(&mut self) -> f64 {
        let mut down = 0.0;
        loop {
            down += self.time(self.pair.repair);
            let (restores, lives) = (self.time(self.pair.restore), self.time(self.pair.mtbf));
            down += restores.min(lives);
            if restores < lives {
                return down;
            }
        }
    }

    /// One node serves: the time without service, and all, until both are there.
    fn until_both(&mut self) -> (f64, f64) {
        let (mut down, mut all) = (0.0, 0.0);
        loop {
            let (mended, lives) = (self.time(self.pair.repair), self.time(self.pair.mtbf));
            all += mended.min(lives);
            if mended < lives {
                return (down, all);
            }
            let gap = self.recovery();
            (down, all) = (down + gap, all + gap);
        }
    }
}

/// Seeds are fixed; 2% are four standard errors or more.
#[test]
fn a_simulation_of_two_nodes_finds_the_same() {
    let pairs = [
        Pair { mtbf: 100.0, repair: 10.0, detection: 1.0, restore: 0.5, common_cause: None },
        Pair { mtbf: 1_000.0, repair: 5.0, detection: 3.0, restore: 2.0, common_cause: None },
        Pair { mtbf: 50.0, repair: 40.0, detection: 5.0, restore: 10.0, common_cause: None },
    ];
    for (seed, pair) in pairs.into_iter().enumerate() {
        let found = World { rng: Rng::with_seed(seed as u64), pair }.unavailability(400_000);
        close(found, pair.steady().unavailability(), 0.02);
    }
}

fn any_time() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.0..1e6, (-12.0..20.0_f64).prop_map(|exponent| 10_f64.powf(exponent))]
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn shares_are_shares_whatever_is_asked(
        times in prop::array::uniform4(any_time()),
        common_cause in prop::option::of(any_time()),
        after in any_time(),
    ) {
        let [mtbf, repair, detection, restore] = times;
        let pair = Pair { mtbf, repair, detection, restore, common_cause };
        let shares = [pair.chain().steady(), pair.chain().after(BOTH, after), pair.chain().after(DOWN, after)];
        for share in shares {
            prop_assert!(share.iter().all(|share| (0.0..=1.0).contains(share)), "{share:?}");
            prop_assert!((share.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{share:?}");
        }
        prop_assert!((0.0..=1.0).contains(&pair.unavailability_after(after)));
        prop_assert!((0.0..=1.0).contains(&pair.unavailability_without_backup()));
    }
}
