//! Network traffic against what the link carries.
//!
//! Counters are those of /proc/net/dev, which shows the network namespace that the agent runs in, whatever is mounted on
//! /sys. Of several interfaces the busiest is reported: one that is full is full, however empty the others are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use lb_core::report::Network;

use super::counter::Counter;
use super::{Places, SourceError, text};

/// What is measured of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkOf {
    /// The interfaces; those of the default routes where none is named.
    pub interfaces: Vec<String>,
    /// What each link carries in each direction, in bytes per second; what the kernel says where this is none.
    pub link_speed: Option<u64>,
}

/// Traffic of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) interface: String,
    pub(super) network: Network,
}

/// Measures network traffic.
#[derive(Debug)]
pub(super) struct NetworkMeter {
    of: NetworkOf,
    places: Places,
    counters: BTreeMap<String, [Counter; 2]>,
}

impl NetworkMeter {
    pub(super) fn new(of: NetworkOf, places: Places) -> Self {
        Self { of, places, counters: BTreeMap::new() }
    }

    /// The traffic of the busiest interface since the last call.
    pub(super) fn measure(&mut self, now: Instant) -> Result<Option<Traffic>, SourceError> {
        let path = self.net("dev");
        let counted = parse_dev(&text::read(&path)?);
        let names = self.interfaces()?;
        self.counters.retain(|name, _| names.contains(name));
        let mut found = Vec::new();
        for name in names {
            let bytes = counted.get(&name).ok_or_else(|| missing(&name))?;
            let [received, sent] = self.counters.entry(name.clone()).or_default();
            let rates = (received.per_second(bytes.received, now), sent.per_second(bytes.sent, now));
            let (Some(received), Some(sent)) = rates else { continue };
            let network = Network { received: received as u64, sent: sent as u64, limit: self.limit(&name) };
            found.push(Traffic { interface: name, network });
        }
        Ok(found.into_iter().max_by(|one, other| business(one).total_cmp(&business(other))))
    }

    fn net(&self, name: &str) -> PathBuf {
        self.places.proc.join("self/net").join(name)
    }

    fn interfaces(&self) -> Result<Vec<String>, SourceError> {
        if !self.of.interfaces.is_empty() {
            return Ok(self.of.interfaces.clone());
        }
        let read = |name: &str| text::read_if_there(&self.net(name)).map(Option::unwrap_or_default);
        let found = default_interfaces(&read("route")?, &read("ipv6_route")?);
        let none =
            "this host has no default route; name the interface that clients' packets come in by in `interfaces`";
        if found.is_empty() { Err(SourceError::Absent(none.to_owned())) } else { Ok(found) }
    }

    /// In bytes per second; 0 where it is not known. The kernel has it in Mbit/s, and -1 or no answer where it knows none.
    fn limit(&self, interface: &str) -> u64 {
        let kernel = || {
            let text = text::read(&self.places.sys.join("class/net").join(interface).join("speed")).ok()?;
            text.trim().parse::<u64>().ok()?.checked_mul(1_000_000 / 8)
        };
        self.of.link_speed.or_else(kernel).unwrap_or_default()
    }
}

/// How busy an interface is, to compare: its share where the limit is known, which goes before one where it is not.
fn business(traffic: &Traffic) -> f64 {
    let Network { received, sent, limit } = traffic.network;
    let most = received.max(sent) as f64;
    if limit > 0 { 1.0 + most / limit as f64 } else { most / (most + 1.0) }
}

fn missing(interface: &str) -> SourceError {
    let why = "there is no such interface; `ip link` lists them".to_owned();
    SourceError::Failed { origin: format!("interface {interface}"), why }
}

/// Bytes since the interface is there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bytes {
    received: f64,
    sent: f64,
}

/// Lines like `eth0: 1500 10 0 0 0 0 0 0 900 8 ...`: eight columns of what was received, then of what was sent, bytes first.
fn parse_dev(text: &str) -> BTreeMap<String, Bytes> {
    let line = |line: &str| {
        let (name, columns) = line.split_once(':')?;
        let columns: Vec<u64> = columns.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let bytes = Bytes { received: *columns.first()? as f64, sent: *columns.get(8)? as f64 };
        Some((name.trim().to_owned(), bytes))
    };
    text.lines().filter_map(line).collect()
}

/// The interfaces of the routes to everywhere, each once. Routes through `lo` lead nowhere.
pub(crate) fn default_interfaces(route: &str, ipv6_route: &str) -> Vec<String> {
    // Columns: interface, destination, gateway, flags, counts, metric, mask.
    let v4 = route.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (*words.get(1)? == "00000000" && *words.get(7)? == "00000000").then(|| words[0])
    });
    // Columns: destination, its prefix's length, source, ..., and last the interface.
    let v6 = ipv6_route.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let everywhere = words.next()?.bytes().all(|byte| byte == b'0') && words.next()? == "00";
        words.next_back().filter(|_| everywhere)
    });
    let mut names: Vec<String> = v4.chain(v6).filter(|name| *name != "lo").map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       5       1    0    0    0     0          0         0        5       1    0    0    0     0       0          0
  eth0: 1000000    4061    0    0    0     0          0         0  500000     3870    0    0    0     0       0          0
eth1:2000 1 0 0 0 0 0 0 3000 1 0 0 0 0 0 0
";

    struct Host {
        directory: tempfile::TempDir,
    }

    impl Host {
        fn new() -> Self {
            let host = Self { directory: tempfile::tempdir().unwrap() };
            host.write("proc/self/net/dev", DEV);
            host
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn meter(&self, interfaces: &[&str], link_speed: Option<u64>) -> NetworkMeter {
            let path = self.directory.path();
            let interfaces = interfaces.iter().map(ToString::to_string).collect();
            let places = Places { proc: path.join("proc"), sys: path.join("sys") };
            NetworkMeter::new(NetworkOf { interfaces, link_speed }, places)
        }

        /// What is measured over two seconds in which eth0 got 250,000 bytes and sent as many, and eth1 got 2000 and sent 4000.
        fn after_two_seconds(&self, meter: &mut NetworkMeter) -> Traffic {
            let start = Instant::now();
            assert_eq!(meter.measure(start), Ok(None));
            let later = DEV.replace("1000000", "1250000").replace("500000", "750000");
            self.write("proc/self/net/dev", &later.replace("eth1:2000", "eth1:4000").replace(" 3000 ", " 7000 "));
            meter.measure(start + Duration::from_secs(2)).unwrap().unwrap()
        }
    }

    #[test]
    fn bytes_a_second_stand_against_the_speed_that_the_kernel_knows() {
        let host = Host::new();
        host.write("sys/class/net/eth0/speed", "1000\n");
        let found = host.after_two_seconds(&mut host.meter(&["eth0"], None));
        assert_eq!(found.network, Network { received: 125_000, sent: 125_000, limit: 125_000_000 });
    }

    #[test]
    fn a_configured_speed_goes_before_the_kernels_and_an_unknown_one_is_zero() {
        let host = Host::new();
        for (speed, configured, expected) in [("1000", Some(5), 5), ("-1", Some(5), 5), ("-1", None, 0), ("x", None, 0)]
        {
            host.write("sys/class/net/eth0/speed", speed);
            assert_eq!(host.meter(&["eth0"], configured).limit("eth0"), expected, "{speed} {configured:?}");
        }
    }

    #[test]
    fn the_busiest_interface_is_reported() {
        let host = Host::new();
        host.write("sys/class/net/eth0/speed", "10000\n");
        host.write("sys/class/net/eth1/speed", "1\n");
        let found = host.after_two_seconds(&mut host.meter(&["eth0", "eth1"], None));
        assert_eq!((found.interface.as_str(), found.network.sent), ("eth1", 2_000), "by its share");
        host.write("proc/self/net/dev", DEV);
        let found = host.after_two_seconds(&mut host.meter(&["eth0", "eth1"], Some(0)));
        assert_eq!(found.interface, "eth0", "by its bytes, where no speed is known");
        host.write("proc/self/net/dev", DEV);
        host.write("sys/class/net/eth0/speed", "-1\n");
        let found = host.after_two_seconds(&mut host.meter(&["eth0", "eth1"], None));
        assert_eq!(found.interface, "eth1", "one with a known speed");
    }

    #[test]
    fn without_a_name_those_of_the_default_routes_are_taken() {
        let route = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth2\t00000000\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
        let zeros = "0".repeat(32);
        let ipv6 = format!(
            "{zeros} 00 {zeros} 00 20010db8 00000400 00000001 00000000 00000003     eth1\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             {zeros} 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001     eth3\n"
        );
        assert_eq!(default_interfaces(route, &ipv6), ["eth0", "eth1"]);
        assert!(default_interfaces("", "").is_empty());
        assert!(default_interfaces("a\nb 00000000", "0 00\n \n\0").is_empty());
        let host = Host::new();
        let error = host.meter(&[], None).measure(Instant::now()).unwrap_err().to_string();
        assert!(error.starts_with("this host has no default route"), "{error}");
        host.write("proc/self/net/route", route);
        assert_eq!(host.after_two_seconds(&mut host.meter(&[], None)).interface, "eth0");
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = Host::new().meter(&["eth7"], None).measure(Instant::now()).unwrap_err().to_string();
        assert_eq!(error, "interface eth7: there is no such interface; `ip link` lists them");
    }

    #[test]
    fn garbage_has_no_interfaces() {
        for text in ["", ":", "eth0", "eth0: 1 2 3", "eth0: x 0 0 0 0 0 0 0 1", "eth0: 1 0 0 0 0 0 0 0 -1"] {
            assert!(parse_dev(text).is_empty(), "{text:?}");
        }
    }
}
