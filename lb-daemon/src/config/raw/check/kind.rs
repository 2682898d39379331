//! The keys of a `[[check]]` that say what it does.

use std::ops::{Range, RangeInclusive};

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, absolute_path, array, word};
use lb_core::check::{Http, Kind, Tls};

use super::super::super::{
    DEFAULT_STATUSES, MAX_CHECK_TEXT, MAX_DATAGRAM, MAX_HOST_LENGTH, MAX_STATUSES, STATUS_RANGE,
};
use super::super::text::{Rule, command, fitting};
use super::Type;

const COMMAND_EXAMPLE: &str = "[\"/usr/local/bin/check\", \"--fast\"]";

/// Each HTTP method that a check can have.
const METHODS: [(&str, &str); 4] = [("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("POST", "POST")];

/// What the keys say; `None` where they are wrong.
pub(super) fn read(table: &Table<'_, '_>, type_: Type, problems: &mut Problems) -> Option<Kind> {
    match type_ {
        Type::Tcp => Some(Kind::Tcp),
        Type::Icmp => Some(Kind::Icmp),
        Type::Http => Some(Kind::Http(http(table, problems)?)),
        Type::Https => {
            let tls = tls(table, problems);
            Some(Kind::Https(http(table, problems)?, tls?))
        }
        Type::Udp => udp(table, problems),
        Type::Exec => {
            table.required("command", COMMAND_EXAMPLE, problems)?;
            Some(Kind::Exec { command: command(table, "command", COMMAND_EXAMPLE, problems)? })
        }
    }
}

fn http(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Http> {
    let method = word("method", table.string("method", "\"GET\"", problems), &METHODS, problems);
    let path = table.string("path", "\"/health\"", problems);
    let path = path.map(|path| fitting("path", path, MAX_CHECK_TEXT, &PATH, problems));
    let host = host(table, "host", problems);
    let statuses = statuses(table, problems);
    let body = table.string("body", "\"ok\"", problems);
    if let (Some("HEAD"), Some(body)) = (method, &body) {
        problems.add(Diagnostic::new(
            body.span(),
            "the answer to HEAD has no body",
            "nothing to find this in",
            "write method = \"GET\", or remove `body`",
        ));
    }
    let body = body.map(|body| fitting("body", body, MAX_CHECK_TEXT, &ANY_TEXT, problems));
    Some(Http {
        method: method.unwrap_or("GET").to_owned(),
        path: path.unwrap_or_else(|| Some("/".to_owned()))?,
        host,
        statuses,
        body: body.flatten(),
    })
}

fn tls(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Tls> {
    let verify = table.boolean("verify", problems).unwrap_or(true);
    let server_name = host(table, "server_name", problems);
    let example = "\"/etc/understudy/ca.pem\"";
    let ca_file = table.string("ca_file", example, problems);
    if let (false, Some(ca_file)) = (verify, &ca_file) {
        problems.add(Diagnostic::new(
            ca_file.span(),
            "`ca_file` has no use with verify = false",
            "no certificate is checked against it",
            "remove one of the two",
        ));
    }
    let ca_file = ca_file.map(|path| absolute_path("ca_file", path, example, problems));
    Some(Tls { verify, server_name, ca_file })
}

fn host(table: &Table<'_, '_>, key: &str, problems: &mut Problems) -> Option<String> {
    let host = table.string(key, "\"www.example.org\"", problems)?;
    fitting(key, host, MAX_HOST_LENGTH, &HOST, problems)
}

const ANY_TEXT: Rule = Rule { fits: |text| !text.is_empty(), help: "write some text, or remove the key" };

const PATH: Rule = Rule {
    fits: |path| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'),
    help: "write a path from its first slash, and escape what is not ASCII, as in path = \"/health?of=caf%C3%A9\"",
};

const HOST: Rule = Rule {
    fits: |host| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)),
    help: "write a name or an address alone, as in \"www.example.org\"",
};

const STATUS_EXAMPLE: &str = "status = [200, \"300-399\"]";

fn statuses(table: &Table<'_, '_>, problems: &mut Problems) -> Vec<RangeInclusive<u16>> {
    let Some(value) = table.get("status") else { return vec![DEFAULT_STATUSES] };
    let elements = array("status", value, STATUS_EXAMPLE, problems);
    if matches!(value.get_ref(), DeValue::Array(_)) && !(1..=MAX_STATUSES).contains(&elements.len()) {
        let title = format!("`status` has {} entries", elements.len());
        let help = format!("it can have 1 to {MAX_STATUSES}, as in {STATUS_EXAMPLE}");
        problems.add(Diagnostic::new(value.span(), title, "too few or too many", help));
    }
    elements.iter().filter_map(|element| status(element, problems)).collect()
}

/// A status, or two with a hyphen between them.
fn status(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<RangeInclusive<u16>> {
    let text = match value.get_ref() {
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => String::new(),
    };
    let number = |text: &str| text.parse::<u16>().ok().filter(|status| STATUS_RANGE.contains(status));
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let range = number(first).zip(number(last)).map(|(first, last)| first..=last).filter(|range| !range.is_empty());
    if range.is_none() {
        problems.add(Diagnostic::new(
            value.span(),
            "an entry of `status` is no status and no range of them",
            "not from 100 to 599",
            format!("write it like this: {STATUS_EXAMPLE}"),
        ));
    }
    range
}

fn udp(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Kind> {
    let send = bytes(table, "send", "send_hex", MAX_DATAGRAM, problems);
    let expect = bytes(table, "expect", "expect_hex", MAX_CHECK_TEXT, problems);
    if table.get("send_hex").is_none() {
        table.required("send", "\"ping\"", problems)?;
    }
    Some(Kind::Udp { send: send?, expect })
}

/// What either of two keys says: the one in words, the other in hex digits.
fn bytes(table: &Table<'_, '_>, key: &str, hex_key: &str, longest: usize, problems: &mut Problems) -> Option<Vec<u8>> {
    let text = table.string(key, "\"ping\"", problems);
    let hex = table.string(hex_key, "\"00ff\"", problems);
    if let (Some(_), Some(hex)) = (&text, &hex) {
        let title = format!("`{hex_key}` beside `{key}`");
        problems.add(Diagnostic::new(hex.span(), title, "says the same in another way", "remove one of the two"));
    }
    let (key, span, bytes) = match (text, hex) {
        (Some(text), _) => (key, text.span(), text.into_inner().into_bytes()),
        (None, Some(hex)) => (hex_key, hex.span(), hex_bytes(hex_key, &hex, problems)?),
        (None, None) => return None,
    };
    sized(key, span, bytes, longest, problems)
}

fn sized(key: &str, span: Range<usize>, bytes: Vec<u8>, longest: usize, problems: &mut Problems) -> Option<Vec<u8>> {
    if (1..=longest).contains(&bytes.len()) {
        return Some(bytes);
    }
    let title = format!("`{key}` has {} bytes", bytes.len());
    problems.add(Diagnostic::new(span, title, "too few or too many", format!("it can have 1 to {longest}")));
    None
}

fn hex_bytes(key: &str, text: &Spanned<String>, problems: &mut Problems) -> Option<Vec<u8>> {
    let digits = text.get_ref().as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    if bytes.is_none() {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is not made of bytes"),
            "not an even number of hex digits",
            format!("write two hex digits a byte, as in {key} = \"00ff\""),
        ));
    }
    bytes
}
