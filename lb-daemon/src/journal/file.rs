//! The journal's file: one JSON object a line, the newest last. When it is full it becomes the older of two, and what the older
//! one held is gone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lb_core::api::Event;

/// Name of the file in `state_dir`.
pub(super) const EVENTS_FILE: &str = "events.jsonl";
/// The file is full at this length, in bytes. Room for some thousands of events.
pub(super) const MAX_FILE_SIZE: u64 = 1 << 20;
/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// The file, opened when there is something to write.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl EventFile {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(EVENTS_FILE), open: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The events of both files, the oldest first. Lines that are none, such as one that a crash tore, are left out.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub(super) fn read(&self) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        for path in [self.older(), self.path.clone()] {
            match File::open(path) {
                Ok(file) => read_lines(file, &mut events)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(events)
    }

    /// Appends lines and has them on disk when it returns.
    ///
    /// # Errors
    /// They could not be written, or only some of them. The next call begins on a new line.
    pub(super) fn append(&mut self, lines: &str) -> io::Result<()> {
        let open = match self.open.take() {
            Some(open) if open.size < MAX_FILE_SIZE => open,
            Some(_) => self.rotate()?,
            None => self.begin()?,
        };
        let open = self.open.insert(open);
        let written = open.file.write_all(lines.as_bytes()).and_then(|()| open.file.sync_data());
        match written {
            Ok(()) => open.size += lines.len() as u64,
            // Where the file ends now is looked at when it is opened again.
            Err(_) => self.open = None,
        }
        written
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("jsonl.1")
    }

    fn rotate(&self) -> io::Result<Open> {
        fs::rename(&self.path, self.older())?;
        self.begin()
    }

    /// Opens the file so that what is appended begins on a new line.
    fn begin(&self) -> io::Result<Open> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&self.path)?;
        let size = file.seek(SeekFrom::End(0))?;
        if size >= MAX_FILE_SIZE {
            return self.rotate();
        }
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::Start(size - 1))?;
            file.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        Ok(Open { file, size: size + 1 })
    }
}

fn read_lines(file: File, events: &mut Vec<Event>) -> io::Result<()> {
    // What has grown beyond all bounds was not written here.
    let mut reader = BufReader::new(file.take(2 * MAX_FILE_SIZE));
    let mut line = Vec::new();
    while reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
        if line.ends_with(b"\n") {
            events.extend(serde_json::from_slice::<Event>(&line));
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lb_core::api::Happening;

    use super::*;

    fn line(sequence: u64) -> String {
        let event =
            Event { sequence, unix_ms: 0, boot: 1, what: Happening::Notice, reason: format!("number {sequence}") };
        format!("{}\n", serde_json::to_string(&event).unwrap())
    }

    fn numbers(file: &EventFile) -> Vec<u64> {
        file.read().unwrap().iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn what_is_appended_is_read_by_a_successor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/on/the/way");
        let mut file = EventFile::new(&path);
        assert!(numbers(&file).is_empty());
        file.append(&(line(1) + &line(2))).unwrap();
        let mut successor = EventFile::new(&path);
        successor.append(&line(3)).unwrap();
        assert_eq!(numbers(&successor), [1, 2, 3]);
    }

    #[test]
    fn a_torn_line_is_left_out_and_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = EventFile::new(directory.path());
        let torn = &line(2)[..20];
        fs::write(file.path(), line(1) + torn).unwrap();
        assert_eq!(numbers(&file), [1]);
        file.append(&line(3)).unwrap();
        fs::write(file.path(), fs::read_to_string(file.path()).unwrap() + "no event\n\n\0\0\n").unwrap();
        assert_eq!(numbers(&file), [1, 3]);
    }

    #[test]
    fn a_full_file_becomes_the_older_one_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let filler = " \n".repeat(MAX_FILE_SIZE as usize / 2);
        let mut file = EventFile::new(directory.path());
        file.append(&(line(1) + &filler)).unwrap();
        file.append(&(line(2) + &filler)).unwrap();
        assert_eq!(numbers(&file), [1, 2]);
        // A successor finds it full, too.
        let mut file = EventFile::new(directory.path());
        file.append(&line(3)).unwrap();
        assert_eq!(numbers(&file), [2, 3]);
        let sizes = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        assert!(sizes.sum::<u64>() < 2 * MAX_FILE_SIZE);
    }
}
