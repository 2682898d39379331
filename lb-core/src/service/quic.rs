//! QUIC: connection ids that name reals (draft-ietf-quic-load-balancers-21).

use std::{fmt, path::PathBuf};

/// Most encodings of a service: one for each config.
pub const MAX_QUIC_ENCODINGS: usize = 7;
/// The greatest config; the one above it says that a connection id names no server.
pub const MAX_QUIC_CONFIG: u8 = 6;
/// The longest server id, in bytes.
pub const MAX_QUIC_SERVER_ID: u8 = lb_common::MAX_QUIC_SERVER_ID as u8;
/// The shortest and the longest nonce, in bytes.
pub const QUIC_NONCES: std::ops::RangeInclusive<u8> = 4..=18;
/// Bytes of a connection id that are looked at.
pub const QUIC_CID: u8 = lb_common::QUIC_CID as u8;
/// Most server ids of a real in one service.
pub const MAX_QUIC_SERVER_IDS: usize = 16;

/// One way in which the connection ids of a service are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicEncoding {
    /// Bytes of the server id, 1 to [`MAX_QUIC_SERVER_ID`].
    pub server_id_length: u8,
    /// Where it is, and what hides it.
    pub layout: QuicLayout,
}

/// Where the server id is in a connection id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuicLayout {
    /// As QUIC-LB has it: behind the first byte, and before a nonce.
    QuicLb {
        /// The first byte's three highest bits, 0 to [`MAX_QUIC_CONFIG`].
        config: u8,
        /// Bytes of the nonce, of [`QUIC_NONCES`]; with the server id 19 at most.
        nonce_length: u8,
        /// What both are encrypted with; `None`: they are in the clear.
        key: Option<QuicSecret>,
    },
    /// In the clear, wherever the servers put it. No other encoding goes with this one.
    Plain {
        /// Bytes before it.
        offset: u8,
    },
}

impl QuicLayout {
    /// The number of its row: the config, or that of a service without any.
    #[must_use]
    pub const fn config(&self) -> u8 {
        match self {
            Self::QuicLb { config, .. } => *config,
            Self::Plain { .. } => lb_common::QUIC_PLAIN as u8,
        }
    }
}

/// A key that server ids are encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub struct QuicSecret {
    /// Where it came from.
    pub file: PathBuf,
    /// The key itself, for AES-128.
    pub bytes: [u8; 16],
}

/// Without the key.
impl fmt::Debug for QuicSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicSecret").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What stands for a real in the connection ids of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuicServerId(Vec<u8>);

impl QuicServerId {
    /// By its hex digits; `None` where these are none, an odd number, or too few or too many.
    #[must_use]
    pub fn parse(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes().chunks(2).map(|pair| {
            let [high, low] = pair else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
        });
        let bytes: Vec<u8> = digits.collect::<Option<_>>()?;
        (1..=usize::from(MAX_QUIC_SERVER_ID)).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Its bytes, 1 to [`MAX_QUIC_SERVER_ID`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for QuicServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
