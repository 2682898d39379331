//! What random states have of VIPs that are whole prefixes: a wide one, a narrow one in it, and others by chance.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use lb_common::{
    FAMILY_V4, FAMILY_V6, NAT_VIP_PREFIXES, VIP_HAS_PORT_RANGES, VipKey, VipPrefixKey, VipPrefixValue, VipValue,
};
use lb_tests::model::State;
use lb_tests::world::address_of;

/// Addresses of the wide prefix that packets go to; the narrow one has the second half of them.
pub const ADDRESSES: u8 = 8;
const FIRST_NARROW: u8 = 4;

/// An address of the prefixes.
pub fn address(family: u8, n: u8) -> IpAddr {
    match family {
        FAMILY_V4 => Ipv4Addr::new(198, 19, 0, n).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0x5000, 0, 0, 0, 0, n.into()).into(),
    }
}

/// Any of them.
pub fn any_address(rng: &mut Rng, family: u8) -> IpAddr {
    address(family, rng.u8(..ADDRESSES))
}

/// A prefix, by its first address and its length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    Wide,
    Narrow,
}

impl Prefix {
    pub fn of(self, family: u8) -> (IpAddr, u32) {
        let all = bits_of(family);
        match self {
            Self::Wide => (address(family, 0), all / 2),
            Self::Narrow => (address(family, FIRST_NARROW), all - 2),
        }
    }

    /// An address that it has, or that a longer one has.
    pub fn any_address(self, rng: &mut Rng, family: u8) -> IpAddr {
        match self {
            Self::Wide if rng.u8(..4) > 0 => address(family, rng.u8(..FIRST_NARROW)),
            Self::Wide => any_address(rng, family),
            Self::Narrow => address(family, rng.u8(FIRST_NARROW..ADDRESSES)),
        }
    }
}

fn bits_of(family: u8) -> u32 {
    if family == FAMILY_V4 { 32 } else { 128 }
}

/// Adds to a state that has the services of prefixes.
pub fn add(rng: &mut Rng, state: &mut State) {
    for family in [FAMILY_V4, FAMILY_V6] {
        for _ in 0..rng.usize(..4) {
            add_row(rng, state, family);
        }
        if rng.u8(..4) == 0 {
            let (address, family) = address_of(any_address(rng, family));
            let flags = [0, VIP_HAS_PORT_RANGES, rng.u32(..)][rng.usize(..3)];
            state.vips.insert(VipKey { address, family, reserved: [0; 3] }, VipValue { flags });
        }
    }
    let on = rng.u8(..8) > 0;
    state.nat.flags = state.nat.flags & !NAT_VIP_PREFIXES | if on { NAT_VIP_PREFIXES } else { 0 };
    for family in [FAMILY_V4, FAMILY_V6] {
        own_services(rng, state, family, on);
    }
}

/// First addresses of prefixes get services of their own and no others', or they become VIPs by themselves: what is other than
/// that is not for the program (section 15).
fn own_services(rng: &mut Rng, state: &mut State, family: u8, on: bool) {
    for prefix in [Prefix::Wide, Prefix::Narrow] {
        let (address, family) = address_of(prefix.of(family).0);
        let value = VipValue { flags: any_flags(rng) };
        if on {
            let row = VipPrefixValue { vip: address, value };
            state.vip_prefixes.insert((bits_of(family), VipPrefixKey { family, reserved: [0; 3], address }), row);
        } else {
            state.vips.insert(VipKey { address, family, reserved: [0; 3] }, value);
        }
    }
}

fn any_flags(rng: &mut Rng) -> u32 {
    [0, VIP_HAS_PORT_RANGES, VIP_HAS_PORT_RANGES, rng.u32(..)][rng.usize(..4)]
}

/// One more row, or another in the place of one: of any length, with the services of either prefix.
fn add_row(rng: &mut Rng, state: &mut State, family: u8) {
    let all = bits_of(family);
    let bits = [all, all - 1, all - 2, all - 3, all / 2, rng.u32(all / 4..all)][rng.usize(..6)];
    let whole = u128::from_be_bytes(address_of(any_address(rng, family)).0);
    let address = (whole & u128::MAX << (128 - bits)).to_be_bytes();
    let prefix = if rng.bool() { Prefix::Wide } else { Prefix::Narrow };
    let row = VipPrefixValue { vip: address_of(prefix.of(family).0).0, value: VipValue { flags: any_flags(rng) } };
    state.vip_prefixes.insert((bits, VipPrefixKey { family, reserved: [0; 3], address }), row);
}
