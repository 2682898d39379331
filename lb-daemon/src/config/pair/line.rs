//! What time a serial line leaves: an ask and its ack have to be through within the interval.

use std::time::Duration;

use lb_core::pair::Micros;
use lb_core::pair::serial::{serial_time_us, stream_size};
use lb_core::pair::wire::FRAME_SIZE;

/// What a line takes longer than its rate says, in percent: bytes do not always follow each other at once.
const SLACK_PERCENT: u64 = 10;
/// How long the two ends may take to answer and to notice, where the interval leaves so much.
const TURNAROUND_US: Micros = 1_000;
/// The part of the interval that the ack timeout can take, in percent.
const ROOM_PERCENT: u64 = 95;
/// The rates that serial devices commonly have, in bits a second.
const COMMON_RATES: [u32; 14] = [
    9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 500_000, 921_600, 1_000_000, 1_500_000, 2_000_000,
    3_000_000, 4_000_000,
];

/// How long a frame takes on the line.
pub(in crate::config) fn frame_time_us(baud: u32) -> Micros {
    serial_time_us(baud, stream_size(FRAME_SIZE))
}

/// How long an ask and its ack take on the line, at least.
pub(in crate::config) fn round_trip_us(baud: u32) -> Micros {
    2 * frame_time_us(baud) * (100 + SLACK_PERCENT) / 100
}

/// The ack timeout that suits the line and the interval; `None` where the interval is too short for the line.
pub(in crate::config) fn ack_timeout(baud: u32, interval: Duration) -> Option<Duration> {
    let (needed, room) = (round_trip_us(baud), room_us(interval));
    (needed <= room).then(|| Duration::from_micros(room.min(needed + TURNAROUND_US)))
}

/// The shortest interval for this rate, in whole milliseconds.
pub(in crate::config) fn least_interval(baud: u32) -> Duration {
    Duration::from_millis((round_trip_us(baud) * 100).div_ceil(ROOM_PERCENT * 1_000))
}

/// The lowest common rate for this interval.
pub(in crate::config) fn least_baud(interval: Duration) -> Option<u32> {
    COMMON_RATES.into_iter().find(|&baud| round_trip_us(baud) <= room_us(interval))
}

fn room_us(interval: Duration) -> Micros {
    super::micros(interval) * ROOM_PERCENT / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn ten_milliseconds_are_enough_at_115200_baud() {
        assert_eq!(frame_time_us(115_200), 4_254, "49 bytes of ten bits");
        assert_eq!(round_trip_us(115_200), 9_358);
        assert_eq!(ack_timeout(115_200, ms(10)), Some(Duration::from_micros(9_500)));
        assert_eq!(ack_timeout(115_200, ms(9)), None);
        assert_eq!(ack_timeout(115_200, ms(100)), Some(Duration::from_micros(10_358)));
    }

    #[test]
    fn the_least_interval_and_the_least_rate_fit_each_other() {
        for baud in COMMON_RATES {
            let least = least_interval(baud);
            assert!(ack_timeout(baud, least).is_some(), "{baud}");
            assert!(ack_timeout(baud, least - ms(1)).is_none(), "{baud}");
            assert!(least_baud(least).is_some_and(|rate| rate <= baud), "{baud}");
        }
        assert_eq!(least_interval(115_200), ms(10));
        assert_eq!(least_interval(9_600), ms(119));
        assert_eq!(least_baud(ms(10)), Some(115_200));
        assert_eq!(least_baud(ms(9)), Some(230_400));
        assert_eq!(least_baud(ms(5)), Some(230_400));
    }
}
