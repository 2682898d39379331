//! The QUIC services: their encodings, the server ids of their reals, and the packets that come.

use lb_common::{Event, QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS};
use lb_core::service::{QuicEncoding, QuicLayout, QuicSecret, QuicServerId};
use lb_tests::{model::QuicRow, quic_lb::connection_id};

/// The config in the connection ids, and in those that say that they name no server.
const CONFIG: u8 = 1;
const NO_SERVER: u8 = 7;
const KEY: [u8; 16] = *b"understudy bench";
/// First byte of a packet: a short header, with the bit that is always there (RFC 9000 section 17.3.1).
const SHORT: u8 = 0x40;
/// Bytes of a packet: a small one, and room for the longest connection id.
const LENGTH: usize = 32;
/// The real whose connection the packets are of, and a number that no real has.
const SERVER: u8 = 7;
const NOBODY: u8 = u8::MAX;

/// What the connection ids of a service are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cid {
    /// A real's server id, in the clear.
    Clear,
    /// The same in one AES block.
    OneBlock,
    /// The same in four passes, of which three are undone: the server id is in the first half.
    ThreeBlocks,
    /// The same in four passes, of which all are undone.
    FourBlocks,
    /// A server id that no real has, in the clear.
    Unknown,
    /// None at all.
    NoServer,
}

impl Cid {
    /// Bytes of the server id and of the nonce, and how they are hidden.
    fn shape(self) -> (u8, u8, u8) {
        match self {
            Self::Clear | Self::Unknown | Self::NoServer => (3, 4, QUIC_CLEAR),
            Self::OneBlock => (6, 10, QUIC_ONE_PASS),
            Self::ThreeBlocks => (3, 4, QUIC_FOUR_PASSES),
            Self::FourBlocks => (10, 5, QUIC_FOUR_PASSES),
        }
    }

    /// The service's encoding.
    #[must_use]
    pub fn encoding(self) -> QuicEncoding {
        let (server_id_length, nonce_length, hidden) = self.shape();
        let key = (hidden != QUIC_CLEAR).then(|| QuicSecret { file: "bench".into(), bytes: KEY });
        QuicEncoding { server_id_length, layout: QuicLayout::QuicLb { config: CONFIG, nonce_length, key } }
    }

    /// The server id of a real.
    #[must_use]
    pub fn server_id(self, real: u8) -> Option<QuicServerId> {
        QuicServerId::parse(&self.server_id_bytes(real).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn server_id_bytes(self, real: u8) -> Vec<u8> {
        let (length, ..) = self.shape();
        (0..length).map(|at| if at == 0 { real } else { at }).collect()
    }

    /// What the packets have behind their UDP header.
    #[must_use]
    pub fn packet(self) -> Vec<u8> {
        let (server_id_length, nonce_length, encoding) = self.shape();
        let (config, server) = match self {
            Self::NoServer => (NO_SERVER, SERVER),
            Self::Unknown => (CONFIG, NOBODY),
            _ => (CONFIG, SERVER),
        };
        let row = QuicRow { encoding, offset: 1, server_id_length, nonce_length, key: KEY };
        let nonce: Vec<u8> = (0..nonce_length).collect();
        let mut packet = vec![SHORT];
        packet.extend(connection_id(&row, config, &self.server_id_bytes(server), &nonce));
        packet.resize(LENGTH, 0);
        packet
    }

    /// What each packet counts as.
    #[must_use]
    pub const fn event(self) -> Event {
        match self {
            Self::Unknown | Self::NoServer => Event::QuicUnrouted,
            _ => Event::QuicRouted,
        }
    }
}
