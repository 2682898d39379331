//! What a key is: what it can be, what holds where the file does not have it, and what takes a change over.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use lb_config::{duration_text, size_text};

/// One key of a table.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name in its table.
    pub name: &'static str,
    /// What it can be.
    pub value: Value,
    /// What holds where the file does not have it.
    pub absent: Absent,
    /// Only a restart takes a change over.
    pub restart: bool,
}

/// What a value can be.
#[derive(Clone, Debug)]
pub enum Value {
    /// `true` or `false`.
    Boolean,
    /// An integer.
    Integer(RangeInclusive<u32>),
    /// A number and a unit of time, in a string.
    Duration(RangeInclusive<Duration>),
    /// A number of bytes and a unit, in a string.
    Size(RangeInclusive<u64>),
    /// One of these words.
    Words(&'static [&'static str]),
    /// The name of a service, real, check or group.
    Name,
    /// The name of a network interface.
    Interface,
    /// An IPv4 or IPv6 address.
    Address,
    /// A text that is none of the others.
    Text(Text),
    /// The path of a file or directory.
    Path {
        /// A right value.
        example: &'static str,
    },
    /// A list.
    List {
        /// What each of its elements can be.
        of: &'static Value,
        /// How many there can be.
        count: RangeInclusive<usize>,
    },
    /// One of these.
    Either(&'static [Value]),
    /// A table with these keys.
    Table(&'static [Key]),
    /// As many tables with these keys as are wanted.
    Tables(&'static [Key]),
}

/// A text that has to look like something.
#[derive(Clone, Debug)]
pub struct Text {
    /// What it is, in words.
    pub what: &'static str,
    /// How many bytes it can have.
    pub length: RangeInclusive<usize>,
    /// A regular expression that finds all right ones, and maybe some that are wrong.
    pub pattern: &'static str,
    /// A right value.
    pub example: &'static str,
}

/// What holds where the file does not have a key.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The file has to have it.
    Required,
    /// Tables of this type have to have it.
    RequiredFor(&'static str),
    /// The key has a default.
    Default(Literal),
    /// The default is worked out: from what, in words.
    Derived(&'static str),
    /// Nothing: what the key is for is not done.
    None,
}

/// A default, as the file would say it.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Integer(u32),
    /// A duration.
    Duration(Duration),
    /// A size in bytes.
    Size(u64),
    /// A text.
    Text(&'static str),
    /// A list of texts.
    Texts(&'static [&'static str]),
}

impl Key {
    /// A key whose changes a reload takes over.
    #[must_use]
    pub const fn new(name: &'static str, value: Value, absent: Absent) -> Self {
        Self { name, value, absent, restart: false }
    }

    /// A key whose changes wait for a restart.
    #[must_use]
    pub const fn restart(name: &'static str, value: Value, absent: Absent) -> Self {
        Self { name, value, absent, restart: true }
    }

    /// It is a table and nothing else.
    #[must_use]
    pub const fn is_table(&self) -> bool {
        matches!(self.value, Value::Table(_) | Value::Tables(_))
    }

    /// The keys of the table, or of each of the tables, that this key's value can be.
    #[must_use]
    pub fn keys(&self) -> &'static [Key] {
        self.value.keys()
    }
}

impl Value {
    /// The keys of the table, or of each of the tables, that this can be; none where it is no table.
    #[must_use]
    pub fn keys(&self) -> &'static [Key] {
        match self {
            Self::Table(keys) | Self::Tables(keys) => keys,
            Self::List { of, .. } => of.keys(),
            Self::Either(values) => values.iter().map(Self::keys).find(|keys| !keys.is_empty()).unwrap_or_default(),
            _ => &[],
        }
    }

    /// A right value, as a file has it.
    #[must_use]
    pub fn example(&self) -> String {
        match self {
            Self::Boolean => "true".to_owned(),
            Self::Integer(range) => range.start().to_string(),
            Self::Duration(range) => format!("{:?}", duration_text(*range.start())),
            Self::Size(range) => format!("{:?}", size_text(*range.start())),
            Self::Words(words) => format!("{:?}", words.first().unwrap_or(&"")),
            Self::Name => "\"web1\"".to_owned(),
            Self::Interface => "\"eth0\"".to_owned(),
            Self::Address => "\"192.0.2.1\"".to_owned(),
            Self::Text(text) => format!("{:?}", text.example),
            Self::Path { example } => format!("{example:?}"),
            Self::List { of, .. } => format!("[{}]", of.example()),
            Self::Either(values) => values.first().map(Self::example).unwrap_or_default(),
            Self::Table(keys) | Self::Tables(keys) => table_example(keys),
        }
    }
}

fn table_example(keys: &[Key]) -> String {
    let required = keys.iter().filter(|key| matches!(key.absent, Absent::Required));
    let entries: Vec<String> = required.map(|key| format!("{} = {}", key.name, key.value.example())).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// In words, with the ends of its range as a file has them.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::Integer(range) => write!(f, "{} to {}", range.start(), range.end()),
            Self::Duration(range) => {
                write!(f, "a duration, {:?} to {:?}", duration_text(*range.start()), duration_text(*range.end()))
            }
            Self::Size(range) => {
                write!(f, "a size, {:?} to {:?}", size_text(*range.start()), size_text(*range.end()))
            }
            Self::Words(words) => either(f, words.iter().map(|word| format!("{word:?}"))),
            Self::Name => f.write_str("1 to 64 letters, digits, dots, underscores or hyphens"),
            Self::Interface => f.write_str("the name of an interface"),
            Self::Address => f.write_str("an IPv4 or IPv6 address"),
            Self::Text(text) => f.write_str(text.what),
            Self::Path { .. } => f.write_str("an absolute path"),
            Self::List { of, count } if *count.end() == usize::MAX => {
                write!(f, "a list of {} or more, each {of}", count.start())
            }
            Self::List { of, count } => write!(f, "a list of {} to {}, each {of}", count.start(), count.end()),
            Self::Either(values) => either(f, values.iter().map(ToString::to_string)),
            Self::Table(_) => f.write_str("a table"),
            Self::Tables(_) => f.write_str("tables, one each"),
        }
    }
}

fn either(f: &mut fmt::Formatter<'_>, choices: impl Iterator<Item = String>) -> fmt::Result {
    let choices: Vec<String> = choices.collect();
    match choices.split_last() {
        Some((last, [])) => f.write_str(last),
        Some((last, others)) => write!(f, "{} or {last}", others.join(", ")),
        None => Ok(()),
    }
}

/// As a file has it.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Duration(duration) => write!(f, "{:?}", duration_text(*duration)),
            Self::Size(bytes) => write!(f, "{:?}", size_text(*bytes)),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Texts(texts) => write!(f, "{texts:?}"),
        }
    }
}
