//! Memory pressure: for how much of the time some task waited for memory, from the kernel's pressure stall information.

use std::path::PathBuf;
use std::time::Instant;

use super::counter::Counter;
use super::{Places, SourceError, text};

/// Measures memory pressure.
#[derive(Debug)]
pub(super) struct MemoryMeter {
    path: PathBuf,
    stalled: Counter,
}

impl MemoryMeter {
    pub(super) fn new(places: &Places) -> Self {
        Self { path: places.proc.join("pressure/memory"), stalled: Counter::default() }
    }

    /// The share of the time since the last call.
    pub(super) fn measure(&mut self, now: Instant) -> Result<Option<f64>, SourceError> {
        let text = text::read_if_there(&self.path)?.ok_or_else(|| {
            SourceError::Absent(format!("this kernel has no {}; boot it with psi=1 to have it", self.path.display()))
        })?;
        let microseconds =
            some_total(&text).ok_or_else(|| SourceError::garbage(&self.path, "`some ... total=`", &text))?;
        Ok(self.stalled.per_second(microseconds as f64, now).map(|microseconds| microseconds / 1e6))
    }
}

/// The microseconds of `some avg10=0.00 avg60=0.00 avg300=0.00 total=5814850`. The averages are too slow for a report
/// a second.
fn some_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some("some"))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_some_is_taken() {
        let text = "full avg10=0.00 avg60=0.00 avg300=0.00 total=9\nsome avg10=1.00 avg60=0.50 avg300=0.10 total=58\n";
        assert_eq!(some_total(text), Some(58));
    }

    #[test]
    fn microseconds_become_a_share_of_the_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pressure/memory");
        let mut meter = MemoryMeter::new(&Places { proc: directory.path().to_owned(), sys: PathBuf::new() });
        let start = Instant::now();
        assert!(matches!(meter.measure(start), Err(SourceError::Absent(_))));
        std::fs::create_dir(directory.path().join("pressure")).unwrap();
        std::fs::write(&path, "some avg10=0.00 total=1000000\n").unwrap();
        assert_eq!(meter.measure(start), Ok(None));
        std::fs::write(&path, "some avg10=0.00 total=1500000\n").unwrap();
        assert_eq!(meter.measure(start + std::time::Duration::from_secs(2)), Ok(Some(0.25)));
    }

    #[test]
    fn garbage_is_no_pressure() {
        for text in ["", "some", "some total", "some total=", "some total=x", "full total=5", "something total=5"] {
            assert_eq!(some_total(text), None, "{text:?}");
        }
    }
}
