//! The setting of the literature: a job that runs for long, makes a checkpoint now and then, and goes on from the last one after a failure.

use super::{lambert, sane};

/// The shortest time that is reckoned with, in seconds.
const LEAST: f64 = 1e-9;

/// A job with checkpoints. All times are in one unit, whichever it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Job {
    /// M: the mean time between failures.
    pub mean_time_between_failures: f64,
    /// C: how long a checkpoint takes.
    pub checkpoint: f64,
    /// R: how long a restart takes. A failure meanwhile begins it anew.
    pub restart: f64,
}

impl Job {
    /// E\[T\]/work: how much longer the job takes than its work, in the mean, with a checkpoint after each `interval` of work. Infinite where it hardly
    /// ever gets from one to the next.
    #[must_use]
    pub fn stretch(&self, interval: f64) -> f64 {
        let Self { mean_time_between_failures: mean, checkpoint, restart } = self.sane();
        let interval = sane(interval, LEAST);
        (restart / mean).exp() * ((interval + checkpoint) / mean).exp_m1() / (interval / mean)
    }

    /// The interval at which that is least. It does not depend on the restart.
    #[must_use]
    pub fn optimum(&self) -> f64 {
        let Self { mean_time_between_failures: mean, checkpoint, .. } = self.sane();
        mean * lambert::principal(checkpoint / mean)
    }

    /// Young (1974): the square root of 2 C M.
    #[must_use]
    pub fn young(&self) -> f64 {
        let Self { mean_time_between_failures: mean, checkpoint, .. } = self.sane();
        (2.0 * checkpoint * mean).sqrt()
    }

    /// Daly's first order: the restart counts for the time between failures, and the checkpoint is no work.
    #[must_use]
    pub fn daly_first_order(&self) -> f64 {
        let Self { mean_time_between_failures: mean, checkpoint, restart } = self.sane();
        ((2.0 * checkpoint * (mean + restart)).sqrt() - checkpoint).max(0.0)
    }

    /// Daly's higher order (2006); M where a checkpoint takes 2 M or more.
    #[must_use]
    pub fn daly_higher_order(&self) -> f64 {
        let Self { mean_time_between_failures: mean, checkpoint, .. } = self.sane();
        if checkpoint >= 2.0 * mean {
            return mean;
        }
        let ratio = checkpoint / (2.0 * mean);
        self.young() * (1.0 + ratio.sqrt() / 3.0 + ratio / 9.0) - checkpoint
    }

    fn sane(self) -> Self {
        Self {
            mean_time_between_failures: sane(self.mean_time_between_failures, LEAST),
            checkpoint: sane(self.checkpoint, 0.0),
            restart: sane(self.restart, 0.0),
        }
    }
}
