//! What the parser learns of a packet.

use core::mem::MaybeUninit;

use lb_common::FlowKey;

/// A parsed packet, and what the lookups add.
pub struct Packet {
    /// The flow; in a packet that is no flow's, the addresses and the family only.
    pub key: FlowKey,
    /// Offset of the IP header.
    pub l3: usize,
    /// Offset of the transport header, where there is one.
    pub l4: u32,
    /// IP length in bytes, header counted and Ethernet padding not.
    pub length: u32,
    /// Of a fragment: its identification.
    pub fragment_id: u32,
    /// The service's id.
    pub service: u32,
    /// The flow's slot.
    pub slot: u32,
    /// The service's forward mode.
    pub mode: u8,
    /// TOS or traffic class.
    pub tos: u8,
    /// TCP flags; zero where it is not TCP.
    pub tcp_flags: u8,
    /// Whole, a fragment, or an ICMP error.
    pub kind: Kind,
    /// IPv4 options or IPv6 extension headers are there.
    pub extended: bool,
}

impl Packet {
    /// Makes `place` a packet of which only the IP header's offset is known.
    ///
    /// Zeroed in place by single stores: LLVM makes a plain initialisation, or a move, a call of memset, which goes byte by byte.
    #[inline(always)]
    pub fn begin(place: &mut MaybeUninit<Self>, l3: usize) -> &mut Self {
        let words: *mut u64 = place.as_mut_ptr().cast();
        for word in 0..size_of::<Self>() / size_of::<u64>() {
            // SAFETY: inside the packet, whose size and alignment are multiples of a word's (asserted below).
            unsafe { words.add(word).write_volatile(0) };
        }
        // SAFETY: every byte is zero, which is a value of each field.
        let packet = unsafe { place.assume_init_mut() };
        packet.l3 = l3;
        packet
    }
}

const _: () = assert!(size_of::<Packet>().is_multiple_of(8) && align_of::<Packet>() == 8);

/// What a packet is to the forwarder. Not an enum: matching one makes LLVM build jump tables, which the verifier refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(u8);

impl Kind {
    // 0 is a whole packet.
    pub const FIRST_FRAGMENT: Self = Self(1);
    pub const LATER_FRAGMENT: Self = Self(2);
    pub const ICMP_ERROR: Self = Self(3);
}

/// What the parser says of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Class(u8);

impl Class {
    /// A TCP or UDP packet with ports.
    pub const FLOW: Self = Self(0);
    /// No IP packet.
    pub const NOT_IP: Self = Self(1);
    /// Another protocol than TCP, UDP, ICMP.
    pub const OTHER: Self = Self(2);
    /// A fragment without ports.
    pub const LATER_FRAGMENT: Self = Self(3);
    /// ICMP or ICMPv6, whole.
    pub const ICMP: Self = Self(4);
    pub const MALFORMED: Self = Self(5);
    pub const TRUNCATED: Self = Self(6);
    pub const EXTENSION_HEADERS: Self = Self(7);
}
