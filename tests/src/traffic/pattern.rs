//! Content that shows by itself when a piece of it is lost, doubled or out of place.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};

/// Bytes after which the pattern repeats. Prime, so that it never lines up with a buffer.
const PERIOD: usize = 1_000_003;
/// The multiplier of Knuth's linear congruential generator (MMIX).
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// The bytes of the pattern from `offset` on: up to `most`, fewer at the end of a period, at least one.
pub fn pattern(offset: u64, most: usize) -> &'static [u8] {
    static PERIOD_BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = PERIOD_BYTES.get_or_init(make_period);
    let start = (offset % PERIOD as u64) as usize;
    &bytes[start..(start + most).min(PERIOD)]
}

/// Writes the first `length` bytes of the pattern to a file.
pub fn write_pattern(path: &Path, length: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut file = BufWriter::new(file);
    let mut offset = 0;
    while offset < length {
        let piece = pattern(offset, usize::try_from(length - offset)?);
        file.write_all(piece).with_context(|| format!("cannot write {}", path.display()))?;
        offset += piece.len() as u64;
    }
    file.flush().with_context(|| format!("cannot write {}", path.display()))
}

fn make_period() -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(PERIOD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_goes_on_across_its_period() {
        let end = pattern(PERIOD as u64 - 3, 100);
        assert_eq!(end.len(), 3);
        assert_eq!(pattern(PERIOD as u64, 5), pattern(0, 5));
        assert_eq!(&pattern(7, 20)[3..], pattern(10, 17));
        assert_ne!(pattern(0, 16), pattern(1, 16));
    }
}
