//! Sizes: a whole number and a unit, as in `"64KiB"` or `"1GiB"`.

use std::ops::RangeInclusive;

use toml::Spanned;

use crate::diagnostic::{Diagnostic, Problems};

/// Each unit with its length in bytes, from the longest.
const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// The size in bytes that a text should be. `example` is a right value, as it is written in the file.
pub fn size(
    key: &str,
    text: &Spanned<String>,
    range: RangeInclusive<u64>,
    example: &str,
    problems: &mut Problems,
) -> Option<Spanned<u64>> {
    let Some(bytes) = parse(text.get_ref()) else {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is not a size: {:?}", text.get_ref()),
            "not a size",
            format!("write a whole number and a unit: KiB, MiB or GiB, as in {key} = {example}"),
        ));
        return None;
    };
    if !range.contains(&bytes) {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is out of range"),
            "not in the range",
            format!("it can be {} to {}", size_text(*range.start()), size_text(*range.end())),
        ));
        return None;
    }
    Some(Spanned::new(text.span(), bytes))
}

fn parse(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// As it is written in a file, in the longest unit that gives a whole number; what is no whole number of KiB is rounded down.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let fits = |length: &u64| bytes >= *length && bytes.is_multiple_of(*length);
    let (unit, length) = UNITS.iter().find(|(_, length)| fits(length)).unwrap_or(&("KiB", 1 << 10));
    format!("{}{unit}", bytes / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_sizes_and_back() {
        for (text, bytes) in
            [("0KiB", 0), ("1KiB", 1_024), ("1500KiB", 1_536_000), ("16MiB", 16_777_216), ("1024GiB", 1 << 40)]
        {
            assert_eq!(parse(text), Some(bytes), "{text}");
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(size_text(2_048 << 10), "2MiB");
    }

    #[test]
    fn texts_that_are_no_sizes() {
        for text in
            ["", "5", "MiB", "5 MiB", "5mib", "5MB", "5M", "-5MiB", "+5MiB", "1.5GiB", "18446744073709551615GiB"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
