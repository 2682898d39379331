//! `[[pair.path]]`.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, word};
use lb_core::pair::PathKind;

use super::super::super::{BAUD_RANGE, DEFAULT_BAUD, DEFAULT_PAIR_PORT, keys};
use super::{RawTiming, timing};

/// A `[[pair.path]]`.
#[derive(Debug)]
pub(in crate::config) struct RawPath {
    /// Where to point when nothing smaller is wrong.
    pub(in crate::config) span: Range<usize>,
    pub(in crate::config) way: RawWay,
    pub(in crate::config) timing: RawTiming,
}

/// By what the path's frames go.
#[derive(Debug)]
pub(in crate::config) enum RawWay {
    Udp { interface: Spanned<String>, local: Spanned<SocketAddr>, peer: Spanned<SocketAddr> },
    Serial { device: Spanned<String>, baud: Spanned<u32> },
}

const TYPES: [(&str, PathKind); 2] = [("udp", PathKind::Udp), ("serial", PathKind::Serial)];

pub(super) fn path(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawPath> {
    let table = Table::from_value(&keys::PATH, value, problems)?;
    let kind = word("type", table.required_string("type", "\"udp\"", problems), &TYPES, problems);
    let timing = timing(&table, problems);
    let way = match kind? {
        PathKind::Udp => {
            refuse_unfit(&table, "udp", &["device", "baud"], "serial", problems);
            udp(&table, problems)
        }
        PathKind::Serial => {
            refuse_unfit(&table, "serial", &["interface", "local", "peer"], "udp", problems);
            serial(&table, problems)
        }
    };
    Some(RawPath { span: table.span(), way: way?, timing })
}

fn udp(table: &Table<'_, '_>, problems: &mut Problems) -> Option<RawWay> {
    let interface = table.required_string("interface", "\"eth1\"", problems);
    let local = address(table, "local", "\"192.0.2.2\"", problems);
    let peer = address(table, "peer", "\"192.0.2.3\"", problems);
    Some(RawWay::Udp { interface: interface?, local: local?, peer: peer? })
}

fn serial(table: &Table<'_, '_>, problems: &mut Problems) -> Option<RawWay> {
    let device = table.required_string("device", "\"/dev/ttyS0\"", problems);
    let baud = match table.get("baud") {
        Some(_) => table.integer("baud", BAUD_RANGE, problems),
        None => Some(Spanned::new(table.span(), DEFAULT_BAUD)),
    };
    Some(RawWay::Serial { device: device?, baud: baud? })
}

/// An IP address, with a port or without.
fn address(table: &Table<'_, '_>, key: &str, example: &str, problems: &mut Problems) -> Option<Spanned<SocketAddr>> {
    let text = table.required_string(key, example, problems)?;
    let alone = || text.get_ref().parse().ok().map(|address: IpAddr| SocketAddr::new(address, DEFAULT_PAIR_PORT));
    let address = text.get_ref().parse().ok().filter(|address: &SocketAddr| address.port() != 0).or_else(alone);
    if address.is_none() {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is not an address: {:?}", text.get_ref()),
            "not an address, and not an address with a port",
            format!(
                "write {key} = {example}; with a port it is \"192.0.2.2:{DEFAULT_PAIR_PORT}\" or \
                 \"[2001:db8::2]:{DEFAULT_PAIR_PORT}\"; names are not looked up"
            ),
        ));
    }
    address.map(|address| Spanned::new(text.span(), address))
}

/// Notes keys of the other type.
fn refuse_unfit(table: &Table<'_, '_>, type_: &str, unfit: &[&str], other: &str, problems: &mut Problems) {
    for key in unfit {
        if let Some(span) = table.key_span(key) {
            let title = format!("a path of type `{type_}` has no `{key}`");
            let help = format!("remove it, or write type = \"{other}\"");
            problems.add(Diagnostic::new(span, title, "does not fit the type", help));
        }
    }
}
