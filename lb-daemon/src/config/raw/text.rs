//! Texts that follow a rule, and commands: a program and its arguments.

use lb_config::{DeValue, Diagnostic, Problems, Spanned, Table, absolute_path};

use lb_core::service::{Prefix, PrefixError};

use super::super::{MAX_ARGUMENTS, MAX_CHECK_TEXT};

/// What a text must be.
pub(super) struct Rule {
    pub(super) fits: fn(&str) -> bool,
    pub(super) help: &'static str,
}

const ARGUMENT: Rule = Rule { fits: |text| !text.contains('\0'), help: "write it without the character U+0000" };

/// The block of addresses that a text should be.
pub(super) fn prefix(key: &str, text: &Spanned<String>, problems: &mut Problems) -> Option<Spanned<Prefix>> {
    match text.get_ref().parse() {
        Ok(prefix) => Some(Spanned::new(text.span(), prefix)),
        Err(error) => {
            let error: PrefixError = error;
            let text_of_error = error.to_string();
            let (problem, help) = text_of_error.split_once("; ").unwrap_or((&text_of_error, ""));
            problems.add(Diagnostic::new(text.span(), format!("`{key}`: {problem}"), "not a prefix", help));
            None
        }
    }
}

/// The text, if it follows the rule and is short enough.
pub(super) fn fitting(
    key: &str,
    text: Spanned<String>,
    longest: usize,
    rule: &Rule,
    problems: &mut Problems,
) -> Option<String> {
    if text.get_ref().len() > longest {
        let label = format!("{} bytes", text.get_ref().len());
        let help = format!("it can have {longest} bytes");
        problems.add(Diagnostic::new(text.span(), format!("`{key}` is too long"), label, help));
        return None;
    }
    if !(rule.fits)(text.get_ref()) {
        let title = format!("`{key}` cannot be {:?}", text.get_ref());
        problems.add(Diagnostic::new(text.span(), title, "not what it can be", rule.help));
        return None;
    }
    Some(text.into_inner())
}

/// The absolute path of a program and its arguments; `None` where the key is missing or the program cannot be told.
pub(super) fn command(table: &Table<'_, '_>, key: &str, example: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let value = table.get(key)?;
    let mut arguments = table.strings(key, example, problems).into_iter();
    if arguments.len() > MAX_ARGUMENTS {
        let title = format!("`{key}` has {} entries", arguments.len());
        problems.add(Diagnostic::new(value.span(), title, "too many", format!("it can have {MAX_ARGUMENTS}")));
    }
    let Some(program) = arguments.next() else {
        if matches!(value.get_ref(), DeValue::Array(elements) if elements.is_empty()) {
            let help = format!("name a program and its arguments, as in {key} = {example}");
            problems.add(Diagnostic::new(value.span(), format!("`{key}` is empty"), "no program", help));
        }
        return None;
    };
    let program = absolute_path(key, program, example, problems).to_string_lossy().into_owned();
    let arguments = arguments.filter_map(|text| fitting(key, text, MAX_CHECK_TEXT, &ARGUMENT, problems));
    Some([program].into_iter().chain(arguments).collect())
}
