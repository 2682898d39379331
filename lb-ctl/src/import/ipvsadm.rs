//! Reads the output of `ipvsadm -Sn`: a line `-A` for each virtual service, and a line `-a` for each of its real servers.

use std::collections::HashMap;
use std::net::SocketAddr;

use lb_core::service::DEFAULT_GUE_PORT as GUE_PORT;
use lb_core::service::{Mode, Protocol};

use super::clients::{self, Clients};
use super::draft::{Draft, Member, Service, ports};
use super::remarks::Remarks;
use super::schedulers;

/// How long `-p` remembers clients where it does not say, in seconds (ipvsadm(8)).
const DEFAULT_PERSISTENCE: u64 = 300;

/// Which virtual service a line is about.
type Key = (Protocol, SocketAddr);

pub(super) fn read(text: &str, remarks: &mut Remarks) -> Draft {
    let mut services = Services::default();
    for (line, words) in (1..).zip(text.lines()) {
        let words: Vec<&str> = words.split_whitespace().skip_while(|word| *word == "ipvsadm").collect();
        match words.first() {
            None => {}
            Some(first) if first.starts_with('#') => {}
            Some(&("-A" | "--add-service")) => services.add(line, &words[1..], remarks),
            Some(&("-a" | "--add-server")) => services.add_real(line, &words[1..], remarks),
            Some(&("-C" | "--clear")) => {}
            Some(_) => remarks.add(line, "this is no line of `ipvsadm -Sn`: left out"),
        }
    }
    if !services.list.is_empty() {
        remarks.in_general("IPVS checks no reals, so the services have no `checks`: a real that dies still gets flows. Add a [[check]]");
    }
    Draft { services: services.list, gue_port: services.gue_port, ..Draft::default() }
}

/// Virtual services as they come up.
#[derive(Debug, Default)]
struct Services {
    list: Vec<Service>,
    /// Places in the list; none: the service was left out, and that was said.
    places: HashMap<Key, Option<usize>>,
    /// Beside the list: whether a service's scheduler takes no account of weights.
    ignores_weights: Vec<bool>,
    gue_port: Option<u16>,
}

impl Services {
    fn add(&mut self, line: usize, words: &[&str], remarks: &mut Remarks) {
        let options = Options::read(line, words, remarks);
        let Some((protocol, address)) = options.key(line, remarks) else { return };
        if self.places.contains_key(&(protocol, address)) {
            remarks.add(line, "this service has been there before: left out");
            return;
        }
        let scheduler = schedulers::look_up(options.value("-s").unwrap_or("wlc"), line, remarks);
        let (affinity, one_packet) = options.clients(line).settle(address.ip(), protocol, remarks);
        self.places.insert((protocol, address), Some(self.list.len()));
        self.ignores_weights.push(scheduler.ignores_weights);
        self.list.push(Service {
            line,
            vip: address.ip(),
            protocol,
            ports: ports(address.port()),
            mode: Mode::Dsr,
            affinity,
            one_packet,
            follows_load: scheduler.follows_load,
            checks: Vec::new(),
            reals: Vec::new(),
        });
    }

    fn add_real(&mut self, line: usize, words: &[&str], remarks: &mut Remarks) {
        let options = Options::read(line, words, remarks);
        let Some(key) = options.key(line, remarks) else { return };
        let Some(&Some(place)) = self.places.get(&key) else {
            return remarks.add(line, "the service of this real server was left out, or is not there");
        };
        let Some(address) = options.value("-r").and_then(address) else {
            return remarks.add(line, "-r is no address: write numbers, as `ipvsadm -Sn` does; left out");
        };
        let Some(weight) = options.value("-w").map_or(Some(1), weight) else {
            return remarks.add(line, "-w is no weight from 0 to 65535: left out");
        };
        let mode = options.mode(line, remarks);
        if mode == Mode::Gue {
            clients::note_gue_port(&mut self.gue_port, options.gue_port(line, remarks), line, remarks);
        }
        let service = &mut self.list[place];
        if service.reals.is_empty() {
            service.mode = mode;
        } else if service.mode != mode {
            remarks.add(
                line,
                format!("the service has one `mode` for all its reals, which is that of the first: {}", service.mode),
            );
        }
        let weight = if self.ignores_weights[place] { weight.min(1) } else { weight };
        service.reals.push(Member { line, address: address.ip(), weight, port: address.port(), fallback: false });
    }
}

/// The options of a line, by their short names.
#[derive(Debug)]
struct Options<'a>(Vec<(&'static str, &'a str)>);

/// Options that are followed by a value: what each is called here, and what else it is called.
const WITH_VALUE: [(&str, &[&str]); 14] = [
    ("-t", &["--tcp-service"]),
    ("-u", &["--udp-service"]),
    ("-f", &["--fwmark-service"]),
    ("--sctp-service", &[]),
    ("-s", &["--scheduler"]),
    ("-M", &["--netmask"]),
    ("--pe", &[]),
    ("-b", &["--sched-flags"]),
    ("-r", &["--real-server"]),
    ("-w", &["--weight"]),
    ("-x", &["--u-threshold"]),
    ("-y", &["--l-threshold"]),
    ("--tun-type", &[]),
    ("--tun-port", &[]),
];

/// Options that stand alone.
const ALONE: [(&str, &[&str]); 9] = [
    ("-g", &["--gatewaying"]),
    ("-i", &["--ipip"]),
    ("-m", &["--masquerading"]),
    ("-o", &["--ops"]),
    ("-6", &["--ipv6"]),
    ("-n", &["--numeric"]),
    ("--tun-nocsum", &[]),
    ("--tun-csum", &[]),
    ("--tun-remcsum", &[]),
];

/// What is said of options.
const REMARKS: [(&str, &str); 6] = [
    ("--pe", "--pe has no counterpart: flows are told apart by addresses and ports only"),
    ("-b", "-b has no counterpart"),
    ("-x", "-x and -y (thresholds) have no counterpart: lb-agent tells lbd how busy a real is"),
    ("-y", "-x and -y (thresholds) have no counterpart: lb-agent tells lbd how busy a real is"),
    ("--tun-csum", "--tun-csum has no counterpart: the outer UDP header has no checksum"),
    ("--tun-remcsum", "--tun-remcsum has no counterpart: the outer UDP header has no checksum"),
];

impl<'a> Options<'a> {
    fn read(line: usize, words: &[&'a str], remarks: &mut Remarks) -> Self {
        let mut found = Vec::new();
        let mut words = words.iter().copied().peekable();
        while let Some(word) = words.next() {
            if let Some(name) = named(&WITH_VALUE, word) {
                found.push((name, words.next().unwrap_or_default()));
            } else if let Some(name) = named(&ALONE, word) {
                found.push((name, ""));
            } else if word == "-p" || word == "--persistent" {
                // Its value may be missing.
                found.push(("-p", words.next_if(|next| !next.starts_with('-')).unwrap_or_default()));
            } else {
                remarks.add(line, format!("`{word}` has no counterpart"));
            }
        }
        let options = Self(found);
        REMARKS.iter().filter(|(name, _)| options.has(name)).for_each(|(_, text)| remarks.add(line, *text));
        options
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn key(&self, line: usize, remarks: &mut Remarks) -> Option<Key> {
        let services = [("-t", Protocol::Tcp), ("-u", Protocol::Udp), ("--sctp-service", Protocol::Sctp)];
        let found = services.iter().find_map(|(name, protocol)| Some((*protocol, self.value(name)?)));
        let Some((protocol, service)) = found else {
            remarks.add(line, self.unfit_service());
            return None;
        };
        let address = address(service);
        if address.is_none() {
            remarks.add(line, "the service is no address and port: write numbers, as `ipvsadm -Sn` does; left out");
        }
        Some((protocol, address?))
    }

    fn unfit_service(&self) -> &'static str {
        if self.has("-f") {
            "a service of a firewall mark has no counterpart: left out. Write a service for each VIP and port"
        } else {
            "a line without -t, -u or --sctp-service has no counterpart: left out"
        }
    }

    fn mode(&self, line: usize, remarks: &mut Remarks) -> Mode {
        match () {
            () if self.has("-m") => Mode::Nat,
            () if self.has("-i") => match self.value("--tun-type") {
                Some("gue") => Mode::Gue,
                None | Some("ipip") => Mode::Ipip,
                Some(_) => {
                    remarks.add(line, "tunnels are ipip or gue here: ipip is taken");
                    Mode::Ipip
                }
            },
            () => Mode::Dsr,
        }
    }

    fn gue_port(&self, line: usize, remarks: &mut Remarks) -> u16 {
        let port = self.value("--tun-port").and_then(|port| port.parse().ok()).filter(|port| *port != 0);
        port.unwrap_or_else(|| {
            remarks.add(line, format!("no --tun-port: {GUE_PORT} is taken"));
            GUE_PORT
        })
    }

    fn clients(&self, line: usize) -> Clients<'a> {
        Clients {
            timeout: self.value("-p").map(|timeout| (line, timeout.parse().unwrap_or(DEFAULT_PERSISTENCE))),
            mask: self.value("-M").map(|mask| (line, mask)),
            one_packet: self.has("-o").then_some(line),
        }
    }
}

fn named(known: &[(&'static str, &[&str])], word: &str) -> Option<&'static str> {
    known.iter().find(|(name, others)| *name == word || others.contains(&word)).map(|(name, _)| *name)
}

/// An address with a port, or alone: then the port is 0.
fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.trim_matches(['[', ']']).parse().ok()?, 0)))
}

fn weight(text: &str) -> Option<u32> {
    text.parse::<u16>().ok().map(u32::from)
}
