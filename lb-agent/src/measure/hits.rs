//! Hits: what the real server has been asked for since, by a counter of the kernel or of a program's own.

use std::path::PathBuf;
use std::time::Instant;

use super::counter::Counter;
use super::{Places, SourceError, text};
use crate::source::{Origin, Poller};

/// Where hits are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HitsOf {
    /// TCP connections that the kernel has accepted.
    #[default]
    Kernel,
    /// Requests, by nginx's `stub_status` page.
    StubStatus(Origin),
    /// The first number of what this says.
    Counter(Origin),
    /// They are not counted here.
    Nothing,
}

/// Measures hits.
#[derive(Debug)]
pub(super) enum HitsMeter {
    Kernel { path: PathBuf, accepted: Counter },
    Polled(Poller<f64>),
    Nothing,
}

impl HitsMeter {
    /// Must be called inside of a runtime, which then runs the poller.
    pub(super) fn new(of: HitsOf, places: &Places, pace: super::Pace) -> Self {
        match of {
            HitsOf::Kernel => Self::Kernel { path: places.proc.join("self/net/snmp"), accepted: Counter::default() },
            HitsOf::StubStatus(origin) => Self::Polled(poll(origin, pace, "nginx status", stub_status)),
            HitsOf::Counter(origin) => Self::Polled(poll(origin, pace, "number", text::first_number)),
            HitsOf::Nothing => Self::Nothing,
        }
    }

    /// Hits a second since the last call, or as last polled.
    pub(super) fn measure(&mut self, now: Instant) -> Result<Option<f64>, SourceError> {
        match self {
            Self::Kernel { path, accepted } => {
                let text = text::read(path)?;
                let count = passive_opens(&text);
                let count = count.ok_or_else(|| SourceError::garbage(path, "`PassiveOpens` of TCP", &text))?;
                Ok(accepted.per_second(count as f64, now))
            }
            Self::Polled(poller) => poller.latest(now),
            Self::Nothing => Ok(None),
        }
    }
}

fn poll(origin: Origin, pace: super::Pace, expected: &'static str, parse: fn(&str) -> Option<f64>) -> Poller<f64> {
    let name = origin.to_string();
    let mut counter = Counter::default();
    Poller::start(origin, pace, move |text, now| {
        let garbage = || SourceError::Garbage { origin: name.clone(), expected, found: text.to_owned() };
        Ok(counter.per_second(parse(text).ok_or_else(garbage)?, now))
    })
}

/// TCP connections that were accepted: the column below the heading `PassiveOpens` of the two lines that begin with `Tcp:`.
fn passive_opens(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let column = names.split_whitespace().position(|name| name == "PassiveOpens")?;
    values.split_whitespace().nth(column)?.parse().ok()
}

/// The requests of nginx's page: the third number below `server accepts handled requests`.
fn stub_status(text: &str) -> Option<f64> {
    let below =
        text.lines().skip_while(|line| !line.trim_start().starts_with("server accepts handled requests")).nth(1)?;
    let requests: u64 = below.split_whitespace().nth(2)?.parse().ok()?;
    Some(requests as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Pace;

    const SNMP: &str = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails
Tcp: 1 200 120000 -1 270 41 1
Udp: InDatagrams NoPorts
Udp: 9 9
";
    const STATUS: &str = "\
Active connections: 291
server accepts handled requests
 16630948 16630946 31070465
Reading: 6 Writing: 179 Waiting: 106
";

    #[test]
    fn accepted_connections_are_found_by_their_heading() {
        assert_eq!(passive_opens(SNMP), Some(41));
        for text in
            ["", "Tcp:", "Tcp: PassiveOpens", "Tcp: PassiveOpens\nTcp:", "Tcp: A\nTcp: 5", "Tcp: PassiveOpens\nTcp: x"]
        {
            assert_eq!(passive_opens(text), None, "{text:?}");
        }
    }

    #[test]
    fn requests_are_the_third_number_of_nginx() {
        assert_eq!(stub_status(STATUS), Some(31_070_465.0));
        let garbage =
            ["", "server accepts handled requests", "server accepts handled requests\n 1 2", "1 2 3", "<html>"];
        for text in garbage {
            assert_eq!(stub_status(text), None, "{text:?}");
        }
    }

    #[tokio::test]
    async fn the_kernels_counter_becomes_a_rate() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places { proc: directory.path().to_owned(), sys: directory.path().to_owned() };
        let path = directory.path().join("self/net/snmp");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, SNMP).unwrap();
        let mut meter = HitsMeter::new(HitsOf::Kernel, &places, Pace::default());
        let start = Instant::now();
        assert_eq!(meter.measure(start), Ok(None));
        std::fs::write(&path, SNMP.replace(" 41 ", " 141 ")).unwrap();
        assert_eq!(meter.measure(start + Duration::from_secs(2)), Ok(Some(50.0)));
        std::fs::write(&path, "Tcp: x").unwrap();
        let error = meter.measure(start + Duration::from_secs(3)).unwrap_err().to_string();
        assert_eq!(error, format!("{}: no `PassiveOpens` of TCP in \"Tcp: x\"", path.display()));
    }
}
