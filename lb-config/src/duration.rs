//! Durations: a whole number and a unit, as in `"500ms"` or `"15m"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use crate::diagnostic::{Diagnostic, Problems};

/// Each unit with its length in milliseconds, from the longest.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The duration that a text should be. `example` is a right value, as it is written in the file.
pub fn duration(
    key: &str,
    text: &Spanned<String>,
    range: RangeInclusive<Duration>,
    example: &str,
    problems: &mut Problems,
) -> Option<Spanned<Duration>> {
    let Some(duration) = parse(text.get_ref()) else {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is not a duration: {:?}", text.get_ref()),
            "not a duration",
            format!("write a whole number and a unit: ms, s, m, h or d, as in {key} = {example}"),
        ));
        return None;
    };
    if !range.contains(&duration) {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is out of range"),
            "not in the range",
            format!("it can be {} to {}", duration_text(*range.start()), duration_text(*range.end())),
        ));
        return None;
    }
    Some(Spanned::new(text.span(), duration))
}

fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*milliseconds).map(Duration::from_millis)
}

/// As it is written in a file, in the longest unit that gives a whole number.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis() as u64;
    let fits = |length: &u64| milliseconds >= *length && milliseconds.is_multiple_of(*length);
    let (unit, length) = UNITS.iter().find(|(_, length)| fits(length)).unwrap_or(&("ms", 1));
    format!("{}{unit}", milliseconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_durations_and_back() {
        for (text, milliseconds) in [
            ("0ms", 0),
            ("1ms", 1),
            ("1500ms", 1_500),
            ("2s", 2_000),
            ("90s", 90_000),
            ("15m", 900_000),
            ("23h", 82_800_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(duration_text(Duration::from_millis(milliseconds)), text);
        }
        assert_eq!(parse("24h"), parse("1d"));
        assert_eq!(duration_text(Duration::from_millis(60_000)), "1m");
    }

    #[test]
    fn texts_that_are_no_durations() {
        for text in ["", "5", "s", "5 s", "5S", "-5s", "+5s", "1.5s", "5sec", "1h30m", "5µs", "18446744073709551615h"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
