//! What a real can do: hits (or flows) per second over utilisation, averaged over a long time while nothing changes, and over a
//! short one when something does.
//!
//! Two cumulative sums (E. S. Page's CUSUM) watch what the reports differ from the average by, in standard deviations, upwards and
//! downwards. What is only noise cancels out in them; what lasts adds up. When one of them is too great, the average begins anew
//! with the reports that made it so. Where hits are few, several reports count as one.

/// The average of a steady capacity goes back so many times the smoothing.
const MEMORY: f64 = 8.0;
/// A difference of so many standard deviations is noise. Greater ones add up.
const NOISE: f64 = 0.5;
/// A sum of so many standard deviations is a change.
const ALARM: f64 = 5.0;
/// Reports are pooled until they count so many hits together: fewer say more of chance than of the capacity.
const ENOUGH: f64 = 10.0;
/// But not for longer than so many times the smoothing: a real that hangs has no hits for ever.
const LONGEST_POOL: f64 = 4.0;
/// The deviation is that of so many reports.
const REPORTS: f64 = 64.0;
/// What a report may differ by, as a part, as long as nothing is known of that; and how many reports that counts for.
const FIRST_DEVIATION: f64 = 0.1;
const FIRST_REPORTS: f64 = 4.0;
/// Reports never differ by less, as far as is believed.
const LEAST_DEVIATION: f64 = 0.01;
/// A difference counts for no more than so many standard deviations when they are measured.
const OUTLIER: f64 = 3.0;

/// The average of a real's capacity.
#[derive(Clone, Debug)]
pub(super) struct Capacity {
    mean: Mean,
    /// Of the reports that are too few by themselves.
    pool: Mean,
    /// Square of the relative standard deviation of one report.
    variance: f64,
    reports: f64,
    more: Drift,
    less: Drift,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            mean: Mean::default(),
            pool: Mean::default(),
            variance: FIRST_DEVIATION * FIRST_DEVIATION,
            reports: FIRST_REPORTS,
            more: Drift::default(),
            less: Drift::default(),
        }
    }
}

/// Means of hits and utilisation over some reports.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    hits: f64,
    utilisation: f64,
    reports: f64,
}

/// A sum of differences in one direction, and the reports since it was 0 last.
#[derive(Clone, Copy, Debug, Default)]
struct Drift {
    sum: f64,
    mean: Mean,
}

impl Mean {
    fn add(&mut self, hits: f64, utilisation: f64, memory: f64) {
        self.reports = (self.reports + 1.0).min(memory.max(1.0));
        self.hits += (hits - self.hits) / self.reports;
        self.utilisation += (utilisation - self.utilisation) / self.reports;
    }
}

impl Drift {
    /// Adds a difference in standard deviations. Whether it has drifted away by now.
    fn add(&mut self, difference: f64, hits: f64, utilisation: f64) -> bool {
        self.sum += difference - NOISE;
        if self.sum <= 0.0 {
            *self = Self::default();
            return false;
        }
        self.mean.add(hits, utilisation, f64::MAX);
        self.sum > ALARM
    }
}

impl Capacity {
    /// Takes in a report. `smoothing` is that of the options, in reports.
    pub(super) fn add(&mut self, hits: f64, utilisation: f64, smoothing: f64) {
        self.pool.add(hits, utilisation, f64::MAX);
        if self.pool.hits * self.pool.reports >= ENOUGH || self.pool.reports >= smoothing * LONGEST_POOL {
            let pool = std::mem::take(&mut self.pool);
            self.add_pool(pool.hits, pool.utilisation, smoothing);
        }
    }

    fn add_pool(&mut self, hits: f64, utilisation: f64, smoothing: f64) {
        let expected = self.mean.hits * utilisation;
        let found = hits * self.mean.utilisation;
        if self.mean.reports > 0.0 && expected + found > 0.0 {
            let difference = 2.0 * (found - expected) / (found + expected);
            if self.has_drifted(difference, hits, utilisation) {
                return;
            }
        }
        self.mean.add(hits, utilisation, smoothing * MEMORY);
    }

    fn has_drifted(&mut self, difference: f64, hits: f64, utilisation: f64) -> bool {
        let deviation = self.variance.sqrt().max(LEAST_DEVIATION);
        let deviations = difference / deviation;
        let more = self.more.add(deviations, hits, utilisation);
        let less = self.less.add(-deviations, hits, utilisation);
        let square = difference.abs().min(OUTLIER * deviation).powi(2);
        self.reports = (self.reports + 1.0).min(REPORTS);
        self.variance += (square - self.variance) / self.reports;
        if more || less {
            self.mean = if more { self.more.mean } else { self.less.mean };
            (self.more, self.less) = (Drift::default(), Drift::default());
        }
        more || less
    }

    /// Hits per second at a utilisation of 1; `None` where that cannot be told.
    pub(super) fn value(&self) -> Option<f64> {
        (self.mean.utilisation > 0.0).then(|| self.mean.hits / self.mean.utilisation)
    }

    /// Relative standard deviation of the value.
    pub(super) fn doubt(&self) -> f64 {
        (self.variance / self.mean.reports.max(1.0)).sqrt()
    }
}
