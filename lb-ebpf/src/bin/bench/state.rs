//! What the bench's programs need from round to round. It lies in the frame, behind the packet; the program and the bench
//! in user space both include this file.

/// Where the state is in the frame: on a cache line of its own, since the frame begins on one.
pub const STATE_AT: usize = 128;
/// Length of the frame: the packet, room, and the state.
pub const FRAME_LENGTH: usize = STATE_AT + size_of::<State>();
/// Words of an IPv6 and a TCP header.
pub const WORDS_V6: usize = 15;
/// The flow's number gives the client's address by as many of its low bits, and the client's port by the rest.
pub const ADDRESS_BITS: u32 = 17;
/// The lowest client port.
pub const FIRST_PORT: u16 = 1_024;

/// The state.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The next round's flow.
    pub next: u64,
    /// How many flows there are: after the last the first comes again.
    pub flows: u64,
    /// How many rounds had the verdict that was wanted.
    pub met: u64,
    /// The verdict that is wanted.
    pub wanted: u32,
    /// The first client's IPv4 address, or the last word of its IPv6 address, in host order.
    pub client: u32,
    /// The pristine MAC addresses.
    pub macs: [u32; 3],
    /// The pristine EtherType, in network order.
    pub ether_type: u32,
    /// The pristine IP and TCP headers. The client's address and port are written anew each time.
    pub headers: [u32; WORDS_V6],
    /// Zero.
    pub reserved: u32,
}
