//! Map keys and values of the program on real servers that takes packets out of their outer headers (`lb-ebpf`, binary
//! `lb-decap-ebpf`; loaded by `lb-agent`). Addresses are as in [`crate::abi`].

/// Most addresses of a host that tunnels end at.
pub const MAX_ENDPOINTS: u32 = 64;
/// Most VIPs that packets are taken out for.
pub const MAX_DECAP_VIPS: u32 = 4_096;

/// Names of the maps, as the program declares them and as they are pinned.
pub mod map {
    /// Hash of [`super::AddressKey`] to [`super::Endpoint`]: addresses of the host that tunnels end at.
    pub const ENDPOINTS: &str = "decap_endpoints";
    /// Hash of [`super::AddressKey`] to `u32`, which says nothing: the VIPs.
    pub const VIPS: &str = "decap_vips";
    /// Per-CPU array of one `u64`: packets taken out of their outer header.
    pub const PACKETS: &str = "decap_packets";

    /// Every map.
    pub const ALL: [&str; 3] = [ENDPOINTS, VIPS, PACKETS];
}

/// An address.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressKey {
    /// The address.
    pub address: [u8; 16],
    /// [`crate::FAMILY_V4`] or [`crate::FAMILY_V6`].
    pub family: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Which tunnels end at an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// [`ENDPOINT_IPIP`], [`ENDPOINT_GUE`].
    pub flags: u16,
    /// With [`ENDPOINT_GUE`]: the UDP port.
    pub gue_port: u16,
}

/// IP in IP ends here.
pub const ENDPOINT_IPIP: u16 = 1;
/// IP in UDP (GUE variant 1) ends here.
pub const ENDPOINT_GUE: u16 = 2;

const _: () = {
    assert!(size_of::<AddressKey>() == 20);
    assert!(size_of::<Endpoint>() == 4);
};
