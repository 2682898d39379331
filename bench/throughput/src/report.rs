//! From what was measured to figures, the table for people, and the targets.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::system::System;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Metric {
    /// Small packets that have come through, with one CPU for everything.
    #[serde(rename = "packets_per_s")]
    Packets,
    /// Connections of one request each.
    #[serde(rename = "connections_per_s")]
    Connections,
    /// Requests over connections that stay open.
    #[serde(rename = "requests_per_s")]
    Requests,
    /// How long such a request takes: half of them take less.
    #[serde(rename = "p50_us")]
    Median,
    /// The same of 99 in a hundred.
    #[serde(rename = "p99_us")]
    Slow,
}

/// All that was measured of a system, value by value in the order of the rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The system.
    pub system: System,
    /// It ran in the virtual machine.
    pub guest: bool,
    series: Vec<Series>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Series {
    metric: Metric,
    values: Vec<f64>,
    /// CPU time of the whole machine for one of them, in microseconds; of packets: of the one CPU.
    machine_us: Vec<f64>,
    /// CPU time of the balancer's own process or program, in microseconds, where it has one. Not of the same rounds.
    own_us: Vec<f64>,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    system: String,
    metric: Metric,
    value: f64,
    /// CPU time in the balancer.
    cpu_us_per_unit: f64,
    /// CPU time of the whole machine, the client and the real servers in it; of packets: of the one CPU.
    machine_us_per_unit: f64,
}

impl Record {
    /// Nothing measured yet.
    pub fn new(system: System, guest: bool) -> Record {
        Record { system, guest, series: Vec::new() }
    }

    /// Adds a value of a round, and the machine's CPU time for one unit of it in microseconds.
    pub fn add(&mut self, metric: Metric, value: f64, machine_us: f64) {
        let series = self.series_mut(metric);
        series.values.push(value);
        series.machine_us.push(machine_us);
    }

    /// Adds a measurement of the balancer's own CPU time for one unit, in microseconds.
    pub fn add_own(&mut self, metric: Metric, own_us: f64) {
        self.series_mut(metric).own_us.push(own_us);
    }

    /// `guest/ipvs-dr`.
    pub fn name(&self) -> String {
        format!("{}{}", if self.guest { "guest/" } else { "" }, self.system)
    }

    fn series_mut(&mut self, metric: Metric) -> &mut Series {
        let at = self.series.iter().position(|series| series.metric == metric).unwrap_or_else(|| {
            self.series.push(Series { metric, values: Vec::new(), machine_us: Vec::new(), own_us: Vec::new() });
            self.series.len() - 1
        });
        &mut self.series[at]
    }

    fn series(&self, metric: Metric) -> Option<&Series> {
        self.series.iter().find(|series| series.metric == metric)
    }
}

/// The figures of all records.
pub fn figures(records: &[Record]) -> Vec<Figure> {
    let figure = |record: &Record, series: &Series| Figure {
        system: record.name(),
        metric: series.metric,
        value: rounded(median(series.values.clone())),
        cpu_us_per_unit: rounded(balancer_us(records, record, series)),
        machine_us_per_unit: rounded(median(series.machine_us.clone())),
    };
    records.iter().flat_map(|record| record.series.iter().map(move |series| figure(record, series))).collect()
}

/// CPU time in the balancer: of its own process or program where it has one; else what the machine takes above the same without
/// a balancer, round by round.
fn balancer_us(records: &[Record], record: &Record, series: &Series) -> f64 {
    // How long requests take is of the same runs as how many there are.
    let series = match series.metric {
        Metric::Median | Metric::Slow => record.series(Metric::Requests).unwrap_or(series),
        _ => series,
    };
    if !series.own_us.is_empty() {
        return median(series.own_us.clone());
    }
    let direct = find(records, record.guest, System::Direct).and_then(|direct| direct.series(series.metric));
    let Some(direct) = direct else { return f64::NAN };
    median(series.machine_us.iter().zip(&direct.machine_us).map(|(with, without)| with - without).collect())
}

fn find(records: &[Record], guest: bool, system: System) -> Option<&Record> {
    records.iter().find(|record| record.guest == guest && record.system == system)
}

/// To a thousandth: more digits say nothing.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The median; not a number where there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(value), 1) => *value,
        (Some(value), _) => (values[middle - 1] + value) / 2.0,
        (None, _) => f64::NAN,
    }
}

/// How a system has to compare with another.
struct Target {
    guest: bool,
    system: System,
    than: System,
    wanted: Wanted,
}

enum Wanted {
    /// As many times its packets, at least.
    Packets(f64),
    /// Such a part of its own CPU time for a connection, at most.
    OwnCpu(f64),
}

const fn packets(system: System, times: f64, than: System) -> Target {
    Target { guest: false, system, than, wanted: Wanted::Packets(times) }
}

const fn own_cpu(system: System, than: System) -> Target {
    Target { guest: false, system, than, wanted: Wanted::OwnCpu(0.2) }
}

const fn in_guest(system: System, than: System) -> Target {
    Target { guest: true, ..packets(system, 8.0, than) }
}

const TARGETS: [Target; 13] = [
    packets(System::UnderstudyDsr, 3.0, System::Forwarding),
    packets(System::UnderstudyDsr, 4.5, System::Nftables),
    packets(System::UnderstudyIpip, 3.0, System::Nftables),
    packets(System::UnderstudyNat, 3.0, System::Nftables),
    own_cpu(System::UnderstudyDsr, System::Haproxy),
    own_cpu(System::UnderstudyDsr, System::Nginx),
    own_cpu(System::UnderstudyIpip, System::Haproxy),
    own_cpu(System::UnderstudyIpip, System::Nginx),
    own_cpu(System::UnderstudyNat, System::Haproxy),
    own_cpu(System::UnderstudyNat, System::Nginx),
    in_guest(System::UnderstudyDsr, System::IpvsDr),
    in_guest(System::UnderstudyIpip, System::IpvsTun),
    in_guest(System::UnderstudyNat, System::IpvsNat),
];

impl Target {
    /// What was reached; none where it was not measured.
    fn reached(&self, records: &[Record]) -> Option<f64> {
        let find = |system, metric| find(records, self.guest, system)?.series(metric);
        let ratio = match self.wanted {
            Wanted::Packets(_) => {
                let (one, other) = (find(self.system, Metric::Packets)?, find(self.than, Metric::Packets)?);
                // Within a round: what slows the machine down for some rounds slows both down.
                median(one.values.iter().zip(&other.values).map(|(one, other)| one / other).collect())
            }
            Wanted::OwnCpu(_) => {
                let (one, other) = (find(self.system, Metric::Connections)?, find(self.than, Metric::Connections)?);
                median(one.own_us.clone()) / median(other.own_us.clone())
            }
        };
        ratio.is_finite().then_some(ratio)
    }

    fn is_met(&self, ratio: f64) -> bool {
        match self.wanted {
            Wanted::Packets(least) => ratio >= least,
            Wanted::OwnCpu(most) => ratio <= most,
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let prefix = if self.guest { "guest/" } else { "" };
        let (system, than) = (self.system, self.than);
        match self.wanted {
            Wanted::Packets(least) => write!(f, "{prefix}{system}: at least {least} x the packets of {prefix}{than}"),
            Wanted::OwnCpu(most) => {
                write!(f, "{prefix}{system}: at most {most} x {than}'s own CPU time for a connection")
            }
        }
    }
}

/// The figures and targets as a table.
pub struct Table<'a>(pub &'a [Record]);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:<22}", "system")?;
        ["packets/s", "connections/s", "requests/s"]
            .iter()
            .try_for_each(|title| write!(f, "{title:>14}{:>18}", "us"))?;
        ["p50 us", "p99 us"].iter().try_for_each(|title| write!(f, "{title:>10}"))?;
        writeln!(f, "\n{:<22}(us: CPU time in the balancer / of the whole machine, for one)", "")?;
        let figures = figures(self.0);
        for name in self.0.iter().map(Record::name) {
            let figure = |metric| figures.iter().find(|figure| figure.system == name && figure.metric == metric);
            write!(f, "{name:<22}")?;
            for metric in [Metric::Packets, Metric::Connections, Metric::Requests] {
                match figure(metric) {
                    Some(figure) => {
                        let cpu = format!("{:.2}/{:.2}", figure.cpu_us_per_unit, figure.machine_us_per_unit);
                        write!(f, "{:>14.0}{cpu:>18}", figure.value)?;
                    }
                    None => write!(f, "{:>14}{:>18}", "-", "-")?,
                }
            }
            for metric in [Metric::Median, Metric::Slow] {
                match figure(metric) {
                    Some(figure) => write!(f, "{:>10.0}", figure.value)?,
                    None => write!(f, "{:>10}", "-")?,
                }
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        for target in &TARGETS {
            let Some(ratio) = target.reached(self.0) else { continue };
            let verdict = if target.is_met(ratio) { "met" } else { "missed" };
            writeln!(f, "{verdict:<8}{target}: {ratio:.3}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(system: System, guest: bool, packets: &[f64]) -> Record {
        let mut record = Record::new(system, guest);
        packets.iter().for_each(|value| record.add(Metric::Packets, *value, 1e6 / value));
        record
    }

    #[test]
    fn figures_are_written_under_the_names_that_readers_know() {
        let direct = record(System::Direct, true, &[1e6, 1e6, 1e6]);
        let dsr = record(System::UnderstudyDsr, true, &[5e5, 4e5, 2.5e5]);
        let figures = figures(&[direct, dsr]);
        let expected = serde_json::json!({
            "system": "guest/understudy-dsr", "metric": "packets_per_s", "value": 400_000.0, "cpu_us_per_unit": 1.5,
            "machine_us_per_unit": 2.5
        });
        assert_eq!(serde_json::to_value(&figures[1]).unwrap(), expected);
    }

    #[test]
    fn a_process_of_its_own_is_what_the_balancer_takes() {
        let mut direct = Record::new(System::Direct, false);
        direct.add(Metric::Connections, 9_000.0, 90.0);
        let mut proxy = Record::new(System::Haproxy, false);
        proxy.add(Metric::Connections, 5_000.0, 200.0);
        assert_eq!(figures(&[direct.clone(), proxy.clone()])[1].cpu_us_per_unit, 110.0);
        proxy.add_own(Metric::Connections, 70.0);
        assert_eq!(figures(&[direct, proxy])[1].cpu_us_per_unit, 70.0);
    }

    #[test]
    fn a_target_is_judged_by_the_rounds_and_where_both_were_measured() {
        let target = &TARGETS[1];
        let dsr = record(System::UnderstudyDsr, false, &[450.0, 900.0, 1_000.0]);
        // 4.5, 3 and 5: as a ratio of medians it would be missed.
        let nftables = record(System::Nftables, false, &[100.0, 300.0, 200.0]);
        let ratio = target.reached(&[dsr.clone(), nftables]).unwrap();
        assert_eq!((ratio, target.is_met(ratio), target.is_met(4.49)), (4.5, true, false));
        assert!(target.reached(std::slice::from_ref(&dsr)).is_none());
        // What ran elsewhere does not count.
        assert!(target.reached(&[dsr, record(System::Nftables, true, &[100.0])]).is_none());
    }

    #[test]
    fn own_cpu_time_is_judged_by_how_little_it_is() {
        let own = |system, us| {
            let mut record = Record::new(system, false);
            record.add_own(Metric::Connections, us);
            record
        };
        let records = [own(System::UnderstudyDsr, 10.0), own(System::Haproxy, 60.0), own(System::Nginx, 40.0)];
        let verdicts: Vec<bool> =
            TARGETS.iter().filter_map(|target| Some(target.is_met(target.reached(&records)?))).collect();
        assert_eq!(verdicts, [true, false]);
    }

    #[test]
    fn the_table_says_what_was_met_and_what_was_missed() {
        let records = [
            record(System::UnderstudyDsr, true, &[800.0]),
            record(System::IpvsDr, true, &[100.0]),
            record(System::UnderstudyNat, true, &[700.0]),
            record(System::IpvsNat, true, &[100.0]),
        ];
        let text = Table(&records).to_string();
        assert!(
            text.contains("met     guest/understudy-dsr: at least 8 x the packets of guest/ipvs-dr: 8.000"),
            "{text}"
        );
        assert!(
            text.contains("missed  guest/understudy-nat: at least 8 x the packets of guest/ipvs-nat: 7.000"),
            "{text}"
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
