//! Takes values of the right type out of TOML and notes everything that is wrong on the way, instead of ending at the first
//! error. Where an argument is an `example`, it is a right value, as it is written in the file.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use crate::diagnostic::{Diagnostic, Problems};
use crate::words::{list, suggestion};

fn wrong_type(key: &str, value: &Spanned<DeValue<'_>>, expected: &str, example: &str) -> Diagnostic {
    Diagnostic::new(
        value.span(),
        format!("`{key}` must be {expected}"),
        format!("this is {}", type_name(value.get_ref())),
        format!("write it like this: {example}"),
    )
}

/// The elements of a value that should be an array. `example` is a whole line.
pub fn array<'a, 'i>(
    key: &str,
    value: &'a Spanned<DeValue<'i>>,
    example: &str,
    problems: &mut Problems,
) -> &'a [Spanned<DeValue<'i>>] {
    match value.get_ref() {
        DeValue::Array(elements) => elements,
        _ => {
            problems.add(wrong_type(key, value, "a list", example));
            &[]
        }
    }
}

/// The string that a value should be.
pub fn string(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    example: &str,
    problems: &mut Problems,
) -> Option<Spanned<String>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Spanned::new(value.span(), text.to_string())),
        _ => {
            problems.add(wrong_type(key, value, "a string", &format!("{key} = {example}")));
            None
        }
    }
}

/// The `true` or `false` that a value should be.
pub fn boolean(key: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<bool> {
    let found = value.get_ref().as_bool();
    if found.is_none() {
        problems.add(wrong_type(key, value, "true or false", &format!("{key} = true")));
    }
    found
}

/// The integer that a value should be.
pub fn integer(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    range: RangeInclusive<u32>,
    problems: &mut Problems,
) -> Option<Spanned<u32>> {
    let DeValue::Integer(integer) = value.get_ref() else {
        problems.add(wrong_type(key, value, "an integer", &format!("{key} = {}", range.end())));
        return None;
    };
    let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| range.contains(number));
    if number.is_none() {
        problems.add(Diagnostic::new(
            value.span(),
            format!("`{key}` is out of range"),
            "not in the range",
            format!("it can be {} to {}", range.start(), range.end()),
        ));
    }
    number.map(|number| Spanned::new(value.span(), number))
}

/// The value that a word stands for.
pub fn word<T: Copy>(
    key: &str,
    text: Option<Spanned<String>>,
    words: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let text = text?;
    let found = words.iter().find(|(word, _)| word == text.get_ref()).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` cannot be {:?}", text.get_ref()),
            "not one of the words that it can be",
            suggestion(text.get_ref(), &names).unwrap_or_else(|| format!("it can be {}", list(&names))),
        ));
    }
    found
}

/// The IP address that a text should be.
pub fn ip_address(
    key: &str,
    text: &Spanned<String>,
    example: &str,
    problems: &mut Problems,
) -> Option<Spanned<IpAddr>> {
    if let Ok(address) = text.get_ref().parse() {
        return Some(Spanned::new(text.span(), address));
    }
    let help = if text.get_ref().contains('/') {
        "write the address alone, without a prefix length".to_owned()
    } else {
        format!("write an IPv4 or IPv6 address, as in {key} = {example}; names are not looked up")
    };
    problems.add(Diagnostic::new(
        text.span(),
        format!("`{key}` is not an IP address: {:?}", text.get_ref()),
        "not an IP address",
        help,
    ));
    None
}

/// The IP address and port that a text should be.
pub fn socket_address(
    key: &str,
    text: &Spanned<String>,
    example: &str,
    problems: &mut Problems,
) -> Option<Spanned<SocketAddr>> {
    let address: Option<SocketAddr> = text.get_ref().parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    if address.is_none() {
        let help = "write an IPv4 address or an IPv6 address in brackets, a colon and a port from 1 to 65535";
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is not an address with a port: {:?}", text.get_ref()),
            "not an address with a port",
            format!("{help}, as in {key} = {example}; names are not looked up"),
        ));
    }
    address.map(|address| Spanned::new(text.span(), address))
}

/// The absolute path that a text should be.
pub fn absolute_path(key: &str, text: Spanned<String>, example: &str, problems: &mut Problems) -> PathBuf {
    if !text.get_ref().starts_with('/') || text.get_ref().contains('\0') {
        problems.add(Diagnostic::new(
            text.span(),
            format!("`{key}` is not an absolute path: {:?}", text.get_ref()),
            "not an absolute path",
            format!("write the whole path, as in {key} = {example}"),
        ));
    }
    PathBuf::from(text.into_inner())
}

/// Notes each value that was there before.
pub fn refuse_repeated<T: Eq + Hash + Debug>(what: &str, values: &[Spanned<T>], problems: &mut Problems) {
    let mut seen: HashSet<&T> = HashSet::new();
    for value in values {
        if !seen.insert(value.get_ref()) {
            problems.add(Diagnostic::new(
                value.span(),
                format!("{what} {:?} is there twice", value.get_ref()),
                "here again",
                "remove one of them",
            ));
        }
    }
}

/// What messages call a value's type.
#[must_use]
pub fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
