//! Tells everybody on the link where the VIPs are now: at once, a few times soon after, since a frame may be lost or come to
//! a host that is not listening yet, and then each interval, since tables forget.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::frames::{Mac, announcements};
use super::packets::Sender;

/// When announcements follow the first one. After the last of these they come each interval.
const SOON: [Duration; 7] = [
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// A VIP to announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) vip: IpAddr,
    pub(super) ifindex: u32,
    /// Where it is.
    pub(super) mac: Mac,
}

/// Sends the announcements of these VIPs, once. Returns the first that could not be sent.
pub(super) fn announce<'a>(
    sender: &Sender,
    vips: impl IntoIterator<Item = &'a Announced>,
) -> Result<(), (Announced, io::Error)> {
    let mut outcome = Ok(());
    for announced in vips {
        for frame in announcements(announced.vip, announced.mac) {
            if let Err(error) = sender.send(announced.ifindex, &frame) {
                outcome = outcome.and(Err((*announced, error)));
            }
        }
    }
    outcome
}

/// When the next announcement is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    begun: Instant,
    /// How many were made after the first.
    made: usize,
    due: Instant,
}

impl Schedule {
    /// The first one has just been made.
    pub(super) fn begin(now: Instant) -> Self {
        Self { begun: now, made: 0, due: now + SOON[0] }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The first few are made.
    pub(super) fn is_settled(&self) -> bool {
        self.made >= SOON.len()
    }

    /// One has been made.
    pub(super) fn advance(&mut self, now: Instant, interval: Duration) {
        self.made += 1;
        // Those that a busy host has missed are not made up for.
        self.due = match SOON.get(self.made) {
            Some(after) => (self.begun + *after).max(now + SOON[0]),
            None => now + interval,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn announcements_come_fast_first_and_then_each_interval() {
        let begun = Instant::now();
        let mut schedule = Schedule::begin(begun);
        let mut seen = Vec::new();
        for _ in 0..9 {
            let due = schedule.due();
            seen.push((due - begun).as_millis());
            schedule.advance(due, INTERVAL);
        }
        assert_eq!(seen, [10, 30, 100, 300, 600, 1_000, 3_000, 13_000, 23_000]);
    }

    #[test]
    fn late_announcements_are_not_made_up_for_in_a_burst() {
        let begun = Instant::now();
        let mut schedule = Schedule::begin(begun);
        let late = begun + Duration::from_secs(60);
        schedule.advance(late, INTERVAL);
        assert!(schedule.due() > late);
    }
}
