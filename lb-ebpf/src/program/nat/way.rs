//! The way of a reply to its client, by the kernel's own tables.

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH,
        BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as FibLookup, xdp_action::XDP_PASS,
    },
    helpers::bpf_fib_lookup,
};
use lb_common::{DropReason, FAMILY_V4, FAMILY_V6, WantedNeighbour};

use crate::program::{
    count::drop,
    frame::Frame,
    header::{address4, address16, words},
    ipv6,
    maps::WANTED_NEIGHBOURS,
    packet::{Kind, Packet},
};

/// What the kernel is asked, and then what it has answered: a `struct bpf_fib_lookup` by words.
pub type Way = [u32; WORDS];

const WORDS: usize = size_of::<FibLookup>() / size_of::<u32>();
/// Places in the struct, in words; the MAC addresses' in half words.
const INTERFACE: usize = 2;
const SOURCE: usize = 4;
const DESTINATION: usize = 8;
const SOURCE_MAC: usize = 26;
const DESTINATION_MAC: usize = 29;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// The way is found: no verdict.
pub const FOUND: u32 = u32::MAX;

/// The question for the way of a reply of `vip`.
#[inline(always)]
pub fn wanted(frame: Frame, packet: &Packet, vip: &[u8; 16]) -> Way {
    let v4 = packet.key.service.family == FAMILY_V4;
    // In IPv6 what a later fragment is of is not known for certain: the walk has ended at its fragment header.
    let is_later = !v4 && packet.kind == Kind::LATER_FRAGMENT;
    let protocol = if is_later { ipv6::FRAGMENT } else { packet.key.service.protocol };
    let class = u32::from(packet.tos);
    // Filled in place: made anew and moved it would have its size of the stack twice.
    let mut way = [0; WORDS];
    way[0] = if v4 { AF_INET } else { AF_INET6 } | u32::from(protocol) << 8;
    way[1] = packet.length << 16;
    way[INTERFACE] = frame.ingress_ifindex();
    way[INTERFACE + 1] = if v4 { class } else { (class << 20).to_be() };
    way[SOURCE..DESTINATION].copy_from_slice(&words(vip));
    way[DESTINATION..DESTINATION + 4].copy_from_slice(&words(&packet.key.service.vip));
    way
}

/// Asks the kernel. [`FOUND`], or what becomes of the packet.
#[inline(never)]
pub fn find(frame: Frame, way: &mut Way) -> u32 {
    let length = size_of::<FibLookup>() as i32;
    // SAFETY: the helper reads and writes `length` bytes, which `way` has.
    let answer = unsafe { bpf_fib_lookup(frame.0.cast(), way.as_mut_ptr().cast(), length, 0) };
    if answer == i64::from(BPF_FIB_LKUP_RET_SUCCESS) {
        return FOUND;
    }
    if answer == i64::from(BPF_FIB_LKUP_RET_NOT_FWDED) || answer < 0 {
        return XDP_PASS;
    }
    if answer == i64::from(BPF_FIB_LKUP_RET_NO_NEIGH) {
        want_neighbour(way);
        return drop(DropReason::NoNeighbour);
    }
    drop(refusal(answer))
}

#[inline(always)]
fn refusal(answer: i64) -> DropReason {
    if answer == i64::from(BPF_FIB_LKUP_RET_FWD_DISABLED) {
        DropReason::NotForwarding
    } else if answer == i64::from(BPF_FIB_LKUP_RET_FRAG_NEEDED) {
        DropReason::TooBig
    } else {
        DropReason::NoRoute
    }
}

/// Has the daemon make the kernel ask for the next hop's MAC address. Where there is no room for it others are asked for already.
#[inline(always)]
fn want_neighbour(way: &Way) {
    let v4 = way[0] & 0xff == AF_INET;
    let hop = [way[DESTINATION], way[DESTINATION + 1], way[DESTINATION + 2], way[DESTINATION + 3]];
    let Some(mut entry) = WANTED_NEIGHBOURS.reserve(0) else { return };
    entry.write(WantedNeighbour {
        address: if v4 { address4(hop[0]) } else { address16(hop) },
        ifindex: way[INTERFACE],
        family: if v4 { FAMILY_V4 } else { FAMILY_V6 },
        reserved: [0; 3],
    });
    entry.submit(0);
}

/// The interface of the way.
#[inline(always)]
pub fn interface(way: &Way) -> u32 {
    way[INTERFACE]
}

/// Addresses the frame to the next hop.
#[inline(always)]
pub fn write_macs(frame: Frame, way: &Way) -> bool {
    let Some(macs) = frame.at::<[[u16; 3]; 2]>(0) else { return false };
    let halves: *const u16 = way.as_ptr().cast();
    for half in 0..3 {
        // SAFETY: `at` has checked the destination; both addresses are inside the struct (asserted below).
        unsafe {
            (*macs)[0][half] = halves.add(DESTINATION_MAC + half).read();
            (*macs)[1][half] = halves.add(SOURCE_MAC + half).read();
        }
    }
    true
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<FibLookup>() == 64);
    assert!(offset_of!(FibLookup, l4_protocol) == 1 && offset_of!(FibLookup, ifindex) == INTERFACE * 4);
    assert!(offset_of!(FibLookup, smac) == SOURCE_MAC * 2 && offset_of!(FibLookup, dmac) == DESTINATION_MAC * 2);
};
