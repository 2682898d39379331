//! From a packet's destination to its service.

use aya_ebpf::btf_maps::lpm_trie::Key;
use lb_common::{FlowKey, PORT_RANGE_FIXED_BITS, PortRangeKey, ServiceValue, VIP_HAS_PORT_RANGES, VipKey, VipValue};

use super::maps::{PORT_RANGES, SERVICES, VIPS};

/// The service of the flow's destination.
#[inline(always)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the key would be copied once more")]
pub fn find(key: &FlowKey) -> Option<ServiceValue> {
    // SAFETY: the value is copied at once. A service that is deleted meanwhile may give its slot to another, whose ring and
    // reals are then in the maps too: rows are written in that order.
    match unsafe { SERVICES.get(&key.service) } {
        Some(service) => Some(*service),
        None => find_range(key),
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

/// The service whose port range holds the flow's port. Out of line: most packets find their port at once.
#[inline(never)]
fn find_range(key: &FlowKey) -> Option<ServiceValue> {
    if vip(key)?.flags & VIP_HAS_PORT_RANGES == 0 {
        return None;
    }
    let data = PortRangeKey {
        vip: key.service.vip,
        family: key.service.family,
        protocol: key.service.protocol,
        port: key.service.port.to_be_bytes(),
    };
    PORT_RANGES.get(&Key::new(PORT_RANGE_FIXED_BITS + 16, data)).copied()
}
