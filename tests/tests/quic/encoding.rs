//! How the servers' connection ids are made, and what a configuration says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_common::{QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS};
use lb_tests::model::QuicRow;
use lb_tests::quic_lb::connection_id;

/// The key of the servers and of the balancer.
const KEY: [u8; 16] = *b"understudy tests";

/// An encoding, with its lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Clear,
    OnePass,
    FourPasses,
    Plain,
}

impl Encoding {
    pub const ALL: [Self; 4] = [Self::Clear, Self::OnePass, Self::FourPasses, Self::Plain];

    /// Config, and the lengths of server id and nonce.
    fn shape(self) -> (u8, u8, u8) {
        match self {
            Self::Clear => (0, 3, 4),
            Self::OnePass => (1, 6, 10),
            Self::FourPasses => (2, 5, 6),
            Self::Plain => (7, 4, 5),
        }
    }

    pub fn id_length(self) -> usize {
        let (_, server_id, nonce) = self.shape();
        usize::from(1 + server_id + nonce)
    }

    fn server_id(self, server: u8) -> Vec<u8> {
        let (_, length, _) = self.shape();
        (0..length).map(|at| 0x50 + 0x21 * server + at).collect()
    }

    /// As the configuration has it.
    pub fn server_id_text(self, server: u8) -> String {
        hexadecimal(&self.server_id(server))
    }

    /// What aioquic's servers are told.
    pub fn arguments(self, server: u8) -> Vec<String> {
        let (config, _, nonce_length) = self.shape();
        let mut words = vec![format!("--config={config}"), format!("--nonce-length={nonce_length}")];
        words.push(format!("--server-id={}", self.server_id_text(server)));
        words.extend(self.has_key().then(|| format!("--key={}", hexadecimal(&KEY))));
        words
    }

    fn has_key(self) -> bool {
        matches!(self, Self::OnePass | Self::FourPasses)
    }

    /// A new connection id of a server.
    pub fn connection_id(self, server: u8) -> Vec<u8> {
        let (config, server_id_length, nonce_length) = self.shape();
        let encoding = match self {
            Self::Clear | Self::Plain => QUIC_CLEAR,
            Self::OnePass => QUIC_ONE_PASS,
            Self::FourPasses => QUIC_FOUR_PASSES,
        };
        let row = QuicRow { encoding, offset: 1, server_id_length, nonce_length, key: KEY };
        let nonce: Vec<u8> = (0..nonce_length).map(|_| fastrand::u8(..)).collect();
        connection_id(&row, config, &self.server_id(server), &nonce)
    }

    /// Writes the key where the encoding has one.
    pub fn key_file(self, directory: &Path) -> Result<Option<PathBuf>> {
        if !self.has_key() {
            return Ok(None);
        }
        let path = directory.join("quic.key");
        fs::write(&path, hexadecimal(&KEY) + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .with_context(|| format!("cannot protect {}", path.display()))?;
        Ok(Some(path))
    }

    /// The entry of a service's `quic`.
    pub fn table(self, key_file: Option<&Path>) -> String {
        let (config, server_id, nonce) = self.shape();
        if self == Self::Plain {
            return format!("{{ encoding = \"plain\", offset = 1, server_id_length = {server_id} }}");
        }
        let key = key_file.map(|path| format!(", key_file = {path:?}")).unwrap_or_default();
        format!("{{ config = {config}, server_id_length = {server_id}, nonce_length = {nonce}{key} }}")
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
