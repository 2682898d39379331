//! QUIC services: the keys of server ids, from their files.

use std::path::Path;

use lb_config::{Diagnostic, Problems, Spanned, absolute_path};
use lb_core::service::{QuicEncoding, QuicLayout, QuicSecret};

use super::super::raw::{RawLayout, RawQuic};

/// The offset of a plain encoding unless the file says otherwise.
const DEFAULT_OFFSET: u8 = 1;
const KEY_FILE: &str = "\"/etc/understudy/quic.key\"";

/// How the key in a file is read.
pub(in crate::config) type ReadKey<'a> = &'a dyn Fn(&Path) -> Result<[u8; 16], String>;

/// An encoding, with its key; `None` where the key cannot be had.
pub(super) fn encoding(raw: &RawQuic, read_key: ReadKey<'_>, problems: &mut Problems) -> Option<QuicEncoding> {
    let layout = match &raw.layout {
        RawLayout::Plain { offset } => QuicLayout::Plain { offset: offset.unwrap_or(DEFAULT_OFFSET) },
        RawLayout::QuicLb { config, nonce_length, key_file } => QuicLayout::QuicLb {
            config: config.unwrap_or_default(),
            nonce_length: *nonce_length,
            key: match key_file {
                None => None,
                Some(file) => Some(secret(file, read_key, problems)?),
            },
        },
    };
    Some(QuicEncoding { server_id_length: raw.server_id_length, layout })
}

fn secret(file: &Spanned<String>, read_key: ReadKey<'_>, problems: &mut Problems) -> Option<QuicSecret> {
    let path = absolute_path("key_file", file.clone(), KEY_FILE, problems);
    if !path.is_absolute() {
        return None;
    }
    match read_key(&path) {
        Ok(bytes) => Some(QuicSecret { file: path, bytes }),
        Err(error) => {
            let (problem, help) = error.split_once("; ").unwrap_or((&error, ""));
            problems.add(Diagnostic::new(file.span(), problem, "not usable", help));
            None
        }
    }
}
