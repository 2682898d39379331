//! From a configuration file to its TOML.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use crate::diagnostic::{ConfigError, Diagnostic, Problems};

/// The largest configuration file that is read, in bytes.
pub const MAX_FILE_SIZE: u64 = 16 << 20;

/// The text of a configuration file.
///
/// # Errors
/// It cannot be read, is too large, or is not UTF-8.
pub fn read_file(path: &Path) -> Result<String, ConfigError> {
    let failed = |reason: String| ConfigError::Read { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(failed(format!("it is larger than {} MiB", MAX_FILE_SIZE >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|&&byte| byte == b'\n').count() + 1;
        failed(format!("line {line} is not UTF-8: save the file as UTF-8"))
    })
}

/// The TOML of a text; `None` where it is no TOML, which is noted.
pub fn document<'i>(source: &'i str, problems: &mut Problems) -> Option<Spanned<DeTable<'i>>> {
    let (document, errors) = DeTable::parse_recoverable(source);
    let is_toml = errors.is_empty();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let title = format!("this is not TOML: {}", error.message());
        problems.add(Diagnostic::new(span, title, "here", "https://toml.io has TOML's rules on one page"));
    }
    is_toml.then_some(document)
}
