//! What can be said to the models, which need no daemon.

use std::path::PathBuf;

use clap::Args;
use lb_core::availability::Pair;
use lb_core::interval::Job;

const YEAR: f64 = 365.25 * 86_400.0;
/// The longest time, in seconds.
const LONGEST: f64 = 1e4 * YEAR;

/// What the availability of a pair follows from.
#[derive(Debug, Args)]
pub struct AvailabilityArgs {
    /// How long a node goes without a failure, in the mean, as in `30d` or `2y`.
    #[arg(long, value_name = "TIME", value_parser = positive)]
    mtbf: f64,
    /// How long it takes until a failed node is back, as in `4h`.
    #[arg(long, value_name = "TIME", value_parser = positive)]
    repair: f64,
    /// How long it takes until the backup knows that the main is dead, as in `35ms` (`lbctl pair` tells it).
    #[arg(long, value_name = "TIME", value_parser = time)]
    detection: f64,
    /// How long it takes from then on until the backup serves, as in `5ms`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    restore: f64,
    /// How long it takes from one failure to the next that takes both nodes at once. Without it there is no such.
    #[arg(long, value_name = "TIME", value_parser = positive)]
    common_cause: Option<f64>,
    /// Write the curve to this file, too.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// What the checkpoints of a job follow from.
#[derive(Debug, Args)]
pub struct JobArgs {
    /// How long it goes without a failure, in the mean, as in `24h`.
    #[arg(long, value_name = "TIME", value_parser = positive)]
    mtbf: f64,
    /// How long a checkpoint takes, as in `5m`.
    #[arg(long, value_name = "TIME", value_parser = positive)]
    checkpoint: f64,
    /// How long a restart takes, as in `10m`.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    restart: f64,
}

impl AvailabilityArgs {
    /// The pair that is asked for.
    pub fn pair(&self) -> Pair {
        let Self { mtbf, repair, detection, restore, common_cause, .. } = *self;
        Pair { mtbf, repair, detection, restore, common_cause }
    }
}

impl JobArgs {
    /// The job that is asked for.
    pub fn job(&self) -> Job {
        Job { mean_time_between_failures: self.mtbf, checkpoint: self.checkpoint, restart: self.restart }
    }
}

/// Seconds of a time like `35ms`, `1.5h` or `2y`.
fn time(text: &str) -> Result<f64, String> {
    let wrong = || "a time is a number and its unit: us, ms, s, m, h, d or y, as in 35ms, 1.5h or 30d".to_owned();
    let end = text.find(|sign: char| sign.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "y" => YEAR,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<f64>().map_err(|_| wrong())? * unit;
    if (0.0..=LONGEST).contains(&seconds) { Ok(seconds) } else { Err("a time is 0 to 10000y".to_owned()) }
}

fn positive(text: &str) -> Result<f64, String> {
    match time(text)? {
        0.0 => Err("this time cannot be 0".to_owned()),
        seconds => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases =
            [("35ms", 0.035), ("0s", 0.0), ("1.5h", 5_400.0), ("30d", 2_592_000.0), ("1y", YEAR), ("7us", 7e-6)];
        for (text, seconds) in cases {
            assert_eq!(time(text), Ok(seconds), "{text}");
        }
        for wrong in ["", "5", "ms", "-1s", "1e99y", "infs", "NaNs", "5 s", "5min", "10001y", "1.2.3s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(positive("0ms").is_err() && positive("1ms").is_ok());
    }
}
