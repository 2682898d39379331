//! `[[check]]`: what every check has, and what a check of its type has.

mod kind;

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, ip_address, list, word};
use lb_core::check::{Kind, Via};

use super::super::{CHECK_TIMEOUT_RANGE, MONITOR_INTERVAL_RANGE, RISE_FALL_RANGE, keys};

/// A `[[check]]`.
#[derive(Debug)]
pub(in crate::config) struct RawCheck {
    pub(in crate::config) name: Spanned<String>,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) interval: Option<Duration>,
    /// Where to point when the timeout does not fit the interval; `None`: neither is in the file.
    pub(in crate::config) timing_span: Option<Range<usize>>,
    pub(in crate::config) timeout: Option<Duration>,
    pub(in crate::config) rise: Option<u32>,
    pub(in crate::config) fall: Option<u32>,
    pub(in crate::config) port: Option<u16>,
    pub(in crate::config) via: Via,
    pub(in crate::config) source: Option<Spanned<IpAddr>>,
}

/// A check's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Tcp,
    Http,
    Https,
    Udp,
    Icmp,
    Exec,
}

const TYPES: [(&str, Type); 6] = [
    ("tcp", Type::Tcp),
    ("http", Type::Http),
    ("https", Type::Https),
    ("udp", Type::Udp),
    ("icmp", Type::Icmp),
    ("exec", Type::Exec),
];

/// Keys that only checks of these types have.
const KEYS_OF_TYPES: [(&[&str], &[Type]); 6] = [
    (&["port"], &[Type::Tcp, Type::Http, Type::Https, Type::Udp]),
    (&["via", "source"], &[Type::Tcp, Type::Http, Type::Https, Type::Udp, Type::Icmp]),
    (&["method", "path", "host", "status", "body"], &[Type::Http, Type::Https]),
    (&["verify", "server_name", "ca_file"], &[Type::Https]),
    (&["send", "send_hex", "expect", "expect_hex"], &[Type::Udp]),
    (&["command"], &[Type::Exec]),
];

pub(super) fn check(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RawCheck> {
    let table = Table::from_value(&keys::CHECK, value, problems)?;
    let name = table.required_string("name", "\"alive\"", problems);
    let type_ = word("type", table.required_string("type", "\"tcp\"", problems), &TYPES, problems);
    let interval = table.duration("interval", MONITOR_INTERVAL_RANGE, "\"1s\"", problems);
    let timeout = table.duration("timeout", CHECK_TIMEOUT_RANGE, "\"400ms\"", problems);
    let rise = table.integer("rise", RISE_FALL_RANGE, problems).map(Spanned::into_inner);
    let fall = table.integer("fall", RISE_FALL_RANGE, problems).map(Spanned::into_inner);
    let port = table.integer("port", 1..=u32::from(u16::MAX), problems);
    let via = via(&table, problems);
    let source = source(&table, via, problems);
    let kind = kind::read(&table, type_?, problems);
    refuse_unfit_keys(&table, type_?, problems);
    Some(RawCheck {
        name: name?,
        kind: kind?,
        timing_span: timeout.as_ref().or(interval.as_ref()).map(Spanned::span),
        interval: interval.map(Spanned::into_inner),
        timeout: timeout.map(Spanned::into_inner),
        rise,
        fall,
        port: port.and_then(|port| u16::try_from(port.into_inner()).ok()),
        via,
        source,
    })
}

fn via(table: &Table<'_, '_>, problems: &mut Problems) -> Via {
    let words = [("address", Via::Address), ("service", Via::Service)];
    word("via", table.string("via", "\"service\"", problems), &words, problems).unwrap_or_default()
}

fn source(table: &Table<'_, '_>, via: Via, problems: &mut Problems) -> Option<Spanned<IpAddr>> {
    let example = "\"192.0.2.2\"";
    let source = ip_address("source", &table.string("source", example, problems)?, example, problems)?;
    if via == Via::Address {
        problems.add(Diagnostic::new(
            source.span(),
            "`source` is for checks that go via the service",
            "this check goes to the real's own address",
            "add via = \"service\", or remove `source`: the host chooses the source address then",
        ));
    }
    Some(source)
}

/// Notes keys of other types.
fn refuse_unfit_keys(table: &Table<'_, '_>, type_: Type, problems: &mut Problems) {
    let unfit = KEYS_OF_TYPES.iter().filter(|(_, types)| !types.contains(&type_));
    for (keys, types) in unfit {
        for key in *keys {
            if let Some(span) = table.key_span(key) {
                problems.add(Diagnostic::new(
                    span,
                    format!("a check of type `{}` has no `{key}`", type_word(type_)),
                    "does not fit the type",
                    fix_of_unfit(key, types),
                ));
            }
        }
    }
}

fn fix_of_unfit(key: &str, types: &[Type]) -> String {
    let words: Vec<&str> = types.iter().map(|type_| type_word(*type_)).collect();
    match words.as_slice() {
        [word] => format!("remove it, or write type = \"{word}\""),
        words => format!("remove it; checks of these types have `{key}`: {}", list(words)),
    }
}

fn type_word(type_: Type) -> &'static str {
    TYPES.iter().find(|(_, other)| *other == type_).map_or("", |(word, _)| word)
}
