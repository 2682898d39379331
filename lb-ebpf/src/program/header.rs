//! Headers as they are on the wire, and the Ethernet header. Multi-byte fields are in network order.

use core::arch::asm;

use aya_ebpf::helpers::bpf_csum_diff;
use lb_common::{DEFAULT_TTL, FlowKey, MAX_VLAN_TAGS};

use super::{
    frame::{Bounds, Frame},
    packet::Ports,
};

/// EtherTypes, in network order as everything here.
pub const ETHER_TYPE_ARP: u16 = 0x0806_u16.to_be();
pub const ETHER_TYPE_IPV4: u16 = 0x0800_u16.to_be();
pub const ETHER_TYPE_IPV6: u16 = 0x86dd_u16.to_be();
pub const ETHER_TYPE_VLAN: u16 = 0x8100_u16.to_be();
pub const ETHER_TYPE_QINQ: u16 = 0x88a8_u16.to_be();
/// Length of an Ethernet header without tags.
pub const ETHERNET_LENGTH: usize = 14;
/// Length of one VLAN tag.
pub const VLAN_TAG_LENGTH: usize = 4;

/// Don't fragment, in an IPv4 header's fragment field.
pub const IPV4_DF: u16 = 0x4000;
/// More fragments.
pub const IPV4_MF: u16 = 0x2000;
/// The fragment offset's bits.
pub const IPV4_OFFSET: u16 = 0x1fff;

pub const TCP_FIN: u8 = 0x01;
pub const TCP_SYN: u8 = 0x02;
pub const TCP_RST: u8 = 0x04;
pub const TCP_ACK: u8 = 0x10;

pub const PROTOCOL_ICMP: u8 = 1;
pub const PROTOCOL_IPV4: u8 = 4;
pub const PROTOCOL_IPV6: u8 = 41;
pub const PROTOCOL_ICMPV6: u8 = 58;

/// RFC 791 section 3.1.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Ipv4Header {
    pub version_ihl: u8,
    pub tos: u8,
    pub total_length: u16,
    pub id: u16,
    pub fragment: u16,
    pub ttl: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub source: u32,
    pub destination: u32,
}

impl Ipv4Header {
    /// A header of the program's own, with its checksum: no options, no fragment and none to be made, and so no identification
    /// (RFC 6864 section 4.1). `length` is the packet's, in host order.
    #[inline(always)]
    pub fn new(tos: u8, length: u32, protocol: u8, source: u32, destination: u32) -> Self {
        let mut header = Self {
            version_ihl: 0x45,
            tos,
            total_length: (length as u16).to_be(),
            id: 0,
            fragment: IPV4_DF.to_be(),
            ttl: DEFAULT_TTL,
            protocol,
            checksum: 0,
            source,
            destination,
        };
        header.checksum = header.computed_checksum();
        header
    }

    /// The checksum of this header, which has no options. The field itself counts as zero.
    #[inline(always)]
    pub fn computed_checksum(&self) -> u16 {
        let first = u16::from_ne_bytes([self.version_ihl, self.tos]);
        let fifth = u16::from_ne_bytes([self.ttl, self.protocol]);
        let sum = u32::from(first)
            + u32::from(self.total_length)
            + u32::from(self.id)
            + u32::from(self.fragment)
            + u32::from(fifth)
            + (self.source & 0xffff)
            + (self.source >> 16)
            + (self.destination & 0xffff)
            + (self.destination >> 16);
        !fold(sum)
    }
}

/// RFC 8200 section 3.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Ipv6Header {
    pub version_class_label: u32,
    pub payload_length: u16,
    pub next_header: u8,
    pub hop_limit: u8,
    pub source: [u32; 4],
    pub destination: [u32; 4],
}

impl Ipv6Header {
    /// A header of the program's own. `payload_length` is in host order.
    #[inline(always)]
    pub fn new(class: u8, payload_length: u32, next_header: u8, source: [u32; 4], destination: [u32; 4]) -> Self {
        Self {
            version_class_label: (6 << 28 | u32::from(class) << 20).to_be(),
            payload_length: (payload_length as u16).to_be(),
            next_header,
            hop_limit: DEFAULT_TTL,
            source,
            destination,
        }
    }

    /// Both addresses as the words of a flow's key.
    #[inline(always)]
    pub fn address_words(&self) -> [u64; 4] {
        let words: *const u64 = (&raw const self.source).cast();
        // SAFETY: the addresses are four words, one after the other (asserted below); their alignment does not matter to BPF.
        // Volatile, since LLVM makes a plain copy a call of memcpy, which goes byte by byte.
        unsafe { [0, 1, 2, 3].map(|word| words.add(word).read_volatile()) }
    }

    /// The traffic class.
    #[inline(always)]
    pub fn traffic_class(&self) -> u8 {
        (u32::from_be(self.version_class_label) >> 20) as u8
    }
}

const _: () = {
    let source = core::mem::offset_of!(Ipv6Header, source);
    assert!(core::mem::offset_of!(Ipv6Header, destination) == source + 16 && size_of::<Ipv6Header>() == source + 32);
};

/// RFC 9293 section 3.1, without the options.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct TcpHeader {
    pub ports: Ports,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub data_offset: u8,
    pub flags: u8,
    pub window: u16,
    pub checksum: u16,
    pub urgent: u16,
}

/// RFC 768; its ports are where TCP has them.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct UdpHeader {
    pub ports: Ports,
    pub length: u16,
    pub checksum: u16,
}

/// RFC 9260 section 3.1; its ports are where TCP has them.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct SctpHeader {
    pub ports: Ports,
    pub verification_tag: u32,
    pub checksum: u32,
}

/// RFC 792 and RFC 4443 section 2.1.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct IcmpHeader {
    pub kind: u8,
    pub code: u8,
    pub checksum: u16,
    /// Unused, or the MTU.
    pub rest: u32,
}

/// RFC 826, for IPv4 over Ethernet. Halves of addresses, so that there is no padding.
#[repr(C)]
pub struct ArpPacket {
    pub hardware: u16,
    pub protocol: u16,
    pub lengths: [u8; 2],
    pub operation: u16,
    pub sender_mac: [u16; 3],
    pub sender: [u16; 2],
    pub target_mac: [u16; 3],
    pub target: u32,
}

const ARP_REQUEST: u16 = 1_u16.to_be();

impl ArpPacket {
    /// Whether it asks for the MAC address of an IPv4 address, of whatever kind of hardware.
    #[inline(always)]
    pub fn is_request(&self) -> bool {
        self.protocol == ETHER_TYPE_IPV4 && self.lengths == [6, 4] && self.operation == ARP_REQUEST
    }
}

/// RFC 4861 section 4.3, without the options.
#[repr(C)]
#[derive(Default)]
pub struct NeighbourSolicitation {
    pub icmp: IcmpHeader,
    pub target: [u32; 4],
}

const NEIGHBOUR_SOLICITATION: u8 = 135;

impl NeighbourSolicitation {
    /// Whether the message is one.
    #[inline(always)]
    pub fn is_one(&self) -> bool {
        self.icmp.kind == NEIGHBOUR_SOLICITATION
    }
}

const _: () = {
    assert!(size_of::<ArpPacket>() == 28 && core::mem::offset_of!(ArpPacket, target) == 24);
    assert!(size_of::<NeighbourSolicitation>() == 24);
};

/// A field of 16 bits in the host's order, as a length or an offset.
///
/// Linux 6.1's verifier knows nothing of the result of a byte swap, and LLVM drops a mask that it can prove to be idle.
#[inline(always)]
pub fn host16(field: u16) -> u32 {
    let mut value = u64::from(u16::from_be(field));
    // SAFETY: clears the upper bits of a register.
    unsafe { asm!("{0} &= 0xffff", inout(reg) value, options(pure, nomem, nostack)) };
    value as u32
}

/// A ones' complement sum folded to 16 bits (RFC 1071).
#[inline(always)]
pub fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

/// The ones' complement sum of `length` bytes, a multiple of 4, and `seed`, not folded.
///
/// # Safety
/// `data` points at `length` bytes, on the stack or inside the frame.
#[inline(always)]
pub unsafe fn sum(data: *const u32, length: u32, seed: u32) -> u32 {
    // SAFETY: by the function's own contract; the helper reads only.
    unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, data.cast_mut(), length, seed) as u32 }
}

/// The sum of a pseudo-header between the addresses of `key`, with that of the rest: see [`length_and_protocol`]. Both families' (RFC 9293
/// section 3.1, RFC 8200 section 8.1) are of the same words, if in another order: the zeros after an IPv4 address add nothing.
#[inline(always)]
pub fn pseudo_header(key: &FlowKey, rest: u32) -> u32 {
    // SAFETY: both addresses are at the key's start (asserted in `packet`).
    unsafe { sum((&raw const *key).cast(), 2 * size_of::<[u8; 16]>() as u32, rest) }
}

/// The sum of what a pseudo-header has beside the addresses.
pub const fn length_and_protocol(length: u32, protocol: u8) -> u32 {
    let (sum, carry) = length.to_be().overflowing_add((protocol as u32).to_be());
    sum + carry as u32
}

/// An IPv4 address as lb-common's keys have it.
#[inline(always)]
pub fn address4(address: u32) -> [u8; 16] {
    address16([address, 0, 0, 0])
}

/// An IPv6 address as lb-common's keys have it.
#[inline(always)]
pub fn address16(address: [u32; 4]) -> [u8; 16] {
    // SAFETY: sixteen bytes either way, and any bytes are a value of both.
    unsafe { core::mem::transmute(address) }
}

/// The words of an address of lb-common's, in network order as they were.
#[inline(always)]
pub fn words(address: &[u8; 16]) -> [u32; 4] {
    // SAFETY: as in `address16`.
    unsafe { core::mem::transmute(*address) }
}

/// Offset of what follows the Ethernet header and its tags, and its EtherType; `None` where the frame is too short.
#[inline(always)]
pub fn ethernet(frame: Bounds) -> Option<(usize, u16)> {
    let mut end = ETHERNET_LENGTH;
    let mut ether_type = ether_type_before(frame, end)?;
    for _ in 0..MAX_VLAN_TAGS {
        if ether_type != ETHER_TYPE_VLAN && ether_type != ETHER_TYPE_QINQ {
            break;
        }
        end += VLAN_TAG_LENGTH;
        ether_type = ether_type_before(frame, end)?;
    }
    Some((end, ether_type))
}

/// Swaps the MAC addresses: the frame goes back where it came from. False where they are not inside the frame.
#[inline(always)]
pub fn swap_macs(frame: Frame) -> bool {
    let Some(macs) = frame.at::<[[u16; 3]; 2]>(0) else { return false };
    // SAFETY: `at` has checked that both addresses are inside the frame.
    let macs = unsafe { &mut *macs };
    *macs = [macs[1], macs[0]];
    true
}

/// The EtherType that ends at offset `end`; `None` where the frame is too short.
#[inline(always)]
pub fn ether_type_before(frame: Bounds, end: usize) -> Option<u16> {
    let field: *mut u16 = frame.at(end - 2)?;
    // SAFETY: `at` has checked that the field is inside the frame.
    Some(unsafe { *field })
}

/// The VLAN tags of a frame, to be written again where its start has moved.
pub struct Tags([[u16; 2]; MAX_VLAN_TAGS]);

/// Offset of the first tag, or of the EtherType.
const TAGS_AT: usize = ETHERNET_LENGTH - 2;

impl Tags {
    /// The tags of a frame whose network header is at `l3`.
    #[inline(always)]
    pub fn read(frame: Frame, l3: usize) -> Option<Self> {
        let mut tags = [[0; 2]; MAX_VLAN_TAGS];
        if l3 >= ETHERNET_LENGTH + VLAN_TAG_LENGTH {
            // SAFETY: `at` has checked that the tag is inside the frame.
            tags[0] = unsafe { *frame.at::<[u16; 2]>(TAGS_AT)? };
        }
        if l3 >= ETHERNET_LENGTH + 2 * VLAN_TAG_LENGTH {
            // SAFETY: as above.
            tags[1] = unsafe { *frame.at::<[u16; 2]>(TAGS_AT + VLAN_TAG_LENGTH)? };
        }
        Some(Self(tags))
    }

    /// Writes the tags and the EtherType after them; the network header is at `l3`.
    #[inline(always)]
    pub fn write(&self, frame: Bounds, l3: usize, ether_type: u16) -> bool {
        if l3 >= ETHERNET_LENGTH + VLAN_TAG_LENGTH {
            let Some(tag) = frame.at(TAGS_AT) else { return false };
            // SAFETY: `at` has checked that the tag is inside the frame.
            unsafe { *tag = self.0[0] };
        }
        if l3 >= ETHERNET_LENGTH + 2 * VLAN_TAG_LENGTH {
            let Some(tag) = frame.at(TAGS_AT + VLAN_TAG_LENGTH) else { return false };
            // SAFETY: as above.
            unsafe { *tag = self.0[1] };
        }
        let Some(field) = frame.at::<u16>(l3 - 2) else { return false };
        // SAFETY: as above.
        unsafe { *field = ether_type };
        true
    }

    /// As [`Tags::write`], where the verifier does not know `l3`.
    #[inline(always)]
    pub fn write_somewhere(&self, frame: Bounds, l3: usize, ether_type: u16) -> Option<()> {
        for (number, tag) in self.0.iter().enumerate() {
            let at = TAGS_AT + number * VLAN_TAG_LENGTH;
            if at < l3 - 2 {
                // SAFETY: `somewhere` has checked that the tag is inside the frame.
                unsafe { *frame.somewhere(at)? = *tag };
            }
        }
        // SAFETY: as above.
        unsafe { *frame.somewhere(l3 - 2)? = ether_type };
        Some(())
    }
}
