//! One table of a file: the keys that it may have, and their values.

use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Problems};
use crate::duration::duration;
use crate::size::size;
use crate::values::{array, boolean, integer, ip_address, string, type_name};
use crate::words::{list, suggestion};

/// The keys that a table may have.
#[derive(Debug)]
pub struct TableKeys {
    /// What messages call the table.
    pub title: &'static str,
    /// What stands before the key's name in the documentation.
    pub prefix: &'static str,
    /// Names of the keys.
    pub keys: &'static [&'static str],
}

/// One table of the file.
#[derive(Debug)]
pub struct Table<'a, 'i> {
    keys: &'static TableKeys,
    span: Range<usize>,
    entries: &'a DeTable<'i>,
}

impl<'a, 'i> Table<'a, 'i> {
    /// Takes the whole of a file and notes the keys that it should not have.
    pub fn top(keys: &'static TableKeys, document: &'a Spanned<DeTable<'i>>, problems: &mut Problems) -> Self {
        Self::new(keys, 0..0, document.get_ref(), problems)
    }

    /// As [`Table::top`], of a value that should be a table.
    pub fn from_value(
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

    fn new(keys: &'static TableKeys, span: Range<usize>, entries: &'a DeTable<'i>, problems: &mut Problems) -> Self {
        for (key, _) in entries {
            let name = key.get_ref().as_ref();
            if !keys.keys.contains(&name) {
                problems.add(unknown_key(keys, name, key.span()));
            }
        }
        Self { keys, span, entries }
    }

    /// Where the table is: where an error about all of it points.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.entries.get(key)
    }

    /// Where a key's name is.
    #[must_use]
    pub fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    /// As [`Table::get`], of a key that must be there.
    pub fn required(&self, key: &str, example: &str, problems: &mut Problems) -> Option<&'a Spanned<DeValue<'i>>> {
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

    /// The table that a key's value should be.
    pub fn table(&self, key: &str, keys: &'static TableKeys, problems: &mut Problems) -> Option<Table<'a, 'i>> {
        Table::from_value(keys, self.get(key)?, problems)
    }

    /// The elements of an array of tables.
    pub fn tables(&self, key: &str, problems: &mut Problems) -> &'a [Spanned<DeValue<'i>>] {
        self.array(key, &format!("[[{key}]] on a line of its own, and below it the keys"), problems)
    }

    /// The elements of an array. `example` is a whole line.
    pub fn array(&self, key: &str, example: &str, problems: &mut Problems) -> &'a [Spanned<DeValue<'i>>] {
        self.get(key).map_or(&[], |value| array(key, value, example, problems))
    }

    /// The strings of an array.
    pub fn strings(&self, key: &str, example: &str, problems: &mut Problems) -> Vec<Spanned<String>> {
        let elements = self.array(key, &format!("{key} = {example}"), problems);
        elements.iter().filter_map(|value| string(key, value, example, problems)).collect()
    }

    /// A string.
    pub fn string(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Spanned<String>> {
        string(key, self.get(key)?, example, problems)
    }

    /// A string that must be there.
    pub fn required_string(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Spanned<String>> {
        string(key, self.required(key, example, problems)?, example, problems)
    }

    /// True or false.
    pub fn boolean(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        boolean(key, self.get(key)?, problems)
    }

    /// An integer.
    pub fn integer(&self, key: &str, range: RangeInclusive<u32>, problems: &mut Problems) -> Option<Spanned<u32>> {
        integer(key, self.get(key)?, range, problems)
    }

    /// A duration, as in `"500ms"`.
    pub fn duration(
        &self,
        key: &str,
        range: RangeInclusive<Duration>,
        example: &str,
        problems: &mut Problems,
    ) -> Option<Spanned<Duration>> {
        duration(key, &self.string(key, example, problems)?, range, example, problems)
    }

    /// A size in bytes, as in `"64KiB"`.
    pub fn size(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
        example: &str,
        problems: &mut Problems,
    ) -> Option<Spanned<u64>> {
        size(key, &self.string(key, example, problems)?, range, example, problems)
    }

    /// An IP address that must be there.
    pub fn required_ip_address(&self, key: &str, example: &str, problems: &mut Problems) -> Option<Spanned<IpAddr>> {
        ip_address(key, &self.required_string(key, example, problems)?, example, problems)
    }
}

fn unknown_key(keys: &TableKeys, name: &str, span: Range<usize>) -> Diagnostic {
    let help = suggestion(name, keys.keys).unwrap_or_else(|| format!("its keys are {}", list(keys.keys)));
    Diagnostic::new(span, format!("{} has no key `{name}`", keys.title), "unknown key", help)
}
