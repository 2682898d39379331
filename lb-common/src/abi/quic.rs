//! How the connection ids of a QUIC service name its reals (draft-ietf-quic-load-balancers-21).

/// Rows of `quic`.
pub const MAX_QUIC_ENCODINGS: u32 = 4_096;
/// Rows of `quic_servers`: server ids of all services.
pub const MAX_QUIC_SERVERS: u32 = 65_536;
/// The longest server id, in bytes: the nonce has 4 at least, and both together 19 at most.
pub const MAX_QUIC_SERVER_ID: usize = 15;
/// Bytes of a connection id that are looked at: the most that one has in version 1 (RFC 9000 section 17.2).
pub const QUIC_CID: usize = 20;
/// Words of an AES-128 key schedule (FIPS 197 section 5.2).
pub const AES_SCHEDULE: usize = 44;

/// One way in which a service's connection ids are read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QuicKey {
    /// The service's id.
    pub service: u32,
    /// The three highest bits of the connection id's first byte; [`QUIC_PLAIN`] where they do not matter.
    pub config: u32,
}

/// `config` of a service whose connection ids have the server id in the clear at a place of its own. Such a service has no other row:
/// in QUIC-LB these bits say that a connection id names no server.
pub const QUIC_PLAIN: u32 = 7;

/// How connection ids are read. Not to be shown: it has the key.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct QuicValue {
    /// [`QUIC_CLEAR`], [`QUIC_ONE_PASS`] or [`QUIC_FOUR_PASSES`].
    pub encoding: u8,
    /// Bytes of the connection id before the server id: 1 in QUIC-LB.
    pub offset: u8,
    /// Bytes of the server id, 1 to [`MAX_QUIC_SERVER_ID`].
    pub server_id_length: u8,
    /// Bytes of the nonce; 0 in [`QUIC_PLAIN`].
    pub nonce_length: u8,
    /// The key's schedule, each word's first byte in its highest bits: for [`QUIC_FOUR_PASSES`] as it encrypts (FIPS 197 section 5.2),
    /// for [`QUIC_ONE_PASS`] as the equivalent inverse cipher decrypts (section 5.3.5), in the order in which it is used.
    pub schedule: [u32; AES_SCHEDULE],
}

/// The server id is not encrypted.
pub const QUIC_CLEAR: u8 = 0;
/// Server id and nonce are one AES block.
pub const QUIC_ONE_PASS: u8 = 1;
/// Server id and nonce went through four rounds of a Feistel network.
pub const QUIC_FOUR_PASSES: u8 = 2;

/// A server id of a service.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct QuicServerKey {
    /// The service's id.
    pub service: u32,
    /// Bytes of the server id.
    pub length: u8,
    /// The server id; zero beyond its length.
    pub id: [u8; MAX_QUIC_SERVER_ID],
}

/// Without the key's schedule.
impl core::fmt::Debug for QuicValue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { encoding, offset, server_id_length, nonce_length, schedule: _ } = self;
        f.debug_struct("QuicValue")
            .field("encoding", encoding)
            .field("offset", offset)
            .field("server_id_length", server_id_length)
            .field("nonce_length", nonce_length)
            .finish_non_exhaustive()
    }
}

impl Default for QuicValue {
    fn default() -> Self {
        Self { encoding: 0, offset: 0, server_id_length: 0, nonce_length: 0, schedule: [0; AES_SCHEDULE] }
    }
}

const _: () = {
    assert!(size_of::<QuicKey>() == 8);
    assert!(size_of::<QuicValue>() == 180);
    assert!(size_of::<QuicServerKey>() == 20);
};
