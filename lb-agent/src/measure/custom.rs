//! One measure of the operator's own: a queue's length, say, of what it may be.

use std::time::Instant;

use super::{Pace, SourceError};
use crate::source::{Origin, Poller};

/// The highest share that a report can carry.
const MOST: f64 = 6.5535;

/// Measures it.
#[derive(Debug)]
pub(super) struct CustomMeter {
    poller: Option<Poller<f64>>,
}

impl CustomMeter {
    /// Must be called inside of a runtime, which then runs the poller.
    pub(super) fn new(of: Option<Origin>, pace: Pace) -> Self {
        let poller = of.map(|origin| {
            let name = origin.to_string();
            Poller::start(origin, pace, move |text, _| {
                let expected = "share (a fraction as in 0.75, or a percentage as in 75%)";
                let garbage = || SourceError::Garbage { origin: name.clone(), expected, found: text.to_owned() };
                share(text).ok_or_else(garbage).map(Some)
            })
        });
        Self { poller }
    }

    pub(super) fn measure(&mut self, now: Instant) -> Result<Option<f64>, SourceError> {
        self.poller.as_mut().map_or(Ok(None), |poller| poller.latest(now))
    }
}

/// The first word: `0.75` or `75%`. A bare `75` is refused, since it is a percentage that has lost its sign.
fn share(text: &str) -> Option<f64> {
    let word = text.split_whitespace().next()?;
    let fraction = match word.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => word.parse().ok()?,
    };
    (0.0..=MOST).contains(&fraction).then_some(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_fraction_or_a_percentage() {
        assert_eq!(share("0.75\n"), Some(0.75));
        assert_eq!(share(" 75% of the queue"), Some(0.75));
        assert_eq!(share("120%"), Some(1.2));
        assert_eq!(share("0"), Some(0.0));
    }

    #[test]
    fn anything_else_is_none() {
        for text in ["", "75", "-0.1", "NaN", "inf", "%", "0.5.1", "x 0.5", "700%", "\u{fffd}"] {
            assert_eq!(share(text), None, "{text:?}");
        }
    }
}
