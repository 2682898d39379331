//! What most services do not have: affinity, one-packet scheduling, guards.

use std::ops::Range;
use std::time::Duration;

use lb_config::{Diagnostic, Problems, Spanned, Table};
use lb_core::service::Prefix;

use super::super::{FLOW_IDLE_TIMEOUT_RANGE, NEW_FLOWS_RANGE, SYN_FLOOD_RANGE, keys};
use super::{
    each,
    quic::{RawQuic, quic},
    text::prefix,
};

/// The most bits that an address has.
const ADDRESS_BITS: u32 = 128;

/// What a `[[service]]` says of its clients.
#[derive(Debug)]
pub(in crate::config) struct RawExtras {
    pub(in crate::config) one_packet: Option<bool>,
    /// Where to point when it cannot be.
    pub(in crate::config) one_packet_span: Option<Range<usize>>,
    pub(in crate::config) allow: Vec<Spanned<Prefix>>,
    pub(in crate::config) deny: Vec<Spanned<Prefix>>,
    pub(in crate::config) affinity: Option<Spanned<RawAffinity>>,
    pub(in crate::config) new_flow_limit: Option<Spanned<RawNewFlowLimit>>,
    pub(in crate::config) syn_flood: Option<Spanned<u32>>,
    pub(in crate::config) quic: Vec<RawQuic>,
}

/// A service's `affinity`.
#[derive(Debug)]
pub(in crate::config) struct RawAffinity {
    pub(in crate::config) prefix: Option<u8>,
    pub(in crate::config) timeout: Option<Duration>,
    pub(in crate::config) group: Option<Spanned<String>>,
}

/// A service's `new_flow_limit`.
#[derive(Debug)]
pub(in crate::config) struct RawNewFlowLimit {
    pub(in crate::config) rate: u32,
    pub(in crate::config) burst: Option<u32>,
    pub(in crate::config) prefix: Option<u8>,
}

pub(super) fn extras(service: &Table<'_, '_>, problems: &mut Problems) -> RawExtras {
    RawExtras {
        one_packet: service.boolean("one_packet", problems),
        one_packet_span: service.key_span("one_packet"),
        allow: prefixes(service, "allow", problems),
        deny: prefixes(service, "deny", problems),
        affinity: service.table("affinity", &keys::AFFINITY, problems).map(|table| affinity(&table, problems)),
        new_flow_limit: service
            .table("new_flow_limit", &keys::NEW_FLOW_LIMIT, problems)
            .and_then(|table| new_flow_limit(&table, problems)),
        syn_flood: service.table("syn_flood", &keys::SYN_FLOOD, problems).and_then(|table| threshold(&table, problems)),
        quic: each(service, "quic", quic, problems),
    }
}

/// An empty list would let nobody in, or keep nobody out: it is not what somebody means.
fn prefixes(service: &Table<'_, '_>, key: &str, problems: &mut Problems) -> Vec<Spanned<Prefix>> {
    let texts = service.strings(key, "[\"192.0.2.0/24\"]", problems);
    if let Some(value) = service.get(key)
        && value.get_ref().as_array().is_some_and(|elements| elements.is_empty())
    {
        let help = format!("name a prefix, as in {key} = [\"192.0.2.0/24\"], or remove `{key}`");
        problems.add(Diagnostic::new(value.span(), format!("`{key}` is empty"), "no prefix", help));
    }
    texts.iter().filter_map(|text| prefix(key, text, problems)).collect()
}

fn affinity(table: &Table<'_, '_>, problems: &mut Problems) -> Spanned<RawAffinity> {
    let timeout = table.duration("timeout", FLOW_IDLE_TIMEOUT_RANGE, "\"1h\"", problems).map(Spanned::into_inner);
    let group = table.string("group", "\"shop\"", problems);
    Spanned::new(table.span(), RawAffinity { prefix: length(table, problems), timeout, group })
}

fn new_flow_limit(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Spanned<RawNewFlowLimit>> {
    table.required("rate", "100", problems);
    let rate = table.integer("rate", NEW_FLOWS_RANGE, problems).map(Spanned::into_inner);
    let burst = table.integer("burst", NEW_FLOWS_RANGE, problems).map(Spanned::into_inner);
    let prefix = length(table, problems);
    Some(Spanned::new(table.span(), RawNewFlowLimit { rate: rate?, burst, prefix }))
}

fn threshold(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Spanned<u32>> {
    table.required("threshold", "10000", problems);
    table.integer("threshold", SYN_FLOOD_RANGE, problems)
}

fn length(table: &Table<'_, '_>, problems: &mut Problems) -> Option<u8> {
    let length = table.integer("prefix", 1..=ADDRESS_BITS, problems)?;
    u8::try_from(length.into_inner()).ok()
}
