//! What the parser learns of a packet.

use core::mem::MaybeUninit;

use lb_common::{
    FAMILY_V4, FlowKey, MAX_VLAN_TAGS, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, ServiceKey, flow_hash_v4,
    flow_hash_v6,
};

use super::header::{ETHERNET_LENGTH, Ipv4Header, Ipv6Header, VLAN_TAG_LENGTH};

/// A parsed packet, and what the lookups add.
pub struct Packet {
    /// The flow; in a packet that is no flow's, the addresses and the family only.
    pub key: FlowKey,
    /// Offset of the IP header.
    pub l3: usize,
    /// Of an ICMP packet, and of one with options or extension headers: offset of what follows the IP headers.
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
    /// For a while the key is its client's, and `service` the one whose ring it has: see [`super::flags`].
    pub of_client: bool,
}

impl Packet {
    /// Makes `place` a packet of which the IP header's offset and the flow's key are known.
    ///
    /// Filled in place by single stores: LLVM makes a plain initialisation, or a move, a call of memset, which goes byte by byte.
    #[inline(always)]
    pub fn begin(place: &mut MaybeUninit<Self>, l3: usize, key: [u64; KEY_WORDS]) -> &mut Self {
        let words: *mut u64 = place.as_mut_ptr().cast();
        for (word, value) in key.into_iter().enumerate() {
            // SAFETY: the key has as many words, and is the packet's first field (asserted below).
            unsafe { words.add(word).write_volatile(value) };
        }
        for word in KEY_WORDS..size_of::<Self>() / size_of::<u64>() {
            let value = if word == L3_WORD { l3 as u64 } else { 0 };
            // SAFETY: inside the packet, whose size and alignment are multiples of a word's (asserted below).
            unsafe { words.add(word).write_volatile(value) };
        }
        // SAFETY: every byte is set, and zero is a value of each field.
        unsafe { place.assume_init_mut() }
    }

    /// Offset of the IP header, where the verifier has lost sight of it.
    #[inline(always)]
    pub fn network(&self) -> usize {
        self.l3 & FARTHEST_NETWORK
    }

    /// Offset of the transport header.
    #[inline(always)]
    pub fn transport(&self) -> u32 {
        let plain =
            if self.key.service.family == FAMILY_V4 { size_of::<Ipv4Header>() } else { size_of::<Ipv6Header>() };
        if self.extended { self.l4 } else { (self.l3 + plain) as u32 }
    }

    /// Sets the key's ports, and what lies beside them. By one store: the map lookups read words, and a load that spans several
    /// stores waits until all of them have left the CPU's buffer.
    #[inline(always)]
    pub fn set_ports(&mut self, family: u8, protocol: u8, ports: Ports) {
        let word = service_end(family, protocol) | ports.word();
        // SAFETY: the key has that word (asserted below). Volatile, so that LLVM does not split the store.
        unsafe { (&raw mut self.key).cast::<u64>().add(PORTS_WORD).write_volatile(word) };
    }
}

/// Whether the protocol is one that services have.
#[inline(always)]
pub fn has_ports(protocol: u8) -> bool {
    protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP
}

/// The last word of a key without ports.
#[inline(always)]
pub fn service_end(family: u8, protocol: u8) -> u64 {
    u64::from(protocol) << 16 | u64::from(family) << 24
}

/// The ports of a TCP, UDP or SCTP header as they are on the wire: the source's first.
#[repr(transparent)]
#[derive(Clone, Copy, Default)]
pub struct Ports(u32);

impl Ports {
    /// By ports in host order.
    #[inline(always)]
    pub fn new(source: u16, destination: u16) -> Self {
        Self((u32::from(source) << 16 | u32::from(destination)).to_be())
    }

    /// Those of the answer.
    #[inline(always)]
    pub fn swapped(self) -> Self {
        Self(self.0.rotate_right(16))
    }

    /// The ports where a key's last word has them.
    #[inline(always)]
    fn word(self) -> u64 {
        let ports = u64::from(u32::from_be(self.0));
        (ports & 0xffff) | ports >> 16 << 32
    }
}

/// The words of a key.
#[inline(always)]
pub fn key_words(key: &FlowKey) -> [u64; KEY_WORDS] {
    // SAFETY: as many words, of a multiple of a word's alignment (asserted below).
    unsafe { *(&raw const *key).cast() }
}

/// Makes these words the key.
#[inline(always)]
pub fn set_key(key: &mut FlowKey, words: [u64; KEY_WORDS]) {
    let place: *mut u64 = (&raw mut *key).cast();
    for (at, word) in words.into_iter().enumerate() {
        // SAFETY: the key has as many words (asserted below). Volatile: see `Packet::begin`.
        unsafe { place.add(at).write_volatile(word) };
    }
}

/// [`lb_common::flow_hash`], by words.
#[inline(always)]
pub fn flow_hash(key: &FlowKey, v4: bool) -> u32 {
    let [client, client_end, vip, vip_end, ports] = key_words(key);
    let ports = ports >> 32 | (ports & u64::from(u32::MAX)) << 16;
    if v4 { flow_hash_v4(client | vip << 32, ports) } else { flow_hash_v6([client, client_end, vip, vip_end], ports) }
}

/// Behind an Ethernet header and as many VLAN tags as are parsed; a mask.
const FARTHEST_NETWORK: usize = 0x1f;
const _: () = assert!(ETHERNET_LENGTH + MAX_VLAN_TAGS * VLAN_TAG_LENGTH <= FARTHEST_NETWORK);

const KEY_WORDS: usize = size_of::<FlowKey>() / size_of::<u64>();
/// Port, protocol, family and client port.
const PORTS_WORD: usize = 4;
const L3_WORD: usize = core::mem::offset_of!(Packet, l3) / size_of::<u64>();

const _: () = {
    use core::mem::offset_of;
    let port = offset_of!(FlowKey, service) + offset_of!(ServiceKey, port);
    assert!(offset_of!(Packet, key) == 0 && align_of::<FlowKey>() == 8);
    assert!(offset_of!(FlowKey, client) == 0);
    assert!(offset_of!(FlowKey, service) + offset_of!(ServiceKey, vip) == 2 * 8);
    assert!(port == PORTS_WORD * 8);
    assert!(offset_of!(ServiceKey, protocol) == offset_of!(ServiceKey, port) + 2);
    assert!(offset_of!(ServiceKey, family) == offset_of!(ServiceKey, port) + 3);
    assert!(offset_of!(FlowKey, client_port) == port + 4);
    assert!(KEY_WORDS == PORTS_WORD + 1);
};

const _: () = assert!(size_of::<Packet>().is_multiple_of(8) && align_of::<Packet>() == 8);

/// What a packet is to the forwarder. Not an enum: matching one makes LLVM build jump tables, which the verifier refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(u8);

impl Kind {
    pub const WHOLE: Self = Self(0);
    pub const FIRST_FRAGMENT: Self = Self(1);
    pub const LATER_FRAGMENT: Self = Self(2);
    pub const ICMP_ERROR: Self = Self(3);
}

/// What the parser says of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Class(u8);

impl Class {
    /// A TCP, UDP or SCTP packet with ports.
    pub const FLOW: Self = Self(0);
    /// Another protocol than TCP, UDP, SCTP, ICMP.
    pub const OTHER: Self = Self(2);
    /// A fragment without ports.
    pub const LATER_FRAGMENT: Self = Self(3);
    /// ICMP or ICMPv6, whole.
    pub const ICMP: Self = Self(4);
    pub const MALFORMED: Self = Self(5);
    pub const TRUNCATED: Self = Self(6);
    pub const EXTENSION_HEADERS: Self = Self(7);

    /// The class of a number, as a global function has it.
    #[inline(always)]
    pub fn of(number: u32) -> Self {
        Self(number as u8)
    }

    #[inline(always)]
    pub fn number(self) -> u32 {
        u32::from(self.0)
    }
}
