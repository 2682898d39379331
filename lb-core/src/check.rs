//! Health checks: what is configured of one, what is checked, when ([`Pace`]), and what came of it.

mod pace;

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, sync::Arc};

use crate::{
    service::{Mode, Protocol, Tunnel},
    table::NextHop,
};

pub use pace::{DOUBT_SHARE, Pace, SHORTEST_PERIOD};

/// One kind of check, as configured. Services name the checks that are made of their reals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What is done.
    pub kind: Kind,
    /// The port, where it is not the service's.
    pub port: Option<u16>,
    /// Tm: how often it is made, in milliseconds.
    pub interval_ms: u64,
    /// How long it may take, in milliseconds; shorter than the interval.
    pub timeout_ms: u64,
    /// So many successes in a row make a real that is down up; at least 1.
    pub rise: u32,
    /// So many failures in a row make a real that is up down; at least 1.
    pub fall: u32,
    /// Which way the check takes.
    pub via: Via,
    /// Source address of a check by [`Via::Service`]; `None`: the one that the host would use.
    pub source: Option<IpAddr>,
}

/// Which way a check takes to its real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// To the real's own address.
    #[default]
    Address,
    /// As the service's packets are sent: to the VIP by the real's MAC address or in the tunnel, or with NAT to the real's own
    /// address.
    Service,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opens a TCP connection.
    Tcp,
    /// Makes an HTTP request.
    Http(Http),
    /// Makes an HTTP request over TLS.
    Https(Http, Tls),
    /// Sends a datagram and waits for an answer.
    Udp {
        /// What is sent.
        send: Vec<u8>,
        /// What the answer must contain; `None`: any answer will do.
        expect: Option<Vec<u8>>,
    },
    /// Asks for an echo.
    Icmp,
    /// Runs a program, without a shell. Exit code 0 is a success.
    Exec {
        /// The program and its arguments; not empty.
        command: Vec<String>,
    },
}

/// An HTTP request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `GET`, `HEAD` and so on.
    pub method: String,
    /// Path and query, as in `/health?full=1`.
    pub path: String,
    /// The Host header; `None`: the address.
    pub host: Option<String>,
    /// Statuses that are a success.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// What the body must contain.
    pub body: Option<String>,
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Whether the server's certificate is checked.
    pub verify: bool,
    /// The name that is asked for (SNI) and that the certificate must have; `None`: the Host header's, or the address.
    pub server_name: Option<String>,
    /// PEM file of the authorities that are trusted; `None`: the host's own.
    pub ca_file: Option<PathBuf>,
}

/// One check of one real in one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is done.
    pub check: Arc<Check>,
    /// The service's name.
    pub service: String,
    /// The real's name.
    pub real: String,
    /// The real's address.
    pub address: IpAddr,
    /// The VIP.
    pub vip: IpAddr,
    /// The port that is checked: the check's, or the one at which the real serves, or the service's first one.
    pub port: u16,
    /// The service's protocol.
    pub protocol: Protocol,
    /// How the service's packets reach the real.
    pub mode: Mode,
    /// The way to the real, once it is known.
    pub next_hop: Option<NextHop>,
    /// What outer headers say, in a tunnel mode.
    pub tunnel: Tunnel,
}

impl Target {
    /// Where the service's packets are addressed to when they reach the real.
    #[must_use]
    pub fn served_at(&self) -> IpAddr {
        match self.mode {
            Mode::Dsr | Mode::Ipip | Mode::Gue => self.vip,
            Mode::Nat => self.address,
        }
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The service's name.
    pub service: String,
    /// The real's name.
    pub real: String,
    /// The check's name.
    pub check: String,
    /// Success or failure.
    pub outcome: Outcome,
}

/// Success or failure of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Passed {
        /// How long it took, in microseconds.
        took_us: u64,
    },
    /// It failed.
    Failed {
        /// Why, for people, in one short line: `connection refused`, `status 503`, `no answer in 400 ms`.
        reason: String,
    },
}
