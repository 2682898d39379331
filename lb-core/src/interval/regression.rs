//! What a commit costs, from the commits that were: a line through them, in which old ones count for less and less.

/// How much an observation counts for when the next one comes.
const FADE: f64 = 0.98;
/// How much it takes to move the slope from what was assumed: entries squared. A hundred commits that differ by ten entries hardly tell it, ten that
/// differ by a hundred do.
const INERTIA: f64 = 1e4;
/// From so many observations on the line is called measured.
const ENOUGH: f64 = 3.0;
/// Most entries and seconds of one observation.
const MOST: f64 = 1e9;

/// A line through points that fade.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regression {
    assumed: Line,
    weight: f64,
    mean_x: f64,
    mean_y: f64,
    /// Sum of squares of x, and of products of x and y, about their means.
    xx: f64,
    xy: f64,
}

/// y = at_zero + slope x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) at_zero: f64,
    pub(super) slope: f64,
}

impl Regression {
    /// Until something else is known, it is as assumed.
    pub(super) fn new(assumed: Line) -> Self {
        Self { assumed, weight: 0.0, mean_x: 0.0, mean_y: 0.0, xx: 0.0, xy: 0.0 }
    }

    /// Takes a point in. One that is no number is left out.
    pub(super) fn observe(&mut self, x: f64, y: f64) {
        let fits = |value: f64| (0.0..=MOST).contains(&value);
        if !(fits(x) && fits(y)) {
            return;
        }
        self.weight = self.weight * FADE + 1.0;
        let (from_x, from_y) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += from_x / self.weight;
        self.mean_y += from_y / self.weight;
        self.xx = self.xx * FADE + from_x * (x - self.mean_x);
        self.xy = self.xy * FADE + from_x * (y - self.mean_y);
    }

    /// The line that fits best and is nowhere negative.
    pub(super) fn line(&self) -> Line {
        if self.weight < 1.0 {
            return self.assumed;
        }
        let slope = (self.xy + INERTIA * self.assumed.slope) / (self.xx + INERTIA);
        let steepest = if self.mean_x > 0.0 { self.mean_y / self.mean_x } else { f64::MAX };
        let slope = slope.clamp(0.0, steepest);
        Line { at_zero: (self.mean_y - slope * self.mean_x).max(0.0), slope }
    }

    /// Enough has been seen for the height of the line.
    pub(super) fn knows_height(&self) -> bool {
        self.weight > ENOUGH - 0.5
    }

    /// What was seen differs enough for its slope.
    pub(super) fn knows_slope(&self) -> bool {
        self.knows_height() && self.xx > INERTIA
    }
}
