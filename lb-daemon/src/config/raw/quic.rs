//! `[[service.quic]]`, and the `quic_server_ids` of a service's reals.

use std::ops::{Range, RangeInclusive};

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, word};
use lb_core::service::QuicServerId;

use super::super::{
    MAX_QUIC_SERVER_IDS, QUIC_CONFIG_RANGE, QUIC_NONCE_RANGE, QUIC_OFFSET_RANGE, QUIC_SERVER_ID_RANGE, keys,
};

/// A `[[service.quic]]`.
#[derive(Debug)]
pub(in crate::config) struct RawQuic {
    pub(in crate::config) span: Range<usize>,
    pub(in crate::config) server_id_length: u8,
    pub(in crate::config) layout: RawLayout,
}

/// Where the server id is.
#[derive(Debug)]
pub(in crate::config) enum RawLayout {
    QuicLb { config: Option<u8>, nonce_length: u8, key_file: Option<Spanned<String>> },
    Plain { offset: Option<u8> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    QuicLb,
    Plain,
}

const ENCODINGS: [(&str, Encoding); 2] = [("quic-lb", Encoding::QuicLb), ("plain", Encoding::Plain)];
/// Keys that tables of one encoding alone have.
const KEYS_OF_ENCODINGS: [(&str, Encoding); 4] = [
    ("config", Encoding::QuicLb),
    ("nonce_length", Encoding::QuicLb),
    ("key_file", Encoding::QuicLb),
    ("offset", Encoding::Plain),
];

const SERVER_IDS: &str = "[\"0a0b0c\"]";

pub(super) fn quic(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawQuic> {
    let table = Table::from_value(&keys::QUIC, value, problems)?;
    let encoding = match table.string("encoding", "\"plain\"", problems) {
        Some(text) => word("encoding", Some(text), &ENCODINGS, problems)?,
        None if table.get("encoding").is_none() => Encoding::QuicLb,
        None => return None,
    };
    refuse_unfit_keys(&table, encoding, problems);
    table.required("server_id_length", "3", problems);
    let server_id_length = byte(&table, "server_id_length", QUIC_SERVER_ID_RANGE, problems);
    let layout = match encoding {
        Encoding::QuicLb => quic_lb(&table, problems),
        Encoding::Plain => Some(RawLayout::Plain { offset: byte(&table, "offset", QUIC_OFFSET_RANGE, problems) }),
    };
    Some(RawQuic { span: table.span(), server_id_length: server_id_length?, layout: layout? })
}

fn quic_lb(table: &Table<'_, '_>, problems: &mut Problems) -> Option<RawLayout> {
    table.required("nonce_length", "4", problems);
    let nonce_length = byte(table, "nonce_length", QUIC_NONCE_RANGE, problems);
    let config = byte(table, "config", QUIC_CONFIG_RANGE, problems);
    let key_file = table.string("key_file", "\"/etc/understudy/quic.key\"", problems);
    Some(RawLayout::QuicLb { config, nonce_length: nonce_length?, key_file })
}

fn byte(table: &Table<'_, '_>, key: &str, range: RangeInclusive<u32>, problems: &mut Problems) -> Option<u8> {
    table.integer(key, range, problems).and_then(|number| u8::try_from(number.into_inner()).ok())
}

/// Notes keys of the other encoding.
fn refuse_unfit_keys(table: &Table<'_, '_>, encoding: Encoding, problems: &mut Problems) {
    for (key, of) in KEYS_OF_ENCODINGS.into_iter().filter(|(_, of)| *of != encoding) {
        if let Some(span) = table.key_span(key) {
            let word = |wanted| ENCODINGS.iter().find(|(_, other)| *other == wanted).map_or("", |(word, _)| word);
            problems.add(Diagnostic::new(
                span,
                format!("encoding `{}` has no `{key}`", word(encoding)),
                "does not fit the encoding",
                format!("remove it, or write encoding = \"{}\"", word(of)),
            ));
        }
    }
}

/// The `quic_server_ids` of an entry of a service's `reals`.
pub(super) fn server_ids(member: &Table<'_, '_>, problems: &mut Problems) -> Vec<Spanned<QuicServerId>> {
    let Some(value) = member.get("quic_server_ids") else { return Vec::new() };
    let texts = member.strings("quic_server_ids", SERVER_IDS, problems);
    let count = value.get_ref().as_array().map_or(1, |elements| elements.len());
    if !(1..=MAX_QUIC_SERVER_IDS).contains(&count) {
        problems.add(Diagnostic::new(
            value.span(),
            format!("`quic_server_ids` has {count} entries"),
            "too few or too many",
            format!("it can have 1 to {MAX_QUIC_SERVER_IDS}, as in quic_server_ids = {SERVER_IDS}"),
        ));
    }
    texts.iter().filter_map(|text| server_id(text, problems)).collect()
}

fn server_id(text: &Spanned<String>, problems: &mut Problems) -> Option<Spanned<QuicServerId>> {
    let id = QuicServerId::parse(text.get_ref());
    if id.is_none() {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`quic_server_ids` cannot have {:?}", text.get_ref()),
            "not a server id",
            "write two hex digits for each of its 1 to 15 bytes, as in \"0a0b0c\"",
        ));
    }
    id.map(|id| Spanned::new(text.span(), id))
}
