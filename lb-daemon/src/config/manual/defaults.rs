//! A configuration file that says what lbd does without it: every key with its default, as a comment.

use super::super::keys::{self, Absent, Key, Value};
use super::facts;

const HEAD: &str = "# Every key of lbd's configuration. A line that begins with `#` and a key says what holds without it: take the\n\
                    # `#` away to change it. `lbd config explain KEY` says more, `lbd config example` has a file to begin with.\n";

/// The file. It is right as it is, and serves nothing yet.
#[must_use]
pub fn defaults() -> String {
    let mut text = HEAD.to_owned();
    table(keys::FILE, "", true, &mut text);
    text
}

/// Values first: in TOML they would belong to a table above them.
fn table(keys: &[Key], prefix: &str, is_in_use: bool, text: &mut String) {
    for key in keys.iter().filter(|key| !key.is_table()) {
        let in_use = is_in_use && matches!(key.absent, Absent::Required);
        let mark = if in_use { "" } else { "#" };
        *text += &format!("\n# {}\n{mark}{} = {}\n", facts(key), key.name, shown(key));
    }
    for key in keys {
        let name = format!("{prefix}{}", key.name);
        match &key.value {
            Value::Table(keys) => {
                *text += &format!("\n\n#[{name}]\n");
                table(keys, &format!("{name}."), false, text);
            }
            Value::Tables(keys) => {
                *text += &format!("\n\n#[[{name}]]\n");
                table(keys, &format!("{name}."), false, text);
            }
            _ => {}
        }
    }
}

/// The default, or where there is none in so many words, something that could be there.
fn shown(key: &Key) -> String {
    match &key.absent {
        Absent::Default(literal) => literal.to_string(),
        _ => key.value.example(),
    }
}
