//! What outer headers say, in the modes `ipip` and `gue`.

use std::net::IpAddr;

use super::Prefix;

/// The UDP port of GUE unless configured.
pub const DEFAULT_GUE_PORT: u16 = lb_common::GUE_PORT;
/// What the outer source of a family can be: at most as many bits are free as a flow's hash has, at least two.
pub const TUNNEL_SOURCE_V4: std::ops::RangeInclusive<u8> = 8..=30;
/// As [`TUNNEL_SOURCE_V4`].
pub const TUNNEL_SOURCE_V6: std::ops::RangeInclusive<u8> = 128 - lb_common::MAX_SOURCE_BITS..=126;

/// How packets are put in tunnels, for all services alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The UDP port of the reals, in mode `gue`.
    pub gue_port: u16,
    /// The outer source's prefix over IPv4, in which it differs by flow; `None`: the host's own address.
    pub source_v4: Option<Prefix>,
    /// The same over IPv6.
    pub source_v6: Option<Prefix>,
}

impl Default for Tunnel {
    fn default() -> Self {
        Self { gue_port: DEFAULT_GUE_PORT, source_v4: None, source_v6: None }
    }
}

impl Tunnel {
    /// The prefix of the outer source towards a real; `None`: the host's own address.
    #[must_use]
    pub fn source_to(&self, real: IpAddr) -> Option<Prefix> {
        if real.is_ipv4() { self.source_v4 } else { self.source_v6 }
    }
}
