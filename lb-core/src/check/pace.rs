//! When a check is made: the first ones spread over the interval, later ones with a little jitter, and sooner while it
//! is being found out whether a real has died.
//!
//! A real that dies right after a success is asked again within the interval Tm. From then on the next check begins
//! [`DOUBT_SHARE`] of Tm after the last one did, or when that one has ended. With a time limit of at most 0.4 x Tm the
//! `fall`th failure ends within `Tm + fall x 0.4 Tm`, which for `fall >= 2` is less than `fall x Tm`.

use super::Check;
use crate::maglev::name_hash;

/// The shortest regular period, in thousandths of the interval. The longest is the interval itself.
pub const SHORTEST_PERIOD: u64 = 900;
/// While a real that was up fails, the period is the interval divided by this.
pub const DOUBT_SHARE: u64 = 4;

const WHOLE: u64 = 1000;
const SEED: u64 = 0x7061_6365_0000_0001;

/// The rhythm of one check of one real. It counts successes and failures in a row as the monitor does, so that it knows
/// whether a failure is a doubt or old news. Like there, a real that was never asked counts as up.
#[derive(Clone, Debug)]
pub struct Pace {
    interval_ms: u64,
    rise: u32,
    fall: u32,
    state: u64,
    up: bool,
    /// Results in a row that speak against `up`.
    against: u32,
}

impl Pace {
    /// The rhythm of `check` made of `real` in `service`. Equal names give equal rhythms.
    #[must_use]
    pub fn new(check: &Check, service: &str, real: &str) -> Self {
        // No name holds a slash.
        let name = format!("{service}/{real}/{}", check.name);
        Self {
            interval_ms: check.interval_ms,
            rise: check.rise,
            fall: check.fall,
            state: name_hash(&name, SEED),
            up: true,
            against: 0,
        }
    }

    /// From the start to the beginning of the first check, in milliseconds: 0 to below the interval.
    #[must_use]
    pub fn first_ms(&mut self) -> u64 {
        let place = self.random();
        scaled(self.interval_ms, place)
    }

    /// From the beginning of the check that has just ended to the beginning of the next, in milliseconds. The next one
    /// never begins before the last one has ended, whatever this says.
    #[must_use]
    pub fn next_ms(&mut self, passed: bool) -> u64 {
        self.count(passed);
        if self.up && self.against > 0 {
            return self.interval_ms / DOUBT_SHARE;
        }
        let shortest = self.interval_ms * SHORTEST_PERIOD / WHOLE;
        let place = self.random();
        shortest + scaled(self.interval_ms - shortest + 1, place)
    }

    fn count(&mut self, passed: bool) {
        if passed == self.up {
            self.against = 0;
            return;
        }
        self.against += 1;
        let needed = if self.up { self.fall } else { self.rise };
        if self.against >= needed {
            self.up = passed;
            self.against = 0;
        }
    }

    /// SplitMix64 (Steele, Lea, Flood, 2014): equally spread, and a plain function of the names.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The place `place` of a line that is as long as all u64, on a line `length` long: 0 to below `length`.
fn scaled(length: u64, place: u64) -> u64 {
    ((u128::from(length) * u128::from(place)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Kind, Via};

    const TM: u64 = 1_000;
    const TIMEOUT: u64 = 400;

    fn check(rise: u32, fall: u32) -> Check {
        Check {
            name: "alive".into(),
            kind: Kind::Tcp,
            port: None,
            interval_ms: TM,
            timeout_ms: TIMEOUT,
            rise,
            fall,
            via: Via::Address,
            source: None,
        }
    }

    fn pace(rise: u32, fall: u32) -> Pace {
        Pace::new(&check(rise, fall), "web", "web1")
    }

    #[test]
    fn first_checks_of_many_reals_are_spread_over_the_interval() {
        let mut tenths = [0; 10];
        for real in 0..1_000 {
            let first = Pace::new(&check(2, 3), "web", &format!("web{real}")).first_ms();
            tenths[usize::try_from(first * 10 / TM).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&count| (60..=140).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn rhythm_depends_on_all_names_and_on_nothing_else() {
        let first = |service: &str, real: &str, name: &str| {
            Pace::new(&Check { name: name.into(), ..check(2, 3) }, service, real).first_ms()
        };
        assert_eq!(first("web", "web1", "alive"), first("web", "web1", "alive"));
        let all = [first("web", "web1", "alive"), first("api", "web1", "alive"), first("web", "web2", "alive")];
        assert!(!all.contains(&first("web", "web1", "deep")), "{all:?}");
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{all:?}");
    }

    #[test]
    fn regular_periods_vary_between_nine_tenths_of_the_interval_and_all_of_it() {
        let mut pace = pace(2, 3);
        let periods: Vec<u64> = (0..1_000).map(|_| pace.next_ms(true)).collect();
        assert!(periods.iter().all(|period| (900..=TM).contains(period)));
        assert!(periods.iter().any(|&period| period < 910) && periods.iter().any(|&period| period > 990));
    }

    #[test]
    fn failures_of_a_real_that_is_up_are_followed_up_soon_until_it_is_down() {
        let mut pace = pace(2, 3);
        let _ = pace.next_ms(true);
        assert_eq!([pace.next_ms(false), pace.next_ms(false)], [TM / 4; 2]);
        assert!(pace.next_ms(false) >= 900, "the third makes it down");
        assert!(pace.next_ms(false) >= 900, "old news");
    }

    #[test]
    fn a_success_ends_the_doubt_and_failures_are_counted_anew() {
        let mut pace = pace(2, 2);
        assert_eq!(pace.next_ms(false), TM / 4, "a real that was never asked counts as up");
        assert!(pace.next_ms(true) >= 900);
        assert_eq!(pace.next_ms(false), TM / 4);
        assert!(pace.next_ms(false) >= 900);
    }

    #[test]
    fn a_real_is_up_again_after_rise_successes_in_a_row() {
        let mut pace = pace(2, 1);
        assert!(pace.next_ms(false) >= 900, "one failure is enough");
        let _ = pace.next_ms(true);
        assert!(pace.next_ms(false) >= 900, "it was still down");
        let _ = (pace.next_ms(true), pace.next_ms(true));
        pace.fall = 2;
        assert_eq!(pace.next_ms(false), TM / 4, "it was up");
    }

    #[test]
    fn a_real_that_dies_at_the_worst_moment_is_down_within_fall_intervals() {
        for fall in 2..=10 {
            for real in 0..100 {
                let mut pace = Pace::new(&check(2, fall), "web", &format!("web{real}"));
                // It dies right after a check that passed has begun, and every later one takes its whole time.
                let mut begin = pace.next_ms(true);
                for _ in 1..fall {
                    begin += pace.next_ms(false).max(TIMEOUT);
                }
                assert!(begin + TIMEOUT <= u64::from(fall) * TM, "fall {fall}, real {real}: {begin}");
            }
        }
    }

    #[test]
    fn the_shortest_and_the_longest_interval_work() {
        for interval_ms in [0, 1, u64::from(u32::MAX)] {
            let mut pace = Pace { interval_ms, ..pace(1, 1) };
            assert!(pace.first_ms() <= interval_ms);
            assert!(pace.next_ms(true) <= interval_ms);
        }
    }
}
