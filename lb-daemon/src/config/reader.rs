//! Takes typed values out of parsed TOML and notes everything that is wrong on the way, instead of ending at the first
//! error.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::keys::TableKeys;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Diagnostic>);

impl Problems {
    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str, example: &str) {
        self.add(Diagnostic::new(
            value.span(),
            format!("`{key}` must be {expected}"),
            format!("this is {}", type_name(value.get_ref())),
            format!("write it like this: {example}"),
        ));
    }
}

/// One table of the file.
pub(super) struct Table<'a, 'i> {
    keys: &'static TableKeys,
    span: Range<usize>,
    entries: &'a DeTable<'i>,
}

impl<'a, 'i> Table<'a, 'i> {
    /// Takes a table and notes the keys that it should not have.
    pub(super) fn new(
        keys: &'static TableKeys,
        span: Range<usize>,
        entries: &'a DeTable<'i>,
        problems: &mut Problems,
    ) -> Self {
        for (key, _) in entries {
            let name = key.get_ref().as_ref();
            if !keys.keys.contains(&name) {
                problems.add(unknown_key(keys, name, key.span()));
            }
        }
        Self { keys, span, entries }
    }

    /// As [`Table::new`], of a value that should be a table.
    pub(super) fn from_value(
        keys: &'static TableKeys,
        value: &'a Spanned<DeValue<'i>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(Self::new(keys, value.span(), entries, problems)),
            other => {
                problems.add(Diagnostic::new(
                    value.span(),
                    format!("{} must be a table", keys.title),
                    format!("this is {}", type_name(other)),
                    format!("its keys are {}", list(keys.keys)),
                ));
                None
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.entries.get(key)
    }

    /// Where the table is: where an error about all of it points.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// As [`Table::get`], of a key that must be there.
    pub(super) fn required(
        &self,
        key: &str,
        example: &str,
        problems: &mut Problems,
    ) -> Option<&'a Spanned<DeValue<'i>>> {
        let found = self.get(key);
        if found.is_none() {
            problems.add(Diagnostic::new(
                self.span(),
                format!("`{key}` is missing"),
                format!("{} has no `{key}`", self.keys.title),
                format!("add a line like this: {key} = {example}"),
            ));
        }
        found
    }

    pub(super) fn string(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Spanned<String>> {
        string(key, self.get(key)?, example, problems)
    }

    pub(super) fn required_string(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Spanned<String>> {
        string(key, self.required(key, example, problems)?, example, problems)
    }

    pub(super) fn boolean(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.get(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            problems.wrong_type(key, value, "true or false", &format!("{key} = true"));
        }
        found
    }

    pub(super) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        problems: &mut Problems,
    ) -> Option<Spanned<u32>> {
        integer(key, self.get(key)?, range, problems)
    }

    /// The elements of an array.
    pub(super) fn array(&self, key: &str, example: &str, problems: &mut Problems) -> &'a [Spanned<DeValue<'i>>] {
        self.get(key).map_or(&[], |value| array(key, value, example, problems))
    }
}

/// The elements of a value that should be an array.
pub(super) fn array<'a, 'i>(
    key: &str,
    value: &'a Spanned<DeValue<'i>>,
    example: &str,
    problems: &mut Problems,
) -> &'a [Spanned<DeValue<'i>>] {
    match value.get_ref() {
        DeValue::Array(elements) => elements,
        _ => {
            problems.wrong_type(key, value, "a list", example);
            &[]
        }
    }
}

/// The string that a value should be.
pub(super) fn string(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    example: &str,
    problems: &mut Problems,
) -> Option<Spanned<String>> {
    match value.get_ref() {
        DeValue::String(text) => Some(Spanned::new(value.span(), text.to_string())),
        _ => {
            problems.wrong_type(key, value, "a string", &format!("{key} = {example}"));
            None
        }
    }
}

/// The integer that a value should be.
pub(super) fn integer(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    range: RangeInclusive<u32>,
    problems: &mut Problems,
) -> Option<Spanned<u32>> {
    let DeValue::Integer(integer) = value.get_ref() else {
        problems.wrong_type(key, value, "an integer", &format!("{key} = {}", range.end()));
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
pub(super) fn word<T: Copy>(
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

/// Notes each value that was there before.
pub(super) fn refuse_repeated(what: &str, values: &[Spanned<String>], problems: &mut Problems) {
    let mut seen: HashSet<&str> = HashSet::new();
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

fn unknown_key(keys: &TableKeys, name: &str, span: Range<usize>) -> Diagnostic {
    let help = suggestion(name, keys.keys).unwrap_or_else(|| format!("its keys are {}", list(keys.keys)));
    Diagnostic::new(span, format!("{} has no key `{name}`", keys.title), "unknown key", help)
}

/// `did you mean ...?`, when one of the names is near.
pub(super) fn suggestion(text: &str, names: &[&str]) -> Option<String> {
    let distance = |name: &str| strsim::damerau_levenshtein(&text.to_lowercase(), name);
    let nearest = names.iter().min_by_key(|name| distance(name))?;
    let near_enough = (nearest.len() / 3).max(1);
    (distance(nearest) <= near_enough).then(|| format!("did you mean `{nearest}`?"))
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What messages call a value's type.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
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
