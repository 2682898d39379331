//! The mark of the newest report of each real, in a file that is written before a report counts. The state file has the
//! marks as well, but as they were seconds ago: a daemon that is killed leaves this one to its successor.
//!
//! One line of the same length for each real, so that a mark is written in its place by one small write. It is not
//! flushed: what is in the kernel outlives the daemon, and a host that loses power is back later than the next report.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use lb_core::report::Mark;
use lb_core::service::MAX_NAME_LENGTH;
use tracing::{info, warn};

/// Name of the file in `state_dir`.
pub const JOURNAL_FILE: &str = "reports";
/// Bytes of a line: a divisor of every disk's sector, so that none lies in two of them.
const LINE: usize = 128;
/// Digits of the largest number.
const DIGITS: usize = 20;
/// The largest file that is read, in bytes: a line for each of the most reals.
const MAX_SIZE: u64 = (LINE as u64) << 16;

// There is room for the name, two numbers, the spaces between them, and the line end.
const _: () = assert!(MAX_NAME_LENGTH + 1 + DIGITS + 1 + DIGITS < LINE);

/// The file, and where each real's line is.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    lines: Option<Lines>,
    /// It was told that marks cannot be written.
    is_failing: bool,
}

#[derive(Debug)]
struct Lines {
    file: File,
    places: HashMap<String, u64>,
}

impl Journal {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, lines: None, is_failing: false }
    }

    /// What an earlier daemon has left. Lines that are damaged are left out.
    pub(super) fn read(&self) -> BTreeMap<String, Mark> {
        match read(&self.path) {
            Ok(text) => text.lines().filter_map(parse).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                let path = self.path.display();
                warn!(
                    "cannot read {path}: {error}; reports that a daemon before this one has taken may be taken again"
                );
                BTreeMap::new()
            }
        }
    }

    /// Begins a new file with these reals and what is known of them.
    pub(super) fn begin(&mut self, reals: &[String], marks: &BTreeMap<String, Mark>) {
        let outcome = begin(&self.path, reals, marks).map(|lines| self.lines = Some(lines));
        self.tell(outcome);
    }

    /// Writes down the newest report of a real.
    pub(super) fn note(&mut self, real: &str, mark: Mark) {
        let Some(lines) = &self.lines else { return };
        let Some(&place) = lines.places.get(real) else { return };
        let outcome = lines.file.write_all_at(line(real, Some(mark)).as_bytes(), place);
        self.tell(outcome);
    }

    /// Logs when writing begins to fail, and when it works again.
    fn tell(&mut self, outcome: io::Result<()>) {
        let was_failing = std::mem::replace(&mut self.is_failing, outcome.is_err());
        let path = self.path.display();
        match outcome {
            Err(error) if !was_failing => warn!(
                "cannot write {path}: {error}; should lbd be killed now, its successor may take reports again; \
                 make room or make it writable"
            ),
            Ok(()) if was_failing => info!("{path} is written again"),
            _ => {}
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SIZE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn begin(path: &Path, reals: &[String], marks: &BTreeMap<String, Mark>) -> io::Result<Lines> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    let text: String = reals.iter().map(|real| line(real, marks.get(real).copied())).collect();
    file.write_all(text.as_bytes())?;
    fs::rename(&temporary, path)?;
    let places = reals.iter().cloned().zip((0..).step_by(LINE)).collect();
    Ok(Lines { file, places })
}

/// A real's line; blank after the name before its first report.
fn line(real: &str, mark: Option<Mark>) -> String {
    let text = mark.map_or_else(
        || real.to_owned(),
        |Mark { generation, sequence }| format!("{real} {generation:0DIGITS$} {sequence:0DIGITS$}"),
    );
    format!("{text:<width$}\n", width = LINE - 1)
}

fn parse(line: &str) -> Option<(String, Mark)> {
    let mut words = line.split_ascii_whitespace();
    let real = words.next()?.to_owned();
    let mut number = || words.next().filter(|word| word.len() == DIGITS)?.parse().ok();
    let mark = Mark { generation: number()?, sequence: number()? };
    words.next().is_none().then_some((real, mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(generation: u64, sequence: u64) -> Mark {
        Mark { generation, sequence }
    }

    fn reals() -> [String; 3] {
        ["a".to_owned(), "b".repeat(MAX_NAME_LENGTH), "c".to_owned()]
    }

    fn journal(directory: &Path) -> Journal {
        Journal::new(directory.join("made/on/the/way").join(JOURNAL_FILE))
    }

    #[test]
    fn what_was_noted_is_read_by_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = journal(directory.path());
        assert_eq!(first.read(), BTreeMap::new());
        let [a, b, _] = reals();
        first.begin(&reals(), &BTreeMap::from([(a.clone(), mark(1, 2))]));
        first.note(&b, mark(u64::MAX, u64::MAX));
        first.note(&b, mark(7, 3));
        first.note("stranger", mark(9, 9));
        let known = BTreeMap::from([(a, mark(1, 2)), (b, mark(7, 3))]);
        assert_eq!(journal(directory.path()).read(), known);
        let names: Vec<_> =
            fs::read_dir(first.path.parent().unwrap()).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(names, [JOURNAL_FILE], "no second file stays behind");
    }

    #[test]
    fn reals_that_are_gone_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal(directory.path());
        let [a, b, c] = reals();
        journal.begin(&reals(), &BTreeMap::new());
        journal.note(&a, mark(1, 1));
        journal.begin(&[c.clone(), b], &BTreeMap::new());
        journal.note(&c, mark(2, 2));
        assert_eq!(journal.read(), BTreeMap::from([(c, mark(2, 2))]));
    }

    #[test]
    fn damaged_lines_are_left_out() {
        for damaged in ["", "a", "a 1 2", "a 0000000000000000000x 00000000000000000001"] {
            assert_eq!(parse(damaged), None, "{damaged}");
        }
        let whole = line("a", Some(mark(1, 2)));
        assert_eq!((whole.len(), parse(&whole)), (LINE, Some(("a".to_owned(), mark(1, 2)))));
        for cut in 0..43 {
            assert_eq!(parse(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(parse(&format!("{} 1", whole.trim_end())), None);
    }

    #[test]
    fn a_disk_that_is_full_is_told_once_and_stops_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal(directory.path());
        journal.begin(&reals(), &BTreeMap::new());
        let full = File::options().write(true).open("/dev/full").unwrap();
        journal.lines.as_mut().unwrap().file = full;
        journal.note("a", mark(1, 1));
        assert!(journal.is_failing);
        journal.begin(&reals(), &BTreeMap::new());
        assert!(!journal.is_failing);
    }
}
