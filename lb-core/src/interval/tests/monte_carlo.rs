//! Both objectives against chance: flows that come and go, and jobs that fail, played with fixed seeds. The tolerance is 1.5%, which is four
//! standard errors or more.

use fastrand::Rng;

use super::*;

const TOLERANCE: f64 = 0.015;

fn time(rng: &mut Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.f64()).ln()
}

/// What was counted while flows came, ended, and were saved each `interval`.
struct Played {
    /// Flows that a failure would have broken, at random instants, in the mean.
    unsaved: f64,
    /// Entries of a checkpoint that has the last word on each flow.
    entries: f64,
}

/// Flows that come at a rate of 1/`between`, and live `life` in the mean, through so many intervals.
fn play(between: f64, life: f64, interval: f64, intervals: u32, seed: u64) -> Played {
    let mut rng = Rng::with_seed(seed);
    let (mut unsaved, mut entries, mut instants) = (0_u64, 0_u64, 0_u64);
    // When the flows end that are in the last checkpoint. It begins as it would be after long.
    let mut saved: Vec<f64> = (0..(life / between) as u32).map(|_| time(&mut rng, life)).collect();
    for _ in 0..intervals {
        let mut fresh: Vec<(f64, f64)> = Vec::new();
        let mut now = time(&mut rng, between);
        while now < interval {
            fresh.push((now, now + time(&mut rng, life)));
            now += time(&mut rng, between);
        }
        let failure = rng.f64() * interval;
        unsaved += fresh.iter().filter(|(begin, end)| *begin <= failure && failure < *end).count() as u64;
        instants += 1;
        let living = fresh.iter().filter(|(_, end)| *end > interval).map(|(_, end)| *end);
        let living: Vec<f64> = living.collect();
        let gone = saved.iter().filter(|end| **end <= interval).count();
        entries += (living.len() + gone) as u64;
        saved.retain(|end| *end > interval);
        saved.extend(living);
        saved.iter_mut().for_each(|end| *end -= interval);
    }
    Played { unsaved: unsaved as f64 / instants as f64, entries: entries as f64 / f64::from(intervals) }
}

#[test]
fn flows_at_risk_and_entries_are_as_many_as_j_says() {
    // Intervals much shorter than a life, about as long, and much longer.
    for (seed, (interval, intervals)) in [(2.0, 40_000), (50.0, 8_000), (400.0, 3_000)].into_iter().enumerate() {
        let inputs = Inputs { at_risk_rate: 10.0, end_rate: 0.02, content: Content::Merged, ..USUAL };
        let objective = Objective::new(inputs);
        let played = play(0.1, 50.0, interval, intervals, seed as u64);
        close(played.unsaved, objective.unsaved(interval), TOLERANCE);
        close(played.entries, objective.entries(interval), TOLERANCE);
    }
}

/// J from what was played, at the optimum and beside it.
#[test]
fn played_costs_are_least_at_the_optimum() {
    let inputs = Inputs {
        fixed_cost: 1.0,
        entry_cost: 0.01,
        failure_rate: 0.01,
        flow_weight: 1.0,
        at_risk_rate: 10.0,
        end_rate: 0.02,
        content: Content::Merged,
    };
    let objective = Objective::new(inputs);
    let best = objective.optimum().unwrap();
    let costs = [0.5, 1.0, 2.0].map(|factor| {
        let interval = best * factor;
        let played = play(0.1, 50.0, interval, (400_000.0 / interval) as u32, 7);
        let cost = (1.0 + 0.01 * played.entries) / interval + 0.01 * played.unsaved;
        close(cost, objective.cost(interval).total(), TOLERANCE);
        cost
    });
    assert!(costs[1] < costs[0] && costs[1] < costs[2], "{costs:?}");
}

/// How long a job takes for one interval of work and its checkpoint.
fn segment(rng: &mut Rng, job: &Job, interval: f64) -> f64 {
    let (mut all, mut restarts) = (0.0, false);
    loop {
        let wanted = if restarts { job.restart } else { interval + job.checkpoint };
        let failure = time(rng, job.mean_time_between_failures);
        all += failure.min(wanted);
        match (failure < wanted, restarts) {
            (true, _) => restarts = true,
            (false, true) => restarts = false,
            (false, false) => return all,
        }
    }
}

#[test]
fn jobs_take_as_long_as_the_formula_says() {
    let jobs = [(1_440.0, 117.0), (360.0, 57.0), (15.0, 9.1), (15.0, 30.0)];
    for (seed, (mean, interval)) in jobs.into_iter().enumerate() {
        let job = Job { mean_time_between_failures: mean, checkpoint: 5.0, restart: 10.0 };
        let mut rng = Rng::with_seed(seed as u64);
        let all: f64 = (0..400_000).map(|_| segment(&mut rng, &job, interval)).sum();
        close(all / (400_000.0 * interval), job.stretch(interval), TOLERANCE);
    }
}
