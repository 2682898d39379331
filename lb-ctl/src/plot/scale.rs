//! Logarithmic axes: where a value is, and which values have a tick.

/// What is below the greatest value by more than this is not drawn: the rest would have no room.
const MOST_POWERS: f64 = 12.0;
/// A range goes this much to either side where it would have no width.
const LEAST_WIDTH: f64 = 1.05;
/// More ticks than these are thinned out.
const MOST_TICKS: usize = 10;

/// Times that have a tick, in seconds.
const TIMES: [(f64, &str); 25] = [
    (1e-9, "1 ns"),
    (1e-8, "10 ns"),
    (1e-7, "100 ns"),
    (1e-6, "1 µs"),
    (1e-5, "10 µs"),
    (1e-4, "100 µs"),
    (1e-3, "1 ms"),
    (1e-2, "10 ms"),
    (1e-1, "100 ms"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3_600.0, "1 h"),
    (36_000.0, "10 h"),
    (86_400.0, "1 d"),
    (864_000.0, "10 d"),
    (8_640_000.0, "100 d"),
    (YEAR, "1 y"),
    (10.0 * YEAR, "10 y"),
    (1e2 * YEAR, "100 y"),
    (1e3 * YEAR, "1000 y"),
    (1e4 * YEAR, "10^4 y"),
    (1e5 * YEAR, "10^5 y"),
    (1e6 * YEAR, "10^6 y"),
];
const YEAR: f64 = 365.25 * 86_400.0;

/// Which values have a tick.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ticks {
    /// Those of clocks and calendars, in seconds.
    Time,
    /// Powers of ten, and some between them where there are few.
    Powers,
}

/// From where to where an axis goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// The range of these values, which must be positive; none where there are none.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        let low = low.max(high / 10_f64.powf(MOST_POWERS));
        let is_narrow = high / low < LEAST_WIDTH;
        Some(if is_narrow { Self { low: low / LEAST_WIDTH, high: high * LEAST_WIDTH } } else { Self { low, high } })
    }

    /// Where a value is: 0 at the low end, 1 at the high one; none beyond them.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = (value / self.low).ln() / (self.high / self.low).ln();
        // An end is not beyond itself, however it is rounded.
        (-1e-9..=1.0 + 1e-9).contains(&place).then(|| place.clamp(0.0, 1.0))
    }

    /// The value at a place.
    pub(super) fn value(&self, place: f64) -> f64 {
        self.low * (self.high / self.low).powf(place)
    }

    /// Ticks within the range, by rising value.
    pub(super) fn ticks(&self, ticks: Ticks) -> Vec<f64> {
        let candidates = match ticks {
            Ticks::Time => TIMES.iter().map(|(time, _)| *time).collect(),
            Ticks::Powers => powers(self.low, &[1.0]),
        };
        let within =
            |of: Vec<f64>| -> Vec<f64> { of.into_iter().filter(|value| self.place(*value).is_some()).collect() };
        let found = within(candidates);
        if found.len() < 3 {
            return within(powers(self.low, &[1.0, 2.0, 5.0]));
        }
        let every = found.len().div_ceil(MOST_TICKS);
        found.into_iter().step_by(every).collect()
    }
}

/// These multiples of the powers of ten around a value and above.
fn powers(from: f64, multiples: &[f64]) -> Vec<f64> {
    let first = from.log10().floor() as i32;
    let powers = first..=first + MOST_POWERS as i32 + 1;
    powers.flat_map(|power| multiples.iter().map(move |multiple| multiple * 10_f64.powi(power))).collect()
}

/// The words for a time of a tick, in seconds.
pub(super) fn time(seconds: f64) -> String {
    let known = TIMES.iter().find(|(time, _)| *time == seconds);
    known.map_or_else(|| crate::render::quantity(seconds, "s"), |(_, words)| (*words).to_owned())
}
