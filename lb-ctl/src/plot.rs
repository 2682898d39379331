//! Curves, as text for a terminal and as SVG. Both axes are logarithmic: what is drawn goes over many powers of ten.

mod scale;
mod svg;
#[cfg(test)]
mod tests;
mod text;

use lb_core::api::{Advice, AdvicePoint};

use crate::models::Availability;
use crate::render::{quantity, seconds};
use scale::Ticks;

pub use svg::svg;
pub use text::text;

/// Curves on two axes.
pub struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    curves: Vec<Curve>,
    marks: Vec<Mark>,
}

/// What goes along an edge.
struct Axis {
    label: &'static str,
    ticks: Ticks,
    /// The words for a value of a tick.
    words: fn(f64) -> String,
}

/// A line through points of which each can be drawn, by rising x.
struct Curve {
    name: &'static str,
    /// What it is drawn with as text.
    sign: char,
    points: Vec<(f64, f64)>,
}

/// A place on the x axis.
struct Mark {
    name: String,
    at: f64,
}

/// J and its parts by the interval.
pub fn of_advice(advice: &Advice) -> Chart {
    let curve = |name, sign, y: fn(&AdvicePoint) -> f64| {
        Curve::new(name, sign, advice.curve.iter().map(|point| (point.interval_seconds, y(point))))
    };
    let mut marks = vec![Mark {
        name: format!("in use {}", seconds(advice.in_use.interval_seconds)),
        at: advice.in_use.interval_seconds,
    }];
    if let Some(best) = &advice.optimum {
        marks.push(Mark { name: format!("optimum {}", seconds(best.interval_seconds)), at: best.interval_seconds });
    }
    Chart {
        title: "What checkpoints cost, by their interval".to_owned(),
        x: Axis { label: "interval", ticks: Ticks::Time, words: scale::time },
        y: Axis { label: "CPU time a second", ticks: Ticks::Powers, words: |cost| quantity(cost, "s") + "/s" },
        curves: vec![
            curve("checkpoints", 'c', |point| point.checkpoints),
            curve("losses", 'l', |point| point.losses),
            curve("J, both together", '*', |point| point.cost),
        ],
        marks,
    }
}

/// How likely it is that nobody serves, by the time since both nodes were there.
pub fn of_availability(availability: &Availability) -> Chart {
    let points = availability.curve.iter().map(|point| (point.seconds, point.unavailability));
    Chart {
        title: "How likely it is that nobody serves".to_owned(),
        x: Axis { label: "time since both nodes were there", ticks: Ticks::Time, words: scale::time },
        y: Axis { label: "probability", ticks: Ticks::Powers, words: |share| format!("{share:.0e}") },
        curves: vec![Curve::new("nobody serves", '*', points)],
        marks: Vec::new(),
    }
}

impl Curve {
    /// The line through these points. A logarithmic axis has no place for what is not positive.
    fn new(name: &'static str, sign: char, points: impl Iterator<Item = (f64, f64)>) -> Self {
        let fits = |value: f64| value.is_normal() && value > 0.0;
        let mut points: Vec<(f64, f64)> = points.filter(|(x, y)| fits(*x) && fits(*y)).collect();
        points.sort_by(|left, right| left.0.total_cmp(&right.0));
        Self { name, sign, points }
    }
}

impl Chart {
    /// The ranges of both axes; none where there is nothing that can be drawn.
    fn ranges(&self) -> Option<(scale::Range, scale::Range)> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let x = scale::Range::of(points().map(|point| point.0))?;
        let y = scale::Range::of(points().map(|point| point.1))?;
        Some((x, y))
    }
}
