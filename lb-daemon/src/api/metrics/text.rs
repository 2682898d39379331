//! The text format of Prometheus: one family of samples after the other, each with its help and its type.

use std::fmt::{self, Write as _};

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Grows, until its source begins at zero again.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A metric with `LABELS` labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric<const LABELS: usize> {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: [&'static str; LABELS],
    pub(super) help: &'static str,
}

/// A sample's number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Counted, and exact.
    Count(u64),
    /// Measured.
    Measure(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<f64> for Value {
    fn from(measure: f64) -> Self {
        Self::Measure(measure)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Count(yes.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Measure(measure) => measure.fmt(f),
        }
    }
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Adds a metric with all its samples; one without samples is left out.
    pub(super) fn family<'a, const LABELS: usize, V: Into<Value>>(
        &mut self,
        metric: &Metric<LABELS>,
        samples: impl IntoIterator<Item = ([&'a str; LABELS], V)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let Metric { name, kind, labels, help } = metric;
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
        for (values, value) in samples {
            self.sample(name, labels, &values, value.into());
        }
    }

    /// Adds a metric without labels.
    pub(super) fn one(&mut self, metric: &Metric<0>, value: impl Into<Value>) {
        self.family(metric, [([], value)]);
    }

    /// Adds a metric without labels, where its value is known.
    pub(super) fn known(&mut self, metric: &Metric<0>, value: Option<f64>) {
        self.family(metric, value.map(|value| ([], value)));
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn sample(&mut self, name: &str, labels: &[&str], values: &[&str], value: Value) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, text) in labels.iter().zip(values) {
            let _ = write!(self.0, "{before}{label}=\"{}\"", Escaped(text));
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// A label's value, as the format wants it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: Metric<2> =
        Metric { name: "us_packets_total", kind: Kind::Counter, labels: ["service", "way"], help: "Packets." };
    const SHARE: Metric<0> = Metric { name: "us_share_ratio", kind: Kind::Gauge, labels: [], help: "A share." };

    #[test]
    fn a_family_has_help_type_and_its_samples() {
        let mut text = Text::default();
        text.family(&PACKETS, [(["web", "in"], 18_446_744_073_709_551_615_u64), (["a\"b\\c\nd", "out"], 0)]);
        text.one(&SHARE, 0.25);
        let expected = "# HELP us_packets_total Packets.\n# TYPE us_packets_total counter\n\
            us_packets_total{service=\"web\",way=\"in\"} 18446744073709551615\n\
            us_packets_total{service=\"a\\\"b\\\\c\\nd\",way=\"out\"} 0\n\
            # HELP us_share_ratio A share.\n# TYPE us_share_ratio gauge\nus_share_ratio 0.25\n";
        assert_eq!(text.into_string(), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut text = Text::default();
        text.known(&SHARE, None);
        text.family::<2, u64>(&PACKETS, []);
        assert_eq!(text.into_string(), "");
    }
}
