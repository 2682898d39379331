//! VIPs that are whole prefixes.

use std::net::IpAddr;

use super::{Prefix, Service};

/// The shortest prefix of IPv4 addresses that can be a VIP.
pub const MIN_VIP_PREFIX_V4: u8 = 8;
/// The shortest prefix of IPv6 addresses that can be a VIP.
pub const MIN_VIP_PREFIX_V6: u8 = 16;

impl Service {
    /// All addresses that are its VIP.
    #[must_use]
    pub fn vips(&self) -> Prefix {
        Prefix::around(self.vip, self.vip_prefix.unwrap_or_else(|| self.address_bits()))
    }

    /// Whether the address is its VIP, or one of them.
    #[must_use]
    pub fn has_vip(&self, address: IpAddr) -> bool {
        self.vip == address || self.vip_prefix.is_some() && self.vips().contains(address)
    }
}
