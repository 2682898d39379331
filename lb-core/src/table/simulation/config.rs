//! The configuration of the simulation: few names, addresses and ports, and single changes of them.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::service::{Cluster, Guards, Member, Mode, Ports, Protocol, Real, Service};

pub(crate) const REALS: usize = 5;
pub(crate) const SERVICES: usize = 3;
pub(crate) const VIP: &str = "192.0.2.1";
/// What clients talk to. Port 81 belongs to one service or another, as the configuration has it.
pub(crate) const PORTS: [(Protocol, u16); 5] =
    [(Protocol::Tcp, 80), (Protocol::Tcp, 81), (Protocol::Tcp, 443), (Protocol::Udp, 53), (Protocol::Udp, 54)];

/// A change of the configuration.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A real is defined, or not any more.
    ToggleReal(usize),
    /// A real's name gets another address.
    MoveReal(usize),
    /// A real's weight.
    Weight(usize, u32),
    /// A service is defined, or not any more.
    ToggleService(usize),
    /// A service gets other ports.
    Ports(usize),
    /// A service lists a real, or not any more.
    ToggleMember(usize, usize),
    /// A real's weight in one service.
    MemberWeight(usize, usize, Option<u32>),
}

pub(crate) fn a_weight() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0), 6 => 1..6u32]
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let real = 0..REALS;
    let service = 0..SERVICES;
    prop_oneof![
        4 => real.clone().prop_map(Change::ToggleReal),
        1 => real.clone().prop_map(Change::MoveReal),
        4 => (real.clone(), a_weight()).prop_map(|(real, weight)| Change::Weight(real, weight)),
        1 => service.clone().prop_map(Change::ToggleService),
        2 => service.clone().prop_map(Change::Ports),
        3 => (service.clone(), real.clone()).prop_map(|(service, real)| Change::ToggleMember(service, real)),
        2 => (service, real, prop::option::of(a_weight()))
            .prop_map(|(service, real, weight)| Change::MemberWeight(service, real, weight)),
    ]
}

/// What the configuration file would say.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    defined: [bool; REALS],
    moved: [bool; REALS],
    weights: [u32; REALS],
    served: [bool; SERVICES],
    other_ports: [bool; SERVICES],
    members: [[bool; REALS]; SERVICES],
    member_weights: [[Option<u32>; REALS]; SERVICES],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            defined: [true, true, true, true, false],
            moved: [false; REALS],
            weights: [2; REALS],
            served: [true; SERVICES],
            other_ports: [false; SERVICES],
            members: [
                [true, true, true, true, true],
                [true, true, false, false, true],
                [false, true, true, true, true],
            ],
            member_weights: [[None; REALS]; SERVICES],
        }
    }
}

pub(crate) fn real_name(real: usize) -> String {
    format!("r{real}")
}

pub(crate) fn service_name(service: usize) -> String {
    ["web", "rest", "dns"][service].to_owned()
}

impl Config {
    /// The configured weight of a real, by its name.
    pub(crate) fn weight_of(&self, name: &str) -> u32 {
        (0..REALS).find(|&real| real_name(real) == name).map_or(0, |real| self.weights[real])
    }

    pub(crate) fn change(&mut self, change: &Change) {
        match *change {
            Change::ToggleReal(real) => self.defined[real] ^= true,
            Change::MoveReal(real) => self.moved[real] ^= true,
            Change::Weight(real, weight) => self.weights[real] = weight,
            Change::ToggleService(service) => self.served[service] ^= true,
            Change::Ports(service) => self.other_ports[service] ^= true,
            Change::ToggleMember(service, real) => self.members[service][real] ^= true,
            Change::MemberWeight(service, real, weight) => self.member_weights[service][real] = weight,
        }
    }

    /// A service without any real left is not defined either.
    pub(crate) fn cluster(&self) -> Cluster {
        let reals = (0..REALS).filter(|&real| self.defined[real]).map(|real| Real {
            name: real_name(real),
            address: IpAddr::from([198, 51, 100, 10 * u8::from(self.moved[real]) + real as u8 + 1]),
            weight: self.weights[real],
        });
        let services = (0..SERVICES).filter(|&service| self.served[service]).map(|service| self.service(service));
        let services = services.filter(|service| !service.reals.is_empty());
        Cluster::new(services.collect(), reals.collect()).unwrap()
    }

    fn service(&self, service: usize) -> Service {
        let (protocol, ports, others) = [
            (Protocol::Tcp, Ports::Single(80), Ports::Range(80, 95)),
            (Protocol::Tcp, Ports::Any, Ports::Range(400, 500)),
            (Protocol::Udp, Ports::Range(53, 54), Ports::Single(53)),
        ][service];
        let reals = (0..REALS).filter(|&real| self.members[service][real] && self.defined[real]);
        let member =
            |real| Member { real: real_name(real), weight: self.member_weights[service][real], ..Member::default() };
        Service {
            name: service_name(service),
            vip: VIP.parse().unwrap(),
            protocol,
            ports: if self.other_ports[service] { others } else { ports },
            mode: Mode::Dsr,
            reals: reals.map(member).collect(),
            vip_prefix: None,
            one_packet: false,
            affinity: None,
            guards: Guards::default(),
            quic: Vec::new(),
        }
    }
}

/// The name of the service that packets to the port belong to: the most exact one.
pub(crate) fn owner(cluster: &Cluster, (protocol, port): (Protocol, u16)) -> Option<&str> {
    let exactness = |service: &&Service| match service.ports {
        Ports::Single(_) => 0,
        Ports::Range(..) => 1,
        Ports::Any => 2,
    };
    let mine = cluster.services().iter().filter(|s| s.protocol == protocol && s.ports.contains(port));
    mine.min_by_key(exactness).map(|service| service.name.as_str())
}
