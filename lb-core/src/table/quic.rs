//! The rows of QUIC services: how connection ids are read, and which reals they name.

use lb_common::{
    QUIC_CLEAR, QUIC_FOUR_PASSES, QUIC_ONE_PASS, QuicKey, QuicServerKey, QuicValue, ServiceOptions,
    aes::{decryption_schedule, encryption_schedule},
};

use super::SchedulingTable;
use crate::{
    rows::Rows,
    service::{QuicEncoding, QuicLayout, QuicServerId, Service},
};

/// Bytes of an AES block: server ids with a nonce of this length together are encrypted at once.
const BLOCK: u8 = 16;

/// The service's options with its encodings.
pub(super) fn with_quic(options: ServiceOptions, service: &Service) -> ServiceOptions {
    let quic = service.quic.iter().fold(0, |bits, encoding| bits | 1 << encoding.layout.config());
    ServiceOptions { quic, ..options }
}

/// The row of an encoding in the map `quic`.
fn encoding_row(encoding: &QuicEncoding) -> QuicValue {
    let server_id_length = encoding.server_id_length;
    let (nonce_length, key) = match &encoding.layout {
        QuicLayout::Plain { offset } => {
            return QuicValue { encoding: QUIC_CLEAR, offset: *offset, server_id_length, ..QuicValue::default() };
        }
        QuicLayout::QuicLb { nonce_length, key, .. } => (*nonce_length, key),
    };
    let clear = QuicValue { encoding: QUIC_CLEAR, offset: 1, server_id_length, nonce_length, ..QuicValue::default() };
    match key {
        None => clear,
        Some(key) if server_id_length + nonce_length == BLOCK => {
            QuicValue { encoding: QUIC_ONE_PASS, schedule: decryption_schedule(&key.bytes), ..clear }
        }
        Some(key) => QuicValue { encoding: QUIC_FOUR_PASSES, schedule: encryption_schedule(&key.bytes), ..clear },
    }
}

/// The key of a server id in the map `quic_servers`.
fn server_key(service: u32, id: &QuicServerId) -> QuicServerKey {
    // A server id is no longer than there is room.
    let mut key = QuicServerKey { service, length: id.bytes().len() as u8, ..QuicServerKey::default() };
    key.id.iter_mut().zip(id.bytes()).for_each(|(to, from)| *to = *from);
    key
}

impl SchedulingTable {
    /// Adds the rows of the maps `quic` and `quic_servers`.
    pub(super) fn add_quic(&self, rows: &mut Rows) {
        for (service, entry) in self.configured_services().filter(|(service, _)| !service.quic.is_empty()) {
            let row = |encoding: &QuicEncoding| {
                let config = encoding.layout.config().into();
                (QuicKey { service: entry.id, config }, encoding_row(encoding))
            };
            rows.quic.extend(service.quic.iter().map(row));
            for member in &service.reals {
                let Some(real) = self.reals.get(&member.real) else { continue };
                let keys = member.quic_server_ids.iter().map(|id| server_key(entry.id, id));
                rows.quic_servers.extend(keys.map(|key| (key, u32::from(real.id))));
            }
        }
    }
}
