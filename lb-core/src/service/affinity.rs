//! Affinity: all flows of a client go to the same real.

use super::Service;

/// What makes a client, and how long it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// The leading bits of an address that make a client, 1 to 32 or 128.
    pub prefix: u8,
    /// A client that is silent for so long may be forgotten, in milliseconds; `None`: as long as a flow.
    pub timeout_ms: Option<u64>,
}

impl Service {
    /// The most bits that an address of its clients has.
    #[must_use]
    pub const fn address_bits(&self) -> u8 {
        if self.vip.is_ipv4() { 32 } else { 128 }
    }
}
