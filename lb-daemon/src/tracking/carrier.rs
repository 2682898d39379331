//! One interface's carrier, slow to be believed in again after a loss.

use std::time::Duration;

use tokio::time::Instant;

/// How long a carrier that was lost must have been back.
const RISE: Duration = Duration::from_secs(2);

/// What is thought of a carrier. The first look is believed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// It is good.
    Up,
    /// It is lost.
    Down,
    /// It is back since then, and not believed in yet.
    Rising(Instant),
}

impl Carrier {
    /// As it is found first.
    pub(super) fn found(is_up: bool) -> Self {
        if is_up { Self::Up } else { Self::Down }
    }

    /// It is found like this.
    pub(super) fn hear(self, is_up: bool, now: Instant) -> Self {
        match (self, is_up) {
            (_, false) => Self::Down,
            (Self::Down, true) => Self::Rising(now),
            (Self::Rising(since), true) if now.duration_since(since) >= RISE => Self::Up,
            (before, true) => before,
        }
    }

    /// When it is to be looked at again although nothing was heard.
    pub(super) fn due(self) -> Option<Instant> {
        match self {
            Self::Rising(since) => Some(since + RISE),
            Self::Up | Self::Down => None,
        }
    }

    /// In words, unless it is good.
    pub(super) fn describe(self, interface: &str) -> Option<String> {
        match self {
            Self::Up => None,
            Self::Down => Some(format!("{interface} has no carrier")),
            Self::Rising(_) => Some(format!("{interface} has had its carrier back for less than {RISE:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_counts_at_once_and_a_return_after_a_while() {
        let now = Instant::now();
        let carrier = Carrier::found(true).hear(false, now);
        assert_eq!(carrier, Carrier::Down);
        let carrier = carrier.hear(true, now);
        assert_eq!(carrier.due(), Some(now + RISE));
        let early = now + RISE - Duration::from_millis(1);
        assert_ne!(carrier.hear(true, early), Carrier::Up);
        assert_eq!(carrier.hear(true, now + RISE), Carrier::Up);
    }

    #[test]
    fn one_that_flaps_stays_down() {
        let begun = Instant::now();
        let mut carrier = Carrier::found(true).hear(false, begun);
        for second in 0..60 {
            let now = begun + Duration::from_secs(second);
            carrier = carrier.hear(true, now);
            assert_ne!(carrier, Carrier::Up);
            carrier = carrier.hear(false, now + Duration::from_millis(900));
        }
    }
}
