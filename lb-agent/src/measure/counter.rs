//! What a counter that only grows did since it was looked at last.

use std::time::Instant;

/// A counter, and what it was when it was looked at last.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    last: Option<(f64, Instant)>,
}

impl Counter {
    /// How much it grew a second. None the first time, and where it fell: whatever counts has begun anew.
    pub(crate) fn per_second(&mut self, value: f64, now: Instant) -> Option<f64> {
        let (before, then) = self.last.replace((value, now))?;
        let seconds = now.checked_duration_since(then)?.as_secs_f64();
        (value >= before && seconds > 0.0).then(|| (value - before) / seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn growth_is_over_the_time_that_it_took() {
        let start = Instant::now();
        let mut counter = Counter::default();
        assert_eq!(counter.per_second(100.0, start), None, "nothing to compare with");
        assert_eq!(counter.per_second(150.0, start + Duration::from_millis(500)), Some(100.0));
        assert_eq!(counter.per_second(150.0, start + Duration::from_millis(600)), Some(0.0));
    }

    #[test]
    fn a_counter_that_begins_anew_is_not_measured_once() {
        let start = Instant::now();
        let mut counter = Counter::default();
        counter.per_second(100.0, start);
        assert_eq!(counter.per_second(3.0, start + Duration::from_secs(1)), None);
        assert_eq!(counter.per_second(5.0, start + Duration::from_secs(2)), Some(2.0));
    }

    #[test]
    fn no_time_is_no_rate() {
        let start = Instant::now();
        let mut counter = Counter::default();
        counter.per_second(1.0, start);
        assert_eq!(counter.per_second(2.0, start), None);
    }
}
