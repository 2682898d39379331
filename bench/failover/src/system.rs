//! What is compared: who watches the nodes, and how fast.

use std::fmt;

/// Bits a second of the serial line, unless the heartbeats are too fast for it.
const BAUD: u32 = 115_200;
/// For heartbeats each 5 ms.
const FAST_BAUD: u32 = 921_600;

/// Who decides which node owns the VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A pair of `lbd`, over two NICs and a serial line.
    Understudy,
    /// keepalived on one NIC; `lbd` forwards on each node, without a pair.
    Keepalived,
}

/// One of those that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// Who.
    pub kind: Kind,
    /// From one heartbeat, or advertisement, to the next, in milliseconds.
    pub interval_ms: u32,
    /// How many of them in a row must be missing.
    pub missed_limit: u32,
}

impl System {
    /// All, in the order in which they take turns.
    pub const ALL: [System; 8] = [
        System::understudy(5),
        System::keepalived(10, 3),
        System::understudy(10),
        System::keepalived(10, 2),
        System::understudy(50),
        System::keepalived(100, 3),
        System::understudy(100),
        System::keepalived(1000, 3),
    ];

    const fn understudy(interval_ms: u32) -> System {
        System { kind: Kind::Understudy, interval_ms, missed_limit: 3 }
    }

    const fn keepalived(interval_ms: u32, missed_limit: u32) -> System {
        System { kind: Kind::Keepalived, interval_ms, missed_limit }
    }

    /// Its name in the figures.
    pub fn name(self) -> &'static str {
        match self.kind {
            Kind::Understudy => "understudy",
            Kind::Keepalived => "keepalived",
        }
    }

    /// Bits a second of the serial line while it is measured.
    pub fn baud(self) -> u32 {
        if self.interval_ms < 10 { FAST_BAUD } else { BAUD }
    }
}

/// `understudy 10 ms x 3`.
impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {} ms x {}", self.name(), self.interval_ms, self.missed_limit))
    }
}
