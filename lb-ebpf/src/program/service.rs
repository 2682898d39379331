//! From a packet's destination to its service.

use aya_ebpf::btf_maps::lpm_trie::Key;
use lb_common::{
    FlowKey, IndexedService, PORT_RANGE_FIXED_BITS, PortRangeKey, ServiceValue, VIP_HAS_PORT_RANGES, VipKey, VipValue,
    service_row_of,
};

use super::{
    maps::{PORT_RANGES, SERVICE_INDEX, SERVICES, VIPS},
    packet::key_words,
};

/// What a packet's destination lacks. Not an enum, as [`super::packet::Kind`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Missing(u8);

impl Missing {
    /// It is no VIP.
    pub const VIP: Self = Self(0);
    /// It is a VIP, and no service has the port.
    pub const SERVICE: Self = Self(1);
}

/// The service of the flow's destination. `v4` says that the key is an IPv4 flow's.
#[inline(always)]
pub fn find(key: &FlowKey, v4: bool) -> Result<ServiceValue, Missing> {
    let [_, _, vip, vip_end, ports] = key_words(key);
    // The rest of an IPv4 address is zero.
    let (vip, rest) = ([vip, if v4 { 0 } else { vip_end }], ports as u32);
    match SERVICE_INDEX.get(service_row_of(vip, rest.into())) {
        // A row loses its key some time before it is given to another service, longer than a packet takes.
        Some(row) if is_of(row, vip, rest, v4) => Ok(row.value),
        _ => look_up(key),
    }
}

/// Whether the row is that of the service with these words. By words, since LLVM makes a plain comparison of the keys a call
/// of bcmp, which goes byte by byte.
#[inline(always)]
fn is_of(row: &IndexedService, [vip, vip_end]: [u64; 2], rest: u32, v4: bool) -> bool {
    let (row_vip, row_rest): (*const u64, *const u32) =
        ((&raw const row.key.vip).cast(), (&raw const row.key.port).cast());
    // SAFETY: sixteen bytes and four, both within the key; their alignment does not matter to BPF.
    unsafe { row_vip.read() == vip && row_rest.read() == rest && (v4 || row_vip.add(1).read() == vip_end) }
}

/// The service of a destination that the index does not have: most often there is none, and the VIP is none either. Out of line:
/// most packets for a service find it in the index.
#[inline(never)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the key would be copied once more")]
fn look_up(key: &FlowKey) -> Result<ServiceValue, Missing> {
    let vip = vip(key).ok_or(Missing::VIP)?;
    // SAFETY: the value is copied at once. A service that is deleted meanwhile may give its slot to another, whose ring and
    // reals are then in the maps too: rows are written in that order.
    match unsafe { SERVICES.get(&key.service) } {
        Some(service) => Ok(*service),
        None if vip.flags & VIP_HAS_PORT_RANGES != 0 => find_range(key).ok_or(Missing::SERVICE),
        None => Err(Missing::SERVICE),
    }
}

/// The VIP that the packet is for.
#[inline(always)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the key would be copied once more")]
pub fn vip(key: &FlowKey) -> Option<VipValue> {
    let vip = VipKey { address: key.service.vip, family: key.service.family, reserved: [0; 3] };
    // SAFETY: the value is copied at once.
    unsafe { VIPS.get(&vip) }.copied()
}

/// The service whose port range holds the flow's port.
#[inline(always)]
fn find_range(key: &FlowKey) -> Option<ServiceValue> {
    let data = PortRangeKey {
        vip: key.service.vip,
        family: key.service.family,
        protocol: key.service.protocol,
        port: key.service.port.to_be_bytes(),
    };
    PORT_RANGES.get(&Key::new(PORT_RANGE_FIXED_BITS + 16, data)).copied()
}
