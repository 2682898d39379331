//! What a service's packets have to pass: who may send, and how many flows each source may begin.

/// Sources whose new flows are counted; those not heard of for longest go first.
pub const MAX_SOURCES: u32 = 65_536;

/// Rows of `access`: prefixes that services allow or deny.
pub const MAX_ACCESS_PREFIXES: u32 = 65_536;
/// Which packets a service refuses: a row of `guards`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guard {
    /// With [`GUARD_RATE`]: nanoseconds from one new flow of a source to its next, in the long run.
    pub interval_ns: u64,
    /// With [`GUARD_RATE`]: so many nanoseconds a source may be ahead of that.
    pub burst_ns: u64,
    /// [`GUARD_ACCESS`], [`GUARD_LISTED_ONLY`], [`GUARD_RATE`], [`GUARD_FLOOD`].
    pub flags: u32,
    /// With [`GUARD_RATE`]: the leading bits of its address that make a source, 1 to 32 or 128.
    pub source_bits: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// `access` has rows of the service.
pub const GUARD_ACCESS: u32 = 1;
/// Sources that no row of `access` is for are denied.
pub const GUARD_LISTED_ONLY: u32 = 2;
/// The new flows of each source are limited.
pub const GUARD_RATE: u32 = 4;
/// The service is under a SYN flood: no SYN is noted.
pub const GUARD_FLOOD: u32 = 8;

/// The data of a source prefix's key in the LPM trie. `prefix_len` is [`ACCESS_FIXED_BITS`] and the prefix's own length.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccessKey {
    /// The service's id, in network order: a prefix is matched from the first byte's highest bit.
    pub service: [u8; 4],
    /// The address, of the family of the service's VIP; zero beyond the prefix.
    pub address: [u8; 16],
}

/// Bits of an [`AccessKey`] before the address.
pub const ACCESS_FIXED_BITS: u32 = 32;
/// The service takes packets from the prefix.
pub const ACCESS_ALLOW: u32 = 1;
/// The service drops packets from the prefix.
pub const ACCESS_DENY: u32 = 2;

/// Whose new flows are limited together.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// The service's id.
    pub service: u32,
    /// The address; zero beyond the guard's `source_bits`.
    pub address: [u8; 16],
}

/// A source whose new flows are limited, by the generic cell rate algorithm (ITU-T I.371 annex A).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceValue {
    /// When its next new flow would be due, in nanoseconds of CLOCK_MONOTONIC_COARSE.
    pub due_ns: u64,
}

const _: () = {
    assert!(size_of::<Guard>() == 24);
    assert!(size_of::<AccessKey>() == 20);
    assert!(size_of::<SourceKey>() == 20);
    assert!(size_of::<SourceValue>() == 8);
};
