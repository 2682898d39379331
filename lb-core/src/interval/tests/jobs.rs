//! The setting of the literature, with its published numbers.

use proptest::prelude::*;

use super::*;
use crate::testing::cases;

const MINUTES_A_DAY: f64 = 24.0 * 60.0;

/// In minutes: a checkpoint takes 5, a restart 10.
fn job(mean_time_between_failures: f64) -> Job {
    Job { mean_time_between_failures, checkpoint: 5.0, restart: 10.0 }
}

/// J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps" (2006): failures each 24 hours, 6 hours and 15 minutes.
#[test]
fn dalys_published_intervals() {
    let published = [(MINUTES_A_DAY, 117.0, 0.5), (6.0 * 60.0, 57.0, 0.5), (15.0, 9.1, 0.05)];
    for (mean, interval, rounding) in published {
        let found = job(mean).daly_higher_order();
        assert!((found - interval).abs() <= rounding, "{found} is not {interval}");
    }
}

#[test]
fn the_rules_of_thumb_are_near_the_optimum_while_failures_are_rare() {
    let rare = job(MINUTES_A_DAY);
    close(rare.young(), 120.0, 1e-12);
    close(rare.daly_first_order(), (10.0 * 1_450.0_f64).sqrt() - 5.0, 1e-12);
    close(rare.daly_higher_order(), rare.optimum(), 1e-4);
    let frequent = job(15.0);
    close(frequent.daly_higher_order(), frequent.optimum(), 0.01);
    assert!(frequent.young() > 1.3 * frequent.optimum());
}

/// The exact optimum by W_0(-e^(-1 - lambda C)): at lambda C = ln 10 - 1 that is W_0(-0.1) = -0.11183255915896297.
#[test]
fn the_optimum_is_where_lambert_says() {
    let checkpoint = 10_f64.ln() - 1.0;
    let job = Job { mean_time_between_failures: 1.0, checkpoint, restart: 0.0 };
    close(job.optimum(), 1.0 - 0.111_832_559_158_962_97, 1e-13);
}

#[test]
fn who_takes_longer_for_a_checkpoint_than_failures_leave_works_as_long_as_they_do() {
    let hopeless = Job { mean_time_between_failures: 1.0, checkpoint: 100.0, restart: 0.0 };
    close(hopeless.daly_higher_order(), 1.0, 1e-12);
    close(hopeless.optimum(), 1.0, 1e-12);
    assert_eq!(Job { checkpoint: 1e6, ..hopeless }.stretch(1.0), f64::INFINITY);
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn no_interval_is_shorter_on_the_way(ratio in -6.0..1.0_f64, restart in 0.0..2.0, factor in 0.05..20.0) {
        let job = Job { mean_time_between_failures: 1.0, checkpoint: 10_f64.powf(ratio), restart };
        let best = job.optimum();
        prop_assert!(job.stretch(best) <= job.stretch(best * factor) * (1.0 + 1e-12));
    }
}
