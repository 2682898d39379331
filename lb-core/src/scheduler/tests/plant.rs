//! Servers for the law to steer: their utilisation is what they are sent over what they can do, and their reports are late and noisy.

use std::collections::VecDeque;

use super::*;

pub(super) const SECOND_MS: u64 = 1_000;

/// Some reals of one service.
pub(super) struct Plant {
    pub(super) names: Vec<String>,
    pub(super) capacities: Vec<f64>,
    pub(super) scheduler: Scheduler,
    /// By real, second by second.
    pub(super) factors: Vec<Vec<u32>>,
    pub(super) decisions: BTreeMap<String, Decision>,
    /// Hits per second of all reals together.
    pub(super) hits: f64,
    /// Seconds that reports take.
    pub(super) delay: usize,
    /// Relative; reports differ by up to this.
    pub(super) noise: f64,
    random: u64,
    under_way: Vec<VecDeque<Sample>>,
    pub(super) now_ms: u64,
}

impl Plant {
    /// Reals with these capacities, that would all have the utilisation `load` were they equally busy.
    pub(super) fn new(capacities: &[f64], load: f64) -> Self {
        let names: Vec<String> = (0..capacities.len()).map(|i| format!("web{i}")).collect();
        Self {
            factors: vec![Vec::new(); names.len()],
            under_way: vec![VecDeque::new(); names.len()],
            names,
            capacities: capacities.to_vec(),
            scheduler: Scheduler::new(SchedulerOptions::default()),
            decisions: BTreeMap::new(),
            hits: capacities.iter().sum::<f64>() * load,
            delay: 0,
            noise: 0.0,
            random: 1,
            now_ms: 0,
        }
    }

    /// What each real can be seen to have to do: utilisation is cut at 1.
    pub(super) fn samples(&self) -> Vec<Sample> {
        let factors: Vec<f64> = self.names.iter().map(|name| f64::from(self.factor(name))).collect();
        let sum: f64 = factors.iter().sum();
        let sample = |(factor, capacity): (&f64, &f64)| {
            let hits = self.hits * factor / sum;
            Sample { utilisation: (hits / capacity).min(1.0), hits: Some(hits) }
        };
        factors.iter().zip(&self.capacities).map(sample).collect()
    }

    pub(super) fn factor(&self, name: &str) -> u32 {
        self.decisions.get(name).map_or(NEUTRAL_FACTOR, |decision| decision.factor)
    }

    /// A second passes. `tell` makes of each real's true sample what it reports.
    pub(super) fn second(&mut self, tell: impl Fn(usize, Sample) -> Option<Sample>) {
        for (index, mut sample) in self.samples().into_iter().enumerate() {
            sample.utilisation *= 1.0 + self.noise * self.next_random();
            self.under_way[index].push_back(sample);
            if self.under_way[index].len() > self.delay
                && let Some(sample) = self.under_way[index].pop_front().and_then(|sample| tell(index, sample))
            {
                self.scheduler.observe(&self.names[index], sample, SECOND_MS, self.now_ms);
            }
        }
        let candidates: Vec<_> = self.names.iter().map(|name| candidate(name)).collect();
        self.decisions = self.scheduler.step(&candidates, self.now_ms);
        for (factors, name) in self.factors.iter_mut().zip(&self.names) {
            factors.push(self.decisions[name].factor);
        }
        self.now_ms += SECOND_MS;
    }

    /// A second in which hits come as chance has it.
    pub(super) fn second_of_few_hits(&mut self) {
        let means: Vec<f64> = self.samples().iter().filter_map(|sample| sample.hits).collect();
        let hits: Vec<f64> = means.into_iter().map(|mean| self.next_count(mean)).collect();
        self.second(|index, truth| Some(Sample { hits: Some(hits[index]), ..truth }));
    }

    pub(super) fn seconds(&mut self, count: usize) {
        (0..count).for_each(|_| self.second(|_, sample| Some(sample)));
    }

    /// Greatest over mean of what `which` have to do, over what they can.
    pub(super) fn max_over_mean(&self, which: impl Fn(usize) -> bool) -> f64 {
        let loads = self.names.iter().zip(&self.capacities).enumerate().filter(|(index, _)| which(*index));
        let loads: Vec<f64> = loads.map(|(_, (name, capacity))| f64::from(self.factor(name)) / capacity).collect();
        loads.iter().fold(0.0_f64, |most, load| most.max(*load)) / (loads.iter().sum::<f64>() / loads.len() as f64)
    }

    /// Poisson-distributed (Knuth's way).
    fn next_count(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), 0.5 + 0.5 * self.next_random(), 0.0);
        while product > limit {
            product *= 0.5 + 0.5 * self.next_random();
            count += 1.0;
        }
        count
    }

    /// The part of all weight that is moved in a second, in the seconds from `from` on.
    pub(super) fn churn(&self, from: usize) -> f64 {
        let moves = |factors: &Vec<u32>| {
            factors[from..].windows(2).map(|pair| f64::from(pair[0].abs_diff(pair[1]))).sum::<f64>()
        };
        let seconds = self.factors[0].len() - from - 1;
        let weight = (self.factors.len() * NEUTRAL_FACTOR as usize) as f64;
        // What one loses another gets.
        self.factors.iter().map(moves).sum::<f64>() / weight / 2.0 / seconds as f64
    }

    /// Between -1 and 1, evenly.
    fn next_random(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}
