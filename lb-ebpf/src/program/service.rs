//! From a packet's destination to its service.

use aya_ebpf::btf_maps::lpm_trie::Key;
use lb_common::{
    FlowKey, IndexedService, PORT_RANGE_FIXED_BITS, PortRangeKey, ServiceKey, ServiceValue, VIP_HAS_PORT_RANGES,
    VIP_PREFIX_FIXED_BITS, VipKey, VipPrefixKey, VipPrefixValue, VipValue, service_row_of,
};

use super::{
    maps::{PORT_RANGES, SERVICE_INDEX, SERVICES, VIP_PREFIXES, VIPS},
    nat,
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
fn look_up(key: &FlowKey) -> Result<ServiceValue, Missing> {
    match single(&vip_key(key)) {
        Some(vip) => of_vip(&key.service, vip),
        None if nat::has_vip_prefixes() => of_prefix(key),
        None => Err(Missing::VIP),
    }
}

/// The service of a VIP that is a whole prefix. Out of line, with the key of the prefix's first address on this stack.
#[inline(never)]
fn of_prefix(key: &FlowKey) -> Result<ServiceValue, Missing> {
    let row = prefix(&vip_key(key)).ok_or(Missing::VIP)?;
    let service = ServiceKey { vip: row.vip, ..key.service };
    of_vip(&service, row.value)
}

/// The service of a VIP that the row is of.
#[inline(always)]
fn of_vip(key: &ServiceKey, vip: VipValue) -> Result<ServiceValue, Missing> {
    // SAFETY: the value is copied at once. A service that is deleted meanwhile may give its slot to another, whose ring and
    // reals are then in the maps too: rows are written in that order.
    match unsafe { SERVICES.get(key) } {
        Some(service) => Ok(*service),
        None if vip.flags & VIP_HAS_PORT_RANGES != 0 => find_range(key).ok_or(Missing::SERVICE),
        None => Err(Missing::SERVICE),
    }
}

/// Whether the packet is for a VIP. Out of line, as [`is_single`]: the key takes none of the stack of what comes after.
#[inline(never)]
pub fn is_for_vip(key: &FlowKey) -> bool {
    is_vip(&vip_key(key))
}

/// Whether the packet's VIP is a single address.
#[inline(never)]
pub fn is_single(key: &FlowKey) -> bool {
    single(&vip_key(key)).is_some()
}

/// Whether the address is a VIP, by itself or as one of a prefix.
#[inline(always)]
pub fn is_vip(key: &VipKey) -> bool {
    single(key).is_some() || nat::has_vip_prefixes() && prefix(key).is_some()
}

#[inline(always)]
fn vip_key(key: &FlowKey) -> VipKey {
    VipKey { address: key.service.vip, family: key.service.family, reserved: [0; 3] }
}

/// The row of a VIP that is a single address.
#[inline(always)]
fn single(key: &VipKey) -> Option<VipValue> {
    // SAFETY: the value is copied at once.
    unsafe { VIPS.get(key) }.copied()
}

/// The row of the longest prefix that has the address. Out of line: it costs those who have no prefixes no stack.
#[inline(never)]
fn prefix(key: &VipKey) -> Option<&'static VipPrefixValue> {
    let data = VipPrefixKey { family: key.family, reserved: [0; 3], address: key.address };
    VIP_PREFIXES.get(&Key::new(VIP_PREFIX_FIXED_BITS + 128, data))
}

/// The service whose port range holds the port.
#[inline(always)]
fn find_range(key: &ServiceKey) -> Option<ServiceValue> {
    let data = PortRangeKey { vip: key.vip, family: key.family, protocol: key.protocol, port: key.port.to_be_bytes() };
    PORT_RANGES.get(&Key::new(PORT_RANGE_FIXED_BITS + 16, data)).copied()
}
