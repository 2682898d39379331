//! Where hits and the custom measure come from.

use std::ops::Range;

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, TableKeys, list, string, suggestion};

use super::keys;
use crate::measure::HitsOf;
use crate::source::Origin;

/// Longest command, in words.
const MAX_COMMAND: usize = 256;
const HITS_EXAMPLE: &str = "{ stub_status = \"http://127.0.0.1/status\" }";
const CUSTOM_EXAMPLE: &str = "{ file = \"/run/queue-share\" }";

/// `hits`: a word, or a table of one source.
pub(super) fn hits(top: &Table<'_, '_>, problems: &mut Problems) -> Option<HitsOf> {
    let value = top.get("hits")?;
    if let DeValue::String(text) = value.get_ref() {
        return word(value.span(), text, problems);
    }
    let table = Table::from_value(&keys::HITS, value, problems)?;
    let (key, origin) = only_source(&table, &keys::HITS, HITS_EXAMPLE, problems)?;
    Some(if key == "stub_status" { HitsOf::StubStatus(origin) } else { HitsOf::Counter(origin) })
}

fn word(span: Range<usize>, text: &str, problems: &mut Problems) -> Option<HitsOf> {
    match text {
        "kernel" => Some(HitsOf::Kernel),
        "none" => Some(HitsOf::Nothing),
        other => {
            let words = ["kernel", "none"];
            let help = format!("it can be {}, or a table, as in hits = {HITS_EXAMPLE}", list(&words));
            let help = suggestion(other, &words).unwrap_or(help);
            problems.add(Diagnostic::new(
                span,
                format!("`hits` cannot be {other:?}"),
                "not a word that it can be",
                help,
            ));
            None
        }
    }
}

/// `custom`: a table of one source.
pub(super) fn custom(top: &Table<'_, '_>, problems: &mut Problems) -> Option<Origin> {
    let table = top.table("custom", &keys::CUSTOM, problems)?;
    only_source(&table, &keys::CUSTOM, CUSTOM_EXAMPLE, problems).map(|(_, origin)| origin)
}

/// The source of a table that must have just one, and its key.
fn only_source(
    table: &Table<'_, '_>,
    keys: &TableKeys,
    example: &str,
    problems: &mut Problems,
) -> Option<(&'static str, Origin)> {
    let given: Vec<&'static str> = keys.keys.iter().copied().filter(|key| table.get(key).is_some()).collect();
    let [key] = given.as_slice() else {
        let help = format!("give one of {}, as in {example}", list(keys.keys));
        let title = format!("{} has {} sources", keys.title, given.len());
        problems.add(Diagnostic::new(table.span(), title, "one is needed", help));
        return None;
    };
    origin(table, key, problems).map(|origin| (*key, origin))
}

fn origin(table: &Table<'_, '_>, key: &'static str, problems: &mut Problems) -> Option<Origin> {
    match key {
        "command" => command(table, problems),
        "file" => {
            let path = table.string(key, "\"/run/queue-share\"", problems)?;
            Some(Origin::File(lb_config::absolute_path(key, path, "\"/run/queue-share\"", problems)))
        }
        _ => url(key, &table.string(key, "\"http://127.0.0.1/status\"", problems)?, problems),
    }
}

fn url(key: &str, text: &Spanned<String>, problems: &mut Problems) -> Option<Origin> {
    match text.get_ref().parse() {
        Ok(url) => Some(Origin::Http(url)),
        Err(error) => {
            problems.add(Diagnostic::new(
                text.span(),
                format!("`{key}` cannot be {:?}: {error}", text.get_ref()),
                "not an address that can be asked",
                format!("write it like this: {key} = \"http://127.0.0.1:8080/status\""),
            ));
            None
        }
    }
}

/// The program by its whole path, since no shell looks for it.
fn command(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Origin> {
    let example = "[\"/usr/local/bin/count-hits\", \"--total\"]";
    let value = table.get("command")?;
    let elements = lb_config::array("command", value, &format!("command = {example}"), problems);
    let words: Vec<Spanned<String>> =
        elements.iter().filter_map(|value| string("command", value, example, problems)).collect();
    let wrong = match words.first() {
        _ if words.len() != elements.len() => return None,
        None => Some((value.span(), "`command` is empty")),
        Some(program) if !program.get_ref().starts_with('/') => {
            Some((program.span(), "the program of `command` is not an absolute path"))
        }
        _ if words.len() > MAX_COMMAND => Some((value.span(), "`command` is too long")),
        _ if words.iter().any(|word| word.get_ref().contains('\0')) => {
            Some((value.span(), "`command` has a NUL in it"))
        }
        _ => None,
    };
    if let Some((span, title)) = wrong {
        let help = format!("write the program's whole path and its arguments, as in command = {example}");
        problems.add(Diagnostic::new(span, title, "not a command", help));
        return None;
    }
    Some(Origin::Command(words.into_iter().map(Spanned::into_inner).collect()))
}
