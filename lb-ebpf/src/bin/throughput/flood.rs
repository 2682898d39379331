//! What the generator writes. The program and the bench in user space both include this file.

/// Bytes of a frame: Ethernet, IPv4 and UDP headers, and zeros. With its check sequence it is 64 bytes on a wire.
pub const FRAME_LENGTH: usize = 60;
/// Bytes before a frame that is to get an outer header, which the generator takes off. A veth copies what has less room before it than
/// 256 bytes: without these 32 it would copy whatever comes out of the kernel's tunnel, and nothing that comes out of XDP.
pub const ROOM: usize = 32;
/// Bytes of the IPv4 packet in it.
pub const PACKET_LENGTH: u16 = 46;
/// Bytes of the UDP datagram in that.
pub const DATAGRAM_LENGTH: u16 = 26;
/// Where packets go to in turn: the addresses of as many real servers, or as many times a VIP.
pub const TARGETS: usize = 3;
/// The flow's number gives the client's address by as many of its low bits, and the client's port by the rest.
pub const ADDRESS_BITS: u32 = 8;
/// The lowest client port.
pub const FIRST_PORT: u32 = 1_024;
/// Entries of the map `delivered`: one for each protocol number of IPv4.
pub const PROTOCOLS: u32 = 256;

/// The packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flood {
    /// The interface that they leave by, in the namespace of who runs the program.
    pub ifindex: u32,
    /// How many flows there are: after the last the first comes again. A multiple of [`TARGETS`], so that a flow keeps its target.
    pub flows: u32,
    /// The first client's address, in host order.
    pub client: u32,
    /// The targets' port, in host order.
    pub port: u32,
    /// [`ROOM`], or 0.
    pub room: u32,
    /// The targets' addresses, as they are on the wire.
    pub targets: [u32; TARGETS],
    /// Destination and source MAC address, as they are on the wire.
    pub macs: [u32; 3],
}

/// What is sent next.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// How many packets have been sent.
    pub sent: u64,
    /// The next one's flow.
    pub flow: u32,
    /// The index of its target.
    pub target: u32,
}
