//! Reads the kernel's small text files, and numbers out of text.
//!
//! A crate that parses /proc would do the same for well-formed text; some of its parsers refuse a whole file for one line
//! that they do not know, or panic on it. An agent must outlive kernels that it has never seen.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::SourceError;

/// The largest file that is read, in bytes: /proc/stat of a host with thousands of CPUs.
const MAX_FILE: u64 = 4 << 20;

/// The text of a file. What is not UTF-8 is replaced.
pub(crate) fn read(path: &Path) -> Result<String, SourceError> {
    read_bounded(path, MAX_FILE).map_err(|error| SourceError::read(path, &error))
}

/// As [`read`]; none where there is no such file, or the kernel has it switched off.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, SourceError> {
    match read_bounded(path, MAX_FILE) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Unsupported) => Ok(None),
        Err(error) => Err(SourceError::read(path, &error)),
    }
}

/// The first `limit` bytes of a file.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The whole text as one number.
pub(crate) fn number(path: &Path, text: &str) -> Result<u64, SourceError> {
    text.trim().parse().map_err(|_| SourceError::garbage(path, "number", text))
}

/// The number behind `word` on a line of its own, as of `usage_usec 123`.
pub(crate) fn number_behind(word: &str, text: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(word)).then(|| words.next())??.parse().ok()
    })
}

/// The first word of a text that is a number of its own; a finite one.
pub(crate) fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().find_map(|word| word.parse().ok().filter(|number: &f64| number.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_is_a_number_counts() {
        let cases = [
            ("12\n", Some(12.0)),
            ("http2_requests_total{code=\"200\"} 1.5e3 99\n", Some(1_500.0)),
            ("a1 2b -3", Some(-3.0)),
            ("inf NaN 7", Some(7.0)),
            ("", None),
            ("none", None),
        ];
        for (text, expected) in cases {
            assert_eq!(first_number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_number_is_found_behind_its_word_only() {
        let text = "user_usec 5\nusage_usec 17\nusage_usec_burst 9\n";
        assert_eq!(number_behind("usage_usec", text), Some(17));
        assert_eq!(number_behind("usage", text), None);
        assert_eq!(number_behind("usage_usec", "usage_usec\nusage_usec x"), None);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_a_missing_one_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("counter");
        assert_eq!(read_if_there(&path), Ok(None));
        let error = read(&path).unwrap_err().to_string();
        assert_eq!(error, format!("cannot read {}: No such file or directory (os error 2)", path.display()));
        std::fs::write(&path, b"12\xff34").unwrap();
        assert_eq!(read_bounded(&path, 2).unwrap(), "12");
        assert_eq!(read(&path).unwrap(), "12\u{fffd}34");
    }
}
