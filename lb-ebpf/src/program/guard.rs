//! What a service refuses (docs/reference/forwarding.md section 13, "Guards").

use aya_ebpf::{btf_maps::lpm_trie::Key, helpers::generated::bpf_ktime_get_coarse_ns};
use lb_common::{
    ACCESS_DENY, ACCESS_FIXED_BITS, AccessKey, DropReason, GUARD_ACCESS, GUARD_FLOOD, GUARD_LISTED_ONLY, GUARD_RATE,
    Guard, SourceKey, SourceValue,
};

use super::{
    count::drop,
    flags::{OUTCOME, first_bits},
    header::{TCP_ACK, TCP_SYN},
    maps::{ACCESS, GUARDS, SOURCES},
    packet::{Packet, key_words},
};

/// Bits of an address in an [`AccessKey`].
const ADDRESS_BITS: u32 = 128;

/// [`OUTCOME`] and what has become of the packet, where its service refuses it; else 1 where SYNs are not to be noted.
#[inline(always)]
pub fn look(packet: &Packet) -> u32 {
    guard_look(packet)
}

/// As [`look`]. Global; not a part of the decision, so that their stacks do not add up.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn guard_look(packet: *const Packet) -> u32 {
    // SAFETY: the caller has it on its stack.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let Some(guard) = GUARDS.get(packet.service) else { return 0 };
    if guard.flags & GUARD_ACCESS != 0 && is_denied(packet, guard) {
        return OUTCOME | drop(DropReason::AccessDenied);
    }
    let syn = packet.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN;
    if syn && guard.flags & GUARD_RATE != 0 && is_too_soon(packet, guard) {
        return OUTCOME | drop(DropReason::RateLimited);
    }
    u32::from(guard.flags & GUARD_FLOOD != 0)
}

/// Whether the service takes no packets from the source.
#[inline(always)]
fn is_denied(packet: &Packet, guard: &Guard) -> bool {
    let data = AccessKey { service: packet.service.to_be_bytes(), address: packet.key.client };
    match ACCESS.get(&Key::new(ACCESS_FIXED_BITS + ADDRESS_BITS, data)) {
        Some(access) => *access == ACCESS_DENY,
        None => guard.flags & GUARD_LISTED_ONLY != 0,
    }
}

/// Whether the source has begun too many flows; if not, this one is counted.
#[inline(always)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the key would be copied once more")]
fn is_too_soon(packet: &Packet, guard: &Guard) -> bool {
    // SAFETY: the helper has no conditions.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let key = source(packet, guard.source_bits);
    let Some(entry) = SOURCES.get_ptr_mut(&key) else {
        // The LRU makes room by itself; should it fail under contention, the source has one flow more.
        let _ = SOURCES.insert(&key, SourceValue { due_ns: now.wrapping_add(guard.interval_ns) }, 0);
        return false;
    };
    // SAFETY: the entry stays allocated while the program runs. Where two CPUs are at it at once, one of their flows may not be counted.
    let entry = unsafe { &mut *entry };
    let due = entry.due_ns.max(now);
    if due - now > guard.burst_ns {
        return true;
    }
    entry.due_ns = due.wrapping_add(guard.interval_ns);
    false
}

/// Who the packet's sender is to the limit.
#[inline(always)]
fn source(packet: &Packet, bits: u8) -> SourceKey {
    let [client, client_end, ..] = key_words(&packet.key);
    let bits = u32::from(bits);
    let words = [client & first_bits(bits), client_end & first_bits(bits.saturating_sub(u64::BITS))];
    // SAFETY: sixteen bytes either way.
    let address = unsafe { core::mem::transmute::<[u64; 2], [u8; 16]>(words) };
    SourceKey { service: packet.service, address }
}
