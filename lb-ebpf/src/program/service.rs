//! From a packet's destination to its service.

use core::mem;

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
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the key would be copied once more")]
fn look_up(key: &FlowKey) -> Result<ServiceValue, Missing> {
    let mut service = key.service;
    let vip = vip(&mut service).ok_or(Missing::VIP)?;
    // SAFETY: the value is copied at once. A service that is deleted meanwhile may give its slot to another, whose ring and
    // reals are then in the maps too: rows are written in that order.
    match unsafe { SERVICES.get(&service) } {
        Some(service) => Ok(*service),
        None if vip.flags & VIP_HAS_PORT_RANGES != 0 => find_range(&service).ok_or(Missing::SERVICE),
        None => Err(Missing::SERVICE),
    }
}

/// The row of the VIP that the key is of. Where that is a whole prefix, the key is its services' from then on. Out of line: deeper
/// in the stack there is no room for both.
#[inline(never)]
fn vip(service: &mut ServiceKey) -> Option<&'static VipValue> {
    let key = vip_key(service.vip, service.family);
    if let Some(vip) = single(&key) {
        return Some(vip);
    }
    let row = prefix(&key)?;
    service.vip = row.vip;
    Some(&row.value)
}

/// Whether the packet is for a VIP. Out of line, as [`is_single`]: the key takes none of the stack of what comes after.
#[inline(never)]
pub fn is_for_vip(key: &FlowKey) -> bool {
    is_vip(&vip_key(key.service.vip, key.service.family))
}

/// Whether the packet's VIP is a single address.
#[inline(never)]
pub fn is_single(key: &FlowKey) -> bool {
    single(&vip_key(key.service.vip, key.service.family)).is_some()
}

/// Whether the address is a VIP, by itself or as one of a prefix.
#[inline(always)]
pub fn is_vip(key: &VipKey) -> bool {
    single(key).is_some() || prefix(key).is_some()
}

/// The key of an address. By words: LLVM makes three reserved bytes that are zero a call of memset, with a stack of its own.
#[inline(always)]
pub fn vip_key(address: [u8; 16], family: u8) -> VipKey {
    let [a, b, c, d] = words(address);
    // SAFETY: as many bytes, and any are a key. The family is the first of the last four, the others are zero.
    unsafe { mem::transmute::<[u32; 5], VipKey>([a, b, c, d, u32::from(family).to_le()]) }
}

#[inline(always)]
fn words(address: [u8; 16]) -> [u32; 4] {
    // SAFETY: as many bytes, and any are four words.
    unsafe { mem::transmute::<[u8; 16], [u32; 4]>(address) }
}

/// The row of a VIP that is a single address.
#[inline(always)]
fn single(key: &VipKey) -> Option<&'static VipValue> {
    // SAFETY: a row that is deleted meanwhile is read as it was, or as that of another VIP: for this packet.
    unsafe { VIPS.get(key) }
}

/// The row of the longest prefix that has the address.
#[inline(always)]
fn prefix(key: &VipKey) -> Option<&'static VipPrefixValue> {
    if !nat::has_vip_prefixes() {
        return None;
    }
    let [a, b, c, d] = words(key.address);
    // SAFETY: as many bytes, and any are a key's data. The family is the first of the first four, the others are zero.
    let data = unsafe { mem::transmute::<[u32; 5], VipPrefixKey>([u32::from(key.family).to_le(), a, b, c, d]) };
    VIP_PREFIXES.get(&Key::new(VIP_PREFIX_FIXED_BITS + 128, data))
}

/// The service whose port range holds the port.
#[inline(always)]
fn find_range(key: &ServiceKey) -> Option<ServiceValue> {
    let data = PortRangeKey { vip: key.vip, family: key.family, protocol: key.protocol, port: key.port.to_be_bytes() };
    PORT_RANGES.get(&Key::new(PORT_RANGE_FIXED_BITS + 16, data)).copied()
}
