//! Numbers as people read them.

use time::OffsetDateTime;

/// What stands where nothing is known.
pub(super) const UNKNOWN: &str = "–";

/// A count or a rate: three digits, and k, M, G or T.
pub(super) fn count(value: f64) -> String {
    let (scaled, unit) = scaled(value, 1e3, &["", " k", " M", " G", " T"]);
    format!("{}{unit}", digits(scaled))
}

/// So many bytes.
pub(super) fn bytes(value: f64) -> String {
    let (scaled, unit) = scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"]);
    format!("{} {unit}", digits(scaled))
}

/// So long, from microseconds to days.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{} µs", digits(s * 1e6)),
        s if s < 1.0 => format!("{} ms", digits(s * 1e3)),
        s if s < 120.0 => format!("{} s", digits(s)),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// A share of one.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", digits(share * 100.0))
}

/// An instant of the wall clock, in UTC.
pub(super) fn instant(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else { return format!("{unix_ms} ms") };
    let (date, millisecond) = (time.date(), unix_ms % 1_000);
    format!("{date} {:02}:{:02}:{:02}.{millisecond:03}", time.hour(), time.minute(), time.second())
}

/// What is known, or the sign for what is not.
pub(super) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

fn scaled(value: f64, step: f64, units: &[&'static str]) -> (f64, &'static str) {
    let mut scaled = value;
    let mut index = 0;
    while scaled.abs() >= step && index + 1 < units.len() {
        scaled /= step;
        index += 1;
    }
    (scaled, units.get(index).copied().unwrap_or(""))
}

/// Three digits where they say something.
fn digits(value: f64) -> String {
    match value.abs() {
        whole if whole < 1e3 && value.fract() == 0.0 => format!("{value:.0}"),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 7.0, 999.0, 1_234.0, 12_345_678.0].map(count), ["0", "7", "999", "1.23 k", "12.3 M"]);
        assert_eq!([0.0, 1_023.0, 1_536.0, 3e12].map(bytes), ["0 B", "1023 B", "1.50 KiB", "2.73 TiB"]);
        let times = [0.000_21, 0.0184, 1.5, 90.0, 600.0, 9_000.0, 864_000.0].map(duration);
        assert_eq!(times, ["210 µs", "18.4 ms", "1.50 s", "90 s", "10 min", "2.5 h", "10.0 days"]);
        assert_eq!([0.0, 0.123, 1.0].map(percent), ["0 %", "12.3 %", "100 %"]);
        assert_eq!(known(None, count), "–");
        assert_eq!(instant(1_795_384_988_123), "2026-11-22 22:03:08.123");
    }
}
