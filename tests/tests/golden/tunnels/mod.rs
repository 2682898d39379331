//! Tunnels: mode `gue`, and outer sources that differ by flow in both tunnel modes.

pub mod gue;
pub mod sources;

use crate::services::*;
use crate::world::*;

/// Inner and outer family.
pub struct Way {
    pub name: &'static str,
    pub family: u8,
    pub outer: u8,
}

pub const WAYS: [Way; 3] = [
    Way { name: "v4 in v4", family: V4, outer: V4 },
    Way { name: "v4 in v6", family: V4, outer: V6 },
    Way { name: "v6 in v6", family: V6, outer: V6 },
];

impl Way {
    pub fn near(&self) -> u16 {
        near(self.outer)
    }

    pub fn far(&self) -> u16 {
        far(self.outer)
    }
}
